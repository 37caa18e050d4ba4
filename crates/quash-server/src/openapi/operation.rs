//! The description of one operation. Its endpoint's file begins it; `listed.rs` completes it with what each layer
//! around the handler reads and answers, in the order of the layers.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{errors, reference};
use crate::error::code::Code;
use crate::middleware::errors::ErrorFormat;

/// The media types of bodies that are read as fields.
const FIELD_TYPES: [&str; 3] =
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"];
/// The errors of each body that is read.
const BODY_CODES: [Code; 5] = [
    Code::InvalidRequest,
    Code::UnsupportedMediaType,
    Code::BodyTooLarge,
    Code::BodyTimeout,
    Code::Unavailable,
];

/// The section of the document that lists an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tag {
    Tokens,
    Account,
    Mail,
    Proxies,
    Feed,
    Revocations,
    Accounts,
    Clients,
    Keys,
    Audit,
    OAuth,
    Server,
    Pages,
}

/// An operation, as far as it is described.
pub(crate) struct Operation {
    tag: Tag,
    id: &'static str,
    summary: &'static str,
    text: &'static str,
    /// The right that the credential needs.
    right: Option<&'static str>,
    method: Method,
    /// The ways to authenticate, of which one is enough.
    security: Vec<Value>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Answer>,
    /// Errors that no layer has rendered yet.
    errors: Vec<Code>,
    rendered: BTreeMap<(u16, ErrorFormat), Vec<Code>>,
    schemas: Map<String, Value>,
}

/// A response other than an error.
#[derive(Default)]
struct Answer {
    text: String,
    content: Map<String, Value>,
    headers: Map<String, Value>,
    /// The errors with this status.
    codes: Vec<Code>,
}

impl Operation {
    pub(crate) fn new(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            text: "",
            right: None,
            method: Method::GET,
            security: Vec::new(),
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            errors: Vec::new(),
            rendered: BTreeMap::new(),
            schemas: Map::new(),
        }
    }

    /// Sets the explanation below the summary, in Markdown.
    pub(crate) fn text(self, text: &'static str) -> Self {
        Self { text, ..self }
    }

    /// Sets the method that the router has for the handler.
    pub(crate) fn at(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Adds a way to authenticate, by its name among the security schemes.
    pub(crate) fn secured_by(mut self, scheme: &'static str) -> Self {
        self.security.push(json!({ scheme: [] }));
        self
    }

    /// Adds a way to authenticate, and the right that it must have. OpenAPI 3.1 lists it beside the scheme.
    pub(crate) fn needs_right(mut self, scheme: &'static str, right: &'static str) -> Self {
        self.security.push(json!({ scheme: [right] }));
        Self { right: Some(right), ..self }
    }

    /// States that requests without any of the other ways are accepted, too.
    pub(crate) fn or_unsecured(mut self) -> Self {
        self.security.push(json!({}));
        self
    }

    pub(crate) fn query(self, name: &'static str, schema: Value, text: &'static str) -> Self {
        self.parameter("query", name, false, schema, text)
    }

    pub(crate) fn required_query(self, name: &'static str, schema: Value, text: &'static str) -> Self {
        self.parameter("query", name, true, schema, text)
    }

    pub(crate) fn header(self, name: &'static str, schema: Value, text: &'static str) -> Self {
        self.parameter("header", name, false, schema, text)
    }

    pub(crate) fn in_path(self, name: &'static str, text: &'static str) -> Self {
        self.parameter("path", name, true, json!({ "type": "string" }), text)
    }

    fn parameter(
        mut self,
        place: &'static str,
        name: &'static str,
        required: bool,
        schema: Value,
        text: &'static str,
    ) -> Self {
        let parameter =
            json!({ "name": name, "in": place, "description": text, "required": required, "schema": schema });
        self.parameters.push(parameter);
        self
    }

    /// Describes a body that is read as fields, of any of three types.
    pub(crate) fn fields<T: ToSchema>(self) -> Self {
        self.body::<T>(&FIELD_TYPES, true)
    }

    pub(crate) fn json_body<T: ToSchema>(self) -> Self {
        self.body::<T>(&["application/json"], true)
    }

    /// Describes a JSON body in which other members are refused.
    pub(crate) fn exact_json_body<T: ToSchema>(self) -> Self {
        let mut operation = self.json_body::<T>();
        operation.schemas[&*T::name()]["additionalProperties"] = false.into();
        operation
    }

    /// Describes a form of a client, whose errors have OAuth's format.
    pub(crate) fn oauth_form<T: ToSchema>(self) -> Self {
        let errors = self.errors.clone();
        Self { errors, ..self.body::<T>(&["application/x-www-form-urlencoded"], true) }
    }

    /// Describes a JSON body that may be left out.
    pub(crate) fn optional_json_body<T: ToSchema>(self) -> Self {
        self.body::<T>(&["application/json"], false)
    }

    /// Describes fields that may be left out together.
    pub(crate) fn optional_fields<T: ToSchema>(self) -> Self {
        self.body::<T>(&FIELD_TYPES, false)
    }

    fn body<T: ToSchema>(mut self, media_types: &[&str], required: bool) -> Self {
        let schema = self.component::<T>();
        let content: Map<_, _> =
            media_types.iter().map(|name| ((*name).to_owned(), json!({ "schema": schema }))).collect();
        self.body = Some(json!({ "required": required, "content": content }));
        self.refuses(&BODY_CODES)
    }

    /// Adds a response with JSON.
    pub(crate) fn answers<T: ToSchema>(mut self, status: StatusCode, text: &'static str) -> Self {
        let schema = self.component::<T>();
        self.answers_with(status, text, "application/json", schema)
    }

    /// Adds a response with a body of another type, or of a schema that has no type.
    pub(crate) fn answers_with(
        mut self,
        status: StatusCode,
        text: &'static str,
        media_type: &'static str,
        schema: Value,
    ) -> Self {
        let answer = self.answer(status, text);
        answer.add(media_type, schema);
        self
    }

    /// Adds a page.
    pub(crate) fn answers_page(self, text: &'static str) -> Self {
        self.answers_with(StatusCode::OK, text, "text/html; charset=utf-8", json!({ "type": "string" }))
    }

    /// Adds a response without a body.
    pub(crate) fn answers_empty(mut self, text: &'static str) -> Self {
        self.answer(StatusCode::NO_CONTENT, text);
        self
    }

    fn answer(&mut self, status: StatusCode, text: &str) -> &mut Answer {
        let answer = self.answers.entry(status.as_u16()).or_default();
        if answer.text.is_empty() {
            text.clone_into(&mut answer.text);
        }
        answer
    }

    /// Adds a header to the responses with this status.
    pub(crate) fn answers_header(mut self, status: StatusCode, name: &'static str, header: Value) -> Self {
        self.answer(status, "").headers.insert(name.to_owned(), header);
        self
    }

    /// Adds an error of a format of its own.
    pub(crate) fn answers_error(
        self,
        status: StatusCode,
        text: &str,
        media_type: &str,
        schema: Value,
    ) -> Self {
        let mut operation = self;
        operation.answer(status, text).add(media_type, schema);
        for (name, header) in errors::headers(status.as_u16()) {
            operation.answer(status, "").headers.insert(name.to_owned(), header);
        }
        operation
    }

    /// Makes the schema of a type a component that others refer to by its name.
    pub(crate) fn needs<T: ToSchema>(mut self) -> Self {
        self.component::<T>();
        self
    }

    /// Adds errors.
    pub(crate) fn refuses(mut self, codes: &[Code]) -> Self {
        self.errors.extend(codes);
        self
    }

    /// Renders the errors so far, as the layer `middleware/errors.rs` does.
    pub(crate) fn rendered(mut self, format: ErrorFormat) -> Self {
        let mut codes = std::mem::take(&mut self.errors);
        // Any handler may fail. A node whose settings differ says so instead of `unavailable`.
        codes.push(Code::InternalError);
        if codes.contains(&Code::Unavailable) {
            codes.push(Code::SettingsChanged);
        }
        for code in codes {
            let rendered = self.rendered.entry((code.status().as_u16(), format)).or_default();
            if !rendered.contains(&code) {
                rendered.push(code);
            }
        }
        self
    }

    pub(crate) fn follows_simple_jwt(&self) -> bool {
        self.rendered.keys().any(|(_, format)| *format == ErrorFormat::SimpleJwt)
    }

    /// Adds a member to each response with JSON, and answers with it where there was no body.
    pub(crate) fn with_member<T: ToSchema>(mut self, text: &'static str) -> Self {
        let schema = self.component::<T>();
        if self.answers.contains_key(&StatusCode::NO_CONTENT.as_u16()) {
            self.answer(StatusCode::OK, text);
        }
        if let Some(answer) = self.answers.get_mut(&StatusCode::OK.as_u16()) {
            let own = answer.content.remove("application/json").map(|content| content["schema"].clone());
            let schema = own.map_or_else(|| schema.clone(), |own| json!({ "allOf": [own, schema] }));
            answer.add("application/json", schema);
        }
        self
    }

    /// Returns a reference to the schema of a type, which becomes a component of the document.
    fn component<T: ToSchema>(&mut self) -> Value {
        let mut all = Vec::new();
        T::schemas(&mut all);
        all.push((T::name().into_owned(), T::schema()));
        for (name, schema) in all {
            // A schema of ours always has a form in JSON.
            self.schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
        reference(&T::name())
    }

    pub(crate) fn id(&self) -> &'static str {
        self.id
    }

    /// Returns the operation as the document has it, and the schemas that it refers to. `id` is unique in the
    /// document.
    pub(crate) fn into_parts(self, id: &str) -> (Value, Map<String, Value>) {
        let Self { mut answers, rendered, .. } = self;
        for ((status, format), codes) in &rendered {
            let answer = answers.entry(*status).or_default();
            answer.codes.extend(codes);
            for (media_type, schema) in errors::content(*status, *format, codes) {
                answer.add(media_type, schema);
            }
            for (name, header) in errors::headers(*status) {
                answer.headers.insert(name.to_owned(), header);
            }
        }
        let answers: Map<_, _> =
            answers.into_iter().map(|(status, answer)| (status.to_string(), answer.into_value())).collect();
        let mut operation = Map::new();
        operation.insert("tags".into(), json!([self.tag.name()]));
        operation.insert("summary".into(), self.summary.into());
        let right = self.right.map(|right| format!("Requires the right `{right}`."));
        let texts: Vec<_> =
            right.as_deref().into_iter().chain([self.text]).filter(|text| !text.is_empty()).collect();
        if !texts.is_empty() {
            operation.insert("description".into(), texts.join(" ").into());
        }
        operation.insert("operationId".into(), id.into());
        if !self.parameters.is_empty() {
            operation.insert("parameters".into(), self.parameters.into());
        }
        if let Some(body) = self.body {
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), answers.into());
        operation.insert("security".into(), self.security.into());
        (operation.into(), self.schemas)
    }
}

impl Answer {
    /// Adds a form of the body. Several of one media type are alternatives.
    fn add(&mut self, media_type: &str, schema: Value) {
        let schema = match self.content.get(media_type).map(|content| &content["schema"]) {
            Some(first) => json!({ "anyOf": [first, schema] }),
            None => schema,
        };
        self.content.insert(media_type.to_owned(), json!({ "schema": schema }));
    }

    fn into_value(self) -> Value {
        let paragraphs = [self.text, errors::text(&self.codes)];
        let text: Vec<_> = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
        let mut value = Map::new();
        value.insert("description".into(), text.join("\n\n").into());
        if !self.headers.is_empty() {
            value.insert("headers".into(), self.headers.into());
        }
        if !self.content.is_empty() {
            value.insert("content".into(), self.content.into());
        }
        value.into()
    }
}

impl Tag {
    pub(crate) const ALL: [Self; 13] = [
        Self::Tokens,
        Self::Account,
        Self::Mail,
        Self::Proxies,
        Self::Feed,
        Self::Revocations,
        Self::Accounts,
        Self::Clients,
        Self::Keys,
        Self::Audit,
        Self::OAuth,
        Self::Server,
        Self::Pages,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "Tokens",
            Self::Account => "Own account",
            Self::Mail => "Mail",
            Self::Proxies => "Proxies",
            Self::Feed => "Feed",
            Self::Revocations => "Revocations",
            Self::Accounts => "Accounts",
            Self::Clients => "Clients",
            Self::Keys => "Keys",
            Self::Audit => "Audit",
            Self::OAuth => "OAuth",
            Self::Server => "Server",
            Self::Pages => "Pages",
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Tokens => "Sign-in, refresh and log-out, as clients of Simple JWT know them.",
            Self::Account => "The account and the sessions that an access token belongs to.",
            Self::Mail => "Registration, and what a link or a code from a mail confirms.",
            Self::Proxies => "For a proxy that checks requests before it passes them on.",
            Self::Feed => "Revocations, for verifiers in other processes.",
            Self::Revocations => "For systems that revoke sessions and tokens by name.",
            Self::Accounts => "For systems that keep users of their own.",
            Self::Clients => "The clients and verifiers of this server, and their secrets.",
            Self::Keys => "The signing keys.",
            Self::Audit => "What happened to accounts, sessions, keys and clients.",
            Self::OAuth => "Introspection and revocation for clients (RFC 7662, RFC 7009).",
            Self::Server => "Keys, health and metrics.",
            Self::Pages => "Pages for browsers.",
        }
    }
}
