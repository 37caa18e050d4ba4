//! Where mutants are made: a copy of the workspace with a target directory of its own, so that only what a mutant changes
//! is built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::mutants::Mutant;
use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

/// The simulation, as its test is called.
pub(crate) const TEST: &str = "no_seed_finds_a_token_that_should_have_been_refused";

pub(crate) struct Workshop {
    /// The copy.
    copy: PathBuf,
    build: PathBuf,
    /// The workspace as it was when this began, so that somebody may go on working on it.
    files: BTreeMap<String, Vec<u8>>,
}

impl Workshop {
    /// Sets it up, and checks that what isn't mutated passes there.
    ///
    /// # Errors
    /// It can't be copied or built, or finds something by itself.
    pub(crate) fn set_up() -> Result<Self> {
        let home = workspace::target_directory()?.join("mutants");
        let root = workspace::root()?;
        let read =
            |file: String| Ok((file.clone(), fs::read(root.join(&file)).context(format!("reading {file}"))?));
        let files = workspace::files()?.into_iter().map(read).collect::<Result<_>>()?;
        let workshop = Self { copy: home.join("workspace"), build: home.join("target"), files };
        workshop.restore()?;
        workshop.remove_strangers(&workshop.copy)?;
        workshop.build()?;
        match workshop.run(FEW)? {
            None => Ok(workshop),
            Some(finding) => Err(Failure::new(format!("sim: without a mutant, {finding}"))),
        }
    }

    /// Runs the simulation with a mutant until it finds something, and says what.
    ///
    /// # Errors
    /// The mutant's text is gone or isn't the only one, or it can't be built.
    pub(crate) fn find(&self, mutant: &Mutant, runs: u64) -> Result<Option<String>> {
        self.restore()?;
        let path = self.copy.join(mutant.file);
        let text = fs::read_to_string(&path).context(format!("reading {}", mutant.file))?;
        let mutated = mutant.applied_to(&text)?;
        fs::write(&path, mutated).context(format!("writing {}", path.display()))?;
        self.build()?;
        self.run(runs)
    }

    fn build(&self) -> Result<()> {
        let mut cargo = self.cargo();
        program::run(cargo.args(["--no-run", "--quiet"]))
    }

    /// What the first seed that finds something has found.
    fn run(&self, runs: u64) -> Result<Option<String>> {
        let mut cargo = self.cargo();
        cargo
            .args(["--quiet", "--", "--exact", TEST])
            .env("QUASH_SIM_SEED", "1")
            .env("QUASH_SIM_RUNS", runs.to_string());
        let output = cargo.output().context("couldn't start the simulation")?;
        if output.status.success() {
            return Ok(None);
        }
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        finding(&said)
            .map(Some)
            .ok_or_else(|| Failure::new(format!("the simulation ended without a finding\n{said}")))
    }

    fn cargo(&self) -> std::process::Command {
        let mut cargo = program::cargo(&["test", "--package", "quash-server", "--test", "sim"]);
        cargo.arg("--target-dir").arg(&self.build).current_dir(&self.copy);
        // Mutants are built more often than they run, and what is left unused by one is no fault.
        cargo
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("RUSTFLAGS", "--cap-lints=allow");
        cargo
    }

    /// The copy is as the workspace. What is so already keeps its time, and isn't built anew.
    fn restore(&self) -> Result<()> {
        for (file, bytes) in &self.files {
            let to = self.copy.join(file);
            match fs::read(&to) {
                Ok(there) if there == *bytes => continue,
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).context(format!("reading {}", to.display()));
                }
                Ok(_) | Err(_) => {}
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).context(format!("making {}", folder.display()))?;
            }
            fs::write(&to, bytes).context(format!("writing {}", to.display()))?;
        }
        Ok(())
    }

    /// Files that the workspace has no more.
    fn remove_strangers(&self, folder: &Path) -> Result<()> {
        let ours: BTreeSet<PathBuf> = self.files.keys().map(|file| self.copy.join(file)).collect();
        for there in fs::read_dir(folder).context(format!("reading {}", folder.display()))? {
            let path = there.context("reading a folder")?.path();
            if path.is_dir() {
                self.remove_strangers(&path)?;
            } else if !ours.contains(&path) {
                fs::remove_file(&path).context(format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// How many seeds show that the copy is whole.
const FEW: u64 = 20;

/// The seed and the first thing that was wrong, from what the test has printed.
fn finding(said: &str) -> Option<String> {
    let seed =
        said.lines().find_map(|line| line.strip_prefix("seed ")?.strip_suffix(" has found something"))?;
    let lines: Vec<&str> = said.lines().collect();
    let panicked = lines.iter().position(|line| line.contains("panicked at"))?;
    let what = lines.get(panicked + 1).copied().unwrap_or_default();
    Some(format!("seed {seed}, {}", what.chars().take(LONGEST).collect::<String>()))
}

/// How many letters of a finding are shown.
const LONGEST: usize = 120;

#[cfg(test)]
mod tests {
    use super::finding;

    #[test]
    fn a_finding_is_read_from_what_the_test_prints() {
        let said = "thread 'x' (7) panicked at a.rs:1:2:\nbound: verifier 1\nnote: more\n\nthread 'x' panicked at b.rs:3:4:\nseed 12 has found something\n";
        assert_eq!(finding(said).as_deref(), Some("seed 12, bound: verifier 1"));
        assert_eq!(finding("error: could not compile"), None);
    }
}
