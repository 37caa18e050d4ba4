//! `POST /v1/password-reset`: asks for the mail with which a password is reset. `POST /v1/password-reset/confirm`: sets the
//! new one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use zeroize::Zeroizing;

use super::mailed::{asked, done, proof, whom};
use crate::body::{Fields, Take};
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn request(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    let read = Fields::read(request).await.and_then(|mut fields| {
        let whom = whom(&mut fields);
        fields.done().map(|()| whom)
    });
    match read {
        Ok(whom) => match door.service.request_reset(&whom, client.network).await {
            Ok(flow) => asked(flow),
            Err(failure) => door.fault(&failure).into_problem(&door.settings),
        },
        Err(fault) => door.problem(fault),
    }
}

pub(crate) async fn confirm(State(door): State<Arc<Door>>, request: Request) -> Response {
    let read = Fields::read(request).await.and_then(|mut fields| {
        let proof = proof(&mut fields);
        let password = Zeroizing::new(fields.text("new_password", Take::AsSent, limits::PASSWORD_CHARS));
        fields.done().map(|()| (proof, password))
    });
    match read {
        Ok((proof, password)) => match door.service.confirm_reset(&proof, password).await {
            Ok(()) => done(),
            Err(failure) => door.fault(&failure).into_problem(&door.settings),
        },
        Err(fault) => door.problem(fault),
    }
}
