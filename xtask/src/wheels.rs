//! `cargo xtask wheels`: builds the packages of `python/` as they would be published, audits them, and runs them
//! in an empty environment. With `--quick`, as in CI, it compiles no wheel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::python::{self, Ready};
use crate::{program, workspace};

/// A folder of `python/`.
struct Package {
    name: &'static str,
    is_native: bool,
    /// The largest wheel, in megabytes.
    budget: f64,
}

const PACKAGES: [Package; 3] = [
    Package { name: "quash", is_native: true, budget: 11.0 },
    Package { name: "quash-verify", is_native: true, budget: 4.0 },
    Package { name: "quash-django", is_native: false, budget: 0.2 },
];
/// The version of all packages.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The tools that only the full command needs, each with its version.
const TOOLS: &str = include_str!("../../python/wheels.txt");
/// The target for `uvx quash demo`, in seconds. A miss fails nothing, because the time depends on the machine.
const DEMO_TARGET_SECS: u64 = 10;
/// A Python program that uses the installed packages.
const SMOKE: &str = "
import quash_django
from quash_verify import Refused
from quash_verify.testing import TestIssuer

issuer = TestIssuer()
verifier, token = issuer.verifier(), issuer.token('dana')
assert verifier.check(token).user_id == 'dana'
issuer.revoke_session(token)
try:
    verifier.check(token)
except Refused as refused:
    print('quash-verify refuses a revoked token:', refused.code)
else:
    raise SystemExit('quash-verify accepts a revoked token')
";

/// Runs `wheels`, or `wheels --quick`.
///
/// # Errors
/// Returns an error if a package can't be built, is too large, or doesn't work where it is installed.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let is_quick = match args {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => return Err(Failure::usage("wheels takes only --quick")),
    };
    match python::ready()? {
        Ready::Found(python) if is_quick => check(&python),
        Ready::Found(python) => build_all(&python),
        Ready::Missing(missing) => Err(Failure::new(missing.to_string())),
    }
}

/// Builds the source distributions and the wheels without native code. Checks their sizes, that each contains the
/// crates that it needs, and that the wheels can be imported.
///
/// # Errors
/// Like [`run`].
pub(crate) fn check(python: &Path) -> Result<()> {
    let folder = empty_folder("python/sdists")?;
    for package in &PACKAGES {
        let mut build = package.build(python, &folder)?;
        program::output(if package.is_native { build.arg("--sdist") } else { &mut build })?;
    }
    check_metadata(python, &folder)?;
    report(&folder)?;
    for package in PACKAGES.iter().filter(|package| package.is_native) {
        let sources = package.find(&folder, ".tar.gz")?;
        program::run(Command::new("tar").arg("-xzf").arg(&sources).arg("-C").arg(&folder))?;
        let mut cargo = program::cargo(&["metadata", "--format-version", "1"]);
        program::output(cargo.current_dir(folder.join(package.stem())))?;
    }
    let empty = EmptyEnvironment::make(python)?;
    for package in PACKAGES.iter().filter(|package| !package.is_native) {
        empty.install(&[package.find(&folder, ".whl")?], &["--no-deps", "--no-index"])?;
        let module = package.name.replace('-', "_");
        program::run(Command::new(empty.program("python")).args(["-c", &format!("import {module}")]))?;
    }
    Ok(())
}

fn build_all(python: &Path) -> Result<()> {
    let options =
        if install_tools(python)? { "--zig --compatibility manylinux2014" } else { "--compatibility pypi" };
    let folder = empty_folder("wheels")?;
    // The packages share their compiled crates. Those of an earlier run can't be kept: all files of a source
    // distribution have the same old date, so cargo wouldn't notice that they have changed.
    let compiled = empty_folder("python/dist")?;
    for package in &PACKAGES {
        println!("building the source distribution of {}, and from that its wheel", package.name);
        let mut build = package.build(python, &folder)?;
        if package.is_native {
            build.arg(format!("-Cbuild-args={options}"));
            build.env("CARGO_TARGET_DIR", &compiled);
        }
        program::run(&mut build)?;
    }
    check_metadata(python, &folder)?;
    let wheels = PACKAGES.iter().map(|package| package.find(&folder, ".whl")).collect::<Result<Vec<_>>>()?;
    audit(python, &wheels)?;
    let (demo, uvx) = try_out(python, &wheels)?;
    println!("quash demo: {:.1} s", demo.as_secs_f64());
    println!("uvx quash demo: {:.1} s with an empty cache (target: {DEMO_TARGET_SECS} s)", uvx.as_secs_f64());
    report(&folder)
}

/// Checks that the native wheels need no newer system, and no newer Python, than their names say.
fn audit(python: &Path, wheels: &[PathBuf]) -> Result<()> {
    for (package, wheel) in PACKAGES.iter().zip(wheels).filter(|(package, _)| package.is_native) {
        if cfg!(target_os = "linux") {
            program::run(Command::new(python).args(["-m", "auditwheel", "show"]).arg(wheel))?;
        }
        // The server's wheel has no Python module.
        if package.name != "quash" {
            program::run(Command::new(python).args(["-m", "abi3audit", "--strict", "--summary"]).arg(wheel))?;
        }
    }
    Ok(())
}

/// Installs the wheels into an empty environment and uses them. Returns the times of `quash demo` and
/// `uvx quash demo`.
fn try_out(python: &Path, wheels: &[PathBuf]) -> Result<(Duration, Duration)> {
    let empty = EmptyEnvironment::make(python)?;
    // pip gets Django from its index, in the version that the tests use.
    let pins = workspace::root()?.join("xtask/requirements.txt");
    empty.install(wheels, &["--constraint", &pins.display().to_string()])?;
    program::run(Command::new(empty.program("python")).args(["-c", SMOKE]))?;
    let version = program::output(Command::new(empty.program("quash")).arg("--version"))?;
    if version.trim() != format!("quash {VERSION}") {
        return Err(Failure::new(format!("`quash --version` printed {version:?} instead of {VERSION}")));
    }
    let demo = empty.demo(&mut Command::new(empty.program("quash")))?;
    let mut uvx = Command::new(python);
    uvx.args(["-m", "uv", "tool", "run", "--offline", "--python"]).arg(empty.program("python"));
    uvx.arg("--from").arg(&wheels[0]).arg("quash").env("UV_CACHE_DIR", empty_folder("python/uv-cache")?);
    Ok((demo, empty.demo(&mut uvx)?))
}

/// Installs the tools that only the full command needs. Returns whether zig could be installed, which links for
/// manylinux2014.
fn install_tools(python: &Path) -> Result<bool> {
    let packages = || TOOLS.lines().filter(|line| !line.starts_with('#'));
    let pip = |packages: Vec<&str>| {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        program::output(&mut pip)
    };
    pip(packages().filter(|package| !package.starts_with("ziglang")).collect())?;
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Ok(false);
    }
    let zig = pip(packages().filter(|package| package.starts_with("ziglang")).collect());
    if let Err(failure) = &zig {
        println!(
            "{failure}\nzig can't be installed: the wheels will need this machine's glibc or a newer one"
        );
    }
    Ok(zig.is_ok())
}

fn check_metadata(python: &Path, folder: &Path) -> Result<()> {
    let mut twine = Command::new(python);
    twine.args(["-m", "twine", "check", "--strict"]);
    for file in files(folder)? {
        twine.arg(file);
    }
    program::run(&mut twine)
}

/// Prints the size of each file. Fails if a wheel is larger than its budget.
fn report(folder: &Path) -> Result<()> {
    println!();
    let mut too_large = Vec::new();
    for file in files(folder)? {
        let size =
            fs::metadata(&file).context(format!("reading the size of {}", name(&file)))?.len() as f64 / 1e6;
        let is_wheel = name(&file).ends_with(".whl");
        let package = PACKAGES.iter().find(|package| is_wheel && name(&file).starts_with(&package.stem()));
        let budget = package.map(|package| package.budget);
        let limit = budget.map_or(String::new(), |budget| format!("(at most {budget} MB)"));
        println!("{:<84} {size:>6.2} MB {limit}", name(&file));
        if budget.is_some_and(|budget| size > budget) {
            too_large.push(name(&file));
        }
    }
    if too_large.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("larger than its budget: {}", too_large.join(", "))))
    }
}

impl Package {
    /// The beginning of the names of its files.
    fn stem(&self) -> String {
        format!("{}-{VERSION}", self.name.replace('-', "_"))
    }

    /// Returns the command that builds the source distribution, and from that the wheel.
    fn build(&self, python: &Path, folder: &Path) -> Result<Command> {
        let mut build = Command::new(python);
        build.args(["-m", "build", "--no-isolation", "--outdir"]).arg(folder);
        build.arg(workspace::root()?.join("python").join(self.name));
        // The build backend looks for maturin in PATH.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = python.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
        build.env("PATH", std::env::join_paths(paths).context("putting the environment into PATH")?);
        Ok(build)
    }

    /// Returns the built file with this ending.
    fn find(&self, folder: &Path, suffix: &str) -> Result<PathBuf> {
        let stem = self.stem();
        let mut files = files(folder)?.into_iter();
        files.find(|file| name(file).starts_with(&stem) && name(file).ends_with(suffix)).ok_or_else(|| {
            Failure::new(format!(
                "{} was built without a {stem}…{suffix}: its version must be that of Cargo.toml",
                self.name
            ))
        })
    }
}

/// A Python environment without packages, and an empty folder to run programs in.
struct EmptyEnvironment {
    environment: PathBuf,
    folder: PathBuf,
}

impl EmptyEnvironment {
    fn make(python: &Path) -> Result<Self> {
        let environment = empty_folder("python/empty")?;
        program::output(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
        Ok(Self { environment, folder: empty_folder("python/empty-folder")? })
    }

    fn program(&self, name: &str) -> PathBuf {
        self.environment.join("bin").join(name)
    }

    fn install(&self, wheels: &[PathBuf], options: &[&str]) -> Result<()> {
        let mut pip = Command::new(self.program("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(options);
        program::run(pip.args(wheels))
    }

    /// Runs `quash demo` in the folder. Returns its time.
    fn demo(&self, quash: &mut Command) -> Result<Duration> {
        let began = Instant::now();
        let printed = program::output(quash.arg("demo").current_dir(&self.folder))?;
        let took = began.elapsed();
        print!("{printed}");
        let mut left = fs::read_dir(&self.folder).context("reading the folder without files")?;
        if !printed.contains("GET /v1/me -> 401") || left.next().is_some() {
            return Err(Failure::new("`quash demo` refused no token, or left files"));
        }
        Ok(took)
    }
}

/// Makes an empty folder in the target directory. Deletes the files of an earlier run.
fn empty_folder(folder: &str) -> Result<PathBuf> {
    let folder = workspace::target_directory()?.join(folder);
    if folder.exists() {
        fs::remove_dir_all(&folder).context(format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).context(format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Returns the files of a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).context(format!("reading {}", folder.display()))?;
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
