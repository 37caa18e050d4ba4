//! Failures as Python's exceptions, which `quash_verify/_errors.py` defines.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use quash_core::model::Refusal;
use quash_verify::{AskError, Problem, Rejection, RevokeError, StartError, VerifyError};

/// The reason why a call has no result.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Denied(VerifyError),
    Start(StartError),
    /// The issuer has no such namespace.
    UnknownNamespace(String),
    Revoke(RevokeError),
    /// More revocations than this limit would wait for the issuer.
    OutboxFull(usize),
    /// The system provides no further thread.
    NoThread,
    /// The verifier was closed, or its thread ended with the process.
    Closed,
}

/// The classes, found when the module is imported.
struct Classes {
    refused: Py<PyType>,
    unavailable: Py<PyType>,
    start_failed: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Finds the classes.
///
/// # Errors
/// Returns an error if the package is incomplete.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    CLASSES.get_or_try_init(py, || {
        let module = py.import("quash_verify._errors")?;
        let class = |name| Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok::<_, PyErr>(Classes {
            refused: class("Refused")?,
            unavailable: class("Unavailable")?,
            start_failed: class("StartFailed")?,
        })
    })?;
    Ok(())
}

impl Failure {
    /// Makes the exception. Runs no Python code: while the process exits, Python ends other threads wherever
    /// they run such code, and Rust aborts if that is within a call from Rust.
    pub(crate) fn into_exception<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let classes = CLASSES.get(py).ok_or_else(|| PyRuntimeError::new_err("the module isn't imported"))?;
        match self {
            Self::Denied(denied) => {
                let problem = Problem::of(Rejection::Token(denied));
                match denied {
                    VerifyError::Refused(refusal) => {
                        refused(classes.refused.bind(py), problem.code, problem.detail, reason(refusal))
                    }
                    _ => {
                        let after = problem.retry_after.map_or(1, |after| after.as_secs());
                        unavailable(classes.unavailable.bind(py), problem.code, problem.detail, after)
                    }
                }
            }
            Self::Closed => unavailable(
                classes.unavailable.bind(py),
                "unavailable",
                "The verifier of this process is closed.",
                1,
            ),
            Self::Start(error) => {
                start_failed(classes.start_failed.bind(py), &error.to_string(), remedy(error))
            }
            Self::UnknownNamespace(name) => start_failed(
                classes.start_failed.bind(py),
                &format!("the issuer has no namespace \"{name}\""),
                "write it into a section [foreign.<name>] of quash's settings, or correct the name here",
            ),
            Self::Revoke(error) => revoke_failed(py, classes, error),
            Self::OutboxFull(capacity) => unavailable(
                classes.unavailable.bind(py),
                "unavailable",
                &format!("No more than {capacity} revocations can wait for the issuer."),
                1,
            ),
            Self::NoThread => start_failed(
                classes.start_failed.bind(py),
                "the system provides no further thread",
                "raise the limit of threads or of memory for this process",
            ),
        }
    }

    pub(crate) fn into_error(self, py: Python<'_>) -> PyErr {
        self.into_exception(py).map_or_else(|error| error, PyErr::from_value)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Denied(denied) => Self::Denied(denied),
            AskError::UnknownNamespace(name) => Self::UnknownNamespace(name),
            _ => Self::Denied(VerifyError::Stale),
        }
    }
}

fn revoke_failed<'py>(py: Python<'py>, classes: &Classes, error: RevokeError) -> PyResult<Bound<'py, PyAny>> {
    let create = |namespace: Option<&str>| {
        let flags =
            namespace.map_or_else(|| "--right revoke".to_owned(), |name| format!("--namespace {name}"));
        format!(
            "create one with `quash client add NAME {flags}` and pass it as credential=, in $QUASH_CREDENTIAL, or as \
             a file that $QUASH_CREDENTIAL_FILE names"
        )
    };
    let start_failed =
        |message: &str, remedy: &str| start_failed(classes.start_failed.bind(py), message, remedy);
    match error {
        RevokeError::Invalid(_) => {
            Ok(PyValueError::new_err(error.to_string()).into_value(py).into_bound(py).into_any())
        }
        RevokeError::CredentialRefused { namespace } => {
            start_failed("the issuer refused the credential", &create(namespace.as_deref()))
        }
        RevokeError::NotAllowed { namespace } => {
            let place = namespace.as_ref().map_or_else(
                || "quash's own sessions".to_owned(),
                |name| format!("in the namespace \"{name}\""),
            );
            start_failed(&format!("the credential may not revoke {place}"), &create(namespace.as_deref()))
        }
        RevokeError::WrongAddress(status) => start_failed(
            &format!("the issuer's address answered revocations with status {status}"),
            "check the address and the proxies before it: POST /v1/revocations must reach quash",
        ),
        error => {
            let cause = match error {
                RevokeError::Unavailable(cause) => cause.to_string(),
                other => other.to_string(),
            };
            let detail = format!(
                "The issuer didn't confirm the revocations ({cause}). Send them again with the same key."
            );
            unavailable(classes.unavailable.bind(py), "unavailable", &detail, 1)
        }
    }
}

fn refused<'py>(
    class: &Bound<'py, PyType>,
    code: &str,
    detail: &str,
    reason: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let error = class.call_method1("__new__", (class, code, detail, reason))?;
    error.setattr("code", code)?;
    error.setattr("detail", detail)?;
    error.setattr("reason", reason)?;
    Ok(error)
}

fn unavailable<'py>(
    class: &Bound<'py, PyType>,
    code: &str,
    detail: &str,
    retry_after: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let error = class.call_method1("__new__", (class, code, detail, retry_after))?;
    error.setattr("code", code)?;
    error.setattr("detail", detail)?;
    error.setattr("retry_after", retry_after)?;
    Ok(error)
}

fn start_failed<'py>(class: &Bound<'py, PyType>, message: &str, remedy: &str) -> PyResult<Bound<'py, PyAny>> {
    let error = class.call_method1("__new__", (class, message, remedy))?;
    error.setattr("remedy", remedy)?;
    Ok(error)
}

/// Returns the word for the cause of a revocation, as the audit writes it.
fn reason(refusal: Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::TokenRevoked(reason) => reason.map(|reason| reason.as_str()),
        _ => None,
    }
}

fn remedy(error: StartError) -> &'static str {
    match error {
        StartError::Address => "give the issuer's address as https://host[:port][/path]",
        StartError::InsecureAddress => "use https, or insecure_http=True in a private network",
        StartError::NoCredential => {
            "create a credential with `quash verifier add NAME` and pass it as credential=, in $QUASH_CREDENTIAL, or as \
             a file that $QUASH_CREDENTIAL_FILE names"
        }
        StartError::CredentialRefused => {
            "check that the credential belongs to this issuer and wasn't removed; `quash verifier list` shows it"
        }
        StartError::SecretNeeded => "pass the issuer's secret in secrets=",
        StartError::SecretUnknown => "pass the secret that the issuer signs with now",
        StartError::SecretUnusable(_) => "pass a secret that is long enough for the algorithm",
        StartError::UnknownNamespace => {
            "write it into a section [foreign.<name>] of quash's settings, or correct the name here"
        }
        StartError::NotUnderstood(_) => "update quash-verify to the issuer's version",
        StartError::Certificates => "install the system's root certificates",
        StartError::NoEntropy => "make the system's random numbers available to this process",
        _ => "check that the issuer runs and can be reached from here",
    }
}
