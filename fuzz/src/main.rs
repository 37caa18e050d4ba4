//! Fuzz targets for all text from outside: tokens, keys, request bodies, settings files. `cargo xtask fuzz`
//! builds and runs this binary; the variable `QUASH_FUZZ` names the target. libFuzzer is guided by coverage;
//! without a C++ compiler the corpus is mutated blindly. A target fails by panicking.

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

/// Code that only fuzzing builds may break unnoticed, so tests build these targets, too.
#[cfg(all(test, not(fuzzing)))]
#[path = "targets/events.rs"]
mod events;
#[cfg(all(test, not(fuzzing)))]
#[path = "targets/feed.rs"]
mod feed;

#[cfg(not(fuzzing))]
#[expect(clippy::print_stderr, reason = "a program for a terminal")]
fn main() {
    eprintln!("this binary must be built by `cargo xtask fuzz`");
}
