//! The names and times of what another system has issued, as Python gives them to `Verifier.ask`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use quash_core::model::{Invalid, Refusal};
use quash_verify::{Named, VerifyError};

use crate::errors::Failure;

/// The arguments of `ask`. They may come from a token of the application's users.
pub(crate) struct Names<'a, 'py> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) session: Option<&'a Bound<'py, PyAny>>,
    pub(crate) token: Option<&'a Bound<'py, PyAny>>,
    pub(crate) subject: Option<&'a Bound<'py, PyAny>>,
    pub(crate) position: Option<&'a Bound<'py, PyAny>>,
    pub(crate) issued_at: &'a Bound<'py, PyAny>,
    pub(crate) expires_at: &'a Bound<'py, PyAny>,
}

/// The same arguments in one tuple.
pub(crate) type NamesTuple<'py> = (
    Option<String>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
);

/// Names for a task on the follower.
pub(crate) struct OwnedNamed {
    namespace: Option<String>,
    session: Option<String>,
    token: Option<String>,
    subject: Option<String>,
    position: Option<u64>,
    issued_at: i64,
    expires_at: i64,
}

/// No revocation could name such a token.
const NOT_NAMED: Failure = Failure::Denied(VerifyError::Refused(Refusal::TokenInvalid(Invalid::Claim)));

impl<'a, 'py> Names<'a, 'py> {
    pub(crate) fn of(tuple: &'a NamesTuple<'py>) -> Self {
        let (namespace, session, token, subject, position, issued_at, expires_at) = tuple;
        Self {
            namespace: namespace.as_deref(),
            session: session.as_ref(),
            token: token.as_ref(),
            subject: subject.as_ref(),
            position: position.as_ref(),
            issued_at,
            expires_at,
        }
    }

    /// Reads the arguments.
    ///
    /// # Errors
    /// Returns `TypeError` for another type, and a refusal for a text or number that no token can have.
    #[inline]
    pub(crate) fn read(&self) -> PyResult<Named<'a>> {
        Ok(Named {
            namespace: self.namespace,
            session: self.session.map(|value| name("session", value)).transpose()?,
            token: self.token.map(|value| name("token", value)).transpose()?,
            subject: self.subject.map(|value| name("subject", value)).transpose()?,
            position: self.position.map(|value| number("position", value)).transpose()?,
            issued_at: number("issued_at", self.issued_at)?,
            expires_at: number("expires_at", self.expires_at)?,
        })
    }
}

impl OwnedNamed {
    pub(crate) fn of(named: &Named<'_>) -> Self {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Self {
            namespace: owned(named.namespace),
            session: owned(named.session),
            token: owned(named.token),
            subject: owned(named.subject),
            position: named.position,
            issued_at: named.issued_at,
            expires_at: named.expires_at,
        }
    }

    pub(crate) fn as_named(&self) -> Named<'_> {
        Named {
            namespace: self.namespace.as_deref(),
            session: self.session.as_deref(),
            token: self.token.as_deref(),
            subject: self.subject.as_deref(),
            position: self.position,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        }
    }
}

#[inline]
fn name<'a>(argument: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    match value.cast::<PyString>() {
        Ok(text) => text.to_str().map_err(|_| NOT_NAMED.into_error(value.py())),
        Err(_) => {
            Err(PyTypeError::new_err(format!("{argument} is str or None, not {}", value.get_type().name()?)))
        }
    }
}

#[inline]
fn number<'py, T>(argument: &str, value: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    if !value.is_instance_of::<PyInt>() {
        return Err(PyTypeError::new_err(format!("{argument} is int, not {}", value.get_type().name()?)));
    }
    // It may have more than 64 bits.
    value.extract::<T>().map_err(|_| NOT_NAMED.into_error(value.py()))
}
