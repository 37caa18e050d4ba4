//! Sliding windows of failures: of each network, and of each account's known devices together. An attempt
//! reserves one of the failures left before it is judged, so that parallel attempts can't fail more often
//! than sequential ones.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::bounded_map::BoundedMap;
use super::{AGAIN_AFTER, Allowance, CounterKey, Window};

/// The failures of all networks of one width, or of all accounts' known devices.
pub(super) struct Windows {
    /// The failures of each, oldest first, as this process's uptime.
    failed: BoundedMap<CounterKey, VecDeque<Duration>>,
    running: HashMap<CounterKey, u32>,
}

/// The most networks or accounts remembered. Beyond it, those that failed longest ago are forgotten.
const REMEMBERED: usize = 1 << 16;

impl Windows {
    pub(super) fn new() -> Self {
        Self { failed: BoundedMap::new(REMEMBERED), running: HashMap::new() }
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// None are left. The error is the time until some are.
    pub(super) fn begin(&mut self, window: Window, uptime: Duration) -> Result<(), Duration> {
        let running = self.running.get(&window.key).copied().unwrap_or(0);
        let Allowance { left, more_after, .. } = self.allowance(window, uptime);
        match left {
            0 => Err(more_after),
            _ if left <= running => Err(AGAIN_AFTER),
            _ => {
                *self.running.entry(window.key).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Ends an attempt.
    pub(super) fn end(&mut self, window: Window) {
        if let Some(running) = self.running.get_mut(&window.key) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(&window.key);
            }
        }
    }

    pub(super) fn failed(&mut self, window: Window, uptime: Duration) {
        let mut failed = self.recent(window, uptime);
        failed.push_back(uptime);
        while failed.len() > window.most as usize {
            failed.pop_front();
        }
        self.failed.put(window.key, failed);
    }

    /// The failures that are left.
    pub(super) fn allowance(&self, window: Window, uptime: Duration) -> Allowance {
        let failed = self.recent(window, uptime);
        let Window { most, span, .. } = window;
        let left = most.saturating_sub(u32::try_from(failed.len()).unwrap_or(u32::MAX));
        let more_after = failed.front().map_or(span, |oldest| (*oldest + span).saturating_sub(uptime));
        Allowance { most, window: span, left, more_after }
    }

    fn recent(&self, window: Window, uptime: Duration) -> VecDeque<Duration> {
        let mut failed = self.failed.of(&window.key).unwrap_or_default();
        failed.retain(|moment| *moment + window.span > uptime);
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::WindowKind;

    const MINUTE: Duration = Duration::from_secs(60);

    fn network(n: u32) -> Window {
        let key = CounterKey(u128::from(n).to_be_bytes());
        Window { kind: WindowKind::Subnet, key, most: 50, span: MINUTE * 10 }
    }

    fn fail(windows: &mut Windows, network: Window, uptime: Duration) -> Result<(), Duration> {
        windows.begin(network, uptime)?;
        windows.end(network);
        windows.failed(network, uptime);
        Ok(())
    }

    #[test]
    fn fifty_failures_exhaust_a_sliding_window() {
        let mut windows = Windows::new();
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
        let mut windows = Windows::new();
        for _ in 0..48 {
            assert_eq!(fail(&mut windows, network(1), MINUTE), Ok(()));
        }
        assert_eq!([0; 3].map(|_| windows.begin(network(1), MINUTE)), [Ok(()), Ok(()), Err(AGAIN_AFTER)]);
        windows.end(network(1));
        assert_eq!(windows.begin(network(1), MINUTE), Ok(()));
    }

    #[test]
    fn a26_least_recent_networks_are_evicted() {
        let mut windows = Windows::new();
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
