//! `quash key`: the keys that sign and verify tokens.

use clap::Subcommand;
use quash_core::model::{Clock, Timestamp};

use super::context::{CommandContext, unexpected};
use crate::control::{ChangedKeyShown, IssuerShown, KeyShown, KeysShown, Reply, Request};
use crate::data_dir::IfMissing;
use crate::error::CommandError;
use crate::output;
use quash_server::SystemClock;

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// List the keys of this server and of other issuers, without secrets
    List,
    /// Create the next signing key: it is published now, and signs in ten minutes
    Rotate {
        /// Sign with it at once: verifiers see an unknown key and have to fetch the key set again
        #[arg(long)]
        now: bool,
    },
    /// Remove a key that is no longer needed: a next key, or a key whose last token has expired
    Retire {
        /// The key's id, as `key list` shows it
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

pub(super) async fn run(command: KeyCommand, context: &CommandContext) -> Result<(), CommandError> {
    let request = match command {
        KeyCommand::List => Request::Keys,
        KeyCommand::Rotate { now } => {
            if now {
                output::note(
                    "verifiers that have cached the key set will see an unknown key, and fetch the key set again",
                );
            }
            Request::RotateKey { now }
        }
        KeyCommand::Retire { kid } => Request::RetireKey { kid },
    };
    match context.ask(IfMissing::Refuse, request).await? {
        Reply::Keys(keys) => context.print(&keys, || listed(&keys, SystemClock.now())),
        Reply::ChangedKey(key) => context.print(&key, || key_in_words(&key)),
        _ => Err(unexpected()),
    }
}

fn key_in_words(key: &ChangedKeyShown) -> String {
    let kid = output::clean(&key.kid);
    match (key.state.as_deref(), key.next_since) {
        (Some("next"), Some(since)) => {
            format!("{kid}: next, published since {}; it signs after ten minutes", since.to_the_second())
        }
        (Some(state), _) => format!("{kid}: {state}"),
        (None, _) => format!("{kid}: gone"),
    }
}

fn listed(keys: &KeysShown, now: Timestamp) -> String {
    let own = keys.keys.iter().map(|key: &KeyShown| {
        let state = match (key.next_since, key.retiring_until, key.revoked_at) {
            (Some(since), ..) => format!("{} since {}", key.state, since.seen_from(now)),
            (_, Some(until), _) => format!("{} until {}", key.state, until.seen_from(now)),
            (.., Some(at)) => format!("{} at {}", key.state, at.seen_from(now)),
            (None, None, None) => key.state.clone(),
        };
        let source = if key.source == "made" { "made here" } else { &key.source };
        [key.kid.clone(), key.algorithm.clone(), state, source.to_owned(), key.created_at.to_the_second()]
    });
    let own = output::table(["kid", "algorithm", "state", "from", "since"], own);
    if keys.issuers.is_empty() {
        return own;
    }
    let issuers = keys.issuers.iter().flat_map(|issuer| rows(issuer, now));
    format!("{own}\n\n{}", output::table(["issuer", "kid", "algorithm", "from", "asked"], issuers))
}

/// Returns a row for each key of another issuer, or one row for an issuer without a known key.
fn rows(issuer: &IssuerShown, now: Timestamp) -> Vec<[String; 5]> {
    let from = issuer.address.as_ref().unwrap_or(&issuer.source);
    let asked = match (issuer.address.is_some(), issuer.asked_at, issuer.answered_at) {
        (false, ..) => "-".into(),
        (true, None, _) => "never".into(),
        (true, Some(asked), Some(answered)) if asked == answered => asked.seen_from(now),
        (true, Some(asked), Some(answered)) => {
            format!("{}, without an answer since {}", asked.seen_from(now), answered.to_the_second())
        }
        (true, Some(asked), None) => format!("{}, and it has never answered", asked.seen_from(now)),
    };
    let row =
        |kid: String, algorithm: String| [issuer.name.clone(), kid, algorithm, from.clone(), asked.clone()];
    if issuer.keys.is_empty() {
        return vec![row("-".into(), "-".into())];
    }
    issuer
        .keys
        .iter()
        .map(|key| row(key.kid.clone().unwrap_or_else(|| "unnamed".into()), key.algorithm.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_listed_with_state_and_source() {
        let [then, lately, until] =
            ["07:55", "07:59", "09:00"].map(|time| format!("2027-01-15T{time}:00.000Z"));
        let (then, lately) = (then.as_str(), lately.as_str());
        let issuer = |name: &str,
                      address: Option<&str>,
                      asked: Option<&str>,
                      answered: Option<&str>,
                      keys: serde_json::Value| json!({ "name": name, "source": "settings", "address": address, "asked_at": asked, "answered_at": answered, "keys": keys });
        let keys = json!({
            "keys": [
                { "kid": "old", "algorithm": "EdDSA", "state": "retiring", "next_since": null, "retiring_until": until, "struck_at": null, "source": "made", "created_at": then },
                { "kid": "new", "algorithm": "HS256", "state": "current", "next_since": null, "retiring_until": null, "struck_at": null, "source": "settings", "created_at": then },
            ],
            "issuers": [
                issuer("a", None, None, None, json!([{ "kid": null, "algorithm": "HS256" }])),
                issuer("b", Some("https://b.example"), Some(then), Some(then), json!([{ "kid": "k", "algorithm": "RS256" }])),
                issuer("c", Some("https://c.example"), Some(lately), Some(then), json!([])),
                issuer("d", Some("https://d.example"), Some(lately), None, json!([])),
            ],
        });
        let keys: KeysShown = serde_json::from_value(keys).expect("keys");
        insta::assert_snapshot!(listed(&keys, Timestamp::from_secs(1_800_000_000)), @"
        KID  ALGORITHM  STATE                                         FROM       SINCE
        old  EdDSA      retiring until 2027-01-15 09:00:00Z (in 1 h)  made here  2027-01-15 07:55:00Z
        new  HS256      current                                       settings   2027-01-15 07:55:00Z

        ISSUER  KID      ALGORITHM  FROM               ASKED
        a       unnamed  HS256      settings           -
        b       k        RS256      https://b.example  2027-01-15 07:55:00Z (5 min ago)
        c       -        -          https://c.example  2027-01-15 07:59:00Z (1 min ago), without an answer since 2027-01-15 07:55:00Z
        d       -        -          https://d.example  2027-01-15 07:59:00Z (1 min ago), and it has never answered
        ");
    }
}
