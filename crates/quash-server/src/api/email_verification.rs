//! `POST /v1/email-verification`: requests the verification mail again. `POST
//! /v1/email-verification/confirm`: confirms the address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::mailed::{asking, confirming, proof, read, whom};
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn request(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    match read(request, whom).await {
        Ok(whom) => asking(&door, door.service.request_verification(&whom, client.network).await),
        Err(fault) => door.problem(fault),
    }
}

pub(crate) async fn confirm(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    match read(request, |fields| proof(fields, client.network)).await {
        Ok(proof) => confirming(&door, door.service.confirm_verification(&proof).await),
        Err(fault) => door.problem(fault),
    }
}
