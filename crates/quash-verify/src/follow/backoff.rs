//! Delays between attempts after failures: each twice as long as the one before, with jitter.

use std::time::Duration;

/// The state of one sequence of delays.
pub(crate) struct Backoff {
    delay: Duration,
    jitter: u64,
}

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

impl Backoff {
    /// Creates a sequence whose jitter follows from this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { delay: SHORTEST, jitter: seed | 1 }
    }

    /// Starts over after the issuer has answered for a while.
    pub(crate) fn reset(&mut self) {
        self.delay = SHORTEST;
    }

    /// Returns the next delay, with jitter between half of it and all of it, so that verifiers that were
    /// disconnected together don't reconnect together.
    pub(crate) fn next(&mut self) -> Duration {
        let delay = self.delay;
        self.delay = (delay * 2).min(LONGEST);
        // xorshift64 (Marsaglia 2003); the jitter needs no secrecy.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let thousandths = u32::try_from(self.jitter % 501).unwrap_or(0);
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
