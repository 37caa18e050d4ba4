//! What a request tells about who sends it: its user agent, its address, and the network whose places in the queue for
//! passwords are counted.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;
use quash_core::decide::Device;

/// Who sends a request, as far as it tells.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pub(crate) device: Device,
    pub(crate) network: Option<IpAddr>,
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<SocketAddr>().map(|peer| peer.ip().to_canonical());
        let device = Device { user_agent: user_agent(&parts.headers), address: address.map(|address| address.to_string()) };
        Ok(Self { device, network: address.filter(|address| is_public(*address)) })
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
