//! Failures of each network within a window that ends now. An attempt takes one of what is left before it is judged, so
//! that parallel ones can't fail more often than sequential ones.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use quash_core::model::LockoutPolicy;

use super::tallies::{Key, Passing};
use super::turns::AGAIN_AFTER;
use crate::network::Network;

/// What a network may still do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// Failures that it may have in a window.
    pub most: u32,
    /// How long that is.
    pub window: Duration,
    /// How many are left.
    pub left: u32,
    /// When there are more.
    pub more_after: Duration,
}

/// The failures of all networks.
pub(super) struct Networks {
    most: u32,
    window: Duration,
    /// When each has failed, oldest first; moments are this process's uptime.
    failed: Passing<VecDeque<Duration>>,
    running: HashMap<Network, u32>,
}

/// How many networks are remembered. Beyond, those that failed longest ago are forgotten.
const NETWORKS: usize = 1 << 16;

impl Networks {
    pub(super) fn new(policy: LockoutPolicy) -> Self {
        let (most, window) = (policy.network_failures, policy.network_window);
        Self { most, window, failed: Passing::new(NETWORKS), running: HashMap::new() }
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// The network has none left: when it will.
    pub(super) fn begin(&mut self, network: Network, uptime: Duration) -> Result<(), Duration> {
        let running = self.running.get(&network).copied().unwrap_or(0);
        let Allowance { left, more_after, .. } = self.allowance(network, uptime);
        match left {
            0 => Err(more_after),
            _ if left <= running => Err(AGAIN_AFTER),
            _ => {
                *self.running.entry(network).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Ends one.
    pub(super) fn end(&mut self, network: Network) {
        if let Some(running) = self.running.get_mut(&network) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(&network);
            }
        }
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, network: Network, uptime: Duration) {
        let mut failed = self.recent(network, uptime);
        failed.push_back(uptime);
        while failed.len() > self.most as usize {
            failed.pop_front();
        }
        self.failed.put(Key(network.bytes()), failed);
    }

    /// What a network may still do.
    pub(super) fn allowance(&self, network: Network, uptime: Duration) -> Allowance {
        let failed = self.recent(network, uptime);
        let left = self.most.saturating_sub(u32::try_from(failed.len()).unwrap_or(u32::MAX));
        let more_after = failed.front().map_or(self.window, |oldest| (*oldest + self.window).saturating_sub(uptime));
        Allowance { most: self.most, window: self.window, left, more_after }
    }

    fn recent(&self, network: Network, uptime: Duration) -> VecDeque<Duration> {
        let mut failed = self.failed.of(Key(network.bytes())).unwrap_or_default();
        failed.retain(|moment| *moment + self.window > uptime);
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn network(n: u32) -> Network {
        std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(n)).into()
    }

    fn fail(networks: &mut Networks, network: Network, uptime: Duration) -> Result<(), Duration> {
        networks.begin(network, uptime)?;
        networks.end(network);
        networks.failed(network, uptime);
        Ok(())
    }

    #[test]
    fn after_fifty_failures_in_ten_minutes_there_is_none_left_until_the_first_is_older() {
        let mut networks = Networks::new(LockoutPolicy::default());
        for n in 0..50 {
            assert_eq!(fail(&mut networks, network(1), Duration::from_secs(n * 10)), Ok(()));
        }
        assert_eq!(fail(&mut networks, network(1), MINUTE * 9), Err(MINUTE));
        assert_eq!(fail(&mut networks, network(2), MINUTE * 9), Ok(()));
        assert_eq!(fail(&mut networks, network(1), MINUTE * 10 - Duration::from_millis(1)), Err(Duration::from_millis(1)));
        assert_eq!(fail(&mut networks, network(1), MINUTE * 10), Ok(()));
        assert_eq!(fail(&mut networks, network(1), MINUTE * 10), Err(Duration::from_secs(10)), "a window that moves on");
        let allowance = networks.allowance(network(1), MINUTE * 30);
        assert_eq!((allowance.left, allowance.more_after), (50, MINUTE * 10));
    }

    #[test]
    fn parallel_attempts_take_what_is_left_before_they_are_judged() {
        let mut networks = Networks::new(LockoutPolicy::default());
        for _ in 0..48 {
            assert_eq!(fail(&mut networks, network(1), MINUTE), Ok(()));
        }
        assert_eq!([0; 3].map(|_| networks.begin(network(1), MINUTE)), [Ok(()), Ok(()), Err(AGAIN_AFTER)]);
        networks.end(network(1));
        assert_eq!(networks.begin(network(1), MINUTE), Ok(()));
    }

    #[test]
    fn a26_networks_are_bounded_and_those_that_failed_longest_ago_go_first() {
        let mut networks = Networks::new(LockoutPolicy::default());
        let late = network(u32::MAX);
        assert_eq!(fail(&mut networks, network(0), MINUTE), Ok(()));
        for n in 1..=(NETWORKS as u32 * 2) {
            assert_eq!(fail(&mut networks, network(n), MINUTE), Ok(()));
            if n % 10_000 == 0 {
                assert_eq!(fail(&mut networks, late, MINUTE), Ok(()));
            }
            assert!(networks.failed.len() <= NETWORKS);
        }
        assert_eq!(networks.allowance(network(0), MINUTE).left, 50);
        assert_eq!(networks.allowance(late, MINUTE).left, 50 - 13);
        assert!(networks.running.is_empty());
    }
}
