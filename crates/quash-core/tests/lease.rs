//! A model of the lease: one issuer, one verifier, clocks, and a network that loses, delays, repeats and
//! reorders. Every state reachable within some ticks is visited. The design's promises hold in all of them,
//! and each known mistake is refuted by a state in which a promise doesn't hold.

use std::collections::BTreeSet;

use stateright::{Checker, Model, Property};

/// The lifetime of a lease, in ticks of the verifier's clock.
const T: u8 = 1;
/// The extra time for which the issuer counts a lease, for a verifier's clock that is slower within the
/// allowed range.
const SLACK: u8 = 1;
/// The last tick of the model.
const LAST_TICK: u8 = 4;
/// The number of revocations.
const REVOCATIONS: u8 = 2;
/// The limit of messages of one kind under way at once.
const UNDER_WAY: usize = 1;

/// A mistake in the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mutant {
    /// The lease counts from the receipt of its answer.
    TimeOfReceipt,
    /// A heartbeat of the stream proves that the verifier is up to date.
    Heartbeat,
    /// The head comes from a replica that is behind.
    ReplicaRead,
    /// The read of the head had already begun when the request arrived.
    ReadInFlight,
    /// Numbers are assigned before commits, which happen in another order.
    UnorderedNumbers,
    /// Entries may be missing before an accepted one.
    NoGapCheck,
    /// The verifier needn't have reached the head of the lease.
    CursorBelowHead,
    /// The verifier's clock runs at a third of the speed.
    SlowClock,
    /// The verifier restarts with an empty set, but keeps its cursor and lease.
    ForgottenSet,
    /// The issuer records the lease after it has read the head.
    RegisteredLate,
}

const MUTANTS: [Mutant; 10] = [
    Mutant::TimeOfReceipt,
    Mutant::Heartbeat,
    Mutant::ReplicaRead,
    Mutant::ReadInFlight,
    Mutant::UnorderedNumbers,
    Mutant::NoGapCheck,
    Mutant::CursorBelowHead,
    Mutant::SlowClock,
    Mutant::ForgottenSet,
    Mutant::RegisteredLate,
];

/// The lease as it is built, or with one mistake.
struct Lease {
    mutant: Option<Mutant>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    now: u8,
    issuer: Issuer,
    network: Network,
    verifier: Verifier,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Issuer {
    /// The time of each revocation's commit, by its number minus one.
    committed: [Option<u8>; REVOCATIONS as usize],
    /// Numbers assigned to revocations that aren't committed yet.
    given: u8,
    /// A request that has arrived, and whose head isn't read yet.
    reading: Option<Request>,
    /// A head that was read for another verifier.
    read_before: Option<u8>,
    /// A lease that was answered and isn't recorded yet.
    unrecorded: bool,
    /// The time until which the issuer's table counts the verifier's lease.
    counts_until: u8,
    /// The revocation that a client waits for, and the client's last answer.
    barrier: Option<(u8, BarrierAnswer)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum BarrierAnswer {
    NotYet,
    Confirmed,
    Effective,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Network {
    requests: BTreeSet<Request>,
    answers: BTreeSet<Answer>,
    heartbeats: BTreeSet<u8>,
}

/// A request for a lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Request {
    /// The time of the request by the verifier's clock, returned in the answer.
    sent: u8,
    /// The verifier's cursor.
    cursor: u8,
}

/// The answer to a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Answer {
    sent: u8,
    head: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Verifier {
    cursor: u8,
    /// The revocations that the verifier has applied.
    applied: BTreeSet<u8>,
    /// The time from which the best lease counts, and its head.
    lease: Option<(u8, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Action {
    Tick,
    Give,
    Commit(u8),
    AskForLease,
    Arrive(Request),
    ReadForOthers,
    ReadHead,
    Note,
    Lease(Answer),
    Entry(u8),
    SendHeartbeat,
    Heartbeat(u8),
    StartAnew,
    Wait(u8),
    TellEffective,
}

impl Lease {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The verifier's clock.
    fn clock(&self, now: u8) -> u8 {
        if self.is(Mutant::SlowClock) { now / 3 } else { now }
    }

    fn is_fresh(&self, state: &State) -> bool {
        let Verifier { cursor, lease, .. } = &state.verifier;
        lease.is_some_and(|(from, head)| {
            let reached = *cursor >= head || self.is(Mutant::CursorBelowHead);
            reached && self.clock(state.now) < from + T
        })
    }

    /// Returns whether a verifier may apply a committed number next.
    fn takes(&self, state: &State, seq: u8) -> bool {
        let cursor = state.verifier.cursor;
        let unchecked = self.is(Mutant::NoGapCheck) || self.is(Mutant::UnorderedNumbers);
        seq == cursor + 1 || (unchecked && seq > cursor)
    }
}

impl Lease {
    /// Drops messages that are too old to prove anything. That saves states, and a network may lose any
    /// message.
    fn drop_expired(&self, state: &mut State) {
        if self.is(Mutant::TimeOfReceipt) {
            return;
        }
        let clock = self.clock(state.now);
        state.network.answers.retain(|answer| clock < answer.sent + T);
        state.network.requests.retain(|request| clock < request.sent + T);
        if state.verifier.lease.is_some_and(|(from, _)| clock >= from + T) {
            state.verifier.lease = None;
        }
    }
}

impl State {
    fn head(&self) -> u8 {
        (1..=REVOCATIONS)
            .rev()
            .find(|seq| self.issuer.committed[usize::from(*seq) - 1].is_some())
            .unwrap_or(0)
    }
}

impl Verifier {
    /// Keeps a lease if it is better than the current one.
    fn keep(&mut self, from: u8, head: u8) {
        // A later lease counts from a later time, and its head is no lower.
        self.lease = self.lease.max(Some((from, head)));
    }
}

impl Model for Lease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            issuer: Issuer::default(),
            network: Network::default(),
            verifier: Verifier::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let State { now, issuer, network, verifier } = state;
        actions.push(Action::Tick);
        if self.is(Mutant::UnorderedNumbers) && issuer.given < REVOCATIONS {
            actions.push(Action::Give);
        }
        for seq in 1..=REVOCATIONS {
            let committed = issuer.committed[usize::from(seq) - 1].is_some();
            let next =
                if self.is(Mutant::UnorderedNumbers) { seq <= issuer.given } else { seq == state.head() + 1 };
            if !committed && next {
                actions.push(Action::Commit(seq));
            }
            if committed && self.takes(state, seq) {
                actions.push(Action::Entry(seq));
            }
            if committed && issuer.barrier.is_none() {
                actions.push(Action::Wait(seq));
            }
        }
        if network.requests.len() < UNDER_WAY {
            actions.push(Action::AskForLease);
        }
        if issuer.reading.is_none() {
            actions.extend(network.requests.iter().copied().map(Action::Arrive));
        }
        if self.is(Mutant::ReadInFlight) {
            actions.push(Action::ReadForOthers);
        }
        if issuer.reading.is_some() && network.answers.len() < UNDER_WAY {
            actions.push(Action::ReadHead);
        }
        if issuer.unrecorded {
            actions.push(Action::Note);
        }
        actions.extend(network.answers.iter().copied().map(Action::Lease));
        if self.is(Mutant::Heartbeat) {
            actions.push(Action::SendHeartbeat);
            actions.extend(network.heartbeats.iter().copied().map(Action::Heartbeat));
        }
        if verifier.cursor > 0 {
            actions.push(Action::StartAnew);
        }
        let answer = issuer.barrier.map(|(_, answer)| answer);
        if answer == Some(BarrierAnswer::Confirmed)
            || (answer == Some(BarrierAnswer::NotYet) && *now >= issuer.counts_until)
        {
            actions.push(Action::TellEffective);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let State { now, issuer, network, verifier } = &mut state;
        match action {
            Action::Tick => *now += 1,
            Action::Give => issuer.given += 1,
            Action::Commit(seq) => issuer.committed[usize::from(seq) - 1] = Some(*now),
            Action::AskForLease => {
                network.requests.insert(Request { sent: self.clock(*now), cursor: verifier.cursor });
            }
            // A delivered message stays under way, too: it may arrive again.
            Action::Arrive(request) => {
                issuer.reading = Some(request);
                if let Some((seq, answer @ BarrierAnswer::NotYet)) = &mut issuer.barrier
                    && request.cursor >= *seq
                {
                    *answer = BarrierAnswer::Confirmed;
                }
                if !self.is(Mutant::RegisteredLate) {
                    issuer.counts_until = issuer.counts_until.max(*now + T + SLACK);
                }
            }
            Action::ReadForOthers => issuer.read_before = Some(last.head()),
            Action::ReadHead => {
                let request = issuer.reading.take()?;
                let head = match issuer.read_before {
                    Some(before) if self.is(Mutant::ReadInFlight) => before,
                    _ if self.is(Mutant::ReplicaRead) => last.head().saturating_sub(1),
                    _ => last.head(),
                };
                issuer.unrecorded = self.is(Mutant::RegisteredLate);
                network.answers.insert(Answer { sent: request.sent, head });
            }
            Action::Note => {
                issuer.unrecorded = false;
                issuer.counts_until = issuer.counts_until.max(*now + T + SLACK);
            }
            Action::Lease(Answer { sent, head }) => {
                let from = if self.is(Mutant::TimeOfReceipt) { self.clock(*now) } else { sent };
                verifier.keep(from, head);
                network.answers.remove(&Answer { sent, head });
            }
            Action::Entry(seq) => {
                verifier.applied.insert(seq);
                verifier.cursor = seq;
            }
            Action::SendHeartbeat => {
                network.heartbeats.insert(last.head());
            }
            Action::Heartbeat(head) => {
                let from = self.clock(*now);
                verifier.keep(from, head);
            }
            Action::StartAnew => {
                verifier.applied.clear();
                if !self.is(Mutant::ForgottenSet) {
                    *verifier = Verifier::default();
                }
            }
            Action::Wait(seq) => issuer.barrier = Some((seq, BarrierAnswer::NotYet)),
            Action::TellEffective => {
                issuer.barrier.iter_mut().for_each(|(_, answer)| *answer = BarrierAnswer::Effective)
            }
        }
        self.drop_expired(&mut state);
        Some(state).filter(|state| state != last)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "bound: past T after its commit, no fresh verifier lacks a revocation",
                |model: &Self, state: &State| {
                    let overdue = |seq: &u8| {
                        let committed = state.issuer.committed[usize::from(*seq) - 1];
                        committed.is_some_and(|at| state.now > at + T)
                            && !state.verifier.applied.contains(seq)
                    };
                    !model.is_fresh(state) || !(1..=REVOCATIONS).any(|seq| overdue(&seq))
                },
            ),
            Property::always(
                "barrier: once told effective, no fresh verifier lacks it",
                |model: &Self, state: &State| {
                    let effective =
                        state.issuer.barrier.filter(|(_, answer)| *answer == BarrierAnswer::Effective);
                    !model.is_fresh(state)
                        || effective.is_none_or(|(seq, _)| state.verifier.applied.contains(&seq))
                },
            ),
            Property::sometimes(
                "a verifier is fresh and knows all revocations",
                |model: &Self, state: &State| {
                    model.is_fresh(state) && state.verifier.applied.len() == usize::from(REVOCATIONS)
                },
            ),
            Property::sometimes(
                "a client is told that a revocation is effective",
                |_: &Self, state: &State| {
                    state.issuer.barrier.is_some_and(|(_, answer)| answer == BarrierAnswer::Effective)
                },
            ),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.now <= LAST_TICK
    }
}

#[test]
fn leases_keep_their_promises_in_every_state() {
    let checker = Lease { mutant: None }.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn every_known_mistake_is_refuted() {
    for mutant in MUTANTS {
        let checker = Lease { mutant: Some(mutant) }.checker().threads(2).spawn_bfs().join();
        let broken: Vec<_> = checker
            .discoveries()
            .into_keys()
            .filter(|name| name.starts_with("bound") || name.starts_with("barrier"))
            .collect();
        println!("{mutant:?}: {broken:?}, {} states", checker.unique_state_count());
        assert!(!broken.is_empty(), "{mutant:?} breaks no promise");
    }
}
