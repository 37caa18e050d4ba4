//! Converts an invalid body into an error, in the words that clients of Django REST framework know.

use serde_json::{Map, Value, json};

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::request::body_error::BodyError;
use crate::request::charset::NotText;

impl From<BodyError> for HttpError {
    fn from(fault: BodyError) -> Self {
        match fault {
            BodyError::TooLarge => Self::new(Code::BodyTooLarge, "The request body is larger than 32 KiB."),
            BodyError::NoMemory => Self::busy("Too many requests are unfinished."),
            BodyError::Timeout => Self::new(Code::BodyTimeout, "The request body did not arrive in time."),
            BodyError::Incomplete => Self::new(Code::InvalidRequest, "The request body is incomplete."),
            BodyError::MediaType(media_type) => Self::new(
                Code::UnsupportedMediaType,
                format!("Unsupported media type \"{media_type}\" in request."),
            ),
            BodyError::Json(what) => Self::new(Code::InvalidRequest, format!("JSON parse error - {what}")),
            BodyError::Multipart => {
                Self::new(Code::InvalidRequest, "Multipart form parse error - Invalid boundary or body")
            }
            BodyError::Charset(NotText { charset }) => Self::new(
                Code::InvalidRequest,
                format!("The request body is not text in the charset {charset}."),
            ),
            BodyError::NotAnObject(kind) => {
                let message = format!("Invalid data. Expected a dictionary, but got {kind}.");
                Self::of_fields(json!({ "non_field_errors": [message] }))
            }
            BodyError::Nothing => Self::of_fields(json!({ "non_field_errors": ["No data provided"] })),
            BodyError::Fields(fields) => {
                let body: Map<_, _> =
                    fields.into_iter().map(|(name, fault)| (name, json!([fault.to_string()]))).collect();
                Self::of_fields(body.into())
            }
            BodyError::Duplicated(name) => {
                Self::new(Code::InvalidRequest, format!("The parameter {name} occurs twice in the form."))
            }
            BodyError::Unknown(names) => {
                let body: Map<_, _> =
                    names.into_iter().map(|name| (name, json!(["This field can't be set here."]))).collect();
                Self::of_fields(body.into())
            }
        }
    }
}

impl HttpError {
    pub(crate) fn of_fields(body: Value) -> Self {
        Self::new(Code::InvalidRequest, "A field is missing or wrong.").with_body(body)
    }

    pub(crate) fn of_field(name: &str, fault: &str) -> Self {
        Self::of_fields(json!({ name: [fault] }))
    }
}
