//! The state machine of a verifier: a set that grows by entries and snapshots, and the leases that prove how
//! current it is. The wire format is in `frame.rs`; the caller sends the requests and decides when.

use std::time::Duration;

use super::feed::Gap;
use super::revoked::Revoked;
use crate::model::{Chain, Entry, Seq};

/// A verifier's set of revocations, and for how long it is proven current.
#[derive(Clone, Debug)]
pub struct Follower {
    revoked: Revoked,
    proof: FreshnessProof,
}

/// The verifier's proof that its set is current.
#[derive(Clone, Debug)]
enum FreshnessProof {
    /// Every revocation passes through this process before any client learns of it.
    Authority,
    /// The process shares the log with others, and has read the log's head.
    Node {
        /// The time at which the newest applied read of the head began.
        at: Duration,
        /// The end of the process's own lease.
        until: Duration,
    },
    /// The verifier holds a lease of the process that every revocation passes through.
    LeaseHolder {
        /// The lifetime of a lease.
        term: Duration,
        /// The end of the newest counted lease.
        fresh_until: Option<Duration>,
        /// Leases whose head isn't reached yet.
        unreached: Vec<Lease>,
        /// Leases requested before this time don't count.
        leases_valid_from: Duration,
    },
}

/// A granted lease: proof that a verifier with everything up to `head` had everything at the time of its
/// request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The time of the request by the verifier's own clock: time since some fixed moment, including suspended
    /// time. The time of receipt proves nothing.
    pub sent_at: Duration,
    /// The verifier's cursor at the time of the request.
    pub cursor: Seq,
    /// The newest number of the log, read after the request had arrived.
    pub head: Seq,
    /// The hash over the log up to `head`.
    pub chain: Chain,
}

/// The time for which a verifier's set is proven current.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// As long as the process runs.
    Always,
    /// For a request that arrived up to `at`, because a read of the log's head that began then has been applied, and
    /// until the time `until` of the process's own clock.
    Proven { at: Duration, until: Duration },
    /// Until this time of the verifier's own clock.
    Until(Duration),
    /// Not yet.
    Never,
}

/// A contradiction between the feed and the known log. The set is kept; a snapshot is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FeedError {
    /// Entries don't follow the ones before.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The issuer's log is shorter than known.
    #[error("the issuer's log ends at {head}, but had reached {known} before")]
    WentBack {
        /// The end of the issuer's log.
        head: Seq,
        /// The end of the log as known before.
        known: Seq,
    },
    /// The issuer's log has the same numbers with other entries.
    #[error("the issuer's log has other entries up to {seq}")]
    Forked {
        /// The number at which it was noticed.
        seq: Seq,
    },
}

/// The limit of leases with an unreached head: more than can be under way at once. The oldest is dropped, as
/// it proves the least.
const UNREACHED: usize = 8;

impl Follower {
    /// A verifier in the process that every revocation passes through.
    pub fn authority(revoked: Revoked) -> Self {
        Self { revoked, proof: FreshnessProof::Authority }
    }

    /// A verifier in a process that shares the log with others. Nothing is proven before [`Follower::prove`].
    pub fn node(revoked: Revoked) -> Self {
        Self { revoked, proof: FreshnessProof::Node { at: Duration::ZERO, until: Duration::ZERO } }
    }

    /// A verifier in any other process, whose leases hold for `term`.
    pub fn lease_holder(revoked: Revoked, term: Duration) -> Self {
        Self {
            revoked,
            proof: FreshnessProof::LeaseHolder {
                term,
                fresh_until: None,
                unreached: Vec::new(),
                leases_valid_from: Duration::ZERO,
            },
        }
    }

    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    pub fn freshness(&self) -> Freshness {
        match &self.proof {
            FreshnessProof::Authority => Freshness::Always,
            FreshnessProof::Node { at, until } => Freshness::Proven { at: *at, until: *until },
            FreshnessProof::LeaseHolder { fresh_until, .. } => {
                fresh_until.map_or(Freshness::Never, Freshness::Until)
            }
        }
    }

    /// Adds the next entries of the log, and skips known ones.
    ///
    /// # Errors
    /// An entry doesn't follow. The ones before it are added.
    pub fn follow(&mut self, entries: &[Entry]) -> Result<(), FeedError> {
        for entry in entries {
            if entry.seq > self.revoked.cursor() {
                self.revoked.follow(entry)?;
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Replaces the whole set with one whose cursor is at least as high.
    ///
    /// # Errors
    /// The new set's cursor is lower. Nothing has changed: revoked tokens stay revoked.
    pub fn replace(&mut self, revoked: Revoked) -> Result<(), FeedError> {
        let known = self.revoked.cursor();
        if revoked.cursor() < known {
            return Err(FeedError::WentBack { head: revoked.cursor(), known });
        }
        if revoked.cursor().epoch() > known.epoch()
            && let FreshnessProof::LeaseHolder { fresh_until, .. } = &mut self.proof
        {
            // A lease of another epoch proves nothing about this log.
            *fresh_until = None;
        }
        self.revoked = revoked;
        self.settle()
    }

    /// Adds a lease. It counts once its head is reached, from the time of its request.
    ///
    /// # Errors
    /// The lease is for another log than the known one.
    pub fn grant(&mut self, lease: Lease) -> Result<(), FeedError> {
        if lease.head < lease.cursor {
            return Err(FeedError::WentBack { head: lease.head, known: lease.cursor });
        }
        if let FreshnessProof::LeaseHolder { unreached, leases_valid_from, .. } = &mut self.proof {
            if lease.sent_at < *leases_valid_from {
                return Ok(());
            }
            if unreached.len() == UNREACHED {
                unreached.remove(0);
            }
            unreached.push(lease);
        }
        self.settle()
    }

    /// Records that all entries up to a head are added whose read began at `at`, and that the process's lease holds
    /// until `until`. A proof never weakens an earlier one.
    pub fn prove(&mut self, at: Duration, until: Duration) {
        if let FreshnessProof::Node { at: proven_at, until: proven_until } = &mut self.proof {
            (*proven_at, *proven_until) = ((*proven_at).max(at), (*proven_until).max(until));
        }
    }

    /// Sets the lifetime of future leases, which the issuer sends with each of them. Leases that already
    /// count keep their end.
    pub fn set_term(&mut self, new: Duration) {
        if let FreshnessProof::LeaseHolder { term, .. } = &mut self.proof {
            *term = new;
        }
    }

    /// Invalidates every lease requested before `now`, because the issuer may know something that this
    /// verifier doesn't: its answer can't be read, or it has refused a token that would be accepted here. The
    /// set stays as it is.
    pub fn invalidate_leases(&mut self, now: Duration) {
        if let FreshnessProof::LeaseHolder { fresh_until, unreached, leases_valid_from, .. } = &mut self.proof
        {
            *fresh_until = None;
            unreached.clear();
            *leases_valid_from = now;
        }
    }

    /// Counts the leases whose head is reached.
    fn settle(&mut self) -> Result<(), FeedError> {
        let (cursor, chain) = (self.revoked.cursor(), self.revoked.chain());
        let FreshnessProof::LeaseHolder { term, fresh_until, unreached, .. } = &mut self.proof else {
            return Ok(());
        };
        let mut forked = false;
        unreached.retain(|lease| {
            if lease.head > cursor {
                return true;
            }
            let is_of_this_log = lease.head != cursor || lease.chain == chain;
            forked |= !is_of_this_log;
            if is_of_this_log && lease.head.epoch() == cursor.epoch() {
                *fresh_until = (*fresh_until).max(Some(lease.sent_at.saturating_add(*term)));
            }
            false
        });
        if forked { Err(FeedError::Forked { seq: cursor }) } else { Ok(()) }
    }
}

impl Freshness {
    /// Returns whether the set is proven current at this time of the verifier's own clock.
    pub fn holds(self, uptime: Duration) -> bool {
        match self {
            Self::Always => true,
            Self::Until(until) | Self::Proven { until, .. } => uptime < until,
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Keep, NewEntry, Reason, ScopeKey, ScopeKind, Timestamp};
    use crate::watch::feed;

    const T: Duration = Duration::from_secs(10);

    fn log(length: usize) -> Vec<Entry> {
        let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
        let next = |number: u8| {
            seq = seq.next();
            let (kind, key) = (ScopeKind::Session, ScopeKey([number; 16]));
            let (reason, at, actor) = (Reason::Revoked, Timestamp::from_secs(1), Actor::Operator);
            chain = feed::chain(
                &chain,
                seq,
                &NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() },
                None,
            );
            Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain }
        };
        (0..length).map(|number| u8::try_from(number).expect("few")).map(next).collect()
    }

    fn lease_holder() -> Follower {
        Follower::lease_holder(Revoked::empty(Seq::start_of(1), feed::EMPTY), T)
    }

    fn lease(sent_at: u64, cursor: Seq, at: &Entry) -> Lease {
        Lease { sent_at: Duration::from_secs(sent_at), cursor, head: at.seq, chain: at.chain }
    }

    #[test]
    fn leases_count_from_their_request_once_reached() {
        let (entries, mut follower) = (log(3), lease_holder());
        assert_eq!(follower.freshness(), Freshness::Never);
        follower.grant(lease(5, Seq::start_of(1), &entries[1])).expect("a lease ahead");
        follower.follow(&entries[..1]).expect("in order");
        assert_eq!(follower.freshness(), Freshness::Never, "its head isn't reached");
        follower.follow(&entries[..2]).expect("one known, one new");
        assert_eq!(follower.freshness(), Freshness::Until(Duration::from_secs(15)));
        follower.grant(lease(3, Seq::start_of(1), &entries[0])).expect("a late answer");
        assert_eq!(
            follower.freshness(),
            Freshness::Until(Duration::from_secs(15)),
            "an older lease doesn't shorten it"
        );
        assert!(follower.freshness().holds(Duration::from_millis(14_999)));
        assert!(!follower.freshness().holds(Duration::from_secs(15)));
    }

    #[test]
    fn leases_of_other_or_older_logs_are_refused() {
        let (entries, mut follower) = (log(3), lease_holder());
        follower.follow(&entries).expect("in order");
        let behind = follower.grant(lease(5, entries[2].seq, &entries[1]));
        assert_eq!(behind, Err(FeedError::WentBack { head: entries[1].seq, known: entries[2].seq }));
        let mut other = lease(5, entries[2].seq, &entries[2]);
        other.chain = [9; 32];
        assert_eq!(follower.grant(other), Err(FeedError::Forked { seq: entries[2].seq }));
        assert_eq!(follower.freshness(), Freshness::Never);
        let less = Revoked::from_snapshot(entries[0].seq, entries[0].chain, &entries[..1]);
        assert!(matches!(follower.replace(less), Err(FeedError::WentBack { .. })));
        assert_eq!(follower.revoked().cursor(), entries[2].seq);
    }

    #[test]
    fn proofs_of_a_node_never_weaken() {
        let mut follower = Follower::node(Revoked::empty(Seq::start_of(1), feed::EMPTY));
        let proven = |at, until| Freshness::Proven { at: T * at, until: T * until };
        assert_eq!(follower.freshness(), proven(0, 0));
        assert!(!follower.freshness().holds(Duration::ZERO), "nothing is proven");
        follower.prove(T * 2, T * 3);
        follower.prove(T, T * 4);
        assert_eq!(follower.freshness(), proven(2, 4));
        assert!(
            follower.freshness().holds(T * 4 - Duration::from_nanos(1)) && !follower.freshness().holds(T * 4)
        );
        follower.invalidate_leases(T * 5);
        assert_eq!(follower.freshness(), proven(2, 4), "it holds no verifier's lease");
    }

    #[test]
    fn new_epochs_end_earlier_leases() {
        let (entries, mut follower) = (log(1), lease_holder());
        follower.follow(&entries).expect("in order");
        follower.grant(lease(5, entries[0].seq, &entries[0])).expect("a lease");
        assert_eq!(follower.freshness(), Freshness::Until(Duration::from_secs(15)));
        follower.replace(Revoked::empty(Seq::start_of(2).next(), [7; 32])).expect("a later epoch");
        assert_eq!(follower.freshness(), Freshness::Never);
    }

    #[test]
    fn unreadable_answers_end_earlier_leases() {
        let (entries, mut follower) = (log(2), lease_holder());
        follower.follow(&entries[..1]).expect("in order");
        follower.grant(lease(5, entries[0].seq, &entries[0])).expect("a lease");
        follower.grant(lease(6, entries[0].seq, &entries[1])).expect("a lease ahead");
        follower.invalidate_leases(Duration::from_secs(7));
        assert_eq!(follower.freshness(), Freshness::Never);
        follower.follow(&entries).expect("in order");
        assert_eq!(
            follower.freshness(),
            Freshness::Never,
            "an earlier lease doesn't count, even once it is reached"
        );
        follower.grant(lease(6, entries[1].seq, &entries[1])).expect("a lease that was under way");
        assert_eq!(
            follower.freshness(),
            Freshness::Never,
            "a lease requested earlier doesn't count, even if it arrives later"
        );
        follower.set_term(Duration::MAX);
        follower.grant(lease(7, entries[1].seq, &entries[1])).expect("a new lease");
        assert_eq!(follower.freshness(), Freshness::Until(Duration::MAX), "a term without end is accepted");
    }

    #[test]
    fn unreached_leases_are_limited() {
        let (entries, mut follower) = (log(2), lease_holder());
        for sent_at in 0..100 {
            follower.grant(lease(sent_at, Seq::start_of(1), &entries[1])).expect("ahead");
        }
        let FreshnessProof::LeaseHolder { unreached, .. } = &follower.proof else { panic!("a tenant") };
        assert_eq!(unreached.len(), UNREACHED);
    }
}
