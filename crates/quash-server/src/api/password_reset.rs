//! `POST /v1/password-reset`: requests the password-reset mail. `POST /v1/password-reset/confirm`: sets the
//! new password.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use zeroize::Zeroizing;

use super::mailed::{asking, confirming, proof, read, whom};
use crate::body::Take;
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn request(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    match read(request, whom).await {
        Ok(whom) => asking(&door, door.service.request_reset(&whom, client.network).await),
        Err(fault) => door.problem(fault),
    }
}

pub(crate) async fn confirm(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    let body = read(request, |fields| {
        (
            proof(fields, client.network),
            Zeroizing::new(fields.text("new_password", Take::AsSent, limits::PASSWORD_CHARS)),
        )
    });
    match body.await {
        Ok((proof, password)) => {
            confirming(&door, door.service.confirm_reset(&proof, password, client.network).await)
        }
        Err(fault) => door.problem(fault),
    }
}
