//! The acceptance of tokens: their types, issuers, and the header that carries them.

use std::time::Duration;

use http::HeaderName;
use quash_core::model::{AccountPolicy, ForeignTokens, InactiveAccounts, LastLogin, limits};
use quash_core::token::TokenType;
use quash_server::{Compat, SchemeCase, TokenHeader};

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{Acceptance, List, Switch, Text, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{Span, Zero};

pub(super) const LEEWAY: Key<Span> = Key {
    name: "leeway",
    kind: Span { least: Duration::from_secs(1), most: limits::LEEWAY, zero: Zero::Allowed },
    unset: DefaultsTo("\"0s\""),
    doc: "The allowed difference between clocks for `exp`, `nbf` and `iat`. None by default: one server has \
          one clock. Nodes that share a database, and verifiers, accept an `iat` of quash's own tokens that is \
          up to 60 seconds ahead without it.",
};
pub(super) const AUTH_HEADER_TYPES: Key<List> = Key {
    name: "auth_header_types",
    kind: List,
    unset: DefaultsTo("[\"Bearer\"]"),
    doc: "Schemes of the header, compared case-insensitively. `WWW-Authenticate` names the first.",
};
pub(super) const AUTH_HEADER_NAME: Key<Text> = Key {
    name: "auth_header_name",
    kind: Text,
    unset: DefaultsTo("\"Authorization\""),
    doc: "The header that carries the token. Simple JWT's form, such as `HTTP_X_ACCESS_TOKEN`, means the \
          same as `X-Access-Token`.",
};
pub(super) const AUTH_TOKEN_CLASSES: Key<List> = Key {
    name: "auth_token_classes",
    kind: List,
    unset: DefaultsTo("[\"access\"]"),
    doc: "The types of tokens that guarded paths accept: `access`, `sliding` or both, in the order in which \
          they are tried.",
};
pub(super) const CHECK_USER_IS_ACTIVE: Key<Switch> = Key {
    name: "check_user_is_active",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "Refuses tokens of other issuers if the account is deactivated. Tokens of quash always end with the \
          deactivation.",
};
pub(super) const UPDATE_LAST_LOGIN: Key<Switch> = Key {
    name: "update_last_login",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Records the last sign-in of an account. Simple JWT's default; `quash session list` shows more.",
};
pub(super) const FOREIGN_TOKENS: Key<Acceptance> = Key {
    name: "foreign_tokens",
    kind: Acceptance,
    unset: DefaultsTo("\"reject\""),
    doc: "Accepts tokens that other issuers have signed with the keys under `[foreign.<name>]`. `until` a \
          date is for a migration from Django: on that day, in UTC, the last of them ends. It doesn't concern \
          verifiers of a namespace's tokens.",
};
pub(super) const COMPAT: Key<Words<Compat>> = Key {
    name: "compat",
    kind: Words(&[("standard", Compat::Standard), ("strict", Compat::Strict)]),
    unset: DefaultsTo("\"standard\""),
    doc: "`strict` omits the member `reason` from a 401 on the Simple JWT paths, compares schemes of the \
          header case-sensitively, and signs refresh tokens with the key of access tokens.",
};

/// The rules for accepting tokens.
pub(super) struct AcceptanceRules {
    pub(super) leeway: Duration,
    pub(super) header: TokenHeader,
    pub(super) accepted: Vec<TokenType>,
    pub(super) accounts: AccountPolicy,
    pub(super) foreign: ForeignTokens,
    pub(super) compat: Compat,
}

pub(super) fn read(section: &mut Section<'_>) -> Result<AcceptanceRules, Reported> {
    let (leeway, compat, accepted) = (section.read(&LEEWAY), section.read(&COMPAT), accepted(section));
    let (schemes, name) = (schemes(section), header_name(section));
    let (active, last_login) = (section.read(&CHECK_USER_IS_ACTIVE), section.read(&UPDATE_LAST_LOGIN));
    let foreign = section.read(&FOREIGN_TOKENS);
    let compat = compat?;
    let case = match compat {
        Compat::Standard => SchemeCase::Ignored,
        Compat::Strict => SchemeCase::Exact,
    };
    Ok(AcceptanceRules {
        leeway: leeway?,
        header: TokenHeader { name: name?, schemes: schemes?, case },
        accepted: accepted?,
        accounts: AccountPolicy {
            inactive: if active? { InactiveAccounts::Refused } else { InactiveAccounts::Allowed },
            last_login: if last_login? { LastLogin::Recorded } else { LastLogin::Ignored },
            ..AccountPolicy::default()
        },
        foreign: foreign?,
        compat,
    })
}

fn accepted(section: &mut Section<'_>) -> Result<Vec<TokenType>, Reported> {
    let types = section.read(&AUTH_TOKEN_CLASSES)?;
    let one = |text: &String| {
        [TokenType::Access, TokenType::Sliding].into_iter().find(|known| known.as_str() == text)
    };
    types.iter().map(one).collect::<Option<_>>().ok_or_else(|| {
        let remedy = "write [\"access\"], [\"sliding\"] or both; guarded paths never accept refresh tokens";
        section.fault(&AUTH_TOKEN_CLASSES, "has a member that isn't a token type for guarded paths", remedy)
    })
}

/// Reads the schemes, which must be tokens in the sense of RFC 9110 5.6.2.
fn schemes(section: &mut Section<'_>) -> Result<Vec<String>, Reported> {
    let types = section.read(&AUTH_HEADER_TYPES)?;
    let is_token = |text: &String| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    if types.iter().all(is_token) {
        Ok(types)
    } else {
        let remedy = "write schemes such as [\"Bearer\", \"JWT\"]";
        Err(section.fault(&AUTH_HEADER_TYPES, "has a member that isn't the scheme of a header", remedy))
    }
}

/// Headers that have another meaning in each request.
const RESERVED_HEADERS: [&str; 12] = [
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept",
    "cookie",
    "origin",
    "te",
    "upgrade",
    "expect",
    "content-encoding",
];

fn header_name(section: &mut Section<'_>) -> Result<HeaderName, Reported> {
    let text = section.read(&AUTH_HEADER_NAME)?;
    let name = text.strip_prefix("HTTP_").map_or_else(|| text.clone(), |name| name.replace('_', "-"));
    let name = HeaderName::try_from(name).map_err(|_| {
        section.fault(&AUTH_HEADER_NAME, "isn't the name of a header", "write it like \"X-Access-Token\"")
    })?;
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err(section.fault(
            &AUTH_HEADER_NAME,
            "is a header with another meaning",
            "write another, such as \"X-Access-Token\"",
        ));
    }
    Ok(name)
}
