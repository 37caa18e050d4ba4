//! Golden replay: sends every recorded case of a Django site with Simple JWT to a quash that replaces it,
//! once with `compat = "standard"` and once with `compat = "strict"`. The answer must equal the recorded one,
//! or the entry of the case in the table of deviations.
//!
//! Cases that were answered with an HTML page can't be compared. They are still sent, and are listed in the
//! table, too. Recorded views of the site represent guarded paths, and are sent to `/v1/me`. Their refusals
//! come from Simple JWT's authentication, which quash reproduces exactly at `/api/logout/`: these cases are
//! sent there as well.

mod compare;
mod deviations;
mod recording;
mod replay;
mod site;
mod table;
mod wallet;

use std::path::Path;

use deviations::Deviation;
use recording::cases;
use replay::{Tally, replay};
use site::Run;
use table::DEVIATIONS;

/// The number of cases.
const RECORDED: usize = 234;
/// The number of cases that were answered with an HTML page.
const PAGES: usize = 12;

#[test]
fn standard_answers_match_the_recording_or_the_table() {
    check(&replay(Run::Standard), Run::Standard, (40, 36));
}

#[test]
fn strict_answers_match_the_recording_or_the_table() {
    check(&replay(Run::Strict), Run::Strict, (39, 37));
}

fn check(tally: &Tally, run: Run, (listed, also_at_log_out): (usize, usize)) {
    assert!(
        tally.faults.is_empty(),
        "{run:?}: {} of {RECORDED}:\n{}",
        tally.faults.len(),
        tally.faults.join("\n")
    );
    assert_eq!(tally.as_recorded + tally.listed + tally.pages, RECORDED, "all are accounted for");
    assert_eq!(
        (tally.as_recorded, tally.listed, tally.pages),
        (RECORDED - listed - PAGES, listed, PAGES),
        "{run:?}"
    );
    assert_eq!(tally.also_at_log_out, also_at_log_out, "{run:?}");
}

#[test]
fn the_table_lists_existing_cases_once() {
    let cases = cases();
    let mut numbers = Vec::new();
    for listed in DEVIATIONS.iter().flat_map(|deviation| deviation.cases) {
        assert_eq!(cases[listed.number].label, listed.label, "{}", listed.number);
        numbers.push(listed.number);
    }
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{numbers:?}");
}

#[test]
fn the_guide_lists_exactly_these_deviations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/simple-jwt.md");
    let guide = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let section = guide.lines().skip_while(|line| *line != "## What differs on purpose");
    let table: Vec<&str> = section
        .skip_while(|line| *line != "|---|---|---|")
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let rows: Vec<String> = DEVIATIONS.iter().map(Deviation::row).collect();
    assert!(table == rows, "the first table there must have these rows:\n{}", rows.join("\n"));
}
