//! The paths of endpoints: quash's own, or those that clients of djoser, dj-rest-auth or another framework
//! expect.

use std::collections::BTreeMap;
use std::fmt;

/// The longest path, in bytes.
const PATH_BYTES: usize = 200;

/// First path segments that have a meaning of their own.
const RESERVED: [&str; 14] = [
    "v1",
    "admin",
    "oauth2",
    ".well-known",
    "forward-auth",
    "livez",
    "readyz",
    "metrics",
    "docs",
    "openapi.json",
    "reset",
    "verify",
    "email",
    "pages.css",
];

/// An endpoint whose path is a setting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Endpoint {
    Token,
    TokenRefresh,
    TokenVerify,
    TokenBlacklist,
    TokenSliding,
    TokenSlidingRefresh,
    Logout,
    Me,
    MePassword,
    Registration,
    PasswordReset,
    PasswordResetConfirm,
    EmailVerification,
    EmailVerificationConfirm,
}

/// The endpoints that aren't at their default paths.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Paths(BTreeMap<Endpoint, String>);

/// The reason why a setting's paths are invalid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PathsFault {
    /// No endpoint with a configurable path has this name.
    Unknown(String),
    /// The text isn't a path.
    NotAPath(String),
    /// The path begins with one of quash's own.
    Reserved(String),
    /// Two endpoints share the path.
    Shared(String, Endpoint, Endpoint),
}

impl Endpoint {
    pub const ALL: [Self; 14] = [
        Self::Token,
        Self::TokenRefresh,
        Self::TokenVerify,
        Self::TokenBlacklist,
        Self::TokenSliding,
        Self::TokenSlidingRefresh,
        Self::Logout,
        Self::Me,
        Self::MePassword,
        Self::Registration,
        Self::PasswordReset,
        Self::PasswordResetConfirm,
        Self::EmailVerification,
        Self::EmailVerificationConfirm,
    ];

    /// The endpoint's name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::TokenRefresh => "token_refresh",
            Self::TokenVerify => "token_verify",
            Self::TokenBlacklist => "token_blacklist",
            Self::TokenSliding => "token_sliding",
            Self::TokenSlidingRefresh => "token_sliding_refresh",
            Self::Logout => "logout",
            Self::Me => "me",
            Self::MePassword => "me_password",
            Self::Registration => "registration",
            Self::PasswordReset => "password_reset",
            Self::PasswordResetConfirm => "password_reset_confirm",
            Self::EmailVerification => "email_verification",
            Self::EmailVerificationConfirm => "email_verification_confirm",
        }
    }

    /// The default path, after the prefix if the endpoint follows Simple JWT.
    const fn own_path(self) -> &'static str {
        match self {
            Self::Token => "/token",
            Self::TokenRefresh => "/token/refresh",
            Self::TokenVerify => "/token/verify",
            Self::TokenBlacklist => "/token/blacklist",
            Self::TokenSliding => "/token/sliding",
            Self::TokenSlidingRefresh => "/token/sliding/refresh",
            Self::Logout => "/logout",
            Self::Me => "/v1/me",
            Self::MePassword => "/v1/me/password",
            Self::Registration => "/v1/registration",
            Self::PasswordReset => "/v1/password-reset",
            Self::PasswordResetConfirm => "/v1/password-reset/confirm",
            Self::EmailVerification => "/v1/email-verification",
            Self::EmailVerificationConfirm => "/v1/email-verification/confirm",
        }
    }

    /// Returns whether responses follow Simple JWT. The endpoint is then served with and without a trailing
    /// slash.
    pub(crate) const fn follows_simple_jwt(self) -> bool {
        matches!(
            self,
            Self::Token
                | Self::TokenRefresh
                | Self::TokenVerify
                | Self::TokenBlacklist
                | Self::TokenSliding
                | Self::TokenSlidingRefresh
                | Self::Logout
        )
    }
}

impl Paths {
    /// Reads endpoint names and their paths. A trailing slash in a path makes no difference.
    ///
    /// ```
    /// use quash_server::{Paths, PathsFault};
    /// let read = |name: &str, path: &str| Paths::parse(&[(name.into(), path.into())], "/api");
    /// assert!(read("token", "/auth/jwt/create/").is_ok());
    /// assert_eq!(read("token", "auth"), Err(PathsFault::NotAPath("auth".into())));
    /// ```
    ///
    /// # Errors
    /// A name or a path is invalid, or two endpoints would share a path.
    pub fn parse(chosen: &[(String, String)], prefix: &str) -> Result<Self, PathsFault> {
        let mut paths = BTreeMap::new();
        for (name, path) in chosen {
            let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name);
            let endpoint = endpoint.ok_or_else(|| PathsFault::Unknown(name.clone()))?;
            let kept = path.strip_suffix('/').unwrap_or(path);
            if path.len() > PATH_BYTES || !is_path(kept) {
                return Err(PathsFault::NotAPath(path.clone()));
            }
            if is_reserved(kept) {
                return Err(PathsFault::Reserved(path.clone()));
            }
            paths.insert(endpoint, kept.to_owned());
        }
        let paths = Self(paths);
        let mut served: BTreeMap<String, Endpoint> = BTreeMap::new();
        for endpoint in Endpoint::ALL {
            let path = paths.path(endpoint, prefix);
            if let Some(other) = served.insert(path.clone(), endpoint) {
                return Err(PathsFault::Shared(path, other, endpoint));
            }
        }
        Ok(paths)
    }

    /// Returns the paths of an endpoint. A default path may be served only without a trailing slash; a
    /// configured one is served with and without.
    pub(crate) fn of(&self, endpoint: Endpoint, prefix: &str) -> Vec<String> {
        let path = self.path(endpoint, prefix);
        let with_slash = endpoint.follows_simple_jwt() || self.0.contains_key(&endpoint);
        let slashed = with_slash.then(|| format!("{path}/"));
        std::iter::once(path).chain(slashed).collect()
    }

    /// Returns the endpoint that is served at a path, if its path is a setting.
    pub(crate) fn endpoint_at(&self, path: &str, prefix: &str) -> Option<Endpoint> {
        Endpoint::ALL
            .into_iter()
            .find(|endpoint| self.of(*endpoint, prefix).iter().any(|served| served == path))
    }

    fn path(&self, endpoint: Endpoint, prefix: &str) -> String {
        let prefix = if endpoint.follows_simple_jwt() { prefix } else { "" };
        self.0.get(&endpoint).cloned().unwrap_or_else(|| format!("{prefix}{}", endpoint.own_path()))
    }
}

/// Returns whether a text is a valid path setting: a slash before each segment and none at the end.
pub fn is_path(text: &str) -> bool {
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    text.strip_prefix('/').is_some_and(|text| text.split('/').all(is_segment))
}

/// Returns whether a path begins with one of quash's own, and so can't be configured.
pub fn is_reserved(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    RESERVED.contains(&first)
}

impl fmt::Display for PathsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "has \"{name}\", which isn't an endpoint's name"),
            Self::NotAPath(path) => {
                write!(f, "has \"{path}\", which isn't a path of at most {PATH_BYTES} bytes")
            }
            Self::Reserved(path) => {
                write!(f, "has \"{path}\", which begins with a path that quash uses itself")
            }
            Self::Shared(path, one, other) => {
                write!(f, "would serve both {} and {} at \"{path}\"", one.name(), other.name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chosen: &[(&str, &str)]) -> Result<Paths, PathsFault> {
        let chosen: Vec<(String, String)> =
            chosen.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        Paths::parse(&chosen, "/api")
    }

    #[test]
    fn configured_paths_replace_default_paths() {
        let paths = read(&[("token", "/auth/jwt/create/"), ("me", "/auth/users/me")]).expect("paths");
        let of = |endpoint| paths.of(endpoint, "/api");
        let at = |path| paths.endpoint_at(path, "/api");
        assert_eq!(of(Endpoint::Token), ["/auth/jwt/create", "/auth/jwt/create/"]);
        assert_eq!(of(Endpoint::TokenRefresh), ["/api/token/refresh", "/api/token/refresh/"]);
        assert_eq!(of(Endpoint::Me), ["/auth/users/me", "/auth/users/me/"]);
        assert_eq!(of(Endpoint::MePassword), ["/v1/me/password"]);
        assert_eq!(at("/auth/jwt/create/"), Some(Endpoint::Token));
        assert_eq!((at("/api/token"), at("/nowhere")), (None, None));
    }

    #[test]
    fn paths_must_be_plain_and_unique() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES - 1));
        assert!(read(&[("token", &longest)]).is_ok());
        assert!(
            read(&[("token", "/login/"), ("logout", "/api/token")]).is_ok(),
            "what another endpoint has left"
        );
        for path in [
            "",
            "/",
            "//",
            "login",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a b",
            "/a?b",
            "/{a}",
            "/a%2e",
            "/\u{e9}",
            &format!("{longest}a"),
        ] {
            assert_eq!(read(&[("token", path)]), Err(PathsFault::NotAPath(path.into())), "{path}");
        }
        for path in ["/v1/token", "/docs", "/reset/", "/oauth2/token"] {
            assert_eq!(read(&[("token", path)]), Err(PathsFault::Reserved(path.into())), "{path}");
        }
        assert_eq!(read(&[("sign_in", "/a")]), Err(PathsFault::Unknown("sign_in".into())));
        for chosen in [&[("token", "/a"), ("logout", "/a/")][..], &[("logout", "/api/token/")]] {
            assert!(
                matches!(read(chosen), Err(PathsFault::Shared(_, Endpoint::Token, Endpoint::Logout))),
                "{chosen:?}"
            );
        }
    }
}
