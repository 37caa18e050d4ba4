//! `/admin/v1/clients`: lists, adds, changes and removes clients, for a client with the right `clients`. It gives no
//! right that it doesn't have itself. A secret is shown once.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::ETAG;
use quash_core::model::{Client, ClientName, StoredClient};
use quash_service::{ClientAuthor, ClientFault, ClientUpdate, NewClient};
use serde_json::json as value;

use super::client_shapes::{
    ClientShown, ClientValuesSent, ClientsShown, NewClientSent, SecretShown, expiry, rights,
};
use crate::api::no_content;
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body::WholeRequest;
use crate::request::idempotency::{describe_key, idempotency_key, once};
use crate::request::if_match::{describe_if_match, if_match};
use crate::request::items::{ItemError, parse};
use crate::request::query::{Query, limit_schema};
use crate::response::{json, with_header};
use crate::state::AppState;

pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let query = Query::read(query.as_deref(), &["limit", "cursor"])?;
    let fault = |_| HttpError::of_field("cursor", "Not a `next` of this list.");
    let after = query.get("cursor").map(ClientName::parse).transpose().map_err(fault)?;
    let limit = query.limit()?;
    let page = state.service.clients(after.as_ref(), limit).await?;
    let is_full = u32::try_from(page.len()).is_ok_and(|found| found == limit);
    let next = page.last().filter(|_| is_full).map(|stored| stored.client.name.to_string());
    Ok(json(StatusCode::OK, &ClientsShown { items: page.iter().map(ClientShown::new).collect(), next }))
}

pub(crate) async fn show(
    State(state): State<Arc<AppState>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, HttpError> {
    let name = named(name)?;
    let stored = state.service.client_named(name.as_str()).await?.ok_or_else(unknown)?;
    Ok(tagged(&stored))
}

pub(crate) async fn add(
    State(state): State<Arc<AppState>>,
    Extension(author): Extension<Client>,
    request: Request,
) -> Result<Response, HttpError> {
    let key = idempotency_key(request.headers())?;
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let sent: NewClientSent<'_> = parse(&body, "an object with the client's values")?;
    let (name, namespace, rights, expires_at) = (|| {
        let name = sent.name.read::<String>("name", "a text")?;
        let name = name.ok_or_else(|| wrong("name", "This field is required."))?;
        let namespace = sent.namespace.read::<String>("namespace", "a text")?;
        let rights = rights(sent.rights)?;
        if rights.is_some() == namespace.is_some() {
            return Err(wrong("rights", "Send either `rights` or `namespace`."));
        }
        Ok((name, namespace, rights.unwrap_or_default(), expiry(sent.expires_at)?))
    })()
    .map_err(of_member)?;
    let new = NewClient { name: &name, rights, namespace: namespace.as_deref(), expires_at };
    once(&state, &author, key, "POST /admin/v1/clients", async {
        let added = state.service.create_client(new, ClientAuthor::Client(&author), None).await;
        let (client, secret) = added.map_err(refused)?;
        let client = ClientShown::new(&StoredClient { client, last_used_at: None });
        let secret = secret.into_text().to_string();
        Ok((StatusCode::CREATED, SecretShown { client, secret }))
    })
    .await
}

pub(crate) async fn change(
    State(state): State<Arc<AppState>>,
    Extension(author): Extension<Client>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let headers = request.headers().clone();
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let sent: ClientValuesSent<'_> = parse(&body, "an object with the values to change")?;
    let update = ClientUpdate {
        rights: rights(sent.rights).map_err(of_member)?,
        expires_at: match sent.expires_at.is_null() {
            true => Some(None),
            false => expiry(sent.expires_at).map_err(of_member)?.map(Some),
        },
    };
    let name = named(name)?;
    let meant = |client: &Client| {
        if if_match(&headers, &etag(client)) { Ok(()) } else { Err(ClientFault::Changed) }
    };
    let author = ClientAuthor::Client(&author);
    state.service.change_client(name.as_str(), update, meant, author, None).await.map_err(refused)?;
    let stored = state.service.client_named(name.as_str()).await?.ok_or_else(unknown)?;
    Ok(tagged(&stored))
}

pub(crate) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(author): Extension<Client>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let name = named(name)?;
    let headers = request.headers();
    let meant = |client: &Client| {
        if if_match(headers, &etag(client)) { Ok(()) } else { Err(ClientFault::Changed) }
    };
    let author = ClientAuthor::Client(&author);
    state.service.remove_client_if(name.as_str(), meant, author, None).await.map_err(refused)?;
    Ok(no_content())
}

pub(crate) async fn renew_secret(
    State(state): State<Arc<AppState>>,
    Extension(author): Extension<Client>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let name = named(name)?;
    let headers = request.headers();
    let key = idempotency_key(headers)?;
    let meant = |client: &Client| {
        if if_match(headers, &etag(client)) { Ok(()) } else { Err(ClientFault::Changed) }
    };
    once(&state, &author, key, &format!("POST /admin/v1/clients/{name}/secret"), async {
        let author = ClientAuthor::Client(&author);
        let renewed = state.service.renew_client_secret(name.as_str(), meant, author, None).await;
        let (client, secret) = renewed.map_err(refused)?;
        let last_used_at =
            state.service.client_named(name.as_str()).await?.and_then(|stored| stored.last_used_at);
        let client = ClientShown::new(&StoredClient { client, last_used_at });
        let secret = secret.into_text().to_string();
        Ok((StatusCode::OK, SecretShown { client, secret }))
    })
    .await
}

/// A client with its entity tag.
fn tagged(stored: &StoredClient) -> Response {
    with_header(json(StatusCode::OK, &ClientShown::new(stored)), ETAG, &etag(&stored.client))
}

/// Returns the entity tag of a client: another one after each change, and for another client of the same name.
fn etag(client: &Client) -> String {
    format!("\"{:x}-{}\"", client.created_at.as_millis(), client.version)
}

fn named(name: Result<Path<String>, PathRejection>) -> Result<ClientName, HttpError> {
    name.ok().and_then(|Path(name)| ClientName::parse(&name).ok()).ok_or_else(unknown)
}

fn unknown() -> HttpError {
    HttpError::new(Code::NotFound, "There is no client of this name.")
}

fn wrong(member: &'static str, text: &str) -> ItemError {
    ItemError { member, text: text.to_owned() }
}

fn of_member(error: ItemError) -> HttpError {
    HttpError::of_field(error.member, &error.text)
}

/// The response to a change that is refused.
fn refused(fault: ClientFault) -> HttpError {
    match fault {
        ClientFault::Failed(failure) => failure.into(),
        ClientFault::Unknown => unknown(),
        ClientFault::NotGranted(right) => HttpError::missing_right(right),
        ClientFault::ExpiryNotGranted => HttpError::new(
            Code::RightRequired,
            "The credential expires earlier than the client's secret would: it can't give a later expiry than its own.",
        ),
        ClientFault::Author => HttpError::credential_not_valid(),
        ClientFault::Changed => {
            HttpError::new(Code::VersionDiffers, "The client isn't the version that If-Match names.")
        }
        ClientFault::Taken => {
            HttpError::new(Code::ClientTaken, "There is a client or a verifier of this name already.")
        }
        ClientFault::Name(_) => HttpError::of_field("name", &sentence(&fault)),
        ClientFault::Namespace => HttpError::of_field(
            "namespace",
            "The settings have no such namespace: write it into a section [foreign.<name>].",
        ),
        ClientFault::Rights | ClientFault::NamespaceRights | ClientFault::Public => {
            HttpError::of_field("rights", &sentence(&fault))
        }
        ClientFault::Expiry => HttpError::of_field("expires_at", "Must be in the future."),
    }
}

/// Returns the text of a fault as a sentence.
fn sentence(fault: &ClientFault) -> String {
    let text = fault.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}.", first.map(String::from).unwrap_or_default(), characters.as_str())
}

pub(crate) fn describe_list() -> Operation {
    Operation::new(Tag::Clients, "listClients", "Lists clients and verifiers")
        .query("limit", limit_schema(), "The most clients of one page.")
        .query("cursor", value!({ "type": "string" }), "The `next` of the page before.")
        .answers::<ClientsShown>(StatusCode::OK, "A page of clients.")
}

pub(crate) fn describe_add() -> Operation {
    let operation = Operation::new(Tag::Clients, "addClient", "Adds a client")
        .text("The credential needs each right that it gives, too, and expires no earlier.")
        .exact_json_body::<NewClientSent<'_>>()
        .answers::<SecretShown>(StatusCode::CREATED, "The client, with its secret.")
        .refuses(&[Code::ClientTaken]);
    describe_key(operation)
}

pub(crate) fn describe_show() -> Operation {
    of_client(Operation::new(Tag::Clients, "showClient", "Shows a client"))
        .answers::<ClientShown>(StatusCode::OK, "The client.")
        .answers_header(StatusCode::OK, "ETag", entity_tag())
}

pub(crate) fn describe_change() -> Operation {
    let operation = Operation::new(Tag::Clients, "changeClient", "Changes a client's rights and expiry")
        .text("The credential needs each right that the client then has, too, and expires no earlier.")
        .exact_json_body::<ClientValuesSent<'_>>()
        .answers::<ClientShown>(StatusCode::OK, "The client with its new values.")
        .answers_header(StatusCode::OK, "ETag", entity_tag());
    describe_if_match(of_client(operation))
}

pub(crate) fn describe_remove() -> Operation {
    let operation = Operation::new(Tag::Clients, "removeClient", "Removes a client")
        .answers_empty("The client's secret is no longer accepted.");
    describe_if_match(of_client(operation))
}

pub(crate) fn describe_renew_secret() -> Operation {
    let operation = Operation::new(Tag::Clients, "renewClientSecret", "Gives a client a new secret")
        .text("The secret before is no longer accepted. The credential needs each right of the client, too.")
        .answers::<SecretShown>(StatusCode::OK, "The client, with its new secret.")
        .refuses(&[Code::InvalidRequest]);
    describe_key(describe_if_match(of_client(operation)))
}

fn of_client(operation: Operation) -> Operation {
    operation.in_path("name", "The client's name.").refuses(&[Code::NotFound])
}

fn entity_tag() -> serde_json::Value {
    value!({ "description": "The version, for `If-Match`.", "schema": { "type": "string" } })
}
