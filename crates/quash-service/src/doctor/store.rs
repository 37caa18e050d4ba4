//! Checks of what the store contains.

use std::time::Duration;

use quash_core::model::limits;

use super::{ClientFacts, Facts, InstanceState, KeyFacts, KeyPhase, StoreFault, Verdict, listed, span};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Upkeep removes a key a minute after its last token has expired, if a server runs.
const KEPT_TOO_LONG: Duration = DAY;
/// Clocks of nodes may differ by this.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
const LONG_LOG: u64 = 1_000_000;
/// A server seals entries each second.
const UNSEALED: u64 = 5_000;

pub(super) fn database(facts: &Facts) -> Option<Verdict> {
    let Err(StoreFault { message, remedy }) = facts.store.as_ref()? else { return Some(Verdict::Fine) };
    Some(Verdict::problem(
        message,
        "without its database, the server can't start or answer",
        remedy.clone().unwrap_or_else(|| "see the server's log".into()),
    ))
}

pub(super) fn ready(facts: &Facts) -> Option<Verdict> {
    let Some(reason) = &facts.stored()?.not_ready else { return Some(Verdict::Fine) };
    Some(Verdict::problem(
        reason,
        "requests get 503, and /readyz tells a load balancer to use other servers",
        "see the server's log, which has the cause",
    ))
}

fn current(keys: &[KeyFacts]) -> Option<&KeyFacts> {
    keys.iter().find(|key| key.state == KeyPhase::Current)
}

pub(super) fn signing_key(facts: &Facts) -> Option<Verdict> {
    if current(&facts.stored()?.keys).is_some() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        "no key signs tokens",
        "the key of the settings was revoked, so that no user can sign in or refresh",
        "set another key in tokens.signing_key or tokens.signing_key_file, or none, and restart the server",
    ))
}

pub(super) fn key_rotation(facts: &Facts) -> Option<Verdict> {
    let Some(every) = facts.settings.as_ref()?.rotate_every else { return Some(Verdict::Fine) };
    let key = current(&facts.stored()?.keys);
    let Some(key) = key.filter(|key| key.is_generated && key.age > every + DAY) else {
        return Some(Verdict::Fine);
    };
    Some(Verdict::warning(
        format!(
            "the signing key {} is {} old, and keys.rotate_every is {}",
            key.kid,
            span(key.age),
            span(every)
        ),
        "a running server replaces the key in time, unless its upkeep fails",
        "start the server, see its log, or run `quash key rotate`",
    ))
}

pub(super) fn key_age(facts: &Facts) -> Option<Verdict> {
    let rotates = facts.settings.as_ref()?.rotate_every.is_some();
    let is_rotated = |key: &&KeyFacts| key.is_generated && rotates;
    let key = current(&facts.stored()?.keys).filter(|key| !is_rotated(key) && key.age > YEAR);
    let Some(key) = key else { return Some(Verdict::Fine) };
    Some(Verdict::note(
        format!("the signing key {} is {} old, and isn't rotated automatically", key.kid, span(key.age)),
        "the longer a key is in use, the more people and backups have had it",
        "set keys.rotate_every, and no tokens.signing_key; or set a new key, and the old one verifies until its last \
         token has expired",
    ))
}

pub(super) fn retired_keys(facts: &Facts) -> Option<Verdict> {
    let is_over =
        |key: &&KeyFacts| matches!(key.state, KeyPhase::Retiring { over_for } if over_for > KEPT_TOO_LONG);
    let kids: Vec<_> = facts.stored()?.keys.iter().filter(is_over).map(|key| &*key.kid).collect();
    if kids.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("the last tokens of the keys {} have expired for a day", listed(kids)),
        "a running server removes such a key within a minute, unless its upkeep fails",
        "start the server, see its log, or run `quash key retire KID`",
    ))
}

pub(super) fn key_count(facts: &Facts) -> Option<Verdict> {
    let most = limits::KEYS * 4 / 5;
    let is_published = |key: &&KeyFacts| key.state != KeyPhase::Revoked;
    let count = facts.stored()?.keys.iter().filter(is_published).count();
    if count < most {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("the key set has {count} keys, and may have {}", limits::KEYS),
        "at the limit, keys aren't rotated any more",
        "make keys.rotate_every longer, or the lifetimes of tokens shorter",
    ))
}

/// The processes of verifiers in this state.
fn instances(clients: &[ClientFacts], state: InstanceState) -> Vec<String> {
    let found = clients.iter().flat_map(|client| {
        let own = client.instances.iter().filter(move |instance| instance.state == state);
        own.map(|instance| format!("{} at {}", client.name, instance.label))
    });
    found.collect()
}

pub(super) fn stale_verifiers(facts: &Facts) -> Option<Verdict> {
    let stale = instances(&facts.stored()?.clients, InstanceState::Stale);
    if stale.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("the leases of {} have expired", listed(stale.iter().map(String::as_str))),
        "such a service refuses all tokens until it reaches quash again, or its process was ended without giving its \
         lease back",
        "check that the service runs and reaches quash; one that is gone is forgotten after an hour",
    ))
}

pub(super) fn unbound_verifiers(facts: &Facts) -> Option<Verdict> {
    let unbound = instances(&facts.stored()?.clients, InstanceState::NotBound);
    if unbound.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("{} accept tokens without a lease", listed(unbound.iter().map(String::as_str))),
        "while it is cut off, such a service accepts revoked tokens until they expire, and `--wait` can't confirm a \
         revocation",
        "let the service refuse tokens without a lease, which is its default",
    ))
}

pub(super) fn absent_verifiers(facts: &Facts) -> Option<Verdict> {
    let stored = facts.stored()?;
    // Uses are known only for the time that the server runs.
    let server = stored.server.as_ref()?;
    if server.runs_for < HOUR {
        return None;
    }
    let is_absent =
        |client: &&ClientFacts| client.is_verifier && client.instances.is_empty() && client.age > DAY;
    let names: Vec<_> = stored.clients.iter().filter(is_absent).map(|client| &*client.name).collect();
    if names.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        format!("no process has followed the feed as {} within the last hour", listed(names)),
        "an unused secret can still be stolen, and a service that should follow the feed doesn't",
        "start the service, or run `quash verifier remove NAME`",
    ))
}

pub(super) fn secret_age(facts: &Facts) -> Option<Verdict> {
    let is_old = |client: &&ClientFacts| client.has_secret && client.age > YEAR * 2;
    let names: Vec<_> = facts.stored()?.clients.iter().filter(is_old).map(|client| &*client.name).collect();
    if names.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        format!("the secrets of {} are older than two years", listed(names)),
        "the longer a secret is in use, the more people and backups have had it",
        "give each a new one with `quash client renew NAME`, if you haven't since",
    ))
}

pub(super) fn unconfirmed_accounts(facts: &Facts) -> Option<Verdict> {
    let accounts = &facts.stored()?.accounts;
    if accounts.unconfirmed == 0 {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        format!(
            "{} of {} examined accounts have an unconfirmed address for longer than 30 days",
            accounts.unconfirmed, accounts.examined
        ),
        "they can't sign in, and the address may be another person's",
        "ask their owners to confirm it, confirm it with `quash account set NAME --email E --verified`, or delete them",
    ))
}

pub(super) fn audit_chain(facts: &Facts) -> Option<Verdict> {
    let Some(fault) = &facts.stored()?.audit.fault else { return Some(Verdict::Fine) };
    Some(Verdict::problem(
        format!("the audit is not what was sealed: {fault}"),
        "the store was changed by another program, or was replaced with an older copy",
        "compare it with a backup and with exported entries; then `quash audit accept` begins it anew",
    ))
}

pub(super) fn audit_accepted(facts: &Facts) -> Option<Verdict> {
    let Some(accepted) = facts.stored()?.audit.accepted else { return Some(Verdict::Fine) };
    Some(Verdict::note(
        format!("an operator has accepted the audit up to entry {accepted} after a fault"),
        "these entries aren't vouched for",
        "nothing needs to be done; the note ends once they are no longer kept",
    ))
}

pub(super) fn audit_sealing(facts: &Facts) -> Option<Verdict> {
    let audit = &facts.stored()?.audit;
    if audit.unsealed < UNSEALED {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("{} entries of the audit aren't sealed", audit.unsealed),
        "a running server seals new entries each second; a change of an unsealed entry isn't noticed",
        "see the server's log for the cause, and run `quash audit verify`",
    ))
}

pub(super) fn clock_set_back(facts: &Facts) -> Option<Verdict> {
    let ahead = facts.stored()?.audit.sealed_ahead;
    if ahead <= CLOCK_TOLERANCE {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        format!("the newest seal of the audit is {} in the future", span(ahead)),
        "this machine's clock is behind, or was ahead: expired tokens count as valid, or users must sign in again",
        "synchronize the clock with NTP",
    ))
}

pub(super) fn log_length(facts: &Facts) -> Option<Verdict> {
    let entries = facts.stored()?.log_entries;
    if entries <= LONG_LOG {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        format!("the log remembers {entries} revocations"),
        "each server and each verifier keeps all of them in memory, and reads them at its start",
        "make the lifetimes of tokens shorter: a revocation is remembered until the last token that it covers has \
         expired",
    ))
}
