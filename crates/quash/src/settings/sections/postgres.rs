//! `[postgres]`: how nodes use a PostgreSQL database.

use quash_core::decide::AfterFailOver;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Words;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "postgres",
    doc: "how nodes use a PostgreSQL database",
    naming: Naming::One,
    keys: &[&AFTER_FAILOVER],
};

const AFTER_FAILOVER: Key<Words<AfterFailOver>> = Key {
    name: "after_failover",
    kind: Words(&[
        ("proven", AfterFailOver::Proven),
        ("evidence", AfterFailOver::Evidence),
        ("always", AfterFailOver::Always),
    ]),
    unset: DefaultsTo("\"proven\""),
    doc: "What happens to sessions when a standby was promoted. If a node has seen an entry of the log that the new \
          primary lacks, all users must sign in again, whatever this says. `proven`: sessions continue only if it is \
          certain that nothing is lost, because the old primary waited for its standby, or because each node that \
          had a lease has compared what it had seen. `evidence`: they continue unless a loss is proven; an end that \
          only a lost node had seen may then be undone. `always`: they end with each promotion.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<AfterFailOver, Reported> {
    section.read(&AFTER_FAILOVER)
}

/// The risk of a setting, for the log of each start.
pub(super) fn warning(after_failover: AfterFailOver) -> Option<String> {
    (after_failover == AfterFailOver::Evidence).then(|| {
        "postgres.after_failover = \"evidence\": after a promotion, an end that only a lost node had seen may be undone"
            .to_owned()
    })
}
