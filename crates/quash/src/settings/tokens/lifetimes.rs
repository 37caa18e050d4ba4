//! How long tokens hold, and what becomes of a refresh token that is used.

use std::time::Duration;

use crate::settings::fault::Told;
use crate::settings::key::{DefaultsTo, Key};
use crate::settings::kind::Switch;
use crate::settings::section::Section;
use crate::settings::span::{LONGEST, Span, Zero};

/// `exp` counts seconds, so a token can't hold for less than one.
const LIFETIME: Span = Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused };

pub(super) const ACCESS_TOKEN_LIFETIME: Key<Span> = Key {
    name: "access_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"5m\""),
    doc: "From minting to `exp`. Simple JWT's default; verifiers that know nothing of revocations accept a token this long.",
};
pub(super) const REFRESH_TOKEN_LIFETIME: Key<Span> = Key {
    name: "refresh_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"1d\""),
    doc: "The idle limit of a session: each refresh begins it anew. Simple JWT's default.",
};
pub(super) const SLIDING_TOKEN_LIFETIME: Key<Span> = Key {
    name: "sliding_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"5m\""),
    doc: "From minting to `exp` of a sliding token. Simple JWT's default.",
};
pub(super) const SLIDING_TOKEN_REFRESH_LIFETIME: Key<Span> = Key {
    name: "sliding_token_refresh_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"1d\""),
    doc: "From signing in until a sliding token can't be exchanged any more, however often it was. Simple JWT's default.",
};
pub(super) const ROTATE_REFRESH_TOKENS: Key<Switch> = Key {
    name: "rotate_refresh_tokens",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A refresh also gives a new refresh token. Simple JWT's default is `false`: a stolen refresh token is then never noticed.",
};
pub(super) const BLACKLIST_AFTER_ROTATION: Key<Switch> = Key {
    name: "blacklist_after_rotation",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A spent refresh token that comes back late ends its session. Simple JWT's default is `false`: it is then answered with the \
          current one.",
};

/// How long tokens hold.
pub(super) struct Lifetimes {
    pub(super) access: Duration,
    pub(super) refresh: Duration,
    pub(super) sliding: Duration,
    pub(super) sliding_refresh: Duration,
}

pub(super) fn read(section: &mut Section<'_>) -> Result<Lifetimes, Told> {
    let (access, refresh) = (section.read(&ACCESS_TOKEN_LIFETIME), section.read(&REFRESH_TOKEN_LIFETIME));
    let (sliding, sliding_refresh) =
        (section.read(&SLIDING_TOKEN_LIFETIME), section.read(&SLIDING_TOKEN_REFRESH_LIFETIME));
    Ok(Lifetimes { access: access?, refresh: refresh?, sliding: sliding?, sliding_refresh: sliding_refresh? })
}
