//! What one seed's world is like: each draws its own, since what one fault hides in a world that has all of them shows in
//! one that has few.

use std::time::Duration;

use crate::chance::Chance;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Temper {
    pub(crate) verifiers: usize,
    /// How long nothing goes wrong at most.
    pub(crate) between_faults: Duration,
    /// How long somebody does nothing at most.
    pub(crate) between_deeds: Duration,
    /// How slow the disk is at times.
    pub(crate) disk: Duration,
    /// Once in how many messages one is slow.
    pub(crate) slow: u64,
    /// Once in how many messages one is lost or spoilt.
    pub(crate) faulty: u64,
    /// In how many of ten faults the issuer is killed.
    pub(crate) kills: u64,
    /// In how many of ten faults a verifier is.
    pub(crate) restarts: u64,
    /// Whether somebody sets everybody's clocks by a week, forwards and back.
    pub(crate) clocks_are_set: bool,
}

impl Temper {
    pub(crate) fn of(chance: &Chance) -> Self {
        let one_of = |values: &[u64]| *chance.pick(values).expect("there are some");
        let millis = |values: &[u64]| Duration::from_millis(one_of(values));
        let verifiers = usize::try_from(one_of(&[1, 2, 3])).expect("few");
        Self {
            verifiers,
            between_faults: millis(&[300, 1000, 2500]),
            between_deeds: millis(&[40, 120, 400]),
            disk: millis(&[4, 40, 150]),
            slow: one_of(&[3, 8, 20]),
            faulty: one_of(&[10, 40, 200]),
            kills: one_of(&[1, 2, 5]),
            restarts: one_of(&[1, 2, 5]),
            clocks_are_set: chance.once_in(4),
        }
    }
}
