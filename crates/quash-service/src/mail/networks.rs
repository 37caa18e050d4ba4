//! Counts each network's requests for mails, before anything is looked up or written for them. A request
//! whose mail is never sent also counts.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::limits;

use crate::bounded_map::BoundedMap;
use crate::network::Network;

/// The requests of each network, counted for an hour from its first one. Clients with unknown networks share
/// one count.
pub(crate) struct Networks(Mutex<BoundedMap<Option<Network>, Requests>>);

#[derive(Clone, Copy)]
struct Requests {
    since: Duration,
    count: u32,
}

/// The most networks counted. Beyond it, those whose last counted request is oldest are forgotten; the last
/// half never is.
const NETWORKS: usize = 20_000;

impl Networks {
    /// Counts a request, and returns whether the network may make it.
    pub(crate) fn may_ask(&self, address: Option<IpAddr>, uptime: Duration) -> bool {
        let counted: Vec<Option<Network>> = match address {
            Some(address) => Network::all_of(address).map(Some).collect(),
            None => vec![None],
        };
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_used_up = |network: &Option<Network>| {
            let most = network.map_or(limits::MAILS_WITHOUT_NETWORK, |network| {
                limits::MAILS_PER_NETWORK * network.width().times()
            });
            networks.of(network).is_some_and(|requests| requests.are_recent(uptime) && requests.count >= most)
        };
        if counted.iter().any(is_used_up) {
            return false;
        }
        for network in counted {
            let recent = networks.of(&network).filter(|requests| requests.are_recent(uptime));
            let Requests { since, count } = recent.unwrap_or(Requests { since: uptime, count: 0 });
            networks.put(network, Requests { since, count: count + 1 });
        }
        true
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(NETWORKS)))
    }
}

impl Requests {
    fn are_recent(&self, uptime: Duration) -> bool {
        uptime.saturating_sub(self.since) < limits::MAIL_COUNTED
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOUR: Duration = limits::MAIL_COUNTED;

    fn network(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(0x0800_0000 + n)))
    }

    fn counted(networks: &Networks, network: Option<IpAddr>, at: Duration) -> usize {
        (0..2000).filter(|_| networks.may_ask(network, at)).count()
    }

    #[test]
    fn a71_each_network_has_its_own_hourly_allowance() {
        let networks = Networks::default();
        let most = limits::MAILS_PER_NETWORK as usize;
        assert_eq!(counted(&networks, network(1), HOUR), most);
        assert_eq!(counted(&networks, network(2), HOUR), most);
        assert_eq!(counted(&networks, network(1), HOUR * 2 - Duration::from_millis(1)), 0);
        assert_eq!(counted(&networks, network(1), HOUR * 2), most);
    }

    #[test]
    fn wider_networks_have_limits_of_their_own() {
        let (networks, most) = (Networks::default(), limits::MAILS_PER_NETWORK as usize);
        let counted = |subnets: std::ops::Range<u32>| -> usize {
            subnets.map(|n| counted(&networks, format!("2001:db8:1:{n:x}::1").parse().ok(), HOUR)).sum()
        };
        assert_eq!(counted(0..1), most, "a /64");
        assert_eq!(counted(1..9), most, "its /56 has as many again");
        assert_eq!(counted(0x100..0x110), 2 * most, "another /56");
        assert_eq!(counted(0x200..0x210), 0, "their /48 has no more");
    }

    #[test]
    fn peers_without_a_network_share_an_allowance() {
        let networks = Networks::default();
        assert_eq!(counted(&networks, None, HOUR), limits::MAILS_WITHOUT_NETWORK as usize);
        assert_eq!(counted(&networks, network(1), HOUR), limits::MAILS_PER_NETWORK as usize);
        assert!(networks.may_ask(None, HOUR * 2));
    }

    #[test]
    fn counted_networks_are_limited() {
        let (networks, most) = (Networks::default(), u32::try_from(NETWORKS).expect("a small number"));
        assert_eq!(counted(&networks, network(0), HOUR), limits::MAILS_PER_NETWORK as usize);
        assert!((1..most / 2).all(|n| networks.may_ask(network(n), HOUR)));
        assert!(!networks.may_ask(network(0), HOUR), "one of the last half");
        assert!((most / 2..3 * most).all(|n| networks.may_ask(network(n), HOUR)));
        assert!(networks.0.lock().expect("a count").len() <= NETWORKS);
        assert!(networks.may_ask(network(0), HOUR), "forgotten");
    }
}
