//! `GET /admin/v1/doctor`: the checks of the installation, as far as the server can make them without requests to
//! other machines. `quash_service::doctor` has the checks.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use quash_service::doctor::{Finding, Level};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::query::Query;
use crate::response::json;
use crate::state::AppState;

/// The outcomes of all checks.
#[derive(Serialize, ToSchema)]
struct Diagnosis<'a> {
    checks: Vec<CheckShown<'a>>,
}

/// The outcome of a check.
#[derive(Serialize, ToSchema)]
struct CheckShown<'a> {
    check: &'a str,
    level: LevelShown,
    /// `null` with the levels `ok` and `skipped`, like the following members.
    finding: Option<&'a str>,
    reason: Option<&'a str>,
    remedy: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LevelShown {
    Ok,
    /// The server doesn't make this check.
    Skipped,
    /// Right for some installations.
    Note,
    /// To be corrected, without haste.
    Warning,
    /// Something fails or is unsafe now.
    Problem,
}

pub(crate) async fn show(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    Query::read(query.as_deref(), &[])?;
    let findings = state.service.diagnose().await;
    Ok(json(StatusCode::OK, &Diagnosis { checks: findings.iter().map(CheckShown::new).collect() }))
}

pub(crate) fn describe_show() -> Operation {
    Operation::new(Tag::Server, "getDoctor", "Checks the installation")
        .text("Makes no request to other machines. Requests within ten seconds share the outcomes.")
        .refuses(&[Code::InvalidRequest])
        .answers::<Diagnosis<'_>>(StatusCode::OK, "The outcome of each check.")
}

impl<'a> CheckShown<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            check: finding.check,
            level: match finding.level {
                Level::Ok => LevelShown::Ok,
                Level::Skipped => LevelShown::Skipped,
                Level::Note => LevelShown::Note,
                Level::Warning => LevelShown::Warning,
                Level::Problem => LevelShown::Problem,
            },
            finding: finding.finding.as_deref(),
            reason: finding.reason,
            remedy: finding.remedy.as_deref(),
        }
    }
}
