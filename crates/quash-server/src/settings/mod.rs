//! The operator's settings of the HTTP layer. The other files hold the types of single settings.

pub(crate) mod origin;

pub(crate) mod paths;

pub(crate) mod proxies;

pub(crate) mod public_url;

use std::time::Duration;

use http::HeaderName;
use quash_verify::TokenHeader;

use self::origin::Origin;
use self::paths::{Endpoint, Paths};
use self::proxies::{ForwardingHeader, Proxies};
use self::public_url::PublicUrl;

/// The operator's settings of the HTTP layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// The prefix of `/token/` and `/logout/`: `/api` by default.
    pub prefix: String,
    /// The endpoints that aren't at their default paths.
    pub paths: Paths,
    /// The sign-in field that holds the name or address, Simple JWT's `USERNAME_FIELD`: `username` by
    /// default.
    pub username_field: String,
    /// The header that carries a request's token.
    pub token_header: TokenHeader,
    /// The degree to which responses follow Simple JWT's.
    pub compat: Compat,
    /// Set if a proxy is in front of the server, so that the peer's address isn't the client's.
    pub behind_proxy: bool,
    /// The proxies whose forwarding headers are trusted. None by default.
    pub trusted_proxies: Vec<Proxies>,
    /// The forwarding header that trusted proxies write.
    pub forwarding_header: ForwardingHeader,
    /// The origins whose pages may read responses. None by default.
    pub cors_origins: Vec<Origin>,
    /// Further permissions of those pages.
    pub cors: CorsSettings,
    /// The setting for refresh tokens in a cookie.
    pub refresh_cookie: RefreshCookie,
    /// The public address of quash, if it is configured.
    pub public_url: Option<PublicUrl>,
    /// The setting for self-registration.
    pub registration: Registration,
    /// The handling of mails.
    pub mail: MailWay,
}

/// Permissions of pages of named origins, beyond the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorsSettings {
    /// Further request headers that they may send.
    pub allow_headers: Vec<HeaderName>,
    /// Further response headers that they may read.
    pub expose_headers: Vec<HeaderName>,
    /// The time for which a browser may cache the response to a preflight.
    pub max_age: Duration,
}

/// The setting for refresh tokens in the cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RefreshCookie {
    /// Refresh tokens travel in bodies.
    #[default]
    Off,
    /// Refresh tokens travel in the cookie alone.
    On,
}

/// The setting for self-registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Registration {
    /// Registration is disabled: the endpoint doesn't exist.
    #[default]
    Closed,
    /// Every user with an e-mail address may register.
    Open,
}

/// The handling of mails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MailWay {
    #[default]
    Sent,
    /// They are written to standard error, for development.
    Written,
    /// They wait, because this setting is missing.
    Waiting(&'static str),
}

/// The degree to which responses follow Simple JWT's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compat {
    /// Byte for byte, but a 401 for a token with a valid signature may give the cause in `reason`.
    #[default]
    Standard,
    /// Byte for byte.
    Strict,
}

impl Default for CorsSettings {
    fn default() -> Self {
        Self { allow_headers: Vec::new(), expose_headers: Vec::new(), max_age: Duration::from_secs(600) }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            prefix: "/api".into(),
            paths: Paths::default(),
            username_field: "username".into(),
            token_header: TokenHeader::default(),
            compat: Compat::default(),
            behind_proxy: false,
            trusted_proxies: Vec::new(),
            forwarding_header: ForwardingHeader::default(),
            cors_origins: Vec::new(),
            cors: CorsSettings::default(),
            refresh_cookie: RefreshCookie::default(),
            public_url: None,
            registration: Registration::default(),
            mail: MailWay::default(),
        }
    }
}

impl HttpSettings {
    /// The challenge of a 401 (RFC 9110 11.6.1), as Simple JWT writes it.
    pub(crate) fn challenge(&self) -> String {
        format!("{} realm=\"api\"", self.token_header.schemes.first().map_or("Bearer", String::as_str))
    }

    /// Returns the paths of an endpoint.
    pub(crate) fn paths_of(&self, endpoint: Endpoint) -> Vec<String> {
        self.paths.of(endpoint, &self.prefix)
    }

    /// Returns the endpoint that is served at a path, if its path is a setting.
    pub(crate) fn endpoint_at(&self, path: &str) -> Option<Endpoint> {
        self.paths.endpoint_at(path, &self.prefix)
    }
}
