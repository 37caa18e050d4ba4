//! Texts that nobody would think of, for whatever reads text from outside: tokens, keys, request bodies, settings files.
//! `cargo xtask fuzz` builds and runs this; the variable `QUASH_FUZZ` says which target. With libFuzzer, what has been
//! reached leads to more; without a compiler for it the corpus is mutated blindly. A target fails by panicking.

#![cfg_attr(all(fuzzing, feature = "libfuzzer"), no_main)]

#[cfg(all(fuzzing, not(feature = "libfuzzer")))]
mod mutate;
#[cfg(fuzzing)]
mod targets;

#[cfg(all(fuzzing, feature = "libfuzzer"))]
libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run(data));

#[cfg(all(fuzzing, not(feature = "libfuzzer")))]
fn main() -> std::process::ExitCode {
    mutate::main()
}

/// What is built for fuzzing alone is noticed late when it has become stale: these targets can be looked at by tests, too.
#[cfg(all(test, not(fuzzing)))]
#[path = "targets/events.rs"]
mod events;
#[cfg(all(test, not(fuzzing)))]
#[path = "targets/feed.rs"]
mod feed;

#[cfg(not(fuzzing))]
#[expect(clippy::print_stderr, reason = "a program for a terminal")]
fn main() {
    eprintln!("`cargo xtask fuzz` builds this as it must be built");
}
