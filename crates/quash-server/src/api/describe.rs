//! `OPTIONS` on the paths that follow Simple JWT: what each is called, what it takes and what it gives, in the form and
//! the words that clients of Simple JWT know. What differs is only what would be untrue here: answers are never HTML,
//! and blacklisting needs nothing installed.

use std::sync::Arc;

use axum::extract::{MatchedPath, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::answer::token_json;
use crate::door::Door;
use crate::error::Fault;

/// What is told about a path.
struct Description {
    /// What stands between the prefix and the last slash.
    path: &'static str,
    name: &'static str,
    text: &'static str,
    fields: &'static [Field],
}

/// A field of a body.
struct Field {
    name: &'static str,
    label: &'static str,
    way: Way,
}

/// Which way a field goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

const USERNAME: Field = Field { name: "username", label: "Username", way: Way::In };
const PASSWORD: Field = Field { name: "password", label: "Password", way: Way::In };
const TOKEN: Field = Field { name: "token", label: "Token", way: Way::In };
const REFRESH: Field = Field { name: "refresh", label: "Refresh", way: Way::In };
const ACCESS: Field = Field { name: "access", label: "Access", way: Way::Out };

const DESCRIPTIONS: [Description; 7] = [
    Description {
        path: "/token",
        name: "Token Obtain Pair",
        text: "Takes a set of user credentials and returns an access and refresh JSON web\ntoken pair to prove the authentication of those credentials.",
        fields: &[USERNAME, PASSWORD],
    },
    Description {
        path: "/token/refresh",
        name: "Token Refresh",
        text: "Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.",
        fields: &[REFRESH, ACCESS],
    },
    Description {
        path: "/token/verify",
        name: "Token Verify",
        text: "Takes a token and indicates if it is valid.  This view provides no\ninformation about a token's fitness for a particular use.",
        fields: &[TOKEN],
    },
    Description { path: "/token/blacklist", name: "Token Blacklist", text: "Takes a token and blacklists it.", fields: &[REFRESH] },
    Description {
        path: "/token/sliding",
        name: "Token Obtain Sliding",
        text: "Takes a set of user credentials and returns a sliding JSON web token to\nprove the authentication of those credentials.",
        fields: &[USERNAME, PASSWORD],
    },
    Description {
        path: "/token/sliding/refresh",
        name: "Token Refresh Sliding",
        text: "Takes a sliding JSON web token and returns a new, refreshed version if the\ntoken's refresh period has not expired.",
        fields: &[TOKEN],
    },
    Description {
        path: "/logout",
        name: "Logout",
        text: "Takes an access token in the Authorization header and a refresh token in the\nbody, and ends their session.",
        fields: &[REFRESH],
    },
];

pub(crate) async fn describe(State(door): State<Arc<Door>>, path: MatchedPath) -> Response {
    let ours = path.as_str().strip_prefix(&door.settings.prefix).unwrap_or_default().trim_end_matches('/');
    match DESCRIPTIONS.iter().find(|description| description.path == ours) {
        Some(description) => token_json(StatusCode::OK, &description.seen()),
        None => door.answer(Fault::not_found()),
    }
}

impl Description {
    fn seen(&self) -> Value {
        let fields: Map<_, _> = self.fields.iter().map(|field| (field.name.to_owned(), field.seen())).collect();
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
    fn seen(&self) -> Value {
        json!({ "type": "string", "required": self.way == Way::In, "read_only": self.way == Way::Out, "label": self.label })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sliding_tokens_have_their_descriptions() {
        let seen = |path: &str| DESCRIPTIONS.iter().find(|description| description.path == path).map(|found| found.seen().to_string());
        assert_eq!(
            seen("/token/sliding").as_deref(),
            Some(
                r#"{"name":"Token Obtain Sliding","description":"Takes a set of user credentials and returns a sliding JSON web token to\nprove the authentication of those credentials.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"username":{"type":"string","required":true,"read_only":false,"label":"Username"},"password":{"type":"string","required":true,"read_only":false,"label":"Password"}}}}"#
            )
        );
        assert_eq!(
            seen("/token/sliding/refresh").as_deref(),
            Some(
                r#"{"name":"Token Refresh Sliding","description":"Takes a sliding JSON web token and returns a new, refreshed version if the\ntoken's refresh period has not expired.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"token":{"type":"string","required":true,"read_only":false,"label":"Token"}}}}"#
            )
        );
    }
}
