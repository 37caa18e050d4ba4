//! `POST /v1/me/email`: `{"email","password"}` requests a change of address. `POST /v1/me/email/confirm`:
//! sets the new address once it is confirmed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use quash_core::watch::Live;
use zeroize::Zeroizing;

use super::mailed::{asked, confirming, proof, read};
use super::registration::of_fields;
use crate::body::Take;
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn request(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Response {
    let body = read(request, |fields| {
        let email = fields.text("email", Take::Trimmed, usize::MAX);
        (email, Zeroizing::new(fields.text("password", Take::AsSent, limits::PASSWORD_CHARS)))
    });
    let (email, password) = match body.await {
        Ok(read) => read,
        Err(fault) => return door.problem(fault),
    };
    match door.service.request_email_change(&live, &email, client.reproof(password)).await {
        Ok(Ok(flow)) => asked(flow),
        Ok(Err(fault)) => of_fields([("email", Some(fault))]).into_problem(&door.settings),
        Err(failure) => door.fault(&failure).into_problem(&door.settings),
    }
}

pub(crate) async fn confirm(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Response {
    match read(request, |fields| proof(fields, client.network)).await {
        Ok(proof) => match door.service.confirm_email_change(&proof, Some(&live)).await {
            // All sessions of the account have ended.
            Ok(()) => door.without_cookie(confirming(&door, Ok(()))),
            Err(failure) => confirming(&door, Err(failure)),
        },
        Err(fault) => door.problem(fault),
    }
}
