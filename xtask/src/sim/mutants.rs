//! The mutants: faults in the code that would let a revoked token pass, or refuse another one. The simulation
//! must find each.

use crate::failure::{Failure, Result};

/// A fault: a text that occurs exactly once in a file, and its replacement.
pub(crate) struct Mutant {
    /// The fault's description.
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
    pub(crate) replacement: &'static str,
}

const FOLLOWER: &str = "crates/quash-core/src/watch/follower.rs";
const FEED: &str = "crates/quash-core/src/watch/feed.rs";
const GATE: &str = "crates/quash-core/src/watch/gate.rs";
const SERVE: &str = "crates/quash-service/src/use_cases/feed/serve.rs";
const BARRIER: &str = "crates/quash-service/src/use_cases/feed/barrier.rs";
const CONTEXT: &str = "crates/quash-service/src/context.rs";
const TOKEN: &str = "crates/quash-core/src/token/token.rs";
const LEASE: &str = "crates/quash-verify/src/follow/lease.rs";
const VERIFIER: &str = "crates/quash-verify/src/verifier.rs";
const REVOKED: &str = "crates/quash-core/src/watch/revoked.rs";
const NAMED: &str = "crates/quash-core/src/watch/named.rs";
const SNAPSHOT: &str = "crates/quash-core/src/watch/frame/snapshot.rs";
const KINDS: &str = "crates/quash-core/src/model/log/revocation.rs";
const STORE_READS: &str = "crates/quash-store/src/memory/state/reads.rs";
const BROADCAST: &str = "crates/quash-service/src/feed/broadcast.rs";
const PUBLISHER_TASK: &str = "crates/quash-verify/src/follow/publisher_task.rs";

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a lease counts although its head hasn't been reached",
        file: FOLLOWER,
        text: "if lease.head > cursor {",
        replacement: "if lease.head.epoch() > cursor.epoch() {",
    },
    Mutant {
        name: "entries may follow with a gap",
        file: FEED,
        text: "if !is_next(cursor, entry.seq) {",
        replacement: "if !is_next(cursor, entry.seq) { return Ok(()); }\n    if false {",
    },
    Mutant {
        name: "the chain isn't compared",
        file: FEED,
        text: "if chain(so_far, entry.seq, &new, entry.drop_after) == entry.chain {",
        replacement: "if chain(so_far, entry.seq, &new, entry.drop_after) == entry.chain || true {",
    },
    Mutant {
        name: "a snapshot that knows less replaces the set",
        file: FOLLOWER,
        text: "if revoked.cursor() < known {",
        replacement: "if revoked.cursor().epoch() < known.epoch() {",
    },
    Mutant {
        name: "a token issued after the newest known entry is accepted",
        file: GATE,
        text: "filter(|needed| *needed > revoked.cursor())",
        replacement: "filter(|needed| false && *needed > revoked.cursor())",
    },
    Mutant {
        name: "an expired lease counts",
        file: FOLLOWER,
        text: "Self::Until(until) | Self::Proven { until, .. } => uptime < until,",
        replacement: "Self::Until(until) | Self::Proven { until, .. } => uptime < until || true,",
    },
    Mutant {
        name: "a lease is noted after its head was read",
        file: SERVE,
        text: "coordination.record(lease, context.clock.uptime()).await?;\n        \
               let head = context.store.head().await.map_err(Failure::from)?;",
        replacement: "let arrived = context.clock.uptime();\n        \
                      let head = context.store.head().await.map_err(Failure::from)?;\n        \
                      coordination.record(lease, arrived).await?;",
    },
    Mutant {
        name: "a lease confirms its head instead of the verifier's cursor",
        file: SERVE,
        text: "coordination.confirm(id, Known::up_to(asked.cursor.seq()))",
        replacement: "coordination.confirm(id, Known::up_to(head.seq))",
    },
    Mutant {
        name: "a verifier accepts tokens after it has given its lease back",
        file: VERIFIER,
        text: "self.has_left.load(Ordering::SeqCst)",
        replacement: "self.has_left.load(Ordering::SeqCst) && false",
    },
    Mutant {
        name: "the barrier doesn't wait for unconfirmed verifiers",
        file: BARRIER,
        text: "Binding::Bound => return true,",
        replacement: "Binding::Bound => VerifierState::Stale,",
    },
    Mutant {
        name: "the barrier doesn't wait for leases of the previous process",
        file: BARRIER,
        text: ".chain([coordination.unlisted_until()])",
        replacement: "",
    },
    Mutant {
        name: "an ended session is answered before the issuer's own guard knows it",
        file: CONTEXT,
        text: "if let Some(seq) = receipt.seq {\n            self.announce",
        replacement: "if let Some(seq) = receipt.seq.filter(|_| false) {\n            self.announce",
    },
    Mutant {
        name: "a revoked key isn't looked up in the log",
        file: TOKEN,
        text: "scopes.push(hasher.key_of(ScopeKind::Key, found.key.kid().as_str()));",
        replacement: "let _ = ScopeKind::Key;",
    },
    Mutant {
        name: "the lease task stores over a newer frame",
        file: LEASE,
        text: "\
        let mut requests = JoinSet::new();
        loop {
            if requests.len() < MAX_LEASE_REQUESTS {
                requests.spawn(self.lease_request(health.address_index)?.ask());
            }
            match tokio::time::timeout(AGAIN.min(health.every), requests.join_next()).await {
                Ok(Some(Ok(Ok((lease, term))))) => {
",
        replacement: "\
        let (mut requests, before) = (JoinSet::new(), self.shared.state.load_full());
        loop {
            if requests.len() < MAX_LEASE_REQUESTS {
                requests.spawn(self.lease_request(health.address_index)?.ask());
            }
            match tokio::time::timeout(AGAIN.min(health.every), requests.join_next()).await {
                Ok(Some(Ok(Ok((lease, term))))) if lease.head == before.revoked.cursor() => {
                    let freshness = quash_core::watch::Freshness::Until(lease.sent_at + term);
                    let state = crate::shared::State { revoked: before.revoked.clone(), freshness, trust: before.trust.clone() };
                    self.shared.state.store(Arc::new(state));
                    return Ok(term);
                }
                Ok(Some(Ok(Ok((lease, term))))) => {
",
    },
    Mutant {
        name: "a lease counts from its arrival",
        file: LEASE,
        text: "Lease { sent_at, cursor: self.cursor.seq(),",
        replacement: "Lease { sent_at: sent_at.max(self.clock.uptime()), cursor: self.cursor.seq(),",
    },
    Mutant {
        name: "the answer to one lease request counts for another",
        file: LEASE,
        text: "if grant.nonce() != self.nonce {",
        replacement: "if false && grant.nonce() != self.nonce {",
    },
    Mutant {
        name: "leases requested before the issuer refused a token still count",
        file: FOLLOWER,
        text: "if lease.sent_at < *leases_valid_from {",
        replacement: "if false && lease.sent_at < *leases_valid_from {",
    },
    Mutant {
        name: "the publisher task doesn't learn that the issuer refused a token",
        file: PUBLISHER_TASK,
        text: "            Message::Refused(reply) => {\n                if let Some(publisher) = &mut self.publisher {",
        replacement: "            Message::Refused(reply) => {\n                if let Some(publisher) = self.publisher.as_mut().filter(|_| false) {",
    },
    Mutant {
        name: "namespaces: a watermark covers tokens with its own number",
        file: REVOKED,
        text: "rsq < scopes.iter()",
        replacement: "rsq <= scopes.iter()",
    },
    Mutant {
        name: "namespaces: the time of a late event is ignored",
        file: REVOKED,
        text: "match entry.until {",
        replacement: "match entry.until.filter(|_| false) {",
    },
    Mutant {
        name: "namespaces: the watermark of a user counts as a presence",
        file: KINDS,
        text: "if self.is_presence() { Seq::MAX } else { seq }",
        replacement: "if self.is_presence() || matches!(self, Self::Subject) { Seq::MAX } else { seq }",
    },
    Mutant {
        name: "namespaces: a presence covers only older tokens",
        file: KINDS,
        text: "if self.is_presence() { Seq::MAX } else { seq }",
        replacement: "seq",
    },
    Mutant {
        name: "namespaces: a token issued after the newest known entry is accepted",
        file: NAMED,
        text: "Some(position) if position > revoked.cursor() =>",
        replacement: "Some(position) if false && position > revoked.cursor() =>",
    },
    Mutant {
        name: "namespaces: a late event supersedes earlier ones in a snapshot",
        file: STORE_READS,
        text: "one.key == entry.key && one.until.is_none()",
        replacement: "one.key == entry.key",
    },
    Mutant {
        name: "namespaces: an entry from before the clock was set back is superseded",
        file: STORE_READS,
        text: "newest.seq <= entry.seq || newest.at < entry.at",
        replacement: "newest.seq <= entry.seq",
    },
    Mutant {
        name: "namespaces: a snapshot lacks the times of deleted entries",
        file: SNAPSHOT,
        text: "until: Some(forgotten.until.as_secs()),",
        replacement: "until: None,",
    },
    Mutant {
        name: "a reader behind deleted entries waits for new ones",
        file: BROADCAST,
        text: "if newest > self.cursor { More::Gone } else { More::Nothing }",
        replacement: "More::Nothing",
    },
];

impl Mutant {
    /// Returns the file's text with the fault in it.
    ///
    /// # Errors
    /// Returns an error unless the text occurs exactly once.
    pub(crate) fn applied_to(&self, file: &str) -> Result<String> {
        let count = file.matches(self.text).count();
        if count == 1 {
            return Ok(file.replacen(self.text, self.replacement, 1));
        }
        Err(Failure::new(format!(
            "the mutant \"{}\" has its text {count} times in {}: it must occur exactly once",
            self.name, self.file
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_applies_to_its_file() {
        let root = crate::workspace::root().expect("a workspace");
        for mutant in MUTANTS.iter().chain(super::super::node_mutants::NODE_MUTANTS) {
            let text = std::fs::read_to_string(root.join(mutant.file)).expect(mutant.file);
            let mutated = mutant.applied_to(&text).unwrap_or_else(|failure| panic!("{failure}"));
            assert_ne!(mutated, text, "{}", mutant.name);
        }
    }
}
