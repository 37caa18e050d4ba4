//! `cargo xtask bench`: measures quash against a baseline on the same machine in the same run. Only the ratio
//! can be compared between machines.

mod cores;
mod http;
mod idle;
mod inside;
mod load;
mod machine;
mod nodes;
mod page;
mod python;
mod quash;
mod rotations;
mod rounds;
mod server;
mod simplejwt;
mod table;

use crate::failure::{Failure, Result};
use crate::{program, workspace};
use table::{Line, Outcome};

/// A row of the table.
struct Row {
    /// The measured work; the command line selects rows by it.
    work: &'static str,
    baseline: &'static str,
    /// The target for the ratio.
    target: table::Target,
    measure: fn() -> Result<Outcome>,
}

const ROWS: &[Row] = &[
    inside::EDDSA,
    inside::ES256,
    inside::RS256,
    inside::HS256,
    inside::KNOWN,
    inside::REVOKED,
    inside::ENTRY,
    inside::SPREAD_P50,
    inside::SPREAD_P99,
    inside::SPREAD_1000,
    inside::BARRIER,
    inside::BARRIER_1000,
    inside::SNAPSHOT,
    inside::GUARDED,
    inside::ROTATIONS_EDDSA,
    inside::ROTATIONS_HS256,
    rotations::ROW,
    simplejwt::ROW,
    rotations::POSTGRES,
    nodes::TWO,
    nodes::REVOCATIONS,
    nodes::REFUSAL,
    nodes::EXACT,
    nodes::EXACT_UNDER_LOAD,
    idle::BINARY,
    idle::READY,
    idle::MEMORY,
    python::CHECK,
    python::ASK,
    python::ACHECK,
    python::START,
    python::MEMORY,
    python::REVOKE,
    python::REVOKE_FOR_8,
    python::STATELESS,
    python::WITH_USER,
    python::KEEP_STATELESS,
    python::KEEP_WITH_USER,
];

/// Measures the selected rows and prints the table.
///
/// # Errors
/// Returns an error if a row can't be measured. A missed target is no error: people judge the figures.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if cfg!(debug_assertions) {
        // The rows run in this process, so it must be optimized.
        println!("bench: building xtask with the profile dist");
        let mut release =
            program::cargo(&["run", "--quiet", "--profile", "dist", "--package", "xtask", "--", "bench"]);
        return program::run(release.args(args).current_dir(workspace::root()?))
            .map_err(Failure::without_message);
    }
    let (filter, write) = arguments(args)?;
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.work.contains(filter)).collect();
    if rows.is_empty() {
        let known: Vec<&str> = ROWS.iter().map(|row| row.work).collect();
        return Err(Failure::usage(format!(
            "no row is named *{filter}*; the rows are: {}",
            known.join("; ")
        )));
    }
    let mut lines = Vec::new();
    let mut failed = 0;
    for row in rows {
        println!("bench: {} (baseline: {})", row.work, row.baseline);
        let outcome = (row.measure)().unwrap_or_else(|failure| {
            failed += 1;
            Outcome::NotMeasured(format!("failed: {failure}"))
        });
        lines.push(Line { work: row.work, baseline: row.baseline, target: row.target, outcome });
    }
    let table = format!("{}\n{}", table::markdown(&lines), machine::line());
    println!("\n{table}");
    if failed > 0 {
        return Err(Failure::new(format!("{failed} rows couldn't be measured; nothing was written")));
    }
    if write { page::write(&table) } else { Ok(()) }
}

fn arguments(args: &[String]) -> Result<(&str, bool)> {
    let write = args.iter().any(|arg| arg == "--write");
    let filters: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--write").collect();
    match filters.as_slice() {
        [] => Ok(("", write)),
        // A table of some rows would remove the others from the page.
        [_] if write => Err(Failure::usage("--write needs the whole table: omit the row")),
        [flag] if flag.starts_with('-') => Err(Failure::usage(format!("bench has no flag '{flag}'"))),
        [filter] => Ok((filter, write)),
        _ => Err(Failure::usage("bench takes at most one row")),
    }
}
