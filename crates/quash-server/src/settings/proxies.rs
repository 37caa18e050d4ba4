//! The proxies that the operator trusts, and the header in which they pass on the client's address.
//! `request/forwarding.rs` reads it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::request::client_info::is_public;

/// Addresses of proxies: a network, or the peers of the unix socket.
///
/// ```
/// use quash_server::{Proxies, ProxiesFault};
/// assert!(Proxies::parse("10.0.0.0/8").is_ok());
/// assert_eq!(Proxies::parse("0.0.0.0/0"), Err(ProxiesFault::AllAddresses));
/// assert_eq!(Proxies::parse("10.0.0.1/8"), Err(ProxiesFault::BeyondThePrefix));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proxies {
    /// All addresses with this prefix.
    Network(IpNet),
    /// Every peer of the unix socket.
    UnixSocket,
}

/// The reason why a text isn't a valid set of proxies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxiesFault {
    /// Neither an address nor a network.
    NotANetwork,
    /// The address has bits beyond the prefix.
    BeyondThePrefix,
    /// The network contains every address, so every client would be trusted.
    AllAddresses,
}

/// The header in which proxies pass on the client's address. The other one isn't read: a proxy that writes
/// one may pass on the other unchanged from the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Proxies {
    /// Reads an address, a network or `unix`.
    ///
    /// # Errors
    /// The text is none of them, or covers every address.
    pub fn parse(text: &str) -> Result<Self, ProxiesFault> {
        if text == "unix" {
            return Ok(Self::UnixSocket);
        }
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network: IpNet = network.map_err(|_| ProxiesFault::NotANetwork)?;
        if network.prefix_len() == 0 {
            return Err(ProxiesFault::AllAddresses);
        }
        if network.addr() != network.network() {
            return Err(ProxiesFault::BeyondThePrefix);
        }
        Ok(Self::Network(network))
    }

    /// The number of bits in which the addresses of the network differ; 0 for the unix socket.
    pub fn host_bits(self) -> u8 {
        match self {
            Self::Network(network) => network.max_prefix_len() - network.prefix_len(),
            Self::UnixSocket => 0,
        }
    }

    /// Returns whether the network has addresses of the internet.
    pub fn is_public(self) -> bool {
        let Self::Network(network) = self else { return false };
        // No private range is wider than 10.0.0.0/8 or fc00::/7.
        let widest = if network.addr().is_ipv4() { 8 } else { 7 };
        network.prefix_len() < widest || is_public(network.network()) || is_public(network.broadcast())
    }

    pub(crate) fn has(self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::UnixSocket, None) => true,
            (Self::Network(network), Some(address)) => network.contains(&address),
            _ => false,
        }
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::UnixSocket => f.write_str("unix"),
        }
    }
}

impl fmt::Display for ProxiesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANetwork => "is neither an IP address nor a network",
            Self::BeyondThePrefix => "has bits beyond its prefix",
            Self::AllAddresses => "would trust every client",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn proxy_settings_are_parsed_strictly() {
        for text in
            ["10.0.0.0/8", "10.0.0.1", "10.0.0.1/32", "128.0.0.0/1", "::1", "fd00::/8", "8000::/1", "unix"]
        {
            assert!(Proxies::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "localhost",
            "10.0.0.0/8/8",
            " 10.0.0.1",
            "fe80::1%eth0",
        ] {
            assert_eq!(Proxies::parse(text), Err(ProxiesFault::NotANetwork), "{text}");
        }
        for text in ["10.0.0.1/31", "10.128.0.0/8", "fd00::1/127", "1.0.0.0/1"] {
            assert_eq!(Proxies::parse(text), Err(ProxiesFault::BeyondThePrefix), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "1.2.3.4/0"] {
            assert_eq!(Proxies::parse(text), Err(ProxiesFault::AllAddresses), "{text}");
        }
    }

    #[test]
    fn networks_include_exactly_their_addresses() {
        let network = |text: &str| Proxies::parse(text).expect("a network");
        for (text, inside, outside) in [
            ("10.8.0.0/13", ["10.8.0.0", "10.15.255.255"], ["10.7.255.255", "10.16.0.0"]),
            ("10.0.0.4", ["10.0.0.4", "10.0.0.4"], ["10.0.0.3", "10.0.0.5"]),
            (
                "2001:db8::/33",
                ["2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"],
                ["2001:db7:ffff::", "2001:db8:8000::"],
            ),
            ("128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "::8000:0"]),
        ] {
            assert!(inside.into_iter().all(|address| network(text).has(Some(ip(address)))), "{text}");
            assert!(!outside.into_iter().any(|address| network(text).has(Some(ip(address)))), "{text}");
            assert!(!network(text).has(None), "{text}");
        }
    }
}
