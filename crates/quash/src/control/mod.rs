//! Control: how commands reach what they work on. One request is one line of JSON, and so is its answer. Where a
//! server runs, the line goes through the unix socket in its data directory; where none runs, the command opens the
//! store itself. Either way the same [`execute()`] does the work.

mod audit;
mod author;
mod changing;
mod client;
mod clients;
mod execute;
mod found;
mod hex;
mod keys;
mod server;
mod shown;
mod socket;
mod words;

use quash_service::NewPassword;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::CommandError;

pub(crate) use audit::{
    AuditHeadShown, AuditPage, AuditReply, AuditRequest, AuditShown, AuditVerifiedShown, NotedPlace,
};
pub(crate) use author::user_name;
pub(crate) use changing::reason_of;
pub(crate) use client::{Local, ask, ask_running};
pub(crate) use clients::{ClientAddedShown, ClientPage, ClientReply, ClientRequest, ClientShown, Kind};
pub(crate) use execute::execute;
pub(crate) use hex::{from_hex, hex};
pub(crate) use keys::{StruckKeyShown, TurnedKeyShown};
pub(crate) use server::ControlServer;
pub(crate) use shown::{
    AccountPage, AccountShown, AddedShown, BackedUpShown, ChangedShown, EffectiveShown, EndedShown,
    InspectionShown, IssuerShown, KeyShown, KeysShown, OneTimeShown, PolicyShown, RestoredShown,
    RevokedShown, RoadShown, SessionPage, SessionShown, VerifierShown,
};
pub(crate) use words::refusal as refusal_in_words;

/// The longest line of a request, in bytes.
const REQUEST_BYTES: u64 = 64 * 1024;
/// The longest line of an answer, in bytes.
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// What a command asks for. It isn't printable, because it may hold a password or a token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Add an account.
    AddAccount(AddAccount),
    /// Add several accounts, none of which depends on another.
    AddAccounts {
        /// The accounts.
        accounts: Vec<AddAccount>,
    },
    /// A page of accounts.
    Accounts {
        /// After which name.
        after: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// One account.
    Account {
        /// Which.
        which: Which,
    },
    /// Change an account.
    ChangeAccount {
        /// Which.
        which: Which,
        /// What to change.
        change: AccountChange,
        /// Why.
        reason: Option<String>,
    },
    /// What ends what.
    Policy,
    /// A page of an account's sessions.
    Sessions {
        /// The account.
        which: Which,
        /// After which session.
        after: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// End one session, because its owner is done with it.
    EndSession {
        /// Its id.
        sid: String,
    },
    /// Revoke the tokens of one session.
    RevokeSession {
        /// Its id.
        sid: String,
    },
    /// Revoke all tokens of an account.
    RevokeAccount {
        /// Which.
        which: Which,
    },
    /// Revoke every token issued before.
    RevokeEverything,
    /// Wait until every verifier knows of an entry, or can't vouch for anything any more.
    Effective {
        /// Its number.
        seq: u64,
    },
    /// Copy all that is kept.
    BackUp {
        /// To which file, from the root.
        to: String,
    },
    /// The keys that tokens are signed and verified with.
    Keys,
    /// Add, list or remove clients.
    Clients(ClientRequest),
    /// Let another key sign.
    RotateKey {
        /// At once.
        now: bool,
    },
    /// Drop a key that nobody needs.
    RetireKey {
        /// Its id.
        kid: String,
    },
    /// Strike a key.
    RevokeKey {
        /// Its id.
        kid: String,
        /// The sessions of before end with it.
        end_sessions: bool,
    },
    /// Look at the audit.
    Audit(AuditRequest),
    /// Look at a token.
    InspectToken {
        /// The token.
        token: String,
    },
}

/// How an operator names an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// By its name or its subject.
    Any(String),
    /// By its subject.
    Subject(String),
    /// By its name.
    Name(String),
    /// By its address.
    Email(String),
}

/// An account to be added.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddAccount {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) verified: bool,
    pub(crate) subject: Option<String>,
    pub(crate) password: Option<GivenPassword>,
    pub(crate) deactivated: bool,
    /// A JSON object.
    pub(crate) claims: Option<String>,
}

/// What is done with an account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AccountChange {
    /// Its sessions end, and it can't sign in.
    Deactivate,
    /// It can sign in again.
    Reactivate,
    /// It can't sign in for so long.
    Lock { for_ms: u64 },
    /// It can again.
    Unlock,
    /// It has another name.
    Rename { name: String },
    /// It has another address.
    Email { email: String, verified: bool },
    /// It has another password.
    Password { password: GivenPassword },
    /// Its tokens say something else.
    Claims { claims: String },
    /// It has a random password that must be changed.
    OneTimePassword,
    /// It has no password until its owner has reset it.
    RequireReset,
    /// It is deleted.
    Delete,
}

/// The password of an account to be added.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GivenPassword {
    /// The password itself.
    Plain(Secret),
    /// Its hash, as Django or quash writes it.
    Encoded(Secret),
}

/// A text that is wiped from memory.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

/// What a request gets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// One account.
    Account(AccountShown),
    /// What became of several accounts, in their order.
    AddedAccounts(Vec<AddedShown>),
    /// A page of accounts.
    Accounts(AccountPage),
    /// A page of sessions.
    Sessions(SessionPage),
    /// What became of an account.
    Changed(Box<ChangedShown>),
    /// A password that is good for once.
    OneTimePassword(OneTimeShown),
    /// What ends what.
    Policy(PolicyShown),
    /// What was ended.
    Ended(EndedShown),
    /// What waiting for all verifiers has shown.
    Effective(EffectiveShown),
    /// The keys that tokens are signed and verified with.
    Keys(KeysShown),
    /// What there is to say about clients.
    Clients(ClientReply),
    /// What was copied.
    BackedUp(BackedUpShown),
    /// A key that was turned.
    TurnedKey(TurnedKeyShown),
    /// A key that was struck.
    StruckKey(StruckKeyShown),
    /// What there is to say about the audit.
    Audit(AuditReply),
    /// What there is to know about a token.
    Inspection(Box<InspectionShown>),
}

/// A line of answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Box<Reply>),
    Failed(CommandError),
}

impl GivenPassword {
    fn into_new(self) -> NewPassword {
        match self {
            Self::Plain(password) => NewPassword::Plain(password.into_text()),
            Self::Encoded(hash) => NewPassword::Encoded(hash.into_text()),
        }
    }
}

impl Default for Which {
    /// No account has it.
    fn default() -> Self {
        Self::Any(String::new())
    }
}

impl Secret {
    /// Keeps a text.
    pub(crate) fn new(mut text: Zeroizing<String>) -> Self {
        Self(std::mem::take(&mut *text))
    }

    /// As it is printed, once.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    fn into_text(mut self) -> Zeroizing<String> {
        Zeroizing::new(std::mem::take(&mut self.0))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
