//! Sliding windows of failures: of each network, and of each account's known devices together. An attempt
//! reserves one of the failures left before it is judged, so that parallel attempts can't fail more often
//! than sequential ones.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::slots::AGAIN_AFTER;
use super::tallies::Key;
use crate::bounded_map::BoundedMap;

/// The failures that are left in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The most failures in a window.
    pub most: u32,
    /// The window's length.
    pub window: Duration,
    /// The failures left.
    pub left: u32,
    /// The time until more are left.
    pub more_after: Duration,
}

/// The failures of all networks of one width, or of all accounts' known devices.
pub(super) struct Windows {
    most: u32,
    window: Duration,
    /// The failures of each, oldest first, as this process's uptime.
    failed: BoundedMap<Key, VecDeque<Duration>>,
    running: HashMap<Key, u32>,
}

/// The most networks or accounts remembered. Beyond it, those that failed longest ago are forgotten.
const REMEMBERED: usize = 1 << 16;

impl Windows {
    /// Permits at most this many failures of each in a window.
    pub(super) fn new(most: u32, window: Duration) -> Self {
        Self { most, window, failed: BoundedMap::new(REMEMBERED), running: HashMap::new() }
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// None are left. The error is the time until some are.
    pub(super) fn begin(&mut self, bucket: Key, uptime: Duration) -> Result<(), Duration> {
        let running = self.running.get(&bucket).copied().unwrap_or(0);
        let Allowance { left, more_after, .. } = self.allowance(bucket, uptime);
        match left {
            0 => Err(more_after),
            _ if left <= running => Err(AGAIN_AFTER),
            _ => {
                *self.running.entry(bucket).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Ends an attempt.
    pub(super) fn end(&mut self, bucket: Key) {
        if let Some(running) = self.running.get_mut(&bucket) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(&bucket);
            }
        }
    }

    pub(super) fn failed(&mut self, bucket: Key, uptime: Duration) {
        let mut failed = self.recent(bucket, uptime);
        failed.push_back(uptime);
        while failed.len() > self.most as usize {
            failed.pop_front();
        }
        self.failed.put(bucket, failed);
    }

    /// The failures that are left.
    pub(super) fn allowance(&self, bucket: Key, uptime: Duration) -> Allowance {
        let failed = self.recent(bucket, uptime);
        let left = self.most.saturating_sub(u32::try_from(failed.len()).unwrap_or(u32::MAX));
        let more_after =
            failed.front().map_or(self.window, |oldest| (*oldest + self.window).saturating_sub(uptime));
        Allowance { most: self.most, window: self.window, left, more_after }
    }

    fn recent(&self, bucket: Key, uptime: Duration) -> VecDeque<Duration> {
        let mut failed = self.failed.of(&bucket).unwrap_or_default();
        failed.retain(|moment| *moment + self.window > uptime);
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn network(n: u32) -> Key {
        Key(u128::from(n).to_be_bytes())
    }

    fn fail(windows: &mut Windows, network: Key, uptime: Duration) -> Result<(), Duration> {
        windows.begin(network, uptime)?;
        windows.end(network);
        windows.failed(network, uptime);
        Ok(())
    }

    #[test]
    fn fifty_failures_exhaust_a_sliding_window() {
        let mut windows = Windows::new(50, MINUTE * 10);
        for n in 0..50 {
            assert_eq!(fail(&mut windows, network(1), Duration::from_secs(n * 10)), Ok(()));
        }
        assert_eq!(fail(&mut windows, network(1), MINUTE * 9), Err(MINUTE));
        assert_eq!(fail(&mut windows, network(2), MINUTE * 9), Ok(()));
        assert_eq!(
            fail(&mut windows, network(1), MINUTE * 10 - Duration::from_millis(1)),
            Err(Duration::from_millis(1))
        );
        assert_eq!(fail(&mut windows, network(1), MINUTE * 10), Ok(()));
        assert_eq!(
            fail(&mut windows, network(1), MINUTE * 10),
            Err(Duration::from_secs(10)),
            "a window that moves on"
        );
        let allowance = windows.allowance(network(1), MINUTE * 30);
        assert_eq!((allowance.left, allowance.more_after), (50, MINUTE * 10));
    }

    #[test]
    fn parallel_attempts_reserve_failures_before_judgment() {
        let mut windows = Windows::new(50, MINUTE * 10);
        for _ in 0..48 {
            assert_eq!(fail(&mut windows, network(1), MINUTE), Ok(()));
        }
        assert_eq!([0; 3].map(|_| windows.begin(network(1), MINUTE)), [Ok(()), Ok(()), Err(AGAIN_AFTER)]);
        windows.end(network(1));
        assert_eq!(windows.begin(network(1), MINUTE), Ok(()));
    }

    #[test]
    fn a26_least_recent_networks_are_evicted() {
        let mut windows = Windows::new(50, MINUTE * 10);
        let late = network(u32::MAX);
        assert_eq!(fail(&mut windows, network(0), MINUTE), Ok(()));
        for n in 1..=(REMEMBERED as u32 * 2) {
            assert_eq!(fail(&mut windows, network(n), MINUTE), Ok(()));
            if n % 10_000 == 0 {
                assert_eq!(fail(&mut windows, late, MINUTE), Ok(()));
            }
            assert!(windows.failed.len() <= REMEMBERED);
        }
        assert_eq!(windows.allowance(network(0), MINUTE).left, 50);
        assert_eq!(windows.allowance(late, MINUTE).left, 50 - 13);
        assert!(windows.running.is_empty());
    }
}
