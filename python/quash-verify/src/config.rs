//! A verifier's configuration, as Python gives it.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use quash_core::model::Clock;
use quash_verify::{StartError, SystemClock, Verifier, WhenStale};
use zeroize::Zeroizing;

use crate::local_issuer::Issuer;

/// The configuration. Each process makes its own verifier from it.
pub(crate) struct Config {
    pub(crate) issuer: String,
    pub(crate) also_at: Vec<String>,
    pub(crate) credential: Option<Zeroizing<String>>,
    pub(crate) audience: Vec<String>,
    pub(crate) secrets: Vec<Zeroizing<Vec<u8>>>,
    /// The namespace whose tokens are verified; `None` for the issuer's own.
    pub(crate) namespace: Option<String>,
    pub(crate) when_stale: WhenStale,
    pub(crate) start_within: Duration,
    pub(crate) insecure_http: bool,
    /// An issuer in this process, for tests.
    pub(crate) test: Option<Arc<Issuer>>,
}

/// A verifier that is about to be made, within a runtime.
pub(crate) enum Source {
    Issuer(Box<quash_verify::VerifierBuilder>),
    Test(Arc<Issuer>, WhenStale),
}

/// The longest time that Python may name, in seconds; a longer one is an error in the program.
const LONGEST: f64 = 1e9;

impl Config {
    /// Returns the time in seconds since 1970.
    pub(crate) fn now(&self) -> f64 {
        let now = self
            .test
            .as_ref()
            .map_or_else(|| SystemClock.now().as_millis(), |issuer| issuer.of_rust.now() * 1000);
        Duration::from_millis(now.unsigned_abs()).as_secs_f64()
    }

    pub(crate) fn source(&self, credential: &str) -> Source {
        if let Some(issuer) = &self.test {
            return Source::Test(Arc::clone(issuer), self.when_stale);
        }
        let mut builder = Verifier::builder(&self.issuer)
            .credential(credential)
            .when_stale(self.when_stale)
            .start_within(self.start_within);
        builder = self.also_at.iter().fold(builder, |builder, address| builder.also_at(address));
        builder = self.audience.iter().fold(builder, |builder, audience| builder.audience(audience));
        builder = self.secrets.iter().fold(builder, |builder, secret| builder.secret(secret.to_vec()));
        if let Some(namespace) = &self.namespace {
            builder = builder.namespace(namespace);
        }
        if self.insecure_http {
            builder = builder.insecure_http();
        }
        Source::Issuer(Box::new(builder))
    }
}

impl Source {
    /// Makes the verifier.
    ///
    /// # Errors
    /// Returns an error if the configuration can't work.
    pub(crate) fn begin(self) -> Result<Verifier, StartError> {
        match self {
            Self::Issuer(builder) => builder.start_in_background(),
            Self::Test(issuer, when_stale) => Ok(issuer.of_rust.verifier_when_stale(when_stale)),
        }
    }
}

/// Reads a `WhenStale` of Python.
///
/// # Errors
/// Returns an error if it is none of the forms that the type has.
pub(crate) fn when_stale(value: &Bound<'_, PyAny>) -> PyResult<WhenStale> {
    if let Ok(word) = value.extract::<&str>() {
        return match word {
            "introspect" => Ok(WhenStale::IntrospectThenDeny),
            "deny" => Ok(WhenStale::Deny),
            "allow" => Ok(WhenStale::Allow),
            _ => Err(PyValueError::new_err(format!("when_stale can't be {word:?}: {FORMS}"))),
        };
    }
    match value.extract::<(String, f64)>() {
        Ok((word, age)) if word == "allow_young" => Ok(WhenStale::AllowYoung(seconds("allow_young", age)?)),
        _ => Err(PyTypeError::new_err(format!("when_stale has another form: {FORMS}"))),
    }
}

const FORMS: &str = "use 'introspect', 'deny', 'allow' or ('allow_young', seconds)";

/// Reads a number of seconds.
///
/// # Errors
/// Returns an error if it is negative, not a number, or too great.
pub(crate) fn seconds(name: &str, seconds: f64) -> PyResult<Duration> {
    if (0.0..=LONGEST).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(PyValueError::new_err(format!("{name} is {seconds}: use seconds between 0 and {LONGEST}")))
    }
}
