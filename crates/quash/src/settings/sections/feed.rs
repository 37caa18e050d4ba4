//! `[feed]`: the feed of revocations for verifiers.

use std::time::Duration;

use quash_core::model::FollowPolicy;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "feed", doc: "the feed of revocations for verifiers", naming: Naming::One, keys: &[&TERM] };

/// The longest lease: a request that waits for all verifiers must be answered before it times out.
const MOST: Duration = Duration::from_secs(20);

const TERM: Key<Span> = Key {
    name: "term",
    kind: Span { least: Duration::from_secs(1), most: MOST, zero: Zero::Refused },
    unset: DefaultsTo("\"10s\""),
    doc: "The length of a verifier's lease. Connected verifiers refuse a revoked token within milliseconds; \
          a disconnected one refuses all tokens once its lease has expired. A shorter lease costs each \
          verifier more requests, and expires during a brief interruption.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<FollowPolicy, Reported> {
    section.read(&TERM).map(|term| FollowPolicy { term })
}
