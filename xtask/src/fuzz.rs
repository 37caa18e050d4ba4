//! `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage instrumentation and runs each for a while.
//! The corpus is kept under the target directory, and the next run starts with it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

/// The targets, as in `fuzz/src/targets/`.
const TARGETS: [&str; 6] = ["tokens", "keys", "bodies", "settings", "feed", "events"];
/// A target's default time.
const MINUTE: Duration = Duration::from_secs(60);
/// A target's time in CI.
pub(crate) const HALF_MINUTE: Duration = Duration::from_secs(30);
/// A target's time in a soak.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// The limit for one input, in seconds.
const INPUT_SECONDS: u32 = 10;

/// The flags for libFuzzer's coverage instrumentation.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";
const BLIND: &str = "--cfg fuzzing";
/// Names the flags for rustc. With it, xtask is Cargo's wrapper of rustc.
pub(crate) const FLAGS: &str = "XTASK_FUZZ_FLAGS";

/// The source of inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    LibFuzzer,
    /// Seeded mutation of the corpus, without coverage.
    Blind,
}

/// Runs `cargo xtask fuzz [target] [--seconds N]`.
///
/// # Errors
/// Returns an error if a target fails or can't be built.
pub(crate) fn command(args: &[String]) -> Result<()> {
    let usage =
        || Failure::usage(format!("fuzz takes at most a target ({}) and --seconds N", TARGETS.join(", ")));
    let (mut targets, mut time, mut args) = (TARGETS.to_vec(), MINUTE, args.iter());
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let seconds = args
                .next()
                .and_then(|seconds| seconds.parse().ok())
                .filter(|seconds| *seconds > 0)
                .ok_or_else(usage)?;
            time = Duration::from_secs(seconds);
        } else {
            targets.retain(|target| target == arg);
        }
    }
    if targets.is_empty() { Err(usage()) } else { run(&targets, time) }
}

/// Runs all targets.
///
/// # Errors
/// Like [`command`].
pub(crate) fn all(time: Duration) -> Result<()> {
    run(&TARGETS, time)
}

/// Runs two targets at a time, each in its own process.
fn run(targets: &[&str], time: Duration) -> Result<()> {
    let home = workspace::target_directory()?.join("fuzz");
    let (engine, binary) = build(&home)?;
    for pair in targets.chunks(2) {
        let running: Vec<Result<Running>> =
            pair.iter().map(|target| Running::start(target, engine, &binary, &home, time)).collect();
        // Wait for both, so that no target outlives this process.
        let ended: Vec<Result<()>> =
            running.into_iter().map(|running| running.and_then(Running::finish)).collect();
        ended.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

/// Builds with libFuzzer if there is a C++ compiler, and without it otherwise. Both work with the stable
/// toolchain. Only the crates of the workspace are compiled for it: the others are those of every other build, so
/// their code is instrumented where it is generic. The workspace has neither build scripts nor procedural macros,
/// which would be instrumented, too.
fn build(home: &Path) -> Result<(Engine, PathBuf)> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let engine = if program::works(Command::new(&compiler).arg("--version")) {
        Engine::LibFuzzer
    } else {
        Engine::Blind
    };
    // The same packages as in every other build, so that the crates have the same features.
    let mut cargo =
        program::cargo(&["build", "--workspace", "--example", "quash-fuzz", "--quiet", "--locked"]);
    let flags = match engine {
        Engine::LibFuzzer => {
            println!("fuzz: libFuzzer, guided by coverage");
            cargo.args(["--features", "quash-fuzz/libfuzzer"]);
            COVERAGE
        }
        Engine::Blind => {
            println!("fuzz: no C++ compiler ({}): mutating the corpus without coverage", compiler.display());
            BLIND
        }
    };
    // Fast, but with the assertions and overflow checks of the profile.
    cargo.args(["--config", "profile.dev.opt-level=1", "--config", "profile.dev.incremental=false"]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", wrapper(home, flags)?).env(FLAGS, flags);
    program::run(cargo.current_dir(workspace::root()?))?;
    // Other builds replace the binary.
    let (built, own) =
        (workspace::target_directory()?.join("debug/examples/quash-fuzz"), home.join("quash-fuzz"));
    copy(&built, &own)?;
    Ok((engine, own))
}

/// Returns the program that Cargo runs in place of rustc for the crates of the workspace: a copy of this one, which
/// then runs [`compile`]. Cargo compiles again when its path changes, so the path depends on the flags.
fn wrapper(home: &Path, flags: &str) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    flags.hash(&mut hasher);
    let wrapper = home.join(format!("rustc-{:016x}", hasher.finish()));
    fs::create_dir_all(home).context(format!("making {}", home.display()))?;
    if !wrapper.exists() {
        copy(&program::own()?, &wrapper)?;
    }
    Ok(wrapper)
}

/// Copies a program at once, also over one that runs.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new).context(format!("copying {}", from.display()))?;
    fs::rename(&new, to).context(format!("making {}", to.display()))
}

/// Runs rustc, whose path is the first argument, with the other arguments and the flags.
///
/// # Errors
/// Returns an error if rustc can't be started, or fails.
pub(crate) fn compile(args: &[String], flags: &str) -> Result<()> {
    let (rustc, args) = args.split_first().ok_or_else(|| Failure::usage("the path of rustc is missing"))?;
    let status = Command::new(rustc).args(args).args(flags.split_whitespace()).status();
    let status = status.context(format!("couldn't start {rustc}"))?;
    // rustc has printed what is wrong.
    if status.success() { Ok(()) } else { Err(Failure::with_code("", status.code())) }
}

/// A running target.
struct Running {
    target: String,
    child: Child,
    log: PathBuf,
    artifacts: PathBuf,
}

impl Running {
    fn start(target: &str, engine: Engine, binary: &Path, home: &Path, time: Duration) -> Result<Self> {
        let seeds = workspace::root()?.join("fuzz/seeds").join(target);
        let (corpus, artifacts) = (home.join("corpus").join(target), home.join("found").join(target));
        for folder in [&corpus, &artifacts] {
            fs::create_dir_all(folder).context(format!("making {}", folder.display()))?;
        }
        let log = home.join(format!("{target}.log"));
        let said = fs::File::create(&log).context(format!("making {}", log.display()))?;
        let mut command = Command::new(binary);
        command
            .env("QUASH_FUZZ", target)
            .stdin(Stdio::null())
            .stdout(said.try_clone().context("sharing the log")?)
            .stderr(said);
        match engine {
            Engine::LibFuzzer => {
                command.arg(&corpus).arg(&seeds).arg(format!("-artifact_prefix={}/", artifacts.display()));
                command
                    .arg(format!("-max_total_time={}", time.as_secs()))
                    .arg(format!("-timeout={INPUT_SECONDS}"));
                command.args(["-print_final_stats=1", "-len_control=20", "-max_len=70000"]);
            }
            Engine::Blind => {
                command.arg(&seeds).arg(&artifacts).arg(time.as_secs().to_string());
            }
        }
        println!("fuzz: {target} for {} s", time.as_secs());
        let child =
            command.spawn().context(format!("couldn't start `{}`", program::command_line(&command)))?;
        Ok(Self { target: target.to_owned(), child, log, artifacts })
    }

    fn finish(mut self) -> Result<()> {
        let status = self.child.wait().context("waiting for the fuzzer")?;
        let log =
            String::from_utf8_lossy(&fs::read(&self.log).context(format!("reading {}", self.log.display()))?)
                .into_owned();
        let Self { target, artifacts, .. } = &self;
        if status.success() {
            println!("fuzz: {target}: {}", summary(&log));
            return Ok(());
        }
        let end: Vec<&str> = log.lines().rev().take(40).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        Err(Failure::new(format!(
            "fuzz: {target} failed\n{}\nThe input is in {}; add it to fuzz/seeds/{target}/ together with the fix.",
            end.join("\n"),
            artifacts.display()
        )))
    }
}

/// Summarizes the number of inputs and, for libFuzzer, the coverage.
fn summary(log: &str) -> String {
    let stat = |name: &str| log.lines().rev().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let reached = log.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" cov: ")?;
        let (edges, rest) = rest.split_once(' ')?;
        let inputs = rest.split_once("corp: ")?.1.split('/').next()?;
        Some(format!("{edges} edges reached, {inputs} inputs kept"))
    });
    match (stat("stat::number_of_executed_units:"), reached) {
        (Some(count), Some(reached)) => format!("{count} inputs, {reached}"),
        (Some(count), None) => format!("{count} inputs"),
        (None, _) => log.lines().last().unwrap_or("no output").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn a_summary_says_what_was_reached() {
        let log = "#2 INITED cov: 10 ft: 11 corp: 1/1b\n#99 NEW    cov: 4711 ft: 9 corp: 321/12Kb lim: 4\nDone\n\
                   stat::number_of_executed_units: 1234\nstat::peak: 5\n";
        assert_eq!(summary(log), "1234 inputs, 4711 edges reached, 321 inputs kept");
        assert_eq!(summary("9 inputs, mutated blindly from 2\n"), "9 inputs, mutated blindly from 2");
        assert_eq!(summary(""), "no output");
    }
}
