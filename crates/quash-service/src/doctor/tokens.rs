//! Checks of settings about tokens, passwords and the audit.

use std::time::Duration;

use quash_core::model::ForeignTokens;
use quash_core::token::{Family, TokenType};

use super::{EngineKind, Facts, Verdict, listed, span};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The usual range of an access token's lifetime.
const SHORTEST_ACCESS: Duration = Duration::from_secs(30);
const LONGEST_ACCESS: Duration = Duration::from_secs(3600);
const LONGEST_REFRESH: Duration = Duration::from_secs(90 * 24 * 3600);
/// More failures than users who mistype need.
const MANY_FAILURES: u32 = 20;
const SHORTEST_LOCK: Duration = Duration::from_secs(10);
/// The time of a hash that costs an attacker enough and a user little.
const CHEAPEST_HASH: Duration = Duration::from_millis(50);
const DEAREST_HASH: Duration = Duration::from_secs(1);
const SHORTEST_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn access_lifetime(facts: &Facts) -> Option<Verdict> {
    let lifetime = facts.settings.as_ref()?.policy.tokens.access_lifetime;
    Some(if lifetime > LONGEST_ACCESS {
        Verdict::warning(
            format!("access tokens live for {}", span(lifetime)),
            "a service that doesn't check revocations accepts a stolen or revoked token until it expires",
            "set tokens.access_token_lifetime to \"5m\"; clients refresh their tokens by themselves",
        )
    } else if lifetime < SHORTEST_ACCESS {
        Verdict::warning(
            format!("access tokens live for {}", span(lifetime)),
            "clients refresh more often than they call, and a small difference of clocks refuses new tokens",
            "set tokens.access_token_lifetime to \"5m\": revoked tokens are refused at once in any case",
        )
    } else {
        Verdict::Fine
    })
}

pub(super) fn lifetime_order(facts: &Facts) -> Option<Verdict> {
    let tokens = &facts.settings.as_ref()?.policy.tokens;
    if tokens.access_lifetime < tokens.refresh_lifetime {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        format!(
            "access tokens live for {}, and refresh tokens for {}",
            span(tokens.access_lifetime),
            span(tokens.refresh_lifetime)
        ),
        "a client notices that its access token has expired only when its refresh token has expired, too: users must \
         sign in again",
        "make tokens.access_token_lifetime much shorter than tokens.refresh_token_lifetime",
    ))
}

pub(super) fn refresh_lifetime(facts: &Facts) -> Option<Verdict> {
    let lifetime = facts.settings.as_ref()?.policy.tokens.refresh_lifetime;
    if lifetime <= LONGEST_REFRESH {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("refresh tokens live for {}", span(lifetime)),
        "the session of a device that was lost or sold stays usable for this long without any use",
        "set tokens.refresh_token_lifetime to at most \"90d\"; each refresh begins it anew",
    ))
}

pub(super) fn sliding_lifetime(facts: &Facts) -> Option<Verdict> {
    let tokens = &facts.settings.as_ref()?.policy.tokens;
    let is_accepted = tokens.accepted.contains(&TokenType::Sliding);
    if !is_accepted || tokens.sliding_lifetime <= LONGEST_ACCESS {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("sliding tokens live for {}", span(tokens.sliding_lifetime)),
        "a sliding token is sent with each request, and a stolen one works until it expires",
        "set tokens.sliding_token_lifetime to \"5m\"; tokens.sliding_token_refresh_lifetime limits the exchange",
    ))
}

pub(super) fn session_lifetime(facts: &Facts) -> Option<Verdict> {
    let policy = &facts.settings.as_ref()?.policy;
    Some(match policy.sessions.absolute_lifetime {
        None => Verdict::warning(
            "sessions have no absolute end",
            "a stolen session lives for as long as the thief refreshes it",
            "set sessions.absolute_lifetime, such as \"90d\"",
        ),
        Some(lifetime) if lifetime < policy.tokens.refresh_lifetime => Verdict::note(
            format!(
                "sessions end after {}, before a refresh token of {} expires",
                span(lifetime),
                span(policy.tokens.refresh_lifetime)
            ),
            "the lifetime of refresh tokens has no effect, and clients are told a later end than the real one",
            "make tokens.refresh_token_lifetime shorter than sessions.absolute_lifetime",
        ),
        Some(_) => Verdict::Fine,
    })
}

pub(super) fn rotation(facts: &Facts) -> Option<Verdict> {
    let rotation = &facts.settings.as_ref()?.policy.rotation;
    if rotation.rotate && rotation.blacklist {
        return Some(Verdict::Fine);
    }
    let setting =
        if rotation.rotate { "tokens.blacklist_after_rotation" } else { "tokens.rotate_refresh_tokens" };
    Some(Verdict::warning(
        format!("{setting} is false"),
        "a stolen refresh token is never noticed: thief and user refresh side by side",
        format!("set {setting} = true, once all clients store the new refresh token of each response"),
    ))
}

pub(super) fn lease_term(facts: &Facts) -> Option<Verdict> {
    let (term, access) =
        (facts.settings.as_ref()?.policy.feed.term, facts.settings.as_ref()?.policy.tokens.access_lifetime);
    if term < access {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("feed.term is {}, and access tokens live for {}", span(term), span(access)),
        "a verifier that is cut off accepts a revoked token for as long as one that checks no revocations",
        "set feed.term to a few seconds, or tokens.access_token_lifetime to minutes",
    ))
}

pub(super) fn weak_secret(facts: &Facts) -> Option<Verdict> {
    let weak = &facts.settings.as_ref()?.weak_keys;
    if weak.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        listed(weak.iter().map(String::as_str)),
        "an attacker who finds the secret by trying signs tokens of any user",
        "replace it by 64 random bytes in Base64, or use tokens.algorithm = \"EdDSA\" without a key of your own, and \
         leave insecure_short_secret out",
    ))
}

pub(super) fn shared_secret(facts: &Facts) -> Option<Verdict> {
    if facts.settings.as_ref()?.algorithm.family() != Family::Hmac {
        return Some(Verdict::Fine);
    }
    let verifiers: Vec<_> = facts
        .stored()?
        .clients
        .iter()
        .filter(|client| client.is_verifier)
        .map(|client| &*client.name)
        .collect();
    if verifiers.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!(
            "tokens are signed with {}, and {} must know the secret",
            facts.settings.as_ref()?.algorithm.as_str(),
            listed(verifiers)
        ),
        "each service that can verify can also sign: one that is broken into makes tokens of any user",
        "set tokens.algorithm to \"EdDSA\" or \"ES256\": verifiers then need public keys alone",
    ))
}

pub(super) fn foreign_tokens(facts: &Facts) -> Option<Verdict> {
    if facts.settings.as_ref()?.policy.tokens.foreign != ForeignTokens::Accept {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        "tokens of other issuers are accepted without an end",
        "everyone who has an old key of the other issuer signs tokens that quash accepts",
        "set tokens.foreign_tokens to \"until\" a time, such as the end of the last token after a move",
    ))
}

pub(super) fn risky_settings(facts: &Facts) -> Option<Verdict> {
    let warnings = &facts.settings.as_ref()?.warnings;
    if warnings.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        warnings.join("; "),
        "the setting is allowed, and each start of the server logs this warning",
        "change the named setting; docs/reference/settings.md has its alternatives",
    ))
}

pub(super) fn lockout(facts: &Facts) -> Option<Verdict> {
    let lockout = facts.settings.as_ref()?.policy.lockout;
    if lockout.failures <= MANY_FAILURES && lockout.first_lock >= SHORTEST_LOCK {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("an account is locked for {} after {} failures", span(lockout.first_lock), lockout.failures),
        "an attacker may try so many passwords of each account",
        "set lockout.failures to 5 and lockout.first_lock to \"1m\"",
    ))
}

pub(super) fn password_cost(facts: &Facts) -> Option<Verdict> {
    let took = facts.hash_time?;
    Some(if took < CHEAPEST_HASH {
        Verdict::note(
            format!("a password hash takes {} ms here", took.as_millis()),
            "the parameters reach the recommended minimum, and this machine could afford more: each guess would cost an \
             attacker more",
            "run `quash password-cost`, and set what it proposes",
        )
    } else if took > DEAREST_HASH {
        Verdict::warning(
            format!("a password hash takes {} ms here", took.as_millis()),
            "each sign-in takes as long, and a few of them keep all cores busy",
            "run `quash password-cost`, and set what it proposes",
        )
    } else {
        Verdict::Fine
    })
}

pub(super) fn audit_retention(facts: &Facts) -> Option<Verdict> {
    let keep = facts.settings.as_ref()?.policy.audit.keep;
    if keep >= SHORTEST_RETENTION {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        format!("entries of the audit are deleted after {} days", keep.as_secs() / DAY.as_secs()),
        "an intrusion is often noticed only weeks later",
        "set audit.keep to \"30d\" or more, or export entries with `quash audit list --json`",
    ))
}

pub(super) fn log_level(facts: &Facts) -> Option<Verdict> {
    if !facts.settings.as_ref()?.log_is_verbose {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        "log.level is debug or trace",
        "the log grows with each request, and a slow reader of it loses lines",
        "set log.level to \"info\"",
    ))
}

pub(super) fn memory_engine(facts: &Facts) -> Option<Verdict> {
    if facts.settings.as_ref()?.engine != EngineKind::Memory {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        "storage.engine is \"memory\"",
        "accounts, sessions and revocations are lost when the server stops",
        "leave storage.engine out for a file in the data directory, or set storage.url for PostgreSQL",
    ))
}
