//! Secrets and keys as Python passes them.

use pyo3::FromPyObject;
use zeroize::Zeroizing;

/// A secret or a key.
#[derive(FromPyObject)]
pub(crate) enum TextOrBytes {
    Text(String),
    Bytes(Vec<u8>),
}

impl TextOrBytes {
    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        })
    }
}
