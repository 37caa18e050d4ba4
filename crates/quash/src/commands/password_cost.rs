//! `quash password-cost`: measures the cost of hashing a password on this machine, and proposes parameters
//! for a given time. Hashes one password at a time in reused memory, as the server does.

use std::time::Duration;

use quash_core::model::{Clock, Entropy, draw};
use quash_service::{Arena, Argon2Hasher, PasswordHasher};
use serde_json::{Value, json};

use super::context::CommandContext;
use crate::error::{CommandError, Exit};
use crate::output::table;
use crate::settings::{Argon2, LEAST_COSTS, MOST_PASSES, Span, Zero};

/// The bounds of `--target`.
const TARGET: Span =
    Span { least: Duration::from_millis(1), most: Duration::from_secs(2), zero: Zero::Refused };
/// The number of measurements of each candidate. The fastest counts: other load on the machine only slows it
/// down.
const ROUNDS: u32 = 3;
/// The memory of further candidates beyond the least costs, in MiB, each with one pass.
const MORE_MEMORY: [u32; 2] = [64, 128];

/// A measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Measured {
    cost: Argon2,
    took: Duration,
}

pub(super) fn run(
    target: &str,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    context: &CommandContext,
) -> Result<(), CommandError> {
    let target = TARGET
        .of_flag(target)
        .map_err(|fault| CommandError::new(Exit::Usage, format!("--target: {fault}")))?;
    let mut arena = Arena::default();
    let measured = candidates()
        .map(|cost| Ok(Measured { cost, took: measure(cost, &mut arena, clock, entropy)? }))
        .collect::<Result<Vec<_>, CommandError>>()?;
    let proposed = propose(&measured, target);
    let shown = json!({
        "measured": measured.iter().copied().map(Measured::json).collect::<Vec<_>>(),
        "proposed": proposed.map(|measured| measured.json()),
    });
    context.print(&shown, || text(&measured, proposed, target))
}

fn candidates() -> impl Iterator<Item = Argon2> {
    let least = LEAST_COSTS.into_iter().chain(MORE_MEMORY.map(|memory_mib| (memory_mib, 1)));
    least.map(|(memory_mib, passes)| Argon2 { memory_mib, passes, lanes: 1 })
}

/// Measures the time of one hash.
///
/// # Errors
/// The cost exceeds the highest allowed cost.
pub(super) fn measure(
    cost: Argon2,
    arena: &mut Arena,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Duration, CommandError> {
    let hasher = cost
        .hasher()
        .map_err(|fault| CommandError::failure(format!("{cost} can't be measured: it {fault}")))?;
    // The first hash uses fresh memory, unlike the server's.
    let mut took = once(&hasher, arena, clock, entropy);
    for _ in 0..ROUNDS {
        took = took.min(once(&hasher, arena, clock, entropy));
    }
    Ok(took)
}

fn once(hasher: &Argon2Hasher, arena: &mut Arena, clock: &dyn Clock, entropy: &dyn Entropy) -> Duration {
    let (salt, began) = (draw(entropy), clock.uptime());
    let hash = hasher.hash("a password to be measured with", salt, arena);
    let took = clock.uptime().saturating_sub(began);
    drop(hash);
    took
}

/// Returns the candidate with the most memory that fits into the time, with as many passes as fit. `None`:
/// not even the cheapest fits.
fn propose(measured: &[Measured], target: Duration) -> Option<Measured> {
    let fits = measured.iter().filter(|measured| measured.took <= target);
    fits.max_by_key(|measured| measured.cost.memory_mib).map(|least| {
        let a_pass = least.took / least.cost.passes;
        let more =
            (1..=MOST_PASSES).rev().find(|passes| a_pass * *passes <= target).unwrap_or(least.cost.passes);
        let passes = more.max(least.cost.passes);
        Measured { cost: Argon2 { passes, ..least.cost }, took: a_pass * passes }
    })
}

fn text(measured: &[Measured], proposed: Option<Measured>, target: Duration) -> String {
    let rows = measured.iter().map(|Measured { cost, took }| {
        let a_second = Duration::from_secs(1).as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        [cost.memory_mib.to_string(), cost.passes.to_string(), millis(*took), format!("{a_second:.0}")]
    });
    let measured = table(["MIB", "PASSES", "MS", "A SECOND AND CORE"], rows);
    let proposed = match proposed {
        Some(Measured { cost: Argon2 { memory_mib, passes, lanes }, took }) => format!(
            "Within {} ms, in quash.toml; about {} ms a sign-in, {memory_mib} MiB for each core:\n\n[passwords]\n\
             argon2_memory_mib = {memory_mib}\nargon2_passes = {passes}\nargon2_lanes = {lanes}",
            target.as_millis(),
            millis(took),
        ),
        None => format!(
            "No parameters that are strong enough fit into {} ms: allow more time, or keep the defaults.",
            target.as_millis()
        ),
    };
    format!("{measured}\n\n{proposed}")
}

fn millis(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64() * 1000.0)
}

impl Measured {
    fn json(self) -> Value {
        let Argon2 { memory_mib, passes, lanes } = self.cost;
        json!({ "memory_mib": memory_mib, "passes": passes, "lanes": lanes, "micros": self.took.as_micros() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(memory_mib: u32, passes: u32, millis: u64) -> Measured {
        Measured { cost: Argon2 { memory_mib, passes, lanes: 1 }, took: Duration::from_millis(millis) }
    }

    #[test]
    fn most_memory_then_most_passes_are_proposed() {
        let all = [measured(19, 2, 30), measured(46, 1, 40), measured(128, 1, 120)];
        let proposed = |millis| propose(&all, Duration::from_millis(millis));
        assert_eq!(proposed(29), None);
        assert_eq!(proposed(30), Some(measured(19, 2, 30)));
        assert_eq!(proposed(40), Some(measured(46, 1, 40)));
        assert_eq!(proposed(100), Some(measured(46, 2, 80)));
        assert_eq!(proposed(1000), Some(measured(128, 8, 960)));
        let most = propose(&[measured(7, 1, 1)], Duration::from_secs(2));
        assert_eq!(
            most,
            Some(measured(7, MOST_PASSES, u64::from(MOST_PASSES))),
            "no more passes than the setting allows"
        );
    }

    #[test]
    fn measured_parameters_are_valid_settings() {
        assert!(candidates().all(|cost| cost.is_strong_enough() && cost.hasher().is_ok()));
    }
}
