//! What an operator may choose about the door.

use std::time::Duration;

use http::HeaderName;
use quash_verify::TokenHeader;

use crate::cookie::RefreshCookie;
use crate::forwarding::{ForwardingHeader, Proxies};
use crate::origin::Origin;
use crate::paths::Paths;
use crate::public_url::PublicUrl;

/// What an operator may choose about the door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoorSettings {
    /// What stands before `/token/` and `/logout/`: `/api` by default.
    pub prefix: String,
    /// Where endpoints are served that aren't at their own paths.
    pub paths: Paths,
    /// The field of a sign-in that holds the name or address, Simple JWT's `USERNAME_FIELD`: `username` by default.
    pub username_field: String,
    /// Where requests carry their token.
    pub token_header: TokenHeader,
    /// How closely answers follow Simple JWT's.
    pub compat: Compat,
    /// A proxy stands before the door, so the peer's address isn't the client's.
    pub behind_proxy: bool,
    /// Whose word about a client's address is taken. Nobody's by default.
    pub trusted_proxies: Vec<Proxies>,
    /// Where they give it.
    pub forwarding_header: ForwardingHeader,
    /// Whose pages may read answers. Nobody's by default.
    pub cors_origins: Vec<Origin>,
    /// What else their pages may send and read.
    pub cors: CorsSettings,
    /// Whether refresh tokens travel in a cookie.
    pub refresh_cookie: RefreshCookie,
    /// Where clients reach quash, if that is said.
    pub public_url: Option<PublicUrl>,
    /// Whether anybody may register.
    pub registration: Registration,
    /// What becomes of mails.
    pub mail: MailWay,
}

/// Permissions of pages of named origins, beyond the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorsSettings {
    /// Further request headers that they may send.
    pub allow_headers: Vec<HeaderName>,
    /// Further response headers that they may read.
    pub expose_headers: Vec<HeaderName>,
    /// How long a browser may keep the answer to a preflight.
    pub max_age: Duration,
}

/// Whether anybody may register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Registration {
    /// Nobody: there is no such door.
    #[default]
    Closed,
    /// Anybody with an address.
    Open,
}

/// What becomes of mails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MailWay {
    /// They are sent.
    #[default]
    Sent,
    /// They are written to standard error, for development.
    Written,
    /// They wait, because this setting is missing.
    Waiting(&'static str),
}

/// How closely answers follow Simple JWT's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compat {
    /// To the byte, and a 401 for a token whose signature was good may say why in `reason`.
    #[default]
    Standard,
    /// To the byte.
    Strict,
}

impl Default for CorsSettings {
    fn default() -> Self {
        Self { allow_headers: Vec::new(), expose_headers: Vec::new(), max_age: Duration::from_secs(600) }
    }
}

impl Default for DoorSettings {
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

impl DoorSettings {
    /// The challenge of a 401 (RFC 9110 11.6.1), as Simple JWT writes it.
    pub(crate) fn challenge(&self) -> String {
        format!("{} realm=\"api\"", self.token_header.schemes.first().map_or("Bearer", String::as_str))
    }
}
