//! The replies of commands: the stable shapes of `--json`. Times are RFC 3339 in UTC; absent values are
//! `null`.

use quash_core::hex;
use quash_core::model::{Account, AccountState, AccountStatus, EndCause, KeyState, Policy, Timestamp};
use quash_service::{
    BarrierResult, IssuerInfo, IssuerKeySource, KeyInfo, KeyList, SessionInfo, VerifierResult,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Secret, messages};
use crate::moment::Moment;

/// An account, without secrets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AccountShown {
    /// The name, as typed.
    pub(crate) name: String,
    /// The subject, as in tokens.
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    pub(crate) email_verified_at: Option<Moment>,
    /// `active`, `unverified`, `locked` or `deactivated`.
    pub(crate) state: String,
    pub(crate) locked_until: Option<Moment>,
    pub(crate) password_usable: bool,
    pub(crate) created_at: Moment,
    /// The last sign-in, if that is recorded.
    pub(crate) last_login_at: Option<Moment>,
    /// The expiry of a temporary password, which must be changed at first use.
    pub(crate) must_change_until: Option<Moment>,
    /// The custom claims in its tokens.
    pub(crate) claims: Map<String, Value>,
}

/// The result of adding one of several accounts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddedShown {
    Added,
    /// The account was added, with this restriction.
    AddedBut(String),
    /// The account existed already, with the same subject and name.
    Present,
    /// The account was not added, for this reason.
    Refused(String),
}

/// A changed account, and the sessions that the change ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ChangedShown {
    #[serde(flatten)]
    pub(crate) account: AccountShown,
    /// The sequence number of the entry in the log, if the change ended something.
    pub(crate) seq: Option<u64>,
    /// The time since which this server refuses what the entry covers.
    pub(crate) effective_at: Option<Moment>,
    /// The number of live sessions that it ended.
    pub(crate) ended_sessions: u64,
}

/// A temporary password.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct TemporaryPasswordShown {
    #[serde(flatten)]
    pub(crate) changed: ChangedShown,
    /// The password, shown only once.
    pub(crate) password: Secret,
    pub(crate) until: Moment,
}

/// The table of which events end which sessions and tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PolicyShown {
    #[serde(rename = "roads")]
    pub(crate) causes: Vec<EndCauseShown>,
}

/// A row of the table: an event that ends tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EndCauseShown {
    /// The name of the event.
    #[serde(rename = "road")]
    pub(crate) cause: String,
    /// The event, in words.
    pub(crate) when: String,
    /// The sessions or tokens that the event ends, in words.
    pub(crate) ends: String,
    /// The kind of the entry in the log; `null` if the event ends nothing.
    pub(crate) entry: Option<String>,
    /// The reason that refused clients get.
    pub(crate) reason: String,
    /// The setting that changes what the event ends.
    pub(crate) setting: Option<String>,
}

/// A page of accounts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AccountPage {
    /// Sorted by name.
    pub(crate) accounts: Vec<AccountShown>,
    /// The value of `--after` for the next page; `null` on the last page.
    pub(crate) next: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SessionShown {
    pub(crate) sid: String,
    /// `live`, `ended` or `expired`.
    pub(crate) state: String,
    pub(crate) opened_at: Moment,
    /// The last rotation of its refresh token.
    pub(crate) rotated_at: Moment,
    /// The number of rotations.
    pub(crate) generation: u32,
    /// The time at which it expires unless it is refreshed.
    pub(crate) idle_until: Moment,
    /// The time at which it expires even if it is refreshed.
    pub(crate) ends_at: Option<Moment>,
    /// The user agent that opened it.
    pub(crate) device: Option<String>,
    /// The address that opened it.
    pub(crate) address: Option<String>,
    pub(crate) ended_reason: Option<String>,
    pub(crate) ended_at: Option<Moment>,
    /// `owner`, `operator` or `rule`.
    pub(crate) ended_by: Option<String>,
}

/// A page of an account's sessions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SessionPage {
    /// Oldest first.
    pub(crate) sessions: Vec<SessionShown>,
    /// The value of `--after` for the next page; `null` on the last page.
    pub(crate) next: Option<String>,
}

/// The end of a session, an account's sessions, a key, or everything.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EndedShown {
    /// `session`, `account`, `key` or `everything`; in a namespace `session`, `token`, `subject` or `namespace`.
    pub(crate) scope: String,
    /// The session's id, the account's subject, the key's id, or the name in a namespace.
    pub(crate) target: Option<String>,
    /// The sequence number of its entry in the log.
    pub(crate) seq: Option<u64>,
    /// The time since which this server refuses what the entry covers.
    pub(crate) effective_at: Moment,
    /// The account's name, if the scope is an account.
    pub(crate) name: Option<String>,
    /// The number of live sessions that ended; `null` if they aren't counted.
    pub(crate) ended_sessions: Option<u64>,
}

/// The result of waiting for all verifiers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct EffectiveShown {
    /// The sequence number that was waited for.
    pub(crate) seq: u64,
    /// The time since which no bound verifier accepts what the entry covers.
    pub(crate) effective_at: Moment,
    pub(crate) verifiers: Vec<VerifierShown>,
}

/// The state of a verifier's process.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct VerifierShown {
    /// The verifier's name.
    pub(crate) name: String,
    /// The id that the process has chosen.
    pub(crate) instance: String,
    /// `confirmed`, `stale` or `not_bound`.
    pub(crate) state: String,
    /// The milliseconds until it reached this state.
    pub(crate) ms: u64,
}

impl EffectiveShown {
    pub(super) fn new(effective: &BarrierResult) -> Self {
        let shown = |info: &VerifierResult| VerifierShown {
            name: info.id.name.clone(),
            instance: hex::encode(&info.id.number),
            state: info.state.as_str().into(),
            ms: u64::try_from(info.after.as_millis()).unwrap_or(u64::MAX),
        };
        let verifiers = effective.verifiers.iter().map(shown).collect();
        Self { seq: effective.seq.as_u64(), effective_at: Moment(effective.effective_at), verifiers }
    }
}

/// A new backup.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct BackedUpShown {
    pub(crate) path: String,
    /// The newest sequence number of the log in it.
    pub(crate) seq: u64,
}

/// A restored backup.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RestoredShown {
    /// The sequence number with which the log continues.
    pub(crate) seq: u64,
    /// The epoch that begins with it.
    pub(crate) epoch: u64,
    /// The keys that were revoked again: the previous database had them as revoked, the backup didn't. `null`
    /// if nothing is known of that database.
    #[serde(rename = "struck")]
    pub(crate) revoked_again: Option<Vec<String>>,
    /// The path of the previous database; `null` if there was none.
    pub(crate) kept: Option<String>,
}

/// The keys that sign and verify tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct KeysShown {
    /// The keys of this server, oldest first.
    pub(crate) keys: Vec<KeyShown>,
    /// Other issuers, sorted by name.
    pub(crate) issuers: Vec<IssuerShown>,
}

/// A key of this server, without secrets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct KeyShown {
    pub(crate) kid: String,
    pub(crate) algorithm: String,
    /// `next`, `current`, `retiring` or `struck`.
    pub(crate) state: String,
    /// The time of publication of a next key.
    pub(crate) next_since: Option<Moment>,
    /// The time until which a retiring key verifies.
    pub(crate) retiring_until: Option<Moment>,
    /// The time of revocation.
    #[serde(rename = "struck_at")]
    pub(crate) revoked_at: Option<Moment>,
    /// `made` or `settings`.
    pub(crate) source: String,
    pub(crate) created_at: Moment,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct IssuerShown {
    /// The issuer's name in the settings.
    pub(crate) name: String,
    /// The source of its keys: `settings` or `address`.
    pub(crate) source: String,
    pub(crate) address: Option<String>,
    /// The last request for its keys.
    pub(crate) asked_at: Option<Moment>,
    /// The last answer with a key set.
    pub(crate) answered_at: Option<Moment>,
    /// The known keys.
    pub(crate) keys: Vec<IssuerKeyShown>,
}

/// A key of another issuer, without secrets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct IssuerKeyShown {
    /// The key id; `null` if the key is for tokens without one.
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: String,
}

/// Everything that is known about a token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct InspectionShown {
    pub(crate) header: Option<Map<String, Value>>,
    /// The claims, also of a token with a bad signature.
    pub(crate) claims: Option<Map<String, Value>>,
    /// The reason why the header or the claims can't be read.
    pub(crate) unreadable: Option<String>,
    /// `true` if a key of this quash signed it.
    pub(crate) signature_good: bool,
    pub(crate) signature_fault: Option<String>,
    /// `live`, `refused` or `revoked`.
    pub(crate) standing: String,
    /// The reason for the refusal.
    pub(crate) refusal: Option<String>,
    pub(crate) revoked: Option<RevokedShown>,
    pub(crate) inspected_at: Moment,
}

/// The revocation of a token, as far as it is still recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RevokedShown {
    /// The kind of scope that was revoked.
    pub(crate) scope: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) at: Option<Moment>,
    /// `owner`, `operator` or `rule`.
    pub(crate) by: Option<String>,
    /// The sequence number of its entry in the log.
    pub(crate) seq: Option<u64>,
}

impl AccountShown {
    /// Describes an account, with its state at `now`.
    pub(super) fn new(account: &Account, now: Timestamp) -> Self {
        let state = match account.status(now) {
            AccountStatus::Active => "active",
            AccountStatus::Unverified => "unverified",
            AccountStatus::Locked => "locked",
            AccountStatus::Deactivated => "deactivated",
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
            password_usable: account.has_usable_password(),
            created_at: Moment(account.created_at),
            last_login_at: account.last_login_at.map(Moment),
            must_change_until: account.temporary_until.map(Moment),
            claims: account.claims.as_slice().iter().cloned().collect(),
        }
    }
}

impl PolicyShown {
    /// Builds the table of a policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        let of_cause = |cause: EndCause| {
            let (row, ends) = (cause.row(), cause.ends(policy));
            EndCauseShown {
                cause: row.name.into(),
                when: row.what.into(),
                ends: ends.as_str().into(),
                entry: ends.scope().map(|kind| kind.as_str().to_owned()),
                reason: row.reason.as_str().into(),
                setting: row.setting.map(str::to_owned),
            }
        };
        Self { causes: EndCause::ALL.map(of_cause).into() }
    }
}

impl SessionShown {
    pub(super) fn new(info: &SessionInfo) -> Self {
        let session = &info.session;
        let ending = info.ending.as_ref();
        let state = match (info.live, ending) {
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
    pub(super) fn new(info: &KeyList) -> Self {
        Self {
            keys: info.own.iter().map(KeyShown::new).collect(),
            issuers: info.issuers.iter().map(IssuerShown::new).collect(),
        }
    }
}

impl KeyShown {
    fn new(info: &KeyInfo) -> Self {
        let (mut next_since, mut retiring_until, mut revoked_at) = (None, None, None);
        match info.state {
            KeyState::Next { since } => next_since = Some(Moment(since)),
            KeyState::Current => {}
            KeyState::Retiring { until } => retiring_until = Some(Moment(until)),
            KeyState::Revoked { at } => revoked_at = Some(Moment(at)),
        }
        Self {
            kid: info.kid.to_string(),
            algorithm: info.algorithm.as_str().into(),
            state: info.state.as_str().into(),
            next_since,
            retiring_until,
            revoked_at,
            source: info.source.as_str().into(),
            created_at: Moment(info.created_at),
        }
    }
}

impl IssuerShown {
    fn new(info: &IssuerInfo) -> Self {
        let (source, address, asked_at, answered_at) = match &info.origin {
            IssuerKeySource::Settings => ("settings", None, None, None),
            IssuerKeySource::Address { address, asked_at, answered_at } => {
                ("address", Some(address.clone()), *asked_at, *answered_at)
            }
        };
        let keys = info.keys.iter().map(|key| IssuerKeyShown {
            kid: key.kid.as_ref().map(ToString::to_string),
            algorithm: key.algorithm.as_str().into(),
        });
        Self {
            name: info.name.clone(),
            source: source.into(),
            address,
            asked_at: asked_at.map(Moment),
            answered_at: answered_at.map(Moment),
            keys: keys.collect(),
        }
    }
}

impl RevokedShown {
    pub(super) fn new(by: &quash_service::RevokedBy) -> Self {
        Self {
            scope: by.kind.map(|kind| messages::scope(kind).to_owned()),
            reason: by.reason.map(|reason| reason.as_str().to_owned()),
            at: by.at.map(Moment),
            by: by.actor.as_ref().map(|actor| actor.as_str().to_owned()),
            seq: by.seq.map(|seq| seq.as_u64()),
        }
    }
}
