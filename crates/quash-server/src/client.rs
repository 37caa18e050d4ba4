//! What a request tells about who sends it: its user agent, its address, its device token, and the network whose failures and whose places
//! in the queue for passwords are counted.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;
use quash_core::decide::Device;
use quash_service::DeviceSaid;

use crate::device::{self, Carrier};
use crate::door::Door;
use crate::forwarding::{Whence, is_forwarded, whence};

/// Who sends a request, as far as it tells.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pub(crate) device: Device,
    pub(crate) network: Option<IpAddr>,
    pub(crate) device_token: DeviceSaid,
    /// How a device token goes back.
    pub(crate) carrier: Carrier,
}

impl FromRequestParts<Arc<Door>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<SocketAddr>().copied();
        let settings = &door.settings;
        let (address, network) = match whence(peer, &parts.headers, &settings.trusted_proxies, settings.forwarding_header) {
            Whence::Told(address) => (Some(address), Some(address)),
            Whence::Peer(address) => (Some(address), Some(address).filter(|address| is_public(*address))),
            Whence::Nowhere => (None, None),
        };
        // A proxy that isn't named, or that doesn't write the header that is read: all behind it would be one client.
        if network.is_none() && is_forwarded(&parts.headers) {
            door.tell_of_forwarding();
        }
        let device = Device { user_agent: user_agent(&parts.headers), address: address.map(|address| address.to_string()) };
        let (device_token, carrier) = device::said(&parts.headers);
        Ok(Self { device, network, device_token, carrier })
    }
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Whether an address tells networks apart. A proxy on a loopback or private address that nobody told us to trust
/// stands for everybody behind it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_private() || address.is_link_local()),
        IpAddr::V6(address) => !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()),
    }
}
