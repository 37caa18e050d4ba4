//! How long nobody is asked again after a failure: twice as long each time, and never all at once.

use std::time::Duration;

/// The next delay.
pub(crate) struct Backoff {
    delay: Duration,
    chance: u64,
}

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

impl Backoff {
    /// Delays that are spread by this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { delay: SHORTEST, chance: seed | 1 }
    }

    /// Begins anew: what was asked has answered for a while.
    pub(crate) fn reset(&mut self) {
        self.delay = SHORTEST;
    }

    /// The next delay: from half of it to all of it, so that those who were cut off together don't come back together.
    pub(crate) fn next(&mut self) -> Duration {
        let delay = self.delay;
        self.delay = (delay * 2).min(LONGEST);
        // xorshift64 (Marsaglia 2003): nothing secret hangs on it.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let thousandths = u32::try_from(self.chance % 501).unwrap_or(0);
        delay / 2 + delay * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_are_spread() {
        let mut backoff = Backoff::new(7);
        for whole in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let whole = Duration::from_millis(whole);
            let delay = backoff.next();
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= SHORTEST);
        assert_ne!(Backoff::new(7).next(), Backoff::new(1 << 40).next());
    }
}
