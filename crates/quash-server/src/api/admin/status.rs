//! The state of the service, for operators: `GET /admin/v1/verifiers`, `/admin/v1/nodes` and `/admin/v1/statistics`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::hex;
use quash_core::model::Timestamp;
use quash_service::{Counts, ListedNode, SignIns, VerifierInfo, VerifierState, rfc3339};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::query::Query;
use crate::response::json;
use crate::state::AppState;

/// The verifiers that have recently asked for a lease.
#[derive(Serialize, ToSchema)]
struct VerifierList {
    items: Vec<Verifiers>,
    /// Always `null`: all are listed.
    #[schema(required = true)]
    next: Option<String>,
    /// The newest number of the log here.
    head: u64,
}

/// The processes with one credential on one host.
#[derive(Serialize, ToSchema)]
struct Verifiers {
    /// The name of the credential.
    name: String,
    #[schema(required = true)]
    host: Option<String>,
    instances: Vec<Verifier>,
}

/// A process that follows the log.
#[derive(Serialize, ToSchema)]
struct Verifier {
    instance: String,
    #[schema(required = true)]
    pid: Option<u32>,
    /// `leased`; `stale`, if it has no lease and so refuses tokens; or `not_bound`, if it accepts tokens without one.
    state: &'static str,
    /// The last number of the log that it has confirmed.
    confirmed: u64,
    /// The number of entries that it hasn't confirmed.
    lag: u64,
    /// The time until which its last lease may be valid.
    #[schema(format = DateTime)]
    leased_until: String,
}

/// The processes that serve one database.
#[derive(Serialize, ToSchema)]
struct NodeList {
    /// The one that was started first at the beginning. Empty with SQLite, which has one process.
    items: Vec<Node>,
    /// Always `null`: all are listed.
    #[schema(required = true)]
    next: Option<String>,
}

/// A process that serves.
#[derive(Serialize, ToSchema)]
struct Node {
    instance: String,
    host: String,
    #[schema(required = true)]
    pid: Option<u32>,
    version: String,
    #[schema(format = DateTime)]
    started_at: String,
    /// A hash over its settings.
    settings: String,
    /// `leased`, or `expired` if it hasn't renewed its lease in time.
    state: &'static str,
    /// The milliseconds since which the answering process has seen no renewal of the lease.
    lease_age_ms: u64,
    #[schema(required = true, format = DateTime)]
    leased_until: Option<String>,
}

/// The accounts, sessions and verifiers in numbers.
#[derive(Serialize, ToSchema)]
struct Statistics {
    accounts: AccountCounts,
    /// The live sessions of all accounts.
    live_sessions: u64,
    /// When accounts and sessions were counted.
    #[schema(format = DateTime)]
    counted_at: String,
    sign_ins: SignInCounts,
    verifiers: VerifierCounts,
    /// The newest number of the log here.
    head: u64,
}

/// The accounts by their state.
#[derive(Serialize, ToSchema)]
struct AccountCounts {
    active: u64,
    unverified: u64,
    locked: u64,
    deactivated: u64,
}

/// The attempts to sign in at the answering process since its start.
#[derive(Serialize, ToSchema)]
struct SignInCounts {
    succeeded: u64,
    refused: u64,
    unavailable: u64,
}

/// The verifiers by their state.
#[derive(Serialize, ToSchema)]
#[schema(as = VerifiersByState)]
struct VerifierCounts {
    leased: usize,
    stale: usize,
    not_bound: usize,
}

pub(crate) async fn verifiers(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    Query::read(query.as_deref(), &[])?;
    let head = head_of(&state);
    let mut groups: BTreeMap<(String, Option<String>), Vec<Verifier>> = BTreeMap::new();
    for info in state.service.verifiers().await? {
        let group = (info.id.name.clone(), info.label.host().map(Into::into));
        groups.entry(group).or_default().push(Verifier::of(&info, head));
    }
    let items = groups.into_iter().map(|((name, host), instances)| Verifiers { name, host, instances });
    Ok(json(StatusCode::OK, &VerifierList { items: items.collect(), next: None, head }))
}

pub(crate) async fn nodes(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    Query::read(query.as_deref(), &[])?;
    let now = state.service.now();
    let items = state.service.nodes().await?.into_iter().map(|node| Node::of(node, now)).collect();
    Ok(json(StatusCode::OK, &NodeList { items, next: None }))
}

pub(crate) async fn statistics(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    Query::read(query.as_deref(), &[])?;
    let Counts { active, unverified, locked, deactivated, live_sessions, at } =
        state.service.counts().await?;
    let SignIns { succeeded, refused, unavailable } = state.service.sign_ins();
    let verifiers = state.service.verifiers().await?;
    let count = |state| verifiers.iter().filter(|info| info.state == state).count();
    let statistics = Statistics {
        accounts: AccountCounts { active, unverified, locked, deactivated },
        live_sessions,
        counted_at: rfc3339(at),
        sign_ins: SignInCounts { succeeded, refused, unavailable },
        verifiers: VerifierCounts {
            leased: count(VerifierState::Confirmed),
            stale: count(VerifierState::Stale),
            not_bound: count(VerifierState::NotBound),
        },
        head: head_of(&state),
    };
    Ok(json(StatusCode::OK, &statistics))
}

fn head_of(state: &AppState) -> u64 {
    state.service.guard().cursor().as_u64()
}

impl Verifier {
    fn of(info: &VerifierInfo, head: u64) -> Self {
        let confirmed = info.confirmed.as_u64();
        Self {
            instance: hex::encode(&info.id.number),
            pid: info.label.pid(),
            state: match info.state {
                VerifierState::Confirmed => "leased",
                state => state.as_str(),
            },
            confirmed,
            lag: head.saturating_sub(confirmed),
            leased_until: rfc3339(info.leased_until),
        }
    }
}

impl Node {
    fn of(listed: ListedNode, now: Timestamp) -> Self {
        let ListedNode { node, label, started_at, renewed_before, leased_for } = listed;
        Self {
            instance: hex::encode(&node.id.number),
            host: node.host,
            pid: label.pid(),
            version: node.version,
            started_at: rfc3339(started_at),
            settings: node.settings,
            state: if leased_for.is_some() { "leased" } else { "expired" },
            lease_age_ms: u64::try_from(renewed_before.as_millis()).unwrap_or(u64::MAX),
            leased_until: leased_for.map(|left| rfc3339(now + left)),
        }
    }
}

pub(crate) fn describe_verifiers() -> Operation {
    Operation::new(Tag::Server, "listVerifiers", "Lists the verifiers by credential and host")
        .refuses(&[Code::InvalidRequest])
        .answers::<VerifierList>(StatusCode::OK, "The verifiers that have recently asked for a lease.")
}

pub(crate) fn describe_nodes() -> Operation {
    Operation::new(Tag::Server, "listNodes", "Lists the processes that serve one database")
        .refuses(&[Code::InvalidRequest])
        .answers::<NodeList>(StatusCode::OK, "The nodes.")
}

pub(crate) fn describe_statistics() -> Operation {
    Operation::new(Tag::Server, "showStatistics", "Shows the accounts, sessions and verifiers in numbers")
        .refuses(&[Code::InvalidRequest])
        .text("With many accounts or sessions, they are as of the last count by upkeep.")
        .answers::<Statistics>(StatusCode::OK, "The numbers.")
}
