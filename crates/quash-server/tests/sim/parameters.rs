//! The parameters of one seed's world. Each world draws its own, because a fault that others hide in a world
//! with all of them shows in a world with few.

use std::time::Duration;

use crate::chance::Chance;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) verifiers: usize,
    /// The longest time without a fault.
    pub(crate) between_faults: Duration,
    /// The longest time without an action of a user.
    pub(crate) between_deeds: Duration,
    /// The delay of the disk's slow periods.
    pub(crate) disk: Duration,
    /// One in this many messages is slow.
    pub(crate) slow: u64,
    /// One in this many messages is lost or corrupted.
    pub(crate) faulty: u64,
    /// Of ten faults, the number that kill the issuer.
    pub(crate) kills: u64,
    /// Of ten faults, the number that kill a verifier.
    pub(crate) restarts: u64,
    /// Set if all clocks are moved by a week, forwards and back.
    pub(crate) clocks_are_set: bool,
    /// The seconds by which the shop's clock is ahead of the others.
    pub(crate) shop_is_ahead: i64,
}

impl Parameters {
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
            shop_is_ahead: *chance.pick(&[-2, 0, 0, 2]).expect("there are some"),
        }
    }
}
