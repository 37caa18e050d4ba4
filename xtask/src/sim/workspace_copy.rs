//! Builds mutants in a copy of the workspace with its own target directory, so that only the parts that a
//! mutant changes are rebuilt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Simulation;
use super::mutants::Mutant;
use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

pub(crate) struct WorkspaceCopy {
    /// The copy's folder.
    copy: PathBuf,
    build: PathBuf,
    /// The workspace's files at the start, so that it can be edited meanwhile.
    files: BTreeMap<String, Vec<u8>>,
}

/// What a simulation has found in a mutant, and how long that took.
pub(crate) struct Found {
    pub(crate) finding: Option<String>,
    pub(crate) built_in: Duration,
    pub(crate) ran_in: Duration,
}

impl WorkspaceCopy {
    /// Creates the copy, and checks that the simulations of these mutants pass there without a mutant.
    ///
    /// # Errors
    /// Returns an error if the copy can't be made or built, or if a simulation finds a fault in it.
    pub(crate) fn set_up(mutants: &[(Simulation, &Mutant)]) -> Result<Self> {
        let home = workspace::target_directory()?.join("mutants");
        let root = workspace::root()?;
        let read =
            |file: String| Ok((file.clone(), fs::read(root.join(&file)).context(format!("reading {file}"))?));
        let files = workspace::files()?.into_iter().map(read).collect::<Result<_>>()?;
        let workspace_copy = Self { copy: home.join("workspace"), build: home.join("target"), files };
        workspace_copy.restore()?;
        workspace_copy.remove_stale_files(&workspace_copy.copy)?;
        let mut simulations: Vec<_> = mutants.iter().map(|(simulation, _)| *simulation).collect();
        simulations.dedup();
        for simulation in simulations {
            workspace_copy.build(simulation)?;
            if let Some(finding) = workspace_copy.run(simulation, FEW)? {
                return Err(Failure::new(format!("{}: without a mutant, {finding}", simulation.file)));
            }
        }
        Ok(workspace_copy)
    }

    /// Runs a simulation with a mutant until its first finding.
    ///
    /// # Errors
    /// Returns an error if the mutant's text doesn't occur exactly once, or if the mutant can't be built.
    pub(crate) fn find(&self, simulation: Simulation, mutant: &Mutant, runs: u64) -> Result<Found> {
        self.restore()?;
        let path = self.copy.join(mutant.file);
        let text = fs::read_to_string(&path).context(format!("reading {}", mutant.file))?;
        let mutated = mutant.applied_to(&text)?;
        fs::write(&path, mutated).context(format!("writing {}", path.display()))?;
        let began = Instant::now();
        self.build(simulation)?;
        let built_in = began.elapsed();
        let finding = self.run(simulation, runs)?;
        Ok(Found { finding, built_in, ran_in: began.elapsed() - built_in })
    }

    fn build(&self, simulation: Simulation) -> Result<()> {
        let mut cargo = self.cargo(simulation);
        program::run(cargo.args(["--no-run", "--quiet"]))
    }

    /// Returns the finding of the first seed that has one.
    fn run(&self, simulation: Simulation, runs: u64) -> Result<Option<String>> {
        let mut cargo = self.cargo(simulation);
        cargo
            .args(["--quiet", "--", "--exact", simulation.test])
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

    fn cargo(&self, simulation: Simulation) -> std::process::Command {
        let mut cargo = program::cargo(&["test", "--package", "quash-server", "--test", simulation.file]);
        cargo.arg("--target-dir").arg(&self.build).current_dir(&self.copy);
        // Optimized for short builds. A mutant may leave code unused, so warnings are off.
        cargo
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("RUSTFLAGS", "--cap-lints=allow");
        cargo
    }

    /// Makes the copy equal to the workspace. Unchanged files keep their modification time, so Cargo doesn't
    /// rebuild them.
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

    /// Removes files that the workspace no longer has.
    fn remove_stale_files(&self, folder: &Path) -> Result<()> {
        let ours: BTreeSet<PathBuf> = self.files.keys().map(|file| self.copy.join(file)).collect();
        for there in fs::read_dir(folder).context(format!("reading {}", folder.display()))? {
            let path = there.context("reading a folder")?.path();
            if path.is_dir() {
                self.remove_stale_files(&path)?;
            } else if !ours.contains(&path) {
                fs::remove_file(&path).context(format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// The number of seeds that check the unchanged copy.
const FEW: u64 = 20;

/// Returns the seed and the first panic message from the test's output.
fn finding(said: &str) -> Option<String> {
    let seed =
        said.lines().find_map(|line| line.strip_prefix("seed ")?.strip_suffix(" has found something"))?;
    let lines: Vec<&str> = said.lines().collect();
    let panicked = lines.iter().position(|line| line.contains("panicked at"))?;
    let what = lines.get(panicked + 1).copied().unwrap_or_default();
    Some(format!("seed {seed}, {}", what.chars().take(LONGEST).collect::<String>()))
}

/// The most characters of a finding to show.
const LONGEST: usize = 120;

#[cfg(test)]
mod tests {
    use super::finding;

    #[test]
    fn findings_are_parsed_from_test_output() {
        let said = "thread 'x' (7) panicked at a.rs:1:2:\nbound: verifier 1\nnote: more\n\nthread 'x' panicked at b.rs:3:4:\nseed 12 has found something\n";
        assert_eq!(finding(said).as_deref(), Some("seed 12, bound: verifier 1"));
        assert_eq!(finding("error: could not compile"), None);
    }
}
