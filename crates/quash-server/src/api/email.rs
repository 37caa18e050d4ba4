//! `POST /v1/me/email`: `{"email","password"}` asks for another address. `POST /v1/me/email/confirm`: gives it, once it is
//! confirmed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use quash_core::watch::Live;
use zeroize::Zeroizing;

use super::mailed::{asked, done, proof};
use super::registration::of_fields;
use crate::body::{Fields, Take};
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn request(State(door): State<Arc<Door>>, Extension(live): Extension<Live>, client: Client, request: Request) -> Response {
    let read = Fields::read(request).await.and_then(|mut fields| {
        let email = fields.text("email", Take::Trimmed, usize::MAX);
        let password = Zeroizing::new(fields.text("password", Take::AsSent, limits::PASSWORD_CHARS));
        fields.done().map(|()| (email, password))
    });
    let (email, password) = match read {
        Ok(read) => read,
        Err(fault) => return door.problem(fault),
    };
    match door.service.request_email_change(&live, &email, password, client.network).await {
        Ok(Ok(flow)) => asked(flow),
        Ok(Err(fault)) => of_fields([("email", Some(fault))]).into_problem(&door.settings),
        Err(failure) => door.fault(&failure).into_problem(&door.settings),
    }
}

pub(crate) async fn confirm(State(door): State<Arc<Door>>, Extension(live): Extension<Live>, request: Request) -> Response {
    let read = Fields::read(request).await.and_then(|mut fields| {
        let proof = proof(&mut fields);
        fields.done().map(|()| proof)
    });
    match read {
        Ok(proof) => match door.service.confirm_email_change(&proof, Some(&live)).await {
            Ok(()) => done(),
            Err(failure) => door.fault(&failure).into_problem(&door.settings),
        },
        Err(fault) => door.problem(fault),
    }
}
