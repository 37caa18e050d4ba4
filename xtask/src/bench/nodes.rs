//! Nodes over one PostgreSQL: two against one, each on its own core, and what the server's benchmark measures with
//! nodes in one process.

use std::time::Duration;

use super::cores::Share;
use super::inside::figures_of;
use super::load::{rotations_per_second, sign_in};
use super::table::{Outcome, Target};
use super::{Row, cores, quash, rounds};
use crate::failure::{Context, Failure, Result};
use crate::services;

/// Rotations of two nodes against those of one.
pub(super) const TWO: Row = Row {
    work: "durable rotations, two nodes, each with a core or an equal share",
    baseline: "one node",
    target: Target::AtLeast(1.5),
    measure: two,
};
/// Log-outs a second.
pub(super) const REVOCATIONS: Row = Row {
    work: "revocations, PostgreSQL",
    baseline: "-",
    target: Target::AtLeast(5000.0),
    measure: || measured("revocations", |(per_second, _)| Outcome::Alone { figure: per_second, unit: "/s" }),
};
/// From the answer of one node to the refusal at verifiers of another.
pub(super) const REFUSAL: Row = Row {
    work: "answer of a node to refusal at the slowest of 10 verifiers of another, p99",
    baseline: "-",
    target: Target::AtMost(50.0),
    measure: || measured("refusal at another node", |(_, p99)| Outcome::Alone { figure: p99, unit: "ms" }),
};
/// The time that a guarded request waits for the log's head.
pub(super) const EXACT: Row = Row {
    work: "exact check of a node, 500 requests a second, p99",
    baseline: "a bare read",
    target: Target::AtMost(1.0),
    measure: || {
        measured("exact check", |(figure, baseline)| Outcome::Beside { figure, baseline, unit: "ms" })
    },
};
/// The same under load.
pub(super) const EXACT_UNDER_LOAD: Row = Row {
    work: "exact check of a node, 256 requests at once, p99",
    baseline: "-",
    target: Target::None,
    measure: || measured("exact check under load", |(_, p99)| Outcome::Alone { figure: p99, unit: "ms" }),
};

const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(6);

/// With fewer cores, the database and the clients share those of the nodes, each of which then has a share of a core
/// that leaves the most for them.
const CORES_APART: usize = 4;
const SHARE: u32 = 20;

fn two() -> Result<Outcome> {
    let Some(cores) = cores::usable() else {
        return Ok(Outcome::NotMeasured("taskset is missing, or this isn't Linux".into()));
    };
    let [first, second, others @ ..] = cores.as_slice() else {
        return Ok(Outcome::NotMeasured("this machine has one core".into()));
    };
    let binary = quash::build()?;
    let are_apart = cores.len() >= CORES_APART;
    let _kept = if are_apart { Some(cores::keep(others)?) } else { None };
    let postgres = match services::postgres()? {
        Ok(postgres) => postgres,
        Err(missing) => return Ok(Outcome::NotMeasured(missing)),
    };
    let prepared = quash::prepare_on(binary, &postgres.create_database("quash")?)?;
    let another = prepared.another()?;
    // Declared first, so that the servers end first.
    let mut shares = Vec::new();
    let (one, other) = if are_apart {
        (prepared.serve_on(*first)?, another.serve_on(*second)?)
    } else {
        (prepared.serve()?, another.serve()?)
    };
    let mut sessions = sign_in(one.address(), quash::CLIENTS).context("signing in to a node")?;
    sessions.extend(sign_in(other.address(), quash::CLIENTS).context("signing in to the other node")?);
    let sessions = std::cell::RefCell::new(sessions);
    if !are_apart {
        shares.extend([&one, &other].into_iter().filter_map(|node| Share::limit(node.process(), SHARE)));
    }
    let figures = rounds::compare(
        ROUNDS,
        || rotations_per_second(&mut sessions.borrow_mut(), SPAN).context("rotating with both nodes"),
        || {
            let mut sessions = sessions.borrow_mut();
            let of_one = sessions.get_mut(..quash::CLIENTS).ok_or_else(|| Failure::new("no sessions"))?;
            rotations_per_second(of_one, SPAN).context("rotating with one node")
        },
    )?;
    if are_apart {
        return Ok(Outcome::Compared { figures, unit: "/s" });
    }
    if shares.len() == 2 {
        println!(
            "  each node had {SHARE} % of a core; the database and the clients had the rest of {}",
            cores.len()
        );
        return Ok(Outcome::Compared { figures, unit: "/s" });
    }
    let reason = format!(
        "with {} cores, the database and the clients can't run apart from the nodes; the target needs {CORES_APART}, \
         or control groups that this user may change",
        cores.len()
    );
    Ok(Outcome::Unjudged { figures, unit: "/s", reason })
}

/// Runs a part of the server's benchmark on a database of its own.
fn measured(name: &str, outcome: fn((f64, f64)) -> Outcome) -> Result<Outcome> {
    let postgres = match services::postgres()? {
        Ok(postgres) => postgres,
        Err(missing) => return Ok(Outcome::NotMeasured(missing)),
    };
    let url = postgres.create_database("quash")?;
    Ok(outcome(figures_of("quash-server", "nodes", name, &[&url])?))
}
