//! How many mails each network causes. What is counted is bounded, whoever comes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::limits;

use crate::network::Network;

/// The mails that networks have caused, each since the first one within the hour.
#[derive(Default)]
pub(crate) struct Networks(Mutex<HashMap<Network, Caused>>);

struct Caused {
    since: Duration,
    mails: u32,
}

/// How many networks are counted. Of more, the one is forgotten that has been counted longest.
const NETWORKS: usize = 10_000;

impl Networks {
    /// Whether a network may cause one more mail, which is counted then. Peers whose network says nothing always may.
    pub(crate) fn may_cause(&self, network: Option<IpAddr>, uptime: Duration) -> bool {
        let Some(network) = network.map(Network::from) else { return true };
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if networks.len() >= NETWORKS && !networks.contains_key(&network) {
            networks.retain(|_, caused| uptime.saturating_sub(caused.since) < limits::MAIL_COUNTED);
            let longest = networks.iter().min_by_key(|(_, caused)| caused.since).map(|(network, _)| *network);
            longest.filter(|_| networks.len() >= NETWORKS).and_then(|longest| networks.remove(&longest));
        }
        let caused = networks.entry(network).or_insert(Caused { since: uptime, mails: 0 });
        if uptime.saturating_sub(caused.since) >= limits::MAIL_COUNTED {
            *caused = Caused { since: uptime, mails: 0 };
        }
        let may = caused.mails < limits::MAILS_PER_NETWORK;
        caused.mails += u32::from(may);
        may
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

    #[test]
    fn a71_a_network_causes_so_many_mails_an_hour_and_others_have_theirs() {
        let networks = Networks::default();
        let caused = |n, at| (0..200).filter(|_| networks.may_cause(network(n), at)).count();
        let most = limits::MAILS_PER_NETWORK as usize;
        assert_eq!(caused(1, HOUR), most);
        assert_eq!(caused(2, HOUR), most);
        assert_eq!(caused(1, HOUR * 2 - Duration::from_millis(1)), 0);
        assert_eq!(caused(1, HOUR * 2), most);
        assert!((0..200).all(|_| networks.may_cause(None, HOUR)));
    }

    #[test]
    fn as_many_networks_are_counted_as_there_is_room_for() {
        let networks = Networks::default();
        for n in 0..3 * u32::try_from(NETWORKS).expect("a small number") {
            assert!(networks.may_cause(network(n), Duration::from_millis(u64::from(n))));
        }
        assert_eq!(networks.0.lock().expect("a count").len(), NETWORKS);
    }
}
