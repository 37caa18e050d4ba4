//! Extracts the client's details from a request: its user agent, its address, its device token, and the
//! network that counts its failed sign-ins and its places in the password queue.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;
use quash_core::decide::Device;
use quash_service::{DeviceTokenInput, subscriber};

use crate::request::device::{self, DeviceTokenTransport};
use crate::request::forwarding::{ClientAddr, client_addr, is_forwarded};
use crate::state::AppState;

/// The client of a request, as far as the request reveals it.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pub(crate) device: Device,
    pub(crate) network: Option<IpAddr>,
    pub(crate) device_token: DeviceTokenInput,
    /// The way to return a device token.
    pub(crate) transport: DeviceTokenTransport,
}

impl FromRequestParts<Arc<AppState>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<SocketAddr>().copied();
        let settings = &state.settings;
        let (address, network) =
            match client_addr(peer, &parts.headers, &settings.trusted_proxies, settings.forwarding_header) {
                ClientAddr::Forwarded(address) => (Some(address), Some(address)),
                ClientAddr::Peer(address) => {
                    (Some(address), Some(address).filter(|address| is_public(*address)))
                }
                ClientAddr::Unknown => (None, None),
            };
        // The proxy isn't trusted, or doesn't write the configured header: all clients behind it would count
        // as one.
        if network.is_none() && is_forwarded(&parts.headers) {
            state.warn_of_forwarding();
        }
        let device = Device {
            user_agent: user_agent(&parts.headers),
            address: address.map(|address| address.to_string()),
        };
        let (device_token, transport) = device::read_device_token(&parts.headers);
        Ok(Self { device, network, device_token, transport })
    }
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Returns whether an address distinguishes networks. An untrusted proxy or translator at a loopback, private
/// or shared address represents all clients behind it.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match subscriber(address) {
        IpAddr::V4(address) => {
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared(address))
        }
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local())
        }
    }
}

/// Returns whether many clients share an address: carrier-grade NAT (RFC 6598: 100.64.0.0/10), which clouds
/// and overlay networks use too, and the range for benchmarks (RFC 2544: 198.18.0.0/15), which local proxies
/// use.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    (first == 100 && second & 0xc0 == 64) || (first == 198 && second & 0xfe == 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_addresses_identify_no_network() {
        let is_public = |text: &str| is_public(text.parse().expect("an address"));
        for shared in [
            "127.0.0.1",
            "10.0.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.0.1",
            "100.64.0.0",
            "100.127.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:100.64.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::100.64.0.1",
            "2002:a00:1::1",
        ] {
            assert!(!is_public(shared), "{shared}");
        }
        for public in [
            "100.63.255.255",
            "100.128.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "192.0.2.1",
            "2001:db8::1",
            "64:ff9b::192.0.2.1",
            "2002:c000:201::1",
        ] {
            assert!(is_public(public), "{public}");
        }
    }
}
