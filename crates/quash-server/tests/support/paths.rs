//! The paths of the router by their clients, for tests that walk over them.

/// The paths that take POST alone, each with the field that holds its token.
pub(crate) const TOKEN_PATHS: [(&str, &str); 7] = [
    ("/api/token", "password"),
    ("/api/token/sliding", "password"),
    ("/api/token/sliding/refresh", "token"),
    ("/api/token/refresh", "refresh"),
    ("/api/token/verify", "token"),
    ("/api/token/blacklist", "refresh"),
    ("/api/logout", "refresh"),
];
/// The paths about mails, including their pages.
pub(crate) const MAIL_PATHS: [&str; 10] = [
    "/v1/password-reset",
    "/v1/password-reset/confirm",
    "/v1/email-verification",
    "/v1/email-verification/confirm",
    "/v1/registration",
    "/v1/me/email",
    "/v1/me/email/confirm",
    "/reset",
    "/verify",
    "/email",
];
/// The paths for other services.
pub(crate) const CLIENT_PATHS: [&str; 2] = ["/oauth2/introspect", "/oauth2/revoke"];
/// The read-only paths.
pub(crate) const READ_PATHS: [&str; 11] = [
    "/v1/me",
    "/v1/forward-auth",
    "/v1/me/sessions",
    "/livez",
    "/readyz",
    "/.well-known/jwks.json",
    "/openapi.json",
    "/docs",
    "/docs/errors/token_not_valid",
    "/docs/errors/",
    "/",
];

/// The guarded paths that change the user's own data, each with its method and a valid body.
pub(crate) const OWN_PATHS: [(&str, &str, &str); 8] = [
    ("PATCH", "/v1/me", r#"{"username":"dana2","password":"correct horse battery staple"}"#),
    (
        "POST",
        "/v1/me/password",
        r#"{"current_password":"correct horse battery staple","new_password":"another horse battery staple"}"#,
    ),
    ("GET", "/v1/me/sessions", ""),
    ("POST", "/v1/me/sessions/end-others", ""),
    ("POST", "/v1/me/sessions/end-all", ""),
    ("DELETE", "/v1/me/sessions/00000000000000000000000000000000", ""),
    ("POST", "/v1/me/deactivate", r#"{"password":"correct horse battery staple"}"#),
    ("DELETE", "/v1/me", r#"{"password":"correct horse battery staple"}"#),
];

/// The paths that no other list has: each takes other credentials or none, and has tests of its own.
pub(crate) const OTHER_PATHS: [&str; 36] = [
    "/v1/password",
    "/v1/feed",
    "/v1/feed/snapshot",
    "/v1/feed/lease",
    "/v1/revocations",
    "/v1/revocations/query",
    "/admin/v1/accounts/batch",
    "/admin/v1/accounts/{subject}",
    "/admin/v1/accounts/{subject}/sessions",
    "/admin/v1/audit",
    "/admin/v1/clients",
    "/admin/v1/clients/{name}",
    "/admin/v1/clients/{name}/secret",
    "/admin/v1/keys",
    "/admin/v1/keys/rotate",
    "/admin/v1/keys/{kid}/revoke",
    "/admin/v1/doctor",
    "/admin/v1/accounts",
    "/admin/v1/accounts/{subject}/lock",
    "/admin/v1/accounts/{subject}/unlock",
    "/admin/v1/accounts/{subject}/deactivate",
    "/admin/v1/accounts/{subject}/reactivate",
    "/admin/v1/accounts/{subject}/require-reset",
    "/admin/v1/accounts/{subject}/temporary-password",
    "/admin/v1/accounts/{subject}/sessions/end-all",
    "/admin/v1/sessions",
    "/admin/v1/sessions/{sid}",
    "/admin/v1/revocations",
    "/admin/v1/verifiers",
    "/admin/v1/nodes",
    "/admin/v1/statistics",
    "/metrics",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/{*path}",
    "/docs/errors/{code}",
    "/pages.css",
];
