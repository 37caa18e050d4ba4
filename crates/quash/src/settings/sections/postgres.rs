//! `[postgres]`: how nodes use a PostgreSQL database.

use quash_core::decide::AfterFailOver;
use quash_store::StatementNames;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{Switch, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "postgres",
    doc: "how nodes use a PostgreSQL database",
    naming: Naming::One,
    keys: &[&AFTER_FAILOVER, &PREPARED],
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

const PREPARED: Key<Switch> = Key {
    name: "prepared",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Whether the database parses and plans each statement once for a connection instead of each time. Behind a \
          pooler in transaction mode this needs pgbouncer 1.21 or newer with `max_prepared_statements = 200`: \
          with others, a statement may run in place of another one.",
};

/// The section's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Postgres {
    pub(crate) after_failover: AfterFailOver,
    pub(crate) names: StatementNames,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Postgres, Reported> {
    let (after_failover, prepared) = (section.read(&AFTER_FAILOVER), section.read(&PREPARED));
    let names = if prepared? { StatementNames::Prepared } else { StatementNames::None };
    Ok(Postgres { after_failover: after_failover?, names })
}

/// The risk of a setting, for the log of each start.
pub(super) fn warning(after_failover: AfterFailOver) -> Option<String> {
    (after_failover == AfterFailOver::Evidence).then(|| {
        "postgres.after_failover = \"evidence\": after a promotion, an end that only a lost node had seen may be undone"
            .to_owned()
    })
}
