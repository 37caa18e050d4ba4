//! `OPTIONS` on the paths that follow Simple JWT: describes each endpoint's name, request and response, in
//! the format and the words that clients of Simple JWT know. The text differs only where it would be untrue
//! here: responses are never HTML, and blacklisting needs no installed app.

use std::sync::Arc;

use axum::extract::{MatchedPath, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::response::token_json;
use crate::settings::paths::Endpoint;
use crate::state::AppState;

/// The description of a path.
struct Description {
    endpoint: Endpoint,
    name: &'static str,
    text: &'static str,
    fields: &'static [Field],
}

struct Field {
    name: &'static str,
    way: Direction,
}

/// The direction of a field: request or response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// The field whose name is a setting.
const USERNAME: Field = Field { name: "username", way: Direction::In };
const PASSWORD: Field = Field { name: "password", way: Direction::In };
const TOKEN: Field = Field { name: "token", way: Direction::In };
const REFRESH: Field = Field { name: "refresh", way: Direction::In };
const ACCESS: Field = Field { name: "access", way: Direction::Out };

const DESCRIPTIONS: [Description; 7] = [
    Description {
        endpoint: Endpoint::Token,
        name: "Token Obtain Pair",
        text: "Takes a set of user credentials and returns an access and refresh JSON web\ntoken pair to prove the authentication of those credentials.",
        fields: &[USERNAME, PASSWORD],
    },
    Description {
        endpoint: Endpoint::TokenRefresh,
        name: "Token Refresh",
        text: "Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.",
        fields: &[REFRESH, ACCESS],
    },
    Description {
        endpoint: Endpoint::TokenVerify,
        name: "Token Verify",
        text: "Takes a token and indicates if it is valid.  This view provides no\ninformation about a token's fitness for a particular use.",
        fields: &[TOKEN],
    },
    Description {
        endpoint: Endpoint::TokenBlacklist,
        name: "Token Blacklist",
        text: "Takes a token and blacklists it.",
        fields: &[REFRESH],
    },
    Description {
        endpoint: Endpoint::TokenSliding,
        name: "Token Obtain Sliding",
        text: "Takes a set of user credentials and returns a sliding JSON web token to\nprove the authentication of those credentials.",
        fields: &[USERNAME, PASSWORD],
    },
    Description {
        endpoint: Endpoint::TokenSlidingRefresh,
        name: "Token Refresh Sliding",
        text: "Takes a sliding JSON web token and returns a new, refreshed version if the\ntoken's refresh period has not expired.",
        fields: &[TOKEN],
    },
    Description {
        endpoint: Endpoint::Logout,
        name: "Logout",
        text: "Takes an access token in the Authorization header and a refresh token in the\nbody, and ends their session.",
        fields: &[REFRESH],
    },
];

pub(crate) async fn describe(
    State(state): State<Arc<AppState>>,
    path: MatchedPath,
) -> Result<Response, HttpError> {
    let endpoint = state.settings.endpoint_at(path.as_str());
    let description = DESCRIPTIONS.iter().find(|description| Some(description.endpoint) == endpoint);
    let description = description.ok_or_else(HttpError::not_found)?;
    Ok(token_json(StatusCode::OK, &description.seen(&state.settings.username_field)))
}

impl Description {
    fn seen(&self, username_field: &str) -> Value {
        let name = |field: &Field| if field.name == USERNAME.name { username_field } else { field.name };
        let fields: Map<_, _> =
            self.fields.iter().map(|field| (name(field).to_owned(), field.seen(name(field)))).collect();
        json!({
            "name": self.name,
            "description": self.text,
            "renders": ["application/json"],
            "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
            "actions": { "POST": fields },
        })
    }
}

impl Field {
    fn seen(&self, name: &str) -> Value {
        json!({ "type": "string", "required": self.way == Direction::In, "read_only": self.way == Direction::Out, "label": label(name) })
    }
}

/// The label that Django REST framework gives a field: `phone_number` becomes "Phone number".
fn label(name: &str) -> String {
    let words = name.replace('_', " ").to_lowercase();
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The description of a path.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields depend on the settings")]
struct PathDescription {
    name: String,
    description: String,
    renders: Vec<String>,
    parses: Vec<String>,
    /// By method, the fields of its body.
    #[schema(value_type = std::collections::BTreeMap<String, std::collections::BTreeMap<String, Value>>)]
    actions: Value,
}

/// Describes the method `OPTIONS` of each path that follows Simple JWT.
pub(crate) fn describe_options() -> Operation {
    Operation::new(
        Tag::Tokens,
        "describe",
        "Describes the path and its fields, as Django REST framework does",
    )
    .answers::<PathDescription>(StatusCode::OK, "The description.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sliding_token_paths_are_described() {
        let seen = |endpoint| {
            DESCRIPTIONS
                .iter()
                .find(|description| description.endpoint == endpoint)
                .map(|found| found.seen("username").to_string())
        };
        assert_eq!(
            seen(Endpoint::TokenSliding).as_deref(),
            Some(
                r#"{"name":"Token Obtain Sliding","description":"Takes a set of user credentials and returns a sliding JSON web token to\nprove the authentication of those credentials.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"username":{"type":"string","required":true,"read_only":false,"label":"Username"},"password":{"type":"string","required":true,"read_only":false,"label":"Password"}}}}"#
            )
        );
        assert_eq!(
            seen(Endpoint::TokenSlidingRefresh).as_deref(),
            Some(
                r#"{"name":"Token Refresh Sliding","description":"Takes a sliding JSON web token and returns a new, refreshed version if the\ntoken's refresh period has not expired.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"token":{"type":"string","required":true,"read_only":false,"label":"Token"}}}}"#
            )
        );
    }

    #[test]
    fn field_labels_match_django_rest_framework() {
        for (name, shown) in
            [("username", "Username"), ("phone_number", "Phone number"), ("_x", " x"), ("userID", "Userid")]
        {
            assert_eq!(label(name), shown);
        }
    }
}
