//! Runs steps of `cargo xtask ci` in the background, in a process of their own. Their output is shown when they
//! have ended, so that it doesn't mix with that of the steps in the foreground.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

/// The beginning of a line that says what was left out.
pub(crate) const LEFT_OUT: &str = "ci: left out: ";

/// Steps that run in the background.
pub(crate) struct BackgroundSteps {
    names: String,
    child: Child,
    log: PathBuf,
    began: Instant,
}

/// The result of the steps.
pub(crate) struct Ended {
    pub(crate) time: Duration,
    pub(crate) left_out: Vec<String>,
    pub(crate) outcome: Result<()>,
}

impl BackgroundSteps {
    /// Starts steps, one after the other.
    ///
    /// # Errors
    /// Returns an error if the process can't be started, or its log can't be created.
    pub(crate) fn start(names: &[&str]) -> Result<Self> {
        let folder = workspace::target_directory()?.join("ci");
        fs::create_dir_all(&folder).context(format!("making {}", folder.display()))?;
        let log = folder.join(format!("{}.log", names.join("-")));
        let printed = File::create(&log).context(format!("making {}", log.display()))?;
        let mut command = Command::new(program::own()?);
        command.arg("ci").args(names).stdin(Stdio::null());
        command.stdout(printed.try_clone().context("sharing the log")?).stderr(printed);
        let child =
            command.spawn().context(format!("couldn't start `{}`", program::command_line(&command)))?;
        println!("\n== in the background of the following steps: {}", names.join(", "));
        Ok(Self { names: names.join(", "), child, log, began: Instant::now() })
    }

    pub(crate) fn names(&self) -> &str {
        &self.names
    }

    /// Waits for the steps, and shows what they printed.
    pub(crate) fn finish(mut self) -> Ended {
        let status = self.child.wait();
        let time = self.began.elapsed();
        let printed = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let printed = printed.unwrap_or_else(|error| format!("{}: {error}\n", self.log.display()));
        println!(
            "\n== {}, which ran in the background, printed:\n{printed}== the end of {}",
            self.names, self.names
        );
        let outcome = status.context(format!("waiting for {}", self.names)).and_then(|status| {
            if status.success() {
                Ok(())
            } else {
                let sentence = format!("{} ended with {status}: see what was printed above", self.names);
                Err(Failure::with_code(sentence, status.code()))
            }
        });
        Ended { time, left_out: left_out(&printed), outcome }
    }
}

fn left_out(printed: &str) -> Vec<String> {
    printed.lines().filter_map(|line| line.strip_prefix(LEFT_OUT)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::left_out;

    #[test]
    fn what_was_left_out_is_read_from_the_output() {
        let printed =
            "strace is missing\nci: left out: the fault tests\nci: services  3.0 s\nci: left out: axe\n";
        assert_eq!(left_out(printed), ["the fault tests", "axe"]);
        assert!(left_out("").is_empty());
    }
}
