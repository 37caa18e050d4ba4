//! The in-memory issuer for an application's tests, in Python.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use quash_core::model::SessionId;
use uuid::Uuid;

use crate::config::seconds;
use crate::live::{CLAIM_DEPTH, json};
use crate::local_issuer::Issuer;
use crate::revocations;
use crate::secret::TextOrBytes;

/// The native part of `quash_verify.testing.TestIssuer`.
#[pyclass(frozen, subclass, module = "quash_verify._native")]
pub(crate) struct TestIssuer {
    pub(crate) issuer: Arc<Issuer>,
}

#[pymethods]
impl TestIssuer {
    #[new]
    #[pyo3(signature = (namespace=None, secret=None))]
    fn create(namespace: Option<String>, secret: Option<TextOrBytes>) -> PyResult<Self> {
        use quash_verify::test::TestIssuer;
        let secret = secret.map(TextOrBytes::into_bytes);
        let of_rust = match (namespace.as_deref(), secret.as_ref()) {
            (None, None) => TestIssuer::new(),
            (Some(namespace), None) => TestIssuer::with_namespace(namespace),
            (Some(namespace), Some(secret)) if !secret.is_empty() => {
                TestIssuer::with_namespace_secret(namespace, secret)
            }
            (_, Some(_)) => {
                return Err(PyValueError::new_err("a secret is that of a namespace, and isn't empty"));
            }
        };
        Ok(Self { issuer: Arc::new(Issuer { of_rust, namespace, is_silent: AtomicBool::new(false) }) })
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
        let mut draft = self.issuer.of_rust.token(subject).lifetime(seconds("lifetime", lifetime)?);
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
        self.issuer.of_rust.revoke_session(parse(session)?);
        Ok(())
    }

    /// Revokes all current tokens of a subject. Tokens issued later are valid.
    fn revoke_subject(&self, subject: &str) {
        self.issuer.of_rust.revoke_subject(subject);
    }

    /// Revokes all current tokens.
    fn revoke_everything(&self) {
        self.issuer.of_rust.revoke_everything();
    }

    /// Revokes in the issuer's namespace, and returns the number of the entry. Verifiers know it at once.
    fn revoke_named(&self, namespace: &str, revocation: &Bound<'_, PyAny>) -> PyResult<u64> {
        let revocation = revocations::revocation(revocation)?;
        if self.issuer.namespace.as_deref() == Some(namespace) {
            Ok(self.issuer.of_rust.revoke_named(namespace, &revocation))
        } else {
            let text =
                format!("the issuer has no namespace {namespace:?}: use TestIssuer(namespace={namespace:?})");
            Err(PyValueError::new_err(text))
        }
    }

    /// Returns the time of the issuer's clock, in seconds since 1970.
    fn now(&self) -> i64 {
        self.issuer.of_rust.now()
    }

    /// Stops granting leases until the last one has expired, and answering requests: verifiers become stale.
    fn fall_silent(&self) {
        self.issuer.is_silent.store(true, Ordering::SeqCst);
        self.issuer.of_rust.stop_leases();
    }

    /// Answers and grants leases again: verifiers become fresh.
    fn speak(&self) {
        self.issuer.is_silent.store(false, Ordering::SeqCst);
        self.issuer.of_rust.grant_lease();
    }

    #[pyo3(name = "_advance")]
    fn advance(&self, span: f64) -> PyResult<()> {
        self.issuer.of_rust.advance(seconds("the span", span)?);
        Ok(())
    }
}

fn parse(session: &str) -> PyResult<SessionId> {
    let bytes = Uuid::parse_str(session).map(Uuid::into_bytes);
    bytes
        .map(SessionId::from_bytes)
        .map_err(|_| PyValueError::new_err(format!("{session:?} is no session's id")))
}
