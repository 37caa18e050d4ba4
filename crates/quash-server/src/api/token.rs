//! `POST /api/token/`: sign in. `{"username","password"}` gives `{"refresh","access"}`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use quash_core::decide::Device;
use quash_core::model::limits;
use quash_service::{Attempt, Pair};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::answer::token_json;
use crate::body::{BodyFault, Fields, Take};
use crate::door::Door;
use crate::error::Fault;

#[derive(Serialize)]
struct Obtained {
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    access: String,
}

pub(crate) async fn obtain(State(door): State<Arc<Door>>, peer: Option<Extension<SocketAddr>>, request: Request) -> Response {
    let address = peer.map(|Extension(peer)| peer.ip().to_canonical());
    let device = Device { user_agent: user_agent(request.headers()), address: address.map(|address| address.to_string()) };
    let (name, password) = match credentials(request).await {
        Ok(credentials) => credentials,
        Err(fault) => return door.answer(fault.into()),
    };
    let network = address.filter(|address| is_public(*address));
    match door.service.sign_in(Attempt { name, password, device, network }).await {
        Ok(Pair { access, refresh }) => token_json(StatusCode::OK, &Obtained { refresh, access }),
        Err(failure) => door.answer(Fault::of(&failure)),
    }
}

async fn credentials(request: Request) -> Result<(String, Zeroizing<String>), BodyFault> {
    let mut fields = Fields::read(request).await?;
    let name = fields.text("username", Take::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("password", Take::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| (name, password))
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
