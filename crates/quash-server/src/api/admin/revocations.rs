//! `POST /admin/v1/revocations`: revokes a session, an account's tokens, a token, a key, a namespace or everything; or
//! tells what that would end.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::decide::RevokedKeySessions;
use quash_core::model::{Actor, Client, EndCause, Kid, Reason, Right, SessionId, Subject};
use quash_service::{RevocationExtent, RevocationFault, RevocationTarget, Service, TargetRevoked};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::wrong;
use crate::api::accounts::text;
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body::WholeRequest;
use crate::request::items::{ItemError, Member, parse};
use crate::response::json;
use crate::state::AppState;

/// Exactly one of `session`, `account`, `token`, `key`, `namespace` and `everything`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AdminRevocation)]
struct Body<'a> {
    /// The `sid` of a session.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    session: Member<'a>,
    /// The subject of an account.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    account: Member<'a>,
    /// A token, whose session ends.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    token: Member<'a>,
    /// The `kid` of a signing key. Requires the right `keys`, too.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    key: Member<'a>,
    /// That of another issuer.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    namespace: Member<'a>,
    /// `true`.
    #[schema(value_type = Option<bool>)]
    #[serde(borrow, default)]
    everything: Member<'a>,
    /// With `key`: whether all sessions end, too.
    #[schema(value_type = Option<bool>)]
    #[serde(borrow, default)]
    end_sessions: Member<'a>,
    /// A word of the audit, with `session` or `account`: `revoked` if it is left out.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    reason: Member<'a>,
    /// Whether the response only tells what would end.
    #[schema(value_type = Option<bool>)]
    #[serde(borrow, default)]
    dry_run: Member<'a>,
}

/// What was revoked, or would be.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminRevoked)]
struct Revoked {
    /// `session`, `account`, `token`, `key`, `namespace` or `everything`.
    scope: &'static str,
    dry_run: bool,
    /// The number of the log entry.
    #[schema(required = true)]
    seq: Option<u64>,
    /// The live sessions that end. `null`: they aren't counted, or quash doesn't know them.
    #[schema(required = true)]
    sessions: Option<u64>,
    /// The accounts whose sessions end. `null`: they aren't counted, or quash doesn't know them.
    #[schema(required = true)]
    accounts: Option<u64>,
}

pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, HttpError> {
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let body: Body<'_> =
        parse(&body, "one of `session`, `account`, `token`, `key`, `namespace` and `everything`")?;
    let dry_run =
        body.dry_run.read("dry_run", "`true` or `false`").map_err(|error| wrong(&error))?.unwrap_or(false);
    let (scope, target) = body.target(&state.service).map_err(|error| wrong(&error))?;
    if matches!(target, RevocationTarget::Key { .. }) && !client.may_administer(Right::Keys) {
        return Err(HttpError::missing_right(Right::Keys));
    }
    let revoked = if dry_run {
        state.service.revocation_extent(&target).await.map(|extent| TargetRevoked { seq: None, extent })
    } else {
        state.service.revoke_target(target, Actor::Client(client.name)).await
    };
    let TargetRevoked { seq, extent: RevocationExtent { sessions, accounts } } = revoked.map_err(refused)?;
    let seq = seq.map(|seq| seq.as_u64());
    Ok(json(StatusCode::OK, &Revoked { scope, dry_run, seq, sessions, accounts }))
}

fn refused(fault: RevocationFault) -> HttpError {
    match fault {
        RevocationFault::Unknown => HttpError::new(
            Code::NotFound,
            "There is no such session, account or key, or the token isn't valid. Nothing was revoked.",
        ),
        RevocationFault::Ended => HttpError::new(Code::Conflict, "It has ended already."),
        RevocationFault::Failed(failure) => failure.into(),
    }
}

impl Body<'_> {
    /// Returns the name of the scope, and its target.
    fn target<'s>(&self, service: &'s Service) -> Result<(&'static str, RevocationTarget<'s>), ItemError> {
        let members = [
            ("session", self.session),
            ("account", self.account),
            ("token", self.token),
            ("key", self.key),
            ("namespace", self.namespace),
            ("everything", self.everything),
        ];
        let mut given = members.into_iter().filter(|(_, member)| member.is_given());
        let (Some((scope, member)), None) = (given.next(), given.next()) else {
            let fault =
                "Give exactly one of `session`, `account`, `token`, `key`, `namespace` and `everything`.";
            return Err(ItemError::of_item(fault));
        };
        let reason = self.reason.read::<String>("reason", "a text")?;
        if reason.is_some() && !matches!(scope, "session" | "account") {
            return Err(fault("reason", "Send it with `session` or `account` only."));
        }
        let sessions = match self.end_sessions.read("end_sessions", "`true` or `false`")? {
            Some(_) if scope != "key" => return Err(fault("end_sessions", "Send it with `key` only.")),
            Some(true) => RevokedKeySessions::End,
            Some(false) | None => RevokedKeySessions::Continue,
        };
        if scope == "everything" {
            return match member.given() {
                Some("true") => Ok((scope, RevocationTarget::Everything)),
                _ => Err(fault("everything", "Must be `true`.")),
            };
        }
        let name = Zeroizing::new(text(scope, member)?.unwrap_or_default());
        let target = match scope {
            "session" => {
                let session = name.parse::<SessionId>();
                let session = session.map_err(|_| fault(scope, "Must be a `sid`: 32 hexadecimal digits."))?;
                RevocationTarget::Session { session, reason: session_reason(reason)? }
            }
            "account" => {
                let subject = Subject::parse(&name).map_err(|_| fault(scope, "Not a subject."))?;
                RevocationTarget::Account { subject, cause: account_cause(reason)? }
            }
            "key" => {
                let kid = Kid::parse(&name).map_err(|_| fault(scope, "Not the `kid` of a key."))?;
                RevocationTarget::Key { kid, sessions }
            }
            "namespace" => {
                let found = service.namespace(&name);
                RevocationTarget::Namespace(
                    found.ok_or_else(|| fault(scope, "The settings have no such namespace."))?,
                )
            }
            _ => RevocationTarget::Token(name),
        };
        Ok((scope, target))
    }
}

fn session_reason(word: Option<String>) -> Result<Reason, ItemError> {
    let Some(word) = word else { return Ok(Reason::Revoked) };
    Reason::parse(&word).ok_or_else(|| fault("reason", "Not a reason, such as `revoked` or `log_out`."))
}

fn account_cause(word: Option<String>) -> Result<EndCause, ItemError> {
    match word.as_deref() {
        None | Some("revoked") => Ok(EndCause::AccountRevoked),
        Some("log_out_everywhere") => Ok(EndCause::LogOutEverywhere),
        Some(_) => Err(fault("reason", "With `account`, must be `revoked` or `log_out_everywhere`.")),
    }
}

fn fault(member: &'static str, text: &str) -> ItemError {
    ItemError { member, text: text.to_owned() }
}

pub(crate) fn describe_revoke() -> Operation {
    Operation::new(Tag::Revocations, "revoke", "Revokes a session, an account, a token, a key or more")
        .text("With `dry_run`, it tells what would end. With `key`, it requires the right `keys`, too.")
        .json_body::<Body<'_>>()
        .answers::<Revoked>(StatusCode::OK, "It is revoked here.")
        .refuses(&[Code::NotFound, Code::Conflict])
}
