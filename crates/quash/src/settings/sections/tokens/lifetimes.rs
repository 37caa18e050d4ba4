//! The lifetimes of tokens, and the rotation of refresh tokens.

use std::time::Duration;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Switch;
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{LONGEST, Span, Zero};

/// `exp` counts seconds, so a lifetime is at least one second.
const LIFETIME: Span = Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused };

pub(super) const ACCESS_TOKEN_LIFETIME: Key<Span> = Key {
    name: "access_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"5m\""),
    doc: "From issue to `exp`. Simple JWT's default; verifiers that don't check revocations accept a token \
          this long.",
};
pub(super) const REFRESH_TOKEN_LIFETIME: Key<Span> = Key {
    name: "refresh_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"1d\""),
    doc: "The idle limit of a session: each refresh restarts it. Simple JWT's default.",
};
pub(super) const SLIDING_TOKEN_LIFETIME: Key<Span> = Key {
    name: "sliding_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"5m\""),
    doc: "From issue to `exp` of a sliding token. Simple JWT's default.",
};
pub(super) const SLIDING_TOKEN_REFRESH_LIFETIME: Key<Span> = Key {
    name: "sliding_token_refresh_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"1d\""),
    doc: "From the sign-in until a sliding token can't be exchanged any more, however often it was \
          exchanged. Simple JWT's default.",
};
pub(super) const ROTATE_REFRESH_TOKENS: Key<Switch> = Key {
    name: "rotate_refresh_tokens",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A refresh also returns a new refresh token. Simple JWT's default is `false`: a stolen refresh \
          token is then never detected.",
};
pub(super) const BLACKLIST_AFTER_ROTATION: Key<Switch> = Key {
    name: "blacklist_after_rotation",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A spent refresh token that is used after the grace ends its session. Simple JWT's default is \
          `false`: the response then has the current token.",
};

/// The lifetimes of tokens.
pub(super) struct Lifetimes {
    pub(super) access: Duration,
    pub(super) refresh: Duration,
    pub(super) sliding: Duration,
    pub(super) sliding_refresh: Duration,
}

pub(super) fn read(section: &mut Section<'_>) -> Result<Lifetimes, Reported> {
    let (access, refresh) = (section.read(&ACCESS_TOKEN_LIFETIME), section.read(&REFRESH_TOKEN_LIFETIME));
    let (sliding, sliding_refresh) =
        (section.read(&SLIDING_TOKEN_LIFETIME), section.read(&SLIDING_TOKEN_REFRESH_LIFETIME));
    Ok(Lifetimes { access: access?, refresh: refresh?, sliding: sliding?, sliding_refresh: sliding_refresh? })
}
