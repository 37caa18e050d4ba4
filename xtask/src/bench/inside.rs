//! Rows measured inside a process: runs the crates' own benchmarks and reads the figures that they print as
//! `figure <name> <ours> <baseline>`.

use super::rounds::Compared;
use super::table::{Outcome, Target};
use super::{Row, workspace};
use crate::failure::{Failure, Result};
use crate::program;

/// A token seen for the first time, compared with verifying only its signature.
pub(super) const EDDSA: Row = Row {
    work: "check a token never seen, EdDSA",
    baseline: "the bare verification",
    target: Target::AtMost(1.15),
    measure: || compared("quash-verify", "checks", "never seen, EdDSA", "ns"),
};
/// The same with an ES256 key.
pub(super) const ES256: Row = Row {
    work: "check a token never seen, ES256",
    baseline: "the bare verification",
    target: Target::AtMost(1.15),
    measure: || compared("quash-verify", "checks", "never seen, ES256", "ns"),
};
/// The same with an RSA key, whose verification is the cheapest.
pub(super) const RS256: Row = Row {
    work: "check a token never seen, RS256",
    baseline: "the bare verification",
    target: Target::AtMost(1.15),
    measure: || compared("quash-verify", "checks", "never seen, RS256", "ns"),
};
/// The time that a check takes beyond its HMAC.
pub(super) const HS256: Row = Row {
    work: "check a token never seen, HS256: beyond the bare HMAC",
    baseline: "-",
    target: Target::AtMost(2000.0),
    measure: || {
        let (ours, bare) = figures("quash-verify", "checks", "never seen, HS256")?;
        Ok(Outcome::Alone { figure: ours - bare, unit: "ns" })
    },
};
/// A token seen before.
pub(super) const KNOWN: Row = Row {
    work: "check a token seen before, 100,000 entries",
    baseline: "-",
    target: Target::AtMost(500.0),
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-verify", "checks", "seen before")?.0, unit: "ns" })
    },
};
/// The part of that check that looks for revocations.
pub(super) const REVOKED: Row = Row {
    work: "its revocation part",
    baseline: "-",
    target: Target::AtMost(100.0),
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-verify", "checks", "seen before")?.1, unit: "ns" })
    },
};
/// The memory of one live revocation.
pub(super) const ENTRY: Row = Row {
    work: "memory of a live revocation, 1,000,000 entries",
    baseline: "-",
    target: Target::AtMost(60.0),
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-verify", "checks", "bytes per entry")?.0, unit: "bytes" })
    },
};
/// The time until all verifiers refuse a revoked token, median.
pub(super) const SPREAD_P50: Row = Row {
    work: "revocation to refusal at the slowest of 100 verifiers, p50",
    baseline: "-",
    target: Target::AtMost(5.0),
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-server", "verifiers", "100 verifiers")?.0, unit: "ms" })
    },
};
/// The same, 99th percentile.
pub(super) const SPREAD_P99: Row = Row {
    work: "revocation to refusal at the slowest of 100 verifiers, p99",
    baseline: "-",
    target: Target::AtMost(25.0),
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-server", "verifiers", "100 verifiers")?.1, unit: "ms" })
    },
};
/// The same with ten times as many verifiers.
pub(super) const SPREAD_1000: Row = Row {
    work: "revocation to refusal at the slowest of 1,000 verifiers, p99",
    baseline: "-",
    target: Target::None,
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-server", "verifiers", "1000 verifiers")?.1, unit: "ms" })
    },
};
/// The time until all verifiers have confirmed a revocation.
pub(super) const BARRIER: Row = Row {
    work: "waiting until all of 100 verifiers have confirmed, p99",
    baseline: "-",
    target: Target::None,
    measure: || {
        Ok(Outcome::Alone {
            figure: figures("quash-server", "verifiers", "barrier, 100 verifiers")?.1,
            unit: "ms",
        })
    },
};
/// The same with ten times as many verifiers.
pub(super) const BARRIER_1000: Row = Row {
    work: "waiting until all of 1,000 verifiers have confirmed, p99",
    baseline: "-",
    target: Target::None,
    measure: || {
        Ok(Outcome::Alone {
            figure: figures("quash-server", "verifiers", "barrier, 1000 verifiers")?.1,
            unit: "ms",
        })
    },
};
/// The start of a verifier.
pub(super) const SNAPSHOT: Row = Row {
    work: "a snapshot of 100,000 entries, from nothing to FRESH, p50",
    baseline: "-",
    target: Target::None,
    measure: || {
        Ok(Outcome::Alone { figure: figures("quash-server", "verifiers", "snapshot")?.0, unit: "ms" })
    },
};
/// A route with the guard, compared with the same route without it.
pub(super) const GUARDED: Row = Row {
    work: "a guarded endpoint over HTTP",
    baseline: "the bare route",
    target: Target::AtLeast(0.85),
    measure: || compared("quash-server", "guarded", "guarded route", "/s"),
};
/// A whole rotation, compared with its commit alone.
pub(super) const ROTATIONS_EDDSA: Row = Row {
    work: "durable rotations in process, EdDSA",
    baseline: "a bare group-commit loop",
    target: Target::AtLeast(0.5),
    measure: || compared("quash-service", "rotations", "rotations, EdDSA", "/s"),
};
/// The same with the cheapest signature.
pub(super) const ROTATIONS_HS256: Row = Row {
    work: "durable rotations in process, HS256",
    baseline: "a bare group-commit loop",
    target: Target::AtLeast(0.5),
    measure: || compared("quash-service", "rotations", "rotations, HS256", "/s"),
};

fn compared(package: &str, bench: &str, name: &str, unit: &'static str) -> Result<Outcome> {
    let (measured, baseline) = figures(package, bench, name)?;
    Ok(Outcome::Compared { figures: Compared { measured, baseline, ratio: measured / baseline }, unit })
}

/// Returns quash's figure and the baseline's.
fn figures(package: &str, bench: &str, name: &str) -> Result<(f64, f64)> {
    figures_of(package, bench, name, &[])
}

/// Like [`figures`], with further arguments for the benchmark.
pub(super) fn figures_of(package: &str, bench: &str, name: &str, further: &[&str]) -> Result<(f64, f64)> {
    let mut cargo = program::cargo(&["bench", "--quiet", "--package", package, "--bench", bench, "--", name]);
    cargo.args(further);
    let printed = program::output(cargo.current_dir(workspace::root()?))?;
    read(&printed, name).ok_or_else(|| Failure::new(format!("{bench} printed no figure for '{name}'")))
}

/// Reads quash's figure and the baseline's from what a benchmark has printed.
pub(super) fn read(printed: &str, name: &str) -> Option<(f64, f64)> {
    let figures = printed.lines().find_map(|line| line.strip_prefix("figure ")?.strip_prefix(name))?;
    let (ours, baseline) = figures.trim().split_once(' ')?;
    Some((ours.parse().ok()?, baseline.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_figure_is_found_by_its_name() {
        let printed = "figure seen before 205.2 15.8\nfigure rotations, HS256 1.0 2.0\n";
        assert_eq!(read(printed, "rotations, HS256"), Some((1.0, 2.0)));
        assert_eq!(read(printed, "seen before"), Some((205.2, 15.8)));
        assert_eq!(read(printed, "unknown"), None);
    }
}
