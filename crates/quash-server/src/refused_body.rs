//! Converts an invalid body into an error, in the words that clients of Django REST framework know.

use serde_json::{Map, Value, json};

use crate::body::BodyFault;
use crate::charset::NotText;
use crate::code::Code;
use crate::error::Fault;

impl From<BodyFault> for Fault {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::new(Code::BodyTooLarge, "The request body is larger than 32 KiB."),
            BodyFault::NoMemory => Self::busy("Too many requests are unfinished."),
            BodyFault::TooSlow => Self::new(Code::BodyTimeout, "The request body did not arrive in time."),
            BodyFault::Cut => Self::new(Code::InvalidRequest, "The request body is incomplete."),
            BodyFault::MediaType(media_type) => Self::new(
                Code::UnsupportedMediaType,
                format!("Unsupported media type \"{media_type}\" in request."),
            ),
            BodyFault::Json(what) => Self::new(Code::InvalidRequest, format!("JSON parse error - {what}")),
            BodyFault::Multipart => {
                Self::new(Code::InvalidRequest, "Multipart form parse error - Invalid boundary or body")
            }
            BodyFault::Charset(NotText { charset }) => Self::new(
                Code::InvalidRequest,
                format!("The request body is not text in the charset {charset}."),
            ),
            BodyFault::NotAnObject(kind) => {
                let message = format!("Invalid data. Expected a dictionary, but got {kind}.");
                Self::of_fields(json!({ "non_field_errors": [message] }))
            }
            BodyFault::Nothing => Self::of_fields(json!({ "non_field_errors": ["No data provided"] })),
            BodyFault::Fields(fields) => {
                let body: Map<_, _> =
                    fields.into_iter().map(|(name, fault)| (name, json!([fault.to_string()]))).collect();
                Self::of_fields(body.into())
            }
            BodyFault::Twice(name) => {
                Self::new(Code::InvalidRequest, format!("The parameter {name} occurs twice in the form."))
            }
            BodyFault::Unknown(names) => {
                let body: Map<_, _> =
                    names.into_iter().map(|name| (name, json!(["This field can't be set here."]))).collect();
                Self::of_fields(body.into())
            }
        }
    }
}

impl Fault {
    pub(crate) fn of_fields(body: Value) -> Self {
        Self::new(Code::InvalidRequest, "A field is missing or wrong.").with_body(body)
    }

    pub(crate) fn of_field(name: &str, fault: &str) -> Self {
        Self::of_fields(json!({ name: [fault] }))
    }
}
