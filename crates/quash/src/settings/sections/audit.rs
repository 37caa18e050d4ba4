//! `[audit]`: the retention of audit entries.

use std::time::Duration;

use quash_core::model::AuditPolicy;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{LONGEST, Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "audit", doc: "retention of audit entries", naming: Naming::One, keys: &[&KEEP] };

const KEEP: Key<Span> = Key {
    name: "keep",
    kind: Span { least: Duration::from_secs(24 * 3600), most: LONGEST, zero: Zero::Refused },
    unset: DefaultsTo("\"400d\""),
    doc: "The time from an event until its entry in the audit may be deleted.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<AuditPolicy, Reported> {
    section.read(&KEEP).map(|keep| AuditPolicy { keep })
}
