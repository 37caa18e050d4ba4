//! Converts an invalid body into an error, in the words that clients of Django REST framework know.

use serde_json::{Map, json};

use crate::error::code::Code;
use crate::error::presentation::Presentation;
use crate::request::body_error::BodyError;
use crate::request::charset::NotText;

impl Presentation {
    pub(super) fn of_body(fault: &BodyError) -> Self {
        match fault {
            BodyError::TooLarge(most) => {
                Self::new(Code::BodyTooLarge, format!("The request body is larger than {} KiB.", most / 1024))
            }
            BodyError::NoMemory => Self::busy("Too many requests are unfinished."),
            BodyError::Timeout => Self::new(Code::BodyTimeout, "The request body did not arrive in time."),
            BodyError::Incomplete => Self::new(Code::InvalidRequest, "The request body is incomplete."),
            BodyError::MediaType(media_type) => Self::new(
                Code::UnsupportedMediaType,
                format!("Unsupported media type \"{media_type}\" in request."),
            ),
            BodyError::Json(what) => Self::new(Code::InvalidRequest, format!("JSON parse error - {what}")),
            BodyError::Members { line, column, needed } => Self::new(
                Code::InvalidRequest,
                format!(
                    "A member is missing, unknown or of the wrong type: line {line} column {column}. The body needs {needed}."
                ),
            ),
            BodyError::Multipart => {
                Self::new(Code::InvalidRequest, "Multipart form parse error - Invalid boundary or body")
            }
            BodyError::Charset(NotText { charset }) => Self::new(
                Code::InvalidRequest,
                format!("The request body is not text in the charset {charset}."),
            ),
            BodyError::NotAnObject(kind) => {
                let message = format!("Invalid data. Expected a dictionary, but got {kind}.");
                Self::of_fields(Map::from_iter([("non_field_errors".to_owned(), json!([message]))]))
            }
            BodyError::Nothing => Self::of_fields(Map::from_iter([(
                "non_field_errors".to_owned(),
                json!(["No data provided"]),
            )])),
            BodyError::Fields(fields) => {
                let faults = fields.iter().map(|(name, fault)| (name.clone(), json!([fault.to_string()])));
                Self::of_fields(faults.collect())
            }
            BodyError::Duplicated(name) => {
                Self::new(Code::InvalidRequest, format!("The parameter {name} occurs twice in the form."))
            }
            BodyError::Unknown(names) => {
                let faults =
                    names.iter().map(|name| (name.clone(), json!(["This field can't be set here."])));
                Self::of_fields(faults.collect())
            }
        }
    }
}
