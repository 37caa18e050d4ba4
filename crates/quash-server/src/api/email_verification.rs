//! `POST /v1/email-verification`: asks again for the mail with which an address is confirmed. `POST
//! /v1/email-verification/confirm`: confirms it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::mailed::{asked, done, proof, whom};
use crate::body::Fields;
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn request(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    let read = Fields::read(request).await.and_then(|mut fields| {
        let whom = whom(&mut fields);
        fields.done().map(|()| whom)
    });
    match read {
        Ok(whom) => match door.service.request_verification(&whom, client.network).await {
            Ok(flow) => asked(flow),
            Err(failure) => door.fault(&failure).into_problem(&door.settings),
        },
        Err(fault) => door.problem(fault),
    }
}

pub(crate) async fn confirm(State(door): State<Arc<Door>>, request: Request) -> Response {
    let read = Fields::read(request).await.and_then(|mut fields| {
        let proof = proof(&mut fields);
        fields.done().map(|()| proof)
    });
    match read {
        Ok(proof) => match door.service.confirm_verification(&proof).await {
            Ok(()) => done(),
            Err(failure) => door.fault(&failure).into_problem(&door.settings),
        },
        Err(fault) => door.problem(fault),
    }
}
