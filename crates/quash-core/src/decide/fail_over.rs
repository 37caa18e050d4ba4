//! Decides whether a server that was promoted or recovered has lost entries of the log. A server that commits
//! without waiting for its standby may lose the newest ones when the standby is promoted.

use super::epoch::NotedEntry;

/// The operator's choice of what a promotion does to sessions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AfterFailOver {
    /// They continue if it is proven that nothing is lost.
    #[default]
    Proven,
    /// They continue unless a loss is proven.
    Evidence,
    /// They end.
    Always,
}

/// The facts that a process knows about a promoted server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FailOverFacts {
    /// The entry that is the newest end of the log that this process has seen, as the server's log has it.
    pub noted_entry: NotedEntry,
    /// Another process has decided already.
    pub is_decided: bool,
    /// Each commit had waited for a standby, so none can be lost.
    pub was_synchronous: bool,
    /// Every process that had a lease has compared what it had seen.
    pub all_compared: bool,
    /// The processes that didn't compare have had a lease's term for it. If each commit had waited for a standby, their
    /// leases have ended: the old primary can't renew them.
    pub has_waited: bool,
}

/// The reason why a promoted server's log continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grounds {
    /// Another process has decided.
    Decided,
    /// Each commit had waited for a standby.
    Synchronous,
    /// Every process that had a lease has compared what it had seen.
    AllCompared,
    /// The operator requires no proof.
    Unproven,
}

/// The decision about a promoted server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtFailOver {
    /// Use it: the log continues.
    Continue(Grounds),
    /// Other processes may know of a loss, or still accept tokens by the old primary: ask again soon, and accept nothing
    /// meanwhile.
    Wait,
    /// Begin a new epoch: everything issued before ends.
    BeginEpoch,
}

/// Decides. A loss is never overlooked because of a setting: the setting only says what counts as proof that there is
/// none.
pub fn at_fail_over(rule: AfterFailOver, facts: FailOverFacts) -> AtFailOver {
    match (facts.noted_entry, rule) {
        (NotedEntry::Lost, _) => AtFailOver::BeginEpoch,
        (NotedEntry::Present | NotedEntry::Deleted, _) if facts.is_decided => {
            AtFailOver::Continue(Grounds::Decided)
        }
        (_, AfterFailOver::Always) => AtFailOver::BeginEpoch,
        (_, _) if facts.was_synchronous && (facts.all_compared || facts.has_waited) => {
            AtFailOver::Continue(Grounds::Synchronous)
        }
        (_, _) if facts.was_synchronous => AtFailOver::Wait,
        (_, _) if facts.all_compared => AtFailOver::Continue(Grounds::AllCompared),
        (_, AfterFailOver::Evidence) => AtFailOver::Continue(Grounds::Unproven),
        (_, AfterFailOver::Proven) if facts.has_waited => AtFailOver::BeginEpoch,
        (_, AfterFailOver::Proven) => AtFailOver::Wait,
    }
}

impl Grounds {
    /// The reason in words, for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "another node has decided",
            Self::Synchronous => "the old primary waited for its standby",
            Self::AllCompared => "all nodes have compared what they had seen",
            Self::Unproven => "no loss is proven (postgres.after_failover)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: FailOverFacts = FailOverFacts {
        noted_entry: NotedEntry::Present,
        is_decided: false,
        was_synchronous: false,
        all_compared: false,
        has_waited: false,
    };

    #[test]
    fn only_proof_keeps_the_epoch_by_default() {
        let decided = |facts| at_fail_over(AfterFailOver::default(), facts);
        assert_eq!(decided(FACTS), AtFailOver::Wait);
        assert_eq!(decided(FailOverFacts { has_waited: true, ..FACTS }), AtFailOver::BeginEpoch);
        for (proven, grounds) in [
            (FailOverFacts { was_synchronous: true, all_compared: true, ..FACTS }, Grounds::Synchronous),
            (FailOverFacts { was_synchronous: true, has_waited: true, ..FACTS }, Grounds::Synchronous),
            (FailOverFacts { all_compared: true, has_waited: true, ..FACTS }, Grounds::AllCompared),
            // The process that decided has noted the promoted server's own replication.
            (FailOverFacts { is_decided: true, ..FACTS }, Grounds::Decided),
            (
                FailOverFacts {
                    noted_entry: NotedEntry::Deleted,
                    was_synchronous: true,
                    has_waited: true,
                    ..FACTS
                },
                Grounds::Synchronous,
            ),
        ] {
            assert_eq!(decided(proven), AtFailOver::Continue(grounds), "{proven:?}");
        }
    }

    #[test]
    fn a_node_of_the_old_primary_is_waited_for() {
        let facts = FailOverFacts { was_synchronous: true, ..FACTS };
        for rule in [AfterFailOver::Proven, AfterFailOver::Evidence] {
            assert_eq!(at_fail_over(rule, facts), AtFailOver::Wait, "{rule:?}");
        }
    }

    #[test]
    fn a_loss_always_begins_an_epoch() {
        let lost = FailOverFacts {
            noted_entry: NotedEntry::Lost,
            is_decided: true,
            was_synchronous: true,
            all_compared: true,
            has_waited: true,
        };
        for rule in [AfterFailOver::Proven, AfterFailOver::Evidence, AfterFailOver::Always] {
            assert_eq!(at_fail_over(rule, lost), AtFailOver::BeginEpoch, "{rule:?}");
        }
    }

    #[test]
    fn other_rules_need_no_proof() {
        assert_eq!(at_fail_over(AfterFailOver::Evidence, FACTS), AtFailOver::Continue(Grounds::Unproven));
        let proven = FailOverFacts { was_synchronous: true, all_compared: true, ..FACTS };
        assert_eq!(at_fail_over(AfterFailOver::Always, proven), AtFailOver::BeginEpoch);
        let decided = FailOverFacts { is_decided: true, ..FACTS };
        let answer = AtFailOver::Continue(Grounds::Decided);
        assert_eq!(at_fail_over(AfterFailOver::Always, decided), answer, "one epoch is enough");
    }
}
