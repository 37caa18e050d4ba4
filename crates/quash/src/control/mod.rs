//! Requests of commands to the server. A request is one line of JSON, and so is its answer. If a server runs,
//! the line goes through the unix socket in its data directory; if none runs, the command opens the store
//! itself. In both cases, [`execute()`] does the work.

mod account_changes;
mod audit;
mod author;
mod client;
mod clients;
mod execute;
mod keys;
mod lookup;
mod messages;
mod nodes;
mod provision;
mod replies;
mod server;
mod socket;

use quash_service::NewPassword;
use quash_service::doctor::StoreFacts;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::CommandError;

pub(crate) use account_changes::reason_of;
pub(crate) use audit::{
    AuditHeadShown, AuditPage, AuditReply, AuditRequest, AuditShown, AuditVerifiedShown, NotedPlace,
    refused as audit_refused,
};
pub(crate) use author::user_name;
pub(crate) use client::{Local, ask, ask_running};
pub(crate) use clients::{
    ClientAddedShown, ClientPage, ClientReply, ClientRequest, ClientShown, InstanceShown, Kind, NewExpiry,
};
pub(crate) use execute::execute;
pub(crate) use keys::{ChangedKeyShown, RevokedKeyShown};
pub(crate) use nodes::{NodeShown, NodesShown};
pub(crate) use provision::{ProvisionAccount, ProvisionedShown, RevokeToken};
pub(crate) use replies::{
    AccountPage, AccountShown, AddedShown, BackedUpShown, ChangedShown, EffectiveShown, EndCauseShown,
    EndedShown, InspectionShown, IssuerShown, KeyShown, KeysShown, PolicyShown, RestoredShown, RevokedShown,
    SessionPage, SessionShown, TemporaryPasswordShown, VerifierShown,
};
pub(crate) use server::ControlServer;

/// The longest request line, in bytes.
const REQUEST_BYTES: u64 = 64 * 1024;
/// The longest answer line, in bytes.
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// The request of a command. It has no `Debug`, because it may contain a password or a token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    AddAccount(AddAccount),
    /// Adds several accounts, none of which depends on another.
    AddAccounts {
        accounts: Vec<AddAccount>,
    },
    /// Adds accounts, and changes those that exist, by their subjects.
    ProvisionAccounts {
        accounts: Vec<ProvisionAccount>,
        /// Write nothing, and answer what would be written.
        dry_run: bool,
    },
    /// Revokes tokens in the namespace of another issuer.
    RevokeTokens {
        namespace: String,
        tokens: Vec<RevokeToken>,
    },
    /// Returns a page of accounts, after the name `after`.
    Accounts {
        after: Option<String>,
        limit: u32,
    },
    Account {
        which: AccountSelector,
    },
    ChangeAccount {
        which: AccountSelector,
        change: AccountChange,
        reason: Option<String>,
    },
    /// Returns which events end which sessions and tokens.
    Policy,
    /// Returns a page of an account's sessions, after the session `after`.
    Sessions {
        which: AccountSelector,
        after: Option<String>,
        limit: u32,
    },
    /// Ends a session with the reason `ended`.
    EndSession {
        sid: String,
    },
    /// Ends a session with the reason `revoked`.
    RevokeSession {
        sid: String,
    },
    /// Revokes all tokens of an account.
    RevokeAccount {
        which: AccountSelector,
    },
    /// Revokes every token issued before now.
    RevokeEverything,
    /// Revokes in the namespace of another issuer.
    RevokeName {
        namespace: String,
        name: NameSelector,
    },
    /// Waits until every verifier has confirmed an entry of the log or lost its lease.
    Effective {
        seq: u64,
    },
    /// Copies the database.
    BackUp {
        /// The absolute path of the new file.
        to: String,
    },
    /// Returns the keys that sign and verify tokens.
    Keys,
    Clients(ClientRequest),
    /// Creates the next signing key.
    RotateKey {
        /// `true`: the key signs at once.
        now: bool,
    },
    /// Removes a key that is no longer needed.
    RetireKey {
        kid: String,
    },
    RevokeKey {
        kid: String,
        /// `true`: all existing sessions end, too.
        end_sessions: bool,
    },
    Audit(AuditRequest),
    /// Returns the nodes over the database.
    Nodes,
    /// Returns what the checks of an installation need of the store.
    StoreFacts,
    InspectToken {
        token: String,
    },
}

/// An account as an operator names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountSelector {
    /// A name or a subject.
    Any(String),
    Subject(String),
    Name(String),
    Email(String),
}

/// A set of another issuer's tokens, as an operator names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NameSelector {
    Session(String),
    Token(String),
    Subject(String),
    Everything,
}

/// An account to add.
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

/// A change of an account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AccountChange {
    /// Forbids signing in, and ends all sessions.
    Deactivate,
    Reactivate,
    /// Forbids signing in for a time.
    Lock {
        for_ms: u64,
    },
    Unlock,
    Rename {
        name: String,
    },
    Email {
        email: String,
        verified: bool,
    },
    Password {
        password: GivenPassword,
    },
    /// Replaces the account's own claims in its tokens.
    Claims {
        claims: String,
    },
    /// Sets a random password that must be changed at first use.
    OneTimePassword,
    /// Makes the password unusable until its owner resets it.
    RequireReset,
    Delete,
}

/// A password that an operator sets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GivenPassword {
    Plain(Secret),
    /// Its hash, as Django or quash writes it.
    Encoded(Secret),
}

/// A text that is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

/// The reply to a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Account(AccountShown),
    /// The results of several accounts, in their order.
    AddedAccounts(Vec<AddedShown>),
    /// The results of several accounts, in their order.
    ProvisionedAccounts(Vec<ProvisionedShown>),
    Accounts(AccountPage),
    Sessions(SessionPage),
    Changed(Box<ChangedShown>),
    OneTimePassword(TemporaryPasswordShown),
    Policy(PolicyShown),
    Ended(EndedShown),
    Effective(EffectiveShown),
    Keys(KeysShown),
    Clients(ClientReply),
    BackedUp(BackedUpShown),
    #[serde(rename = "turned_key")]
    ChangedKey(ChangedKeyShown),
    #[serde(rename = "struck_key")]
    RevokedKey(RevokedKeyShown),
    Audit(AuditReply),
    Nodes(NodesShown),
    StoreFacts(Box<StoreFacts>),
    Inspection(Box<InspectionShown>),
}

/// An answer line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Box<Reply>),
    Failed(CommandError),
}

impl Request {
    /// Returns whether the request may change the data.
    const fn changes(&self) -> bool {
        match self {
            Self::Accounts { .. }
            | Self::Account { .. }
            | Self::Policy
            | Self::Sessions { .. }
            | Self::Effective { .. }
            | Self::Keys
            | Self::Clients(ClientRequest::List { .. })
            | Self::Audit(AuditRequest::Entries { .. } | AuditRequest::Head | AuditRequest::Verify { .. })
            | Self::Nodes
            | Self::StoreFacts
            | Self::InspectToken { .. }
            | Self::ProvisionAccounts { dry_run: true, .. } => false,
            Self::AddAccount(_)
            | Self::AddAccounts { .. }
            | Self::ProvisionAccounts { dry_run: false, .. }
            | Self::RevokeTokens { .. }
            | Self::ChangeAccount { .. }
            | Self::EndSession { .. }
            | Self::RevokeSession { .. }
            | Self::RevokeAccount { .. }
            | Self::RevokeEverything
            | Self::RevokeName { .. }
            | Self::BackUp { .. }
            | Self::Clients(_)
            | Self::RotateKey { .. }
            | Self::RetireKey { .. }
            | Self::RevokeKey { .. }
            | Self::Audit(AuditRequest::Accept { .. }) => true,
        }
    }
}

impl GivenPassword {
    fn into_new(self) -> NewPassword {
        match self {
            Self::Plain(password) => NewPassword::Plain(password.into_text()),
            Self::Encoded(hash) => NewPassword::Encoded(hash.into_text()),
        }
    }
}

impl Default for AccountSelector {
    /// A name that no account has.
    fn default() -> Self {
        Self::Any(String::new())
    }
}

impl Secret {
    pub(crate) fn new(mut text: Zeroizing<String>) -> Self {
        Self(std::mem::take(&mut *text))
    }

    /// Returns the text, to print it once.
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
