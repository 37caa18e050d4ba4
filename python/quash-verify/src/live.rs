//! An accepted token in Python, and its claims as Python's values.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyMappingProxy, PyString};
use quash_verify::{Accepted, Named, claim_says};
use serde_json::{Map, Number, Value};

/// A token that was accepted a moment ago.
#[pyclass(frozen, weakref, module = "quash_verify._native")]
pub(crate) struct Live {
    accepted: Accepted,
    claims: PyOnceLock<Py<PyAny>>,
}

type Names<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<u64>);

/// The deepest value that `says` compares.
const DEPTH: usize = 32;

impl Live {
    pub(crate) fn new(accepted: Accepted) -> Self {
        Self { accepted, claims: PyOnceLock::new() }
    }
}

#[pymethods]
impl Live {
    /// The user's id.
    #[getter]
    fn user_id(&self) -> &str {
        self.accepted.user_id()
    }

    /// The session's id, as its issuer names it; None if the token has none.
    #[getter]
    fn session(&self) -> Option<String> {
        match self.accepted.named() {
            Some(named) => named.session.map(str::to_owned),
            None => self.accepted.session().map(|session| session.to_string()),
        }
    }

    /// The namespace of the token; None for a token of quash.
    #[getter]
    fn namespace(&self) -> Option<&str> {
        self.accepted.named()?.namespace
    }

    /// The names of a namespace's token that were checked: namespace, session, token, subject and position.
    #[getter(_names)]
    fn names(&self) -> Option<Names<'_>> {
        let Named { namespace, session, token, subject, position, .. } = self.accepted.named()?;
        Some((namespace, session, token, subject, position))
    }

    /// The expiry, in seconds since 1970.
    #[getter]
    fn expires_at(&self) -> i64 {
        // Tokens without an expiry aren't accepted.
        self.accepted.expires_at()
    }

    /// All claims, read-only.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let claims = self.claims.get_or_try_init(py, || {
            let claims: Map<String, Value> =
                self.accepted.claims().map_err(|error| PyValueError::new_err(error.to_string()))?;
            let dict = object(py, &claims)?;
            Ok::<_, PyErr>(PyMappingProxy::new(py, dict.cast::<PyMapping>()?).into_any().unbind())
        })?;
        Ok(claims.bind(py).clone())
    }

    /// Returns whether a claim has this value, or is a list that contains it.
    fn says(&self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.accepted.has_claim(name, &json(value, DEPTH)?))
    }

    /// Omits the claims.
    fn __repr__(&self) -> String {
        match self.session() {
            Some(session) => format!("<quash_verify.Live session={session}>"),
            None => "<quash_verify.Live>".to_owned(),
        }
    }
}

/// Returns whether a claim of a token that the application verifies itself has this value, or is a list that
/// contains it.
#[pyfunction]
pub(crate) fn says(claims: &Bound<'_, PyMapping>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let value = json(value, DEPTH)?;
    if !claims.contains(name)? {
        return Ok(false);
    }
    // What JSON can't say equals no value.
    Ok(json(&claims.get_item(name)?, DEPTH).is_ok_and(|claim| claim_says(&claim, &value)))
}

fn object<'py>(py: Python<'py>, members: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, python(py, value)?)?;
    }
    Ok(dict)
}

/// JSON to Python. The JSON has been parsed with a limit to its depth.
fn python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(is) => PyBool::new(py, *is).to_owned().into_any(),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                number.into_pyobject(py)?.into_any()
            } else if let Some(number) = number.as_u64() {
                number.into_pyobject(py)?.into_any()
            } else {
                PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any()
            }
        }
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let items = items.iter().map(|item| python(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Object(members) => object(py, members)?.into_any(),
    })
}

/// Python to JSON.
///
/// # Errors
/// Returns an error if JSON has no such value, or if it is nested too deeply.
pub(crate) fn json(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(PyValueError::new_err(format!("the value is nested more than {DEPTH} times")));
    };
    if value.is_none() {
        Ok(Value::Null)
    } else if let Ok(is) = value.cast::<PyBool>() {
        Ok(Value::Bool(is.is_true()))
    } else if let Ok(text) = value.cast::<PyString>() {
        Ok(Value::String(text.to_str()?.to_owned()))
    } else if value.is_instance_of::<PyInt>() {
        match value.extract::<i64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => value
                .extract::<u64>()
                .map(Value::from)
                .map_err(|_| PyValueError::new_err("the number has more than 64 bits")),
        }
    } else if let Ok(number) = value.cast::<PyFloat>() {
        Number::from_f64(number.value())
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err("JSON has no such number"))
    } else if let Ok(members) = value.cast::<PyDict>() {
        let members = members.iter().map(|(name, value)| Ok((name.extract()?, json(&value, depth)?)));
        members.collect::<PyResult<Map<_, _>>>().map(Value::Object)
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<pyo3::types::PyTuple>() {
        let items = value.try_iter()?.map(|item| json(&item?, depth));
        items.collect::<PyResult<Vec<_>>>().map(Value::Array)
    } else {
        Err(PyTypeError::new_err(format!("a claim can't be compared with a {}", value.get_type().name()?)))
    }
}

pub(crate) const CLAIM_DEPTH: usize = DEPTH;
