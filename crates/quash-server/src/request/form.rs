//! Reads form bodies whose parameters may each occur once, as OAuth requires.

use axum::extract::Request;

use crate::request::body::WholeRequest;
use crate::request::body_error::BodyError;

/// The parameters of a form, each of which may occur once (RFC 6749 3.1).
pub(crate) struct FormParameters {
    pairs: Vec<(String, String)>,
}

impl FormParameters {
    /// Reads a form body, and no other type.
    pub(crate) async fn read(request: Request) -> Result<Self, BodyError> {
        let WholeRequest { bytes, content_type, .. } = WholeRequest::read(request).await?;
        match content_type.media_type.as_str() {
            "application/x-www-form-urlencoded" => {
                Ok(Self { pairs: content_type.charset.decode_form(&bytes)? })
            }
            _ => Err(content_type.refused()),
        }
    }

    /// Takes a parameter. One without a value counts as omitted (RFC 6749 3.1).
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<String>, BodyError> {
        let mut values = self.pairs.extract_if(.., |(found, _)| found == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(BodyError::Duplicated(name)),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }
}
