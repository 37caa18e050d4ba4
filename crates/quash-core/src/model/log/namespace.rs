//! Namespaces: the tokens of other issuers whose users aren't accounts of quash. `watch/named.rs` decides
//! about such a token by its names, `watch/gate.rs` about its text.

use std::time::Duration;

/// The namespace of another issuer's tokens. Revocations in it cover no other tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// 1 to 64 ASCII characters without blanks.
    pub name: String,
    /// The longest lifetime of its tokens. Revocations are kept for as long.
    pub max_lifetime: Duration,
    /// The token types that protected paths accept.
    pub accepted: Vec<String>,
    pub claims: NamespaceClaims,
}

/// The names of the claims in a namespace's tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespaceClaims {
    /// The session, which a log-out ends.
    pub session: Option<String>,
    /// The newest number of the log that the issuer knew when it issued the token.
    pub position: Option<String>,
    pub subject: String,
    /// The token's id; `None` if tokens have none.
    pub token: Option<String>,
}

impl Default for NamespaceClaims {
    /// Simple JWT's names.
    fn default() -> Self {
        Self { session: None, position: None, subject: "user_id".into(), token: Some("jti".into()) }
    }
}
