//! `GET /admin/v1/accounts`: a page of accounts, by a prefix of their names or addresses, or by their state.
//! `POST /admin/v1/accounts`: adds one. `GET /admin/v1/accounts/{subject}`: shows one. `api/accounts.rs` changes one.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::LOCATION;
use quash_core::model::{Account, AccountState, AccountStatus, Actor, Client, Timestamp, fold};
use quash_service::{AccountSearch, AddFault, NewAccount, NewPassword, NewState, UniqueField, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json as value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{account_of, subject_of, wrong};
use crate::api::accounts::{field_of, sentence, text};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::account_tag::{describe_tag, tagged};
use crate::request::body::WholeRequest;
use crate::request::items::{ItemError, Member, parse};
use crate::request::query::{self, Order, Query, cursor_after};
use crate::response::{json, with_header};
use crate::state::AppState;

const STATES: &[(&str, AccountStatus)] = &[
    ("active", AccountStatus::Active),
    ("unverified", AccountStatus::Unverified),
    ("locked", AccountStatus::Locked),
    ("deactivated", AccountStatus::Deactivated),
];

/// A page of accounts.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountList)]
struct List<'a> {
    items: Vec<AccountDetails<'a>>,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next: Option<String>,
}

/// An account as operators see it. Passwords are never shown.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountDetails<'a> {
    subject: &'a str,
    username: &'a str,
    #[schema(required = true)]
    email: Option<&'a str>,
    #[schema(required = true, format = DateTime)]
    email_verified_at: Option<String>,
    /// `active`, `unverified`, `locked` or `deactivated`.
    state: &'static str,
    #[schema(required = true, format = DateTime)]
    locked_until: Option<String>,
    password_usable: bool,
    /// The expiry of a temporary password.
    #[schema(required = true, format = DateTime)]
    password_change_until: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The last sign-in, if that is recorded.
    #[schema(required = true, format = DateTime)]
    last_login_at: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    claims: Map<String, Value>,
}

/// An account to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
struct New<'a> {
    #[schema(value_type = String)]
    #[serde(borrow, default)]
    username: Member<'a>,
    /// Without one, quash makes it.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    subject: Member<'a>,
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    email: Member<'a>,
    #[schema(value_type = Option<bool>)]
    #[serde(borrow, default)]
    email_verified: Member<'a>,
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    password: Member<'a>,
    /// The hash of the password, as Django or quash writes it, instead of the password.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    password_hash: Member<'a>,
    /// `active` or `deactivated`.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    state: Member<'a>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    #[serde(borrow, default)]
    claims: Member<'a>,
}

pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let query = Query::read(query.as_deref(), &["name", "email", "state", "limit", "cursor"])?;
    for field in ["name", "email"] {
        // Folded, it would be empty: all accounts begin with that.
        let is_wrong = |text: &str| text.contains('\0') || (!text.is_empty() && fold(text).is_empty());
        if query.get(field).is_some_and(is_wrong) {
            return Err(HttpError::of_field(field, "Must not be blank or contain U+0000."));
        }
    }
    let status = query.get("state").map(|word| STATES.iter().find(|(name, _)| *name == word));
    let status = match status {
        Some(None) => {
            let fault = "Must be `active`, `unverified`, `locked` or `deactivated`.";
            return Err(HttpError::of_field("state", fault));
        }
        Some(Some((_, status))) => Some(*status),
        None => None,
    };
    let (search, order) = match (query.get("name"), query.get("email"), status) {
        (None, Some(prefix), None) => (AccountSearch::Email { prefix: prefix.to_owned() }, Order::Email),
        (_, Some(_), _) => {
            return Err(HttpError::of_field("email", "Send it without `name` and `state`."));
        }
        (name, None, status) => {
            (AccountSearch::Name { prefix: name.unwrap_or_default().to_owned(), status }, Order::Name)
        }
    };
    let after = query.cursor(order)?;
    let page = state.service.search_accounts(search, after.as_deref(), query.limit()?).await?;
    let now = state.service.now();
    let items = page.accounts.iter().map(|account| AccountDetails::of(account, now)).collect();
    let next = page.next.as_deref().map(|place| cursor_after(order, place));
    Ok(json(StatusCode::OK, &List { items, next }))
}

pub(crate) async fn show(
    State(state): State<Arc<AppState>>,
    subject: Result<Path<String>, PathRejection>,
) -> Result<Response, HttpError> {
    let account = account_of(&state, &subject_of(subject)?).await?;
    let shown = json(StatusCode::OK, &AccountDetails::of(&account, state.service.now()));
    Ok(tagged(shown, &account))
}

/// Shows the account whose subject is `batch`.
pub(crate) async fn show_batch(state: State<Arc<AppState>>) -> Result<Response, HttpError> {
    show(state, Ok(Path("batch".to_owned()))).await
}

pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, HttpError> {
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let new: New<'_> = parse(&body, "`username`")?;
    let new = || new.read().map_err(|error| wrong(&error));
    let added = state.service.add_account_by(new()?, Actor::Client(client.name.clone())).await;
    let account = match added {
        Ok(account) => account,
        Err(AddFault::Failed(failure)) => return Err(failure.into()),
        Err(AddFault::Value(fault)) => {
            return Err(HttpError::of_field(field_of(&fault), &sentence(fault.to_string())));
        }
        Err(AddFault::Taken) => {
            let detail = match state.service.taken_field(&new()?).await? {
                UniqueField::Username => "Another account has this name, or has it as its subject.",
                UniqueField::Email => "Another account has this e-mail address.",
                UniqueField::Subject => "An account has or had this subject, or has it as its name.",
            };
            return Err(HttpError::new(Code::Conflict, detail));
        }
    };
    let shown = json(StatusCode::CREATED, &AccountDetails::of(&account, state.service.now()));
    let path: String = form_urlencoded::byte_serialize(account.subject.as_str().as_bytes()).collect();
    // Form encoding writes spaces as plus signs, which are literal in a path.
    let path = format!("/admin/v1/accounts/{}", path.replace('+', "%20"));
    Ok(tagged(with_header(shown, LOCATION, &path), &account))
}

impl New<'_> {
    fn read(&self) -> Result<NewAccount, ItemError> {
        let name = text("username", self.username)?;
        let name = name.ok_or_else(|| fault("username", "This field is required."))?;
        let password = text("password", self.password)?.map(Zeroizing::new);
        let hash = text("password_hash", self.password_hash)?.map(Zeroizing::new);
        let password = match (password, hash) {
            (Some(_), Some(_)) => {
                return Err(fault("password_hash", "Send it without `password`."));
            }
            (password, hash) => password.map(NewPassword::Plain).or(hash.map(NewPassword::Encoded)),
        };
        let state = match self.state.read::<&str>("state", "`active` or `deactivated`")? {
            None | Some("active") => NewState::Active,
            Some("deactivated") => NewState::Deactivated,
            Some(_) => return Err(fault("state", "Must be `active` or `deactivated`.")),
        };
        Ok(NewAccount {
            name,
            email: text("email", self.email)?.filter(|email| !email.is_empty()),
            verified: self.email_verified.read("email_verified", "`true` or `false`")?.unwrap_or(false),
            subject: text("subject", self.subject)?,
            password,
            state,
            claims: self.claims.given().map(str::to_owned),
        })
    }
}

fn fault(member: &'static str, text: &str) -> ItemError {
    ItemError { member, text: text.to_owned() }
}

impl<'a> AccountDetails<'a> {
    pub(super) fn of(account: &'a Account, now: Timestamp) -> Self {
        let (email, status) = (account.email.as_ref(), account.status(now));
        let state = STATES.iter().find(|(_, other)| *other == status).map_or("active", |(name, _)| *name);
        let locked_until = match account.state {
            AccountState::Locked { until, .. } if status == AccountStatus::Locked => Some(rfc3339(until)),
            _ => None,
        };
        Self {
            subject: account.subject.as_str(),
            username: account.username.shown(),
            email: email.map(|email| email.shown.as_str()),
            email_verified_at: email.and_then(|email| email.verified_at).map(rfc3339),
            state,
            locked_until,
            password_usable: account.has_usable_password(),
            password_change_until: account.temporary_until.map(rfc3339),
            created_at: rfc3339(account.created_at),
            last_login_at: account.last_login_at.map(rfc3339),
            claims: account.claims.as_slice().iter().cloned().collect(),
        }
    }
}

pub(crate) fn describe_list() -> Operation {
    let states: Vec<_> = STATES.iter().map(|(name, _)| *name).collect();
    let states = value!({ "type": "string", "enum": states });
    let operation = Operation::new(Tag::Accounts, "listAccounts", "Lists and searches accounts")
        .query("name", query::text(), "Only accounts whose name begins with this, in any case.")
        .query(
            "email",
            query::text(),
            "Only accounts whose address begins with this, in any case, ordered by it. Not with `name` or `state`.",
        )
        .query("state", states, "Only accounts in this state.")
        .answers::<List<'_>>(StatusCode::OK, "A page of accounts, ordered by name.")
        .refuses(&[Code::InvalidRequest]);
    query::describe_page(operation)
}

pub(crate) fn describe_show() -> Operation {
    shown("showAccount").in_path("subject", "The account's subject.")
}

pub(crate) fn describe_show_batch() -> Operation {
    shown("showAccountNamedBatch")
}

fn shown(id: &'static str) -> Operation {
    let operation = Operation::new(Tag::Accounts, id, "Shows an account")
        .answers::<AccountDetails<'_>>(StatusCode::OK, "The account.")
        .refuses(&[Code::NotFound]);
    describe_tag(operation, StatusCode::OK)
}

pub(crate) fn describe_create() -> Operation {
    let location =
        value!({ "description": "The account's path.", "required": true, "schema": { "type": "string" } });
    let operation = Operation::new(Tag::Accounts, "addAccount", "Adds an account")
        .json_body::<New<'_>>()
        .answers::<AccountDetails<'_>>(StatusCode::CREATED, "The new account.")
        .answers_header(StatusCode::CREATED, "Location", location)
        .refuses(&[Code::Conflict]);
    describe_tag(operation, StatusCode::CREATED)
}
