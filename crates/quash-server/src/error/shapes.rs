//! The bodies of errors, as they are serialized and as the OpenAPI document describes them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quash_core::model::Reason;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// The path of the page about the code.
    pub(super) r#type: String,
    pub(super) title: &'a str,
    pub(super) status: u16,
    pub(super) detail: &'a str,
    pub(super) code: &'a str,
    /// The event that has ended the token's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ReasonWord, required = false)]
    pub(super) reason: Option<&'a str>,
    /// The fields, parameters or items and their errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, Value>, required = false)]
    pub(super) errors: Option<&'a Value>,
    /// The versions of the feed that this server speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<u32>, required = false)]
    pub(super) versions: Option<[u32; 1]>,
}

/// An error in Simple JWT's format.
#[derive(Serialize, ToSchema)]
#[schema(as = Detail)]
pub(crate) struct DetailBody<'a> {
    pub(super) detail: &'a str,
    /// Match this rather than the text. Errors of Django REST framework have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(super) code: Option<&'a str>,
    /// The event that has ended the token's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ReasonWord, required = false)]
    pub(super) reason: Option<&'a str>,
    /// For a token in the header: the error for each type that it could have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) messages: Vec<TokenMessage>,
}

/// The reason why a token isn't accepted as one of a type.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenMessage {
    pub(super) token_class: &'static str,
    pub(super) token_type: &'static str,
    pub(super) message: String,
}

/// The event that has ended a session.
pub(crate) struct ReasonWord;

impl PartialSchema for ReasonWord {
    fn schema() -> RefOr<Schema> {
        let words = Reason::ALL.map(Reason::as_str);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
    }
}

impl ToSchema for ReasonWord {
    fn name() -> Cow<'static, str> {
        "Reason".into()
    }
}

/// The errors of each field, in Simple JWT's format.
#[derive(ToSchema)]
pub(crate) struct FieldErrors(
    #[expect(dead_code, reason = "describes a body that is built as a map")] BTreeMap<String, Vec<String>>,
);
