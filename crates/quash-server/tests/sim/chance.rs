//! Random choices that follow from a seed.

use std::sync::Mutex;
use std::time::Duration;

/// A sequence of numbers (SplitMix64).
pub(crate) struct Chance(Mutex<u64>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// A separate sequence for a task, so that its numbers don't depend on other tasks.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.below(u64::MAX))
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.lock().expect("nobody panics while drawing");
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    /// Returns true once in this many times on average.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn millis(&self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }

    /// The delay of a message: mostly short, and once in this many times longer, or much longer.
    pub(crate) fn delay(&self, slow: u64) -> Duration {
        match (self.once_in(slow), self.once_in(3)) {
            (true, true) => self.millis(3000),
            (true, false) => self.millis(200),
            (false, _) => self.millis(8),
        }
    }

    /// The id of a token.
    pub(crate) fn jti(&self) -> String {
        format!("{:016x}{:016x}", self.below(u64::MAX), self.below(u64::MAX))
    }

    /// Picks one of them.
    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(of.len().max(1) as u64)).ok()?;
        of.get(index)
    }
}
