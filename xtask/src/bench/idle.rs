//! The cost of an idle quash: its binary, the time until it listens, its memory.

use std::time::Instant;

use super::rounds::median;
use super::table::{Outcome, Target};
use super::{Row, quash};
use crate::failure::{Context, Failure, Result};

const STARTS: usize = 5;

/// The size of the binary.
pub(super) const BINARY: Row =
    Row { work: "binary", baseline: "-", target: Target::AtMost(20.0), measure: binary };
/// The time from exec to the line that says where it listens.
pub(super) const READY: Row =
    Row { work: "ready after exec", baseline: "-", target: Target::AtMost(100.0), measure: ready };
/// The resident memory once it listens.
pub(super) const MEMORY: Row =
    Row { work: "idle server, resident", baseline: "-", target: Target::AtMost(20.0), measure: memory };

fn binary() -> Result<Outcome> {
    let bytes = std::fs::metadata(quash::build()?).context("looking at the binary")?.len();
    Ok(Outcome::Alone { figure: bytes as f64 / 1e6, unit: "MB" })
}

fn ready() -> Result<Outcome> {
    let quash = quash::prepare(quash::build()?)?;
    let mut millis = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = quash.serve()?;
        millis.push(began.elapsed().as_secs_f64() * 1e3);
        drop(server);
    }
    Ok(Outcome::Alone { figure: median(millis.into_iter()), unit: "ms" })
}

fn memory() -> Result<Outcome> {
    let server = quash::prepare(quash::build()?)?.serve()?;
    let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", server.process())) else {
        return Ok(Outcome::NotMeasured("there is no /proc here".into()));
    };
    let kibibytes = resident(&status).ok_or_else(|| Failure::new("/proc shows no resident memory"))?;
    Ok(Outcome::Alone { figure: kibibytes * 1024.0 / 1e6, unit: "MB" })
}

fn resident(status: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::resident;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   12345 kB\nThreads:\t2\n"), Some(12_345.0));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}
