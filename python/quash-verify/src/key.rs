//! A key of the application, by which it recognises the tokens that this key has verified.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use quash_core::model::Kid;
use quash_core::token::{Algorithm, Family, VerifyingKey};
use quash_verify::Accepted;

use crate::secret::TextOrBytes;

/// A public key or a secret, with its algorithm.
#[pyclass(frozen, module = "quash_verify._native")]
pub(crate) struct Key(VerifyingKey);

impl Key {
    pub(crate) fn has_verified(&self, accepted: &Accepted) -> bool {
        accepted.is_signed_with(&self.0)
    }
}

#[pymethods]
impl Key {
    /// Reads a secret, or a public key in PEM or as a JWK.
    #[new]
    #[pyo3(signature = (algorithm, key))]
    fn create(algorithm: &str, key: TextOrBytes) -> PyResult<Self> {
        let unknown = || PyValueError::new_err("quash-verify doesn't know this algorithm");
        let algorithm = Algorithm::parse(algorithm).ok_or_else(unknown)?;
        let key = key.into_bytes();
        let read = if algorithm.family() == Family::Hmac {
            // No one sees the name.
            Kid::parse("unnamed").ok().map(|kid| VerifyingKey::insecure_hmac(algorithm, &key, kid))
        } else {
            std::str::from_utf8(&key).ok().map(|text| VerifyingKey::read(algorithm, text))
        };
        match read {
            Some(read) => read.map(Self).map_err(|fault| PyValueError::new_err(format!("the key {fault}"))),
            None => Err(PyValueError::new_err("the key isn't a text")),
        }
    }
}
