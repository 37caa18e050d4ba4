//! Flows: permissions that a mail gives to its recipient, each for one action, once.
//!
//! Links and codes are derived in `token/keys/flow.rs`; their validity is decided in `decide/flow.rs`.

use crate::model::{Account, FlowId, Head, Name, PasswordHash, Subject, Timestamp, limits};

/// A permission for one action that a mail gives to its recipient. It is used once. Its link and its code aren't
/// stored: both are derived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    pub id: FlowId,
    pub purpose: Purpose,
    /// The subject hash: over the purpose, and the account or the text that the user typed. Only the newest
    /// flow of each is kept.
    pub subject_hash: Digest,
    /// The account that the flow belongs to; `None` for a registration.
    pub subject: Option<Subject>,
    /// The registration that the flow completes.
    pub registration: Option<PendingRegistration>,
    /// The address that the mail is sent to.
    pub address: Option<String>,
    /// A hash over the account's password and address at the time of the request.
    pub binding: Digest,
    /// The number of codes that may still be tried.
    pub tries: u32,
    /// The time of the request.
    pub created_at: Timestamp,
    /// The time from which the flow is no longer valid.
    pub expires_at: Timestamp,
}

/// A registration whose address isn't confirmed yet. It is no account and reserves neither its name nor its
/// address. It expires with its flow and has the flow's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingRegistration {
    /// The name of the account to be added.
    pub username: Name,
    /// The hash of the password, as accounts keep it.
    pub password: PasswordHash,
}

/// The key by which a pending registration is looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistrationBy {
    /// The folded name.
    Name(String),
    /// The folded address.
    Email(String),
}

/// The action that a flow permits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Set a new password.
    Reset,
    /// Confirm the account's address.
    Verification,
    /// Confirm an address that the account is to have.
    EmailChange,
}

/// A keyed hash, only used for comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Digest(pub [u8; 16]);

/// A flow with its account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowLoaded {
    /// The head, read first.
    pub head: Head,
    pub flow: Option<Flow>,
    /// The flow's account, if it belongs to one.
    pub account: Option<Account>,
}

/// Earlier requests for mails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EarlierRequests {
    /// The flow with each subject hash, and the time of its request.
    pub flows: Vec<Option<(FlowId, Timestamp)>>,
    /// The number of mails to the same recipient.
    pub mails: u32,
}

impl Flow {
    /// Returns whether the link is valid at `now`. A flow created after `now` isn't valid: it was made while
    /// the clock was ahead.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.created_at <= now && now < self.expires_at
    }

    /// Returns whether the code is valid at `now`.
    pub fn is_code_valid(&self, now: Timestamp) -> bool {
        self.is_valid(now) && now.is_within(limits::CODE_LIFETIME, self.created_at)
    }
}

impl Purpose {
    pub const ALL: [Self; 3] = [Self::Reset, Self::Verification, Self::EmailChange];

    /// The purpose's name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verification => "verification",
            Self::EmailChange => "email_change",
        }
    }

    /// The purpose with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}
