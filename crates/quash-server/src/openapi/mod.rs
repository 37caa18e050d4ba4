//! The description of all endpoints, as an OpenAPI 3.1 document. It is made from the router: each method in
//! `routes.rs` names the function that describes its handler, which is next to the handler, and each layer adds its
//! own answers (`layers.rs`). Schemas are those of the types that are serialized or, where a body is read by hand, of
//! a type next to the code that reads it.

pub(crate) mod layers;

pub(crate) mod operation;

mod errors;

use http::Method;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use self::operation::{Operation, Tag};
use crate::error::shapes::{DetailBody, FieldErrors, ProblemBody, ReasonWord, TokenMessage};
use crate::listed::ListedEndpoint;
use crate::settings::{HttpSettings, RefreshCookie};

/// The names of the security schemes.
pub(crate) const ACCESS_TOKEN: &str = "accessToken";
pub(crate) const CREDENTIAL: &str = "credential";
pub(crate) const CLIENT: &str = "client";

/// The version of the interface. The program's own isn't told to every client.
const VERSION: &str = "1";
const TITLE: &str = "quash";
const TEXT: &str = "JWT sessions that end when you say so. Every response has a header `X-Request-Id`, which the server's \
    log contains. Paths of the sections Tokens, Own account and Mail that end in a slash are also served without it. Requests with `OPTIONS` that are CORS \
    preflights, and `HEAD`, which is served wherever `GET` is, aren't listed. A refresh token is sent in the body, or \
    in a cookie with the setting `cookies.refresh`; it is no security scheme.";

/// Returns the document about these endpoints.
pub(crate) fn document(endpoints: &[ListedEndpoint], settings: &HttpSettings) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.extend([
        of::<ProblemBody<'_>>(),
        of::<DetailBody<'_>>(),
        of::<TokenMessage>(),
        of::<ReasonWord>(),
        of::<FieldErrors>(),
    ]);
    for endpoint in endpoints {
        // A path with a slash at its end is served without it, too, by the same handler.
        if endpoints.iter().any(|other| other.path == format!("{}/", endpoint.path)) {
            continue;
        }
        let operations: Vec<Operation> = endpoint.operations().collect();
        let first = operations.first().map_or("", Operation::id);
        let mut methods = Map::new();
        for operation in operations {
            let (method, operation) = entry(operation, first, &mut schemas);
            methods.insert(method, operation);
        }
        paths.insert(documented(&endpoint.path), methods.into());
    }
    paths.sort_keys();
    schemas.sort_keys();
    let tags: Vec<_> =
        Tag::ALL.iter().map(|tag| json!({ "name": tag.name(), "description": tag.text() })).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "description": TEXT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "version": VERSION,
        },
        "servers": [{ "url": settings.public_url.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string) }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": security_schemes(settings) },
    });
    adapt(&mut document["components"]["schemas"], settings);
    document
}

/// Returns a reference to a component.
pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn of<T: ToSchema>() -> (String, Value) {
    // A schema of ours always has a form in JSON.
    (T::name().into_owned(), serde_json::to_value(T::schema()).unwrap_or_default())
}

/// Returns a method and its operation, and adds the schemas that it needs. The handler of `OPTIONS` is the same for
/// all paths, but ids are unique.
fn entry(operation: Operation, first: &str, schemas: &mut Map<String, Value>) -> (String, Value) {
    let method = operation.method().as_str().to_ascii_lowercase();
    let id = match *operation.method() {
        Method::OPTIONS => format!("{first}Options"),
        _ => operation.id().to_owned(),
    };
    let (operation, needed) = operation.into_parts(&id);
    for (name, schema) in needed {
        debug_assert!(
            schemas.get(&name).is_none_or(|known| *known == schema),
            "two types have the name {name}"
        );
        schemas.insert(name, schema);
    }
    (method, operation)
}

/// Writes a path of the router as OpenAPI does, which has no wildcards.
fn documented(path: &str) -> String {
    path.replace("{*", "{")
}

fn security_schemes(settings: &HttpSettings) -> Value {
    let header = &settings.token_header;
    let is_bearer = header.name == http::header::AUTHORIZATION
        && header.schemes.first().is_none_or(|scheme| scheme.eq_ignore_ascii_case("bearer"));
    let access = if is_bearer {
        json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A live access token." })
    } else {
        let scheme = header.schemes.first().map_or("Bearer", String::as_str);
        let text = format!("`{scheme}`, a space, and a live access token.");
        json!({ "type": "apiKey", "in": "header", "name": header.name.as_str(), "description": text })
    };
    json!({
        ACCESS_TOKEN: access,
        CREDENTIAL: {
            "type": "http",
            "scheme": "bearer",
            "description": "The secret that `quash client add` or `quash verifier add` has printed. Each operation names the right that the credential needs.",
        },
        CLIENT: {
            "type": "http",
            "scheme": "basic",
            "description": "The name and the secret of a client, each form-encoded (RFC 6749 2.3.1).",
        },
    })
}

/// Changes the schemas whose fields depend on the settings.
fn adapt(schemas: &mut Value, settings: &HttpSettings) {
    let own = settings.username_field.as_str();
    if own != "username" {
        for name in ["SignIn", "OneTimePassword"] {
            rename(&mut schemas[name], "username", own);
        }
    }
    if settings.refresh_cookie == RefreshCookie::On
        && let Some(schema) = schemas["RefreshToken"].as_object_mut()
    {
        schema.remove("required");
    }
}

/// Renames a property of an object's schema, in its place.
fn rename(schema: &mut Value, from: &str, to: &str) {
    if let Some(properties) = schema["properties"].as_object_mut() {
        let renamed = std::mem::take(properties).into_iter();
        properties
            .extend(renamed.map(|(name, schema)| (if name == from { to.to_owned() } else { name }, schema)));
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.iter_mut().filter(|name| *name == from).for_each(|name| *name = to.into());
    }
}
