//! The in-memory issuer for an application's tests, in Python.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use quash_core::model::SessionId;
use uuid::Uuid;

use crate::config::seconds;
use crate::live::{CLAIM_DEPTH, json};

/// The native part of `quash_verify.testing.TestIssuer`.
#[pyclass(frozen, subclass, module = "quash_verify._native")]
pub(crate) struct TestIssuer {
    pub(crate) issuer: Arc<quash_verify::test::TestIssuer>,
}

#[pymethods]
impl TestIssuer {
    #[new]
    fn create() -> Self {
        Self { issuer: Arc::new(quash_verify::test::TestIssuer::new()) }
    }

    /// Issues a token.
    #[pyo3(name = "_token")]
    fn token(
        &self,
        subject: &str,
        session: Option<&str>,
        lifetime: f64,
        claims: &Bound<'_, PyDict>,
    ) -> PyResult<(String, String)> {
        let mut draft = self.issuer.token(subject).lifetime(seconds("lifetime", lifetime)?);
        if let Some(session) = session {
            draft = draft.in_session(parse(session)?);
        }
        for (name, value) in claims {
            draft = draft.claim(name.extract()?, json(&value, CLAIM_DEPTH)?);
        }
        let token = draft.mint();
        Ok((token.as_str().to_owned(), token.session().to_string()))
    }

    #[pyo3(name = "_revoke_session")]
    fn revoke_session(&self, session: &str) -> PyResult<()> {
        self.issuer.revoke_session(parse(session)?);
        Ok(())
    }

    /// Revokes all current tokens of a subject. Tokens issued later are valid.
    fn revoke_subject(&self, subject: &str) {
        self.issuer.revoke_subject(subject);
    }

    /// Revokes all current tokens.
    fn revoke_everything(&self) {
        self.issuer.revoke_everything();
    }

    /// Stops granting leases until the last one has expired: verifiers become stale.
    fn fall_silent(&self) {
        self.issuer.stop_leases();
    }

    /// Grants a lease again: verifiers become fresh.
    fn speak(&self) {
        self.issuer.grant_lease();
    }

    #[pyo3(name = "_advance")]
    fn advance(&self, span: f64) -> PyResult<()> {
        self.issuer.advance(seconds("the span", span)?);
        Ok(())
    }
}

fn parse(session: &str) -> PyResult<SessionId> {
    let bytes = Uuid::parse_str(session).map(Uuid::into_bytes);
    bytes
        .map(SessionId::from_bytes)
        .map_err(|_| PyValueError::new_err(format!("{session:?} is no session's id")))
}
