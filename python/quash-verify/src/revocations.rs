//! Revocations as Python gives them to `Verifier.revoke`, checked before they are sent: those of
//! `revoke_later` have no caller who could get an error afterwards.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};
use quash_core::model::{Reason, limits};
use quash_verify::Revocation;

use crate::exit::counted;

/// The revocations of one request.
pub(crate) struct Batch {
    /// `None`: sessions of quash's own.
    pub(crate) namespace: Option<String>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) key: Option<String>,
}

/// Times above this number of seconds are in another unit.
const LATEST: f64 = 1e11;
/// The longest idempotency key, in characters.
const KEY_CHARS: usize = 255;

impl Batch {
    /// Reads the arguments. `at` is the time of events that are reported later, in seconds since 1970: tokens
    /// issued since stay valid.
    ///
    /// # Errors
    /// Returns an error that names the argument or the index of the revocation.
    pub(crate) fn read(
        namespace: Option<&str>,
        revocations: &Bound<'_, PyAny>,
        key: Option<&str>,
        at: Option<f64>,
    ) -> PyResult<Self> {
        if namespace.is_some_and(str::is_empty) {
            return Err(PyValueError::new_err(
                "namespace is empty: use the name that quash's settings give it",
            ));
        }
        let is_key = |key: &str| {
            (1..=KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        };
        if key.is_some_and(|key| !is_key(key)) {
            return Err(PyValueError::new_err(format!(
                "key must have 1 to {KEY_CHARS} printable ASCII characters"
            )));
        }
        let items = list(revocations)?;
        if !(1..=limits::REVOCATIONS).contains(&items.len()) {
            let (most, len) = (limits::REVOCATIONS, items.len());
            return Err(PyValueError::new_err(format!("use 1 to {most} revocations in a call, not {len}")));
        }
        let items = items.iter().enumerate().map(|(index, item)| {
            read(&item, at).map_err(|fault| fault.into_error(format!("revocations[{index}]")))
        });
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            revocations: items.collect::<PyResult<_>>()?,
            key: key.map(str::to_owned),
        })
    }
}

/// Reads one revocation.
///
/// # Errors
/// Returns an error that names the member.
pub(crate) fn revocation(item: &Bound<'_, PyAny>) -> PyResult<Revocation> {
    read(item, None).map_err(|fault| fault.into_error("the revocation".to_owned()))
}

/// A mistake in a revocation.
enum Fault {
    Type(String),
    Value(String),
}

impl Fault {
    fn into_error(self, of: String) -> PyErr {
        match self {
            Self::Type(text) => PyTypeError::new_err(format!("{of}{text}")),
            Self::Value(text) => PyValueError::new_err(format!("{of}{text}")),
        }
    }
}

/// The caller's sequence may be of a class of its own, so this may run Python code.
fn list<'py>(revocations: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    if let Ok(list) = revocations.cast::<PyList>() {
        return Ok(list.clone());
    }
    if revocations.is_instance_of::<PyString>() || revocations.is_instance_of::<PyDict>() {
        return Err(PyTypeError::new_err("revocations must be a list of dicts"));
    }
    let items = counted(|| revocations.py().get_type::<PyList>().call1((revocations,)))?;
    Ok(items.cast_into::<PyList>()?)
}

fn read(item: &Bound<'_, PyAny>, at: Option<f64>) -> Result<Revocation, Fault> {
    let item =
        item.cast::<PyDict>().map_err(|_| Fault::Type(format!(" must be a dict, not {}", class(item))))?;
    let (mut name, mut names) = (None, 0);
    let (mut before, mut exp, mut reason, mut is_watermark) = (None, None, None, false);
    for (member, value) in item {
        match text(&member).unwrap_or_default().as_str() {
            "session" => name = Some(Revocation::session(text_of("session", &value)?)),
            "token" => name = Some(Revocation::token(text_of("token", &value)?)),
            "subject" => {
                name = Some(Revocation::subject(text_of("subject", &value)?));
                is_watermark = true;
            }
            "everything" => {
                if !value.cast::<PyBool>().is_ok_and(|is| is.is_true()) {
                    return Err(Fault::Value("[\"everything\"] must be True".to_owned()));
                }
                name = Some(Revocation::everything());
                is_watermark = true;
            }
            "before" => {
                before = Some(seconds(&value)?);
                continue;
            }
            "exp" => {
                exp = Some(whole_seconds(&value)?);
                continue;
            }
            "reason" => {
                reason = Some(word(&value)?);
                continue;
            }
            _ => {
                return Err(Fault::Value(format!(
                    " has another member, {}: use session, token, subject or everything, and before, exp, reason",
                    text(&member).map_or_else(|| class(&member), |name| format!("{name:?}"))
                )));
            }
        }
        names += 1;
    }
    let Some(mut revocation) = name.filter(|_| names == 1) else {
        return Err(Fault::Value(format!(
            " must have exactly one of session, token, subject and everything, not {names} of them"
        )));
    };
    if is_watermark && before.is_none() {
        before = at;
    }
    if let Some(secs) = before {
        revocation = revocation.before(secs);
    }
    if let Some(secs) = exp {
        revocation = revocation.expires_at(secs);
    }
    if let Some(word) = reason {
        revocation = revocation.reason(word);
    }
    Ok(revocation)
}

fn text_of(member: &str, value: &Bound<'_, PyAny>) -> Result<String, Fault> {
    if !value.is_instance_of::<PyString>() {
        return Err(Fault::Type(format!("[\"{member}\"] must be a str, not {}", class(value))));
    }
    let most = limits::REVOKED_NAME_BYTES;
    text(value)
        .filter(|text| (1..=most).contains(&text.len()))
        .ok_or_else(|| Fault::Value(format!("[\"{member}\"] must have 1 to {most} bytes in UTF-8")))
}

/// Returns a str's text; `None` if it can't be written in UTF-8, and for another type.
fn text(value: &Bound<'_, PyAny>) -> Option<String> {
    value.cast::<PyString>().ok()?.to_str().ok().map(str::to_owned)
}

fn seconds(value: &Bound<'_, PyAny>) -> Result<f64, Fault> {
    let is_number = value.is_instance_of::<PyFloat>() || is_int(value);
    if !is_number {
        return Err(Fault::Type(format!("[\"before\"] must be a float, not {}", class(value))));
    }
    let secs = value.extract::<f64>().ok().filter(|secs| (0.0..=LATEST).contains(secs));
    secs.ok_or_else(|| Fault::Value("[\"before\"] must be a time in seconds since 1970".to_owned()))
}

fn whole_seconds(value: &Bound<'_, PyAny>) -> Result<i64, Fault> {
    if !is_int(value) {
        return Err(Fault::Type(format!("[\"exp\"] must be an int, not {}", class(value))));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the constant is a whole number")]
    let secs = value.extract::<i64>().ok().filter(|secs| (0..=LATEST as i64).contains(secs));
    secs.ok_or_else(|| Fault::Value("[\"exp\"] must be a time in seconds since 1970".to_owned()))
}

fn word(value: &Bound<'_, PyAny>) -> Result<&'static str, Fault> {
    if !value.is_instance_of::<PyString>() {
        return Err(Fault::Type(format!("[\"reason\"] must be a str, not {}", class(value))));
    }
    let reason = text(value).and_then(|word| Reason::parse(&word)).map(Reason::as_str);
    reason.ok_or_else(|| {
        Fault::Value(
            "[\"reason\"] must be a reason of quash's audit, such as log_out or password_changed".to_owned(),
        )
    })
}

fn is_int(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>()
}

fn class(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map(|name| name.to_string()).unwrap_or_default()
}
