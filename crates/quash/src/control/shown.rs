//! What commands show: the stable shapes of `--json`. Times are RFC 3339 in UTC; what isn't there is `null`.

use quash_core::model::{Account, AccountState, KeyState, Policy, Road, Standing, Timestamp};
use quash_service::{Effective, IssuerSeen, KeySeen, KeysFrom, KeysSeen, SessionSeen, VerifierSeen};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::hex::hex;
use super::{Secret, words};
use crate::moment::Moment;

/// An account, without anything secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AccountShown {
    /// Its name, as typed.
    pub(crate) name: String,
    /// Its subject, as in tokens.
    pub(crate) subject: String,
    /// Its address.
    pub(crate) email: Option<String>,
    /// When the address was confirmed.
    pub(crate) email_verified_at: Option<Moment>,
    /// `active`, `unverified`, `locked` or `deactivated`.
    pub(crate) state: String,
    /// Until when it is locked.
    pub(crate) locked_until: Option<Moment>,
    /// Whether it can sign in with a password.
    pub(crate) password_usable: bool,
    /// When it was added.
    pub(crate) created_at: Moment,
    /// When it has last signed in, where that is kept.
    pub(crate) last_login_at: Option<Moment>,
    /// Until when its password is good, where that is good for nothing but being changed.
    pub(crate) must_change_until: Option<Moment>,
    /// What its tokens say besides quash's own claims.
    pub(crate) claims: Map<String, Value>,
}

/// What became of one of several accounts to be added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddedShown {
    /// It was added.
    Added,
    /// It was there already, with this subject and name.
    Present,
    /// It was not added, for this reason.
    Refused(String),
}

/// What became of an account.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ChangedShown {
    /// The account as it is now.
    #[serde(flatten)]
    pub(crate) account: AccountShown,
    /// The number of the entry in the log, where something was ended.
    pub(crate) seq: Option<u64>,
    /// When the server itself refused what that covers.
    pub(crate) effective_at: Option<Moment>,
    /// How many live sessions have ended with it.
    pub(crate) ended_sessions: u64,
}

/// A password that is good for once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct OneTimeShown {
    /// Whose.
    #[serde(flatten)]
    pub(crate) changed: ChangedShown,
    /// The password. It is shown once.
    pub(crate) password: Secret,
    /// Until when.
    pub(crate) until: Moment,
}

/// What ends what, as it is in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PolicyShown {
    /// Each road to the end of a token.
    pub(crate) roads: Vec<RoadShown>,
}

/// A road to the end of a token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RoadShown {
    /// Its name.
    pub(crate) road: String,
    /// What happens.
    pub(crate) when: String,
    /// What it ends.
    pub(crate) ends: String,
    /// The kind of the entry in the log; `null` where it ends nothing.
    pub(crate) entry: Option<String>,
    /// The reason that is told.
    pub(crate) reason: String,
    /// The setting that can change what it ends.
    pub(crate) setting: Option<String>,
}

/// A page of accounts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AccountPage {
    /// In the order of their names.
    pub(crate) accounts: Vec<AccountShown>,
    /// What `--after` must say to get the next page; `null` on the last.
    pub(crate) next: Option<String>,
}

/// A session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SessionShown {
    /// Its id.
    pub(crate) sid: String,
    /// `live`, `ended` or `expired`.
    pub(crate) state: String,
    /// When it was opened.
    pub(crate) opened_at: Moment,
    /// When its refresh token was last rotated.
    pub(crate) rotated_at: Moment,
    /// How often that was.
    pub(crate) generation: u32,
    /// When it expires unless it is refreshed.
    pub(crate) idle_until: Moment,
    /// When it expires in any case.
    pub(crate) ends_at: Option<Moment>,
    /// The user agent that opened it.
    pub(crate) device: Option<String>,
    /// The address that opened it.
    pub(crate) address: Option<String>,
    /// Why it was ended.
    pub(crate) ended_reason: Option<String>,
    /// When it was ended.
    pub(crate) ended_at: Option<Moment>,
    /// By whom: `owner`, `operator` or `rule`.
    pub(crate) ended_by: Option<String>,
}

/// A page of an account's sessions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SessionPage {
    /// Oldest first.
    pub(crate) sessions: Vec<SessionShown>,
    /// What `--after` must say to get the next page; `null` on the last.
    pub(crate) next: Option<String>,
}

/// What was ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EndedShown {
    /// `session`, `account`, `key` or `everything`.
    pub(crate) scope: String,
    /// The session's id, the account's subject or the key's id.
    pub(crate) target: Option<String>,
    /// The number of its entry in the log.
    pub(crate) seq: Option<u64>,
    /// When the server itself refused what it covers.
    pub(crate) effective_at: Moment,
    /// The account's name, where an account was ended.
    pub(crate) name: Option<String>,
    /// How many live sessions have ended; `null` where that isn't counted.
    pub(crate) ended_sessions: Option<u64>,
}

/// What waiting for all verifiers has shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EffectiveShown {
    /// The number that was waited for.
    pub(crate) seq: u64,
    /// Since when nobody who is bound accepts what it covers.
    pub(crate) effective_at: Moment,
    /// What became of each.
    pub(crate) verifiers: Vec<VerifierShown>,
}

/// A verifier, and whether it knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct VerifierShown {
    /// Its credential's name.
    pub(crate) name: String,
    /// The number that the process has chosen.
    pub(crate) instance: String,
    /// `confirmed`, `stale` or `not_bound`.
    pub(crate) state: String,
    /// After how many milliseconds.
    pub(crate) ms: u64,
}

impl EffectiveShown {
    pub(super) fn new(effective: &Effective) -> Self {
        let shown = |seen: &VerifierSeen| VerifierShown {
            name: seen.id.name.clone(),
            instance: hex(&seen.id.number),
            state: seen.state.as_str().into(),
            ms: u64::try_from(seen.after.as_millis()).unwrap_or(u64::MAX),
        };
        let verifiers = effective.verifiers.iter().map(shown).collect();
        Self { seq: effective.seq.as_u64(), effective_at: Moment(effective.effective_at), verifiers }
    }
}

/// A backup that was written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct BackedUpShown {
    /// Where.
    pub(crate) path: String,
    /// The newest number of the log that it knows.
    pub(crate) seq: u64,
}

/// What has become of a backup that was put back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RestoredShown {
    /// The number with which the log goes on.
    pub(crate) seq: u64,
    /// The epoch that begins with it.
    pub(crate) epoch: u64,
    /// The keys that the database from before knew as struck and the backup didn't: they were struck again. `null`: nothing is
    /// known of that database.
    pub(crate) struck: Option<Vec<String>>,
    /// Where the database from before is kept; `null`: there was none.
    pub(crate) kept: Option<String>,
}

/// The keys that tokens are signed and verified with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct KeysShown {
    /// Those of this server, oldest first.
    pub(crate) keys: Vec<KeyShown>,
    /// Other issuers, in the order of their names.
    pub(crate) issuers: Vec<IssuerShown>,
}

/// A key of this server, without anything secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct KeyShown {
    /// Its id, as in the header of tokens.
    pub(crate) kid: String,
    /// What it signs with.
    pub(crate) algorithm: String,
    /// `next`, `current`, `retiring` or `struck`.
    pub(crate) state: String,
    /// Since when it is published, where it is next.
    pub(crate) next_since: Option<Moment>,
    /// Until when it verifies, where it is retiring.
    pub(crate) retiring_until: Option<Moment>,
    /// When it was struck.
    pub(crate) struck_at: Option<Moment>,
    /// `made` or `settings`.
    pub(crate) source: String,
    /// Since when it is there.
    pub(crate) created_at: Moment,
}

/// Another issuer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct IssuerShown {
    /// What the settings call it.
    pub(crate) name: String,
    /// Where its keys come from: `settings` or `address`.
    pub(crate) source: String,
    /// The address.
    pub(crate) address: Option<String>,
    /// When it was last asked.
    pub(crate) asked_at: Option<Moment>,
    /// When it last answered with a set of keys.
    pub(crate) answered_at: Option<Moment>,
    /// Its keys, as far as they are known.
    pub(crate) keys: Vec<IssuerKeyShown>,
}

/// A key of another issuer, without anything secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct IssuerKeyShown {
    /// What tokens call it; `null`: it is for tokens that name no key.
    pub(crate) kid: Option<String>,
    /// What it signs with.
    pub(crate) algorithm: String,
}

/// What there is to know about a token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct InspectionShown {
    /// What the header says.
    pub(crate) header: Option<Map<String, Value>>,
    /// What the payload says, believed or not.
    pub(crate) claims: Option<Map<String, Value>>,
    /// Why one of them can't be read.
    pub(crate) unreadable: Option<String>,
    /// Whether a key of this quash signed it.
    pub(crate) signature_good: bool,
    /// Why not.
    pub(crate) signature_fault: Option<String>,
    /// `live`, `refused` or `revoked`.
    pub(crate) standing: String,
    /// Why it is refused.
    pub(crate) refusal: Option<String>,
    /// What revoked it.
    pub(crate) revoked: Option<RevokedShown>,
    /// When it was looked at.
    pub(crate) inspected_at: Moment,
}

/// What revoked a token, as far as it is remembered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RevokedShown {
    /// What was revoked.
    pub(crate) scope: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
    /// When.
    pub(crate) at: Option<Moment>,
    /// By whom: `owner`, `operator` or `rule`.
    pub(crate) by: Option<String>,
    /// The number of its entry in the log.
    pub(crate) seq: Option<u64>,
}

impl AccountShown {
    /// An account as it stands at `now`.
    pub(super) fn new(account: &Account, now: Timestamp) -> Self {
        let state = match account.standing(now) {
            Standing::Active => "active",
            Standing::Unverified => "unverified",
            Standing::Locked => "locked",
            Standing::Deactivated => "deactivated",
        };
        let locked_until = match account.state {
            AccountState::Locked { since, until } if since <= now && now < until => Some(Moment(until)),
            _ => None,
        };
        Self {
            name: account.username.shown().to_owned(),
            subject: account.subject.to_string(),
            email: account.email.as_ref().map(|email| email.shown.clone()),
            email_verified_at: account.email.as_ref().and_then(|email| email.verified_at).map(Moment),
            state: state.into(),
            locked_until,
            password_usable: account.password.is_some(),
            created_at: Moment(account.created_at),
            last_login_at: account.last_login_at.map(Moment),
            must_change_until: account.must_change.map(Moment),
            claims: account.claims.as_slice().iter().cloned().collect(),
        }
    }
}

impl PolicyShown {
    /// The table as a policy has it.
    pub(crate) fn new(policy: &Policy) -> Self {
        let shown = |road: Road| {
            let (row, ends) = (road.row(), road.ends(policy));
            RoadShown {
                road: row.name.into(),
                when: row.what.into(),
                ends: ends.as_str().into(),
                entry: ends.scope().map(|kind| words::scope(kind).to_owned()),
                reason: row.reason.as_str().into(),
                setting: row.setting.map(str::to_owned),
            }
        };
        Self { roads: Road::ALL.map(shown).into() }
    }
}

impl SessionShown {
    /// A session as it was seen.
    pub(super) fn new(seen: &SessionSeen) -> Self {
        let session = &seen.session;
        let ending = seen.ending.as_ref();
        let state = match (seen.live, ending) {
            (true, _) => "live",
            (false, Some(_)) => "ended",
            (false, None) => "expired",
        };
        Self {
            sid: session.id.to_string(),
            state: state.into(),
            opened_at: Moment(session.opened_at),
            rotated_at: Moment(session.rotated_at),
            generation: session.generation.0,
            idle_until: Moment(session.idle_until),
            ends_at: session.ends_at.map(Moment),
            device: session.device.clone(),
            address: session.address.clone(),
            ended_reason: ending.map(|ending| ending.reason.as_str().to_owned()),
            ended_at: ending.map(|ending| Moment(ending.at)),
            ended_by: ending.map(|ending| ending.actor.as_str().to_owned()),
        }
    }
}

impl KeysShown {
    /// The keys as they were seen.
    pub(super) fn new(seen: &KeysSeen) -> Self {
        Self {
            keys: seen.own.iter().map(KeyShown::new).collect(),
            issuers: seen.issuers.iter().map(IssuerShown::new).collect(),
        }
    }
}

impl KeyShown {
    fn new(seen: &KeySeen) -> Self {
        let (mut next_since, mut retiring_until, mut struck_at) = (None, None, None);
        match seen.state {
            KeyState::Next { since } => next_since = Some(Moment(since)),
            KeyState::Current => {}
            KeyState::Retiring { until } => retiring_until = Some(Moment(until)),
            KeyState::Struck { at } => struck_at = Some(Moment(at)),
        }
        Self {
            kid: seen.kid.to_string(),
            algorithm: seen.algorithm.as_str().into(),
            state: key_state(seen.state).into(),
            next_since,
            retiring_until,
            struck_at,
            source: seen.source.as_str().into(),
            created_at: Moment(seen.created_at),
        }
    }
}

/// How a key stands, in a word.
pub(super) const fn key_state(state: KeyState) -> &'static str {
    match state {
        KeyState::Next { .. } => "next",
        KeyState::Current => "current",
        KeyState::Retiring { .. } => "retiring",
        KeyState::Struck { .. } => "struck",
    }
}

impl IssuerShown {
    fn new(seen: &IssuerSeen) -> Self {
        let (source, address, asked_at, answered_at) = match &seen.origin {
            KeysFrom::Settings => ("settings", None, None, None),
            KeysFrom::Address { address, asked_at, answered_at } => {
                ("address", Some(address.clone()), *asked_at, *answered_at)
            }
        };
        let keys = seen.keys.iter().map(|key| IssuerKeyShown {
            kid: key.kid.as_ref().map(ToString::to_string),
            algorithm: key.algorithm.as_str().into(),
        });
        Self {
            name: seen.name.clone(),
            source: source.into(),
            address,
            asked_at: asked_at.map(Moment),
            answered_at: answered_at.map(Moment),
            keys: keys.collect(),
        }
    }
}

impl RevokedShown {
    /// What revoked a token.
    pub(super) fn new(by: &quash_service::RevokedBy) -> Self {
        Self {
            scope: by.kind.map(|kind| words::scope(kind).to_owned()),
            reason: by.reason.map(|reason| reason.as_str().to_owned()),
            at: by.at.map(Moment),
            by: by.actor.as_ref().map(|actor| actor.as_str().to_owned()),
            seq: by.seq.map(|seq| seq.as_u64()),
        }
    }
}
