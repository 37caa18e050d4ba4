//! The parameters of one seed's world. Each world draws its own, because a fault that others hide in a world
//! with all of them shows in a world with few.

use std::time::Duration;

use crate::chance::Chance;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) nodes: usize,
    pub(crate) verifiers: usize,
    /// The longest time without a fault.
    pub(crate) between_faults: Duration,
    /// The longest time without an action of a user.
    pub(crate) between_deeds: Duration,
    /// One in this many messages is slow.
    pub(crate) slow: u64,
    /// One in this many messages to the store is lost, and so is one in this many answers.
    pub(crate) lossy: u64,
    /// One in this many messages between a verifier and a node is lost or corrupted.
    pub(crate) faulty: u64,
    /// A node is paused at one in this many looks at its clock.
    pub(crate) pauses: u64,
    /// Of ten faults, the number that kill a node.
    pub(crate) kills: u64,
    /// Of ten faults, the number that cut a node from the store.
    pub(crate) cuts: u64,
    /// Of ten faults, the number that leave a node alone with an old primary.
    pub(crate) isolations: u64,
    /// Of ten faults, the number that make a node's reads of the keys slow.
    pub(crate) slow_keys: u64,
    /// Of ten faults, the number that delay all answers of the store to a node.
    pub(crate) lags: u64,
    /// Of ten faults, the number that apply other settings, and restart all nodes one after the other.
    pub(crate) settings: u64,
    /// Of all deeds, one in this many changes the keys.
    pub(crate) key_changes: u64,
    /// Whether faults are only aimed at leases. These have several steps, which other faults would disturb, and so would
    /// a change of the keys, or an end of everything.
    pub(crate) only_leases: bool,
}

/// One in so many: never.
const NEVER: u64 = 1 << 40;

impl Parameters {
    pub(crate) fn of(chance: &Chance) -> Self {
        let one_of = |values: &[u64]| *chance.pick(values).expect("there are some");
        let millis = |values: &[u64]| Duration::from_millis(one_of(values));
        let count = |values: &[u64]| usize::try_from(one_of(values)).expect("few");
        let parameters = Self {
            nodes: count(&[2, 2, 3]),
            verifiers: count(&[1, 2]),
            between_faults: millis(&[600, 2000, 5000]),
            between_deeds: millis(&[30, 100, 300]),
            slow: one_of(&[10, 40, 200]),
            lossy: one_of(&[40, 200, 2000]),
            faulty: one_of(&[100, 400, 2000]),
            pauses: one_of(&[1000, 5000, NEVER]),
            kills: one_of(&[0, 1, 3]),
            cuts: one_of(&[1, 2, 3]),
            isolations: one_of(&[0, 1, 2]),
            slow_keys: one_of(&[0, 1, 2]),
            lags: one_of(&[0, 0, 1, 2]),
            settings: one_of(&[0, 1]),
            key_changes: one_of(&[4, 8, 16]),
            only_leases: one_of(&[0, 0, 1]) == 1,
        };
        if parameters.only_leases {
            return Self {
                slow: NEVER,
                lossy: NEVER,
                faulty: NEVER,
                pauses: NEVER,
                key_changes: NEVER,
                ..parameters
            };
        }
        parameters
    }
}
