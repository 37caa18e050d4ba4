//! Flows: what a mail lets its reader do, once. What a link and a code look like is in `token/keys/flow.rs`, what one
//! is good for in `decide/flow.rs`.

use super::{Account, FlowId, Head, Name, PasswordHash, Subject, Timestamp, limits};

/// Something that a mail lets its reader do. Neither the link nor the code is kept: both are derived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Which.
    pub id: FlowId,
    /// What it lets one do.
    pub purpose: Purpose,
    /// What it is about: its purpose, and whose it is or what was typed. Of each there is one flow, the newest.
    pub matter: Digest,
    /// The account that it belongs to; `None` for a registration.
    pub subject: Option<Subject>,
    /// The registration that it completes.
    pub registration: Option<PendingRegistration>,
    /// Where its mail goes.
    pub address: Option<String>,
    /// The account's password and address as they were.
    pub binding: Digest,
    /// How many codes may still be tried.
    pub tries: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// From when on it is good for nothing.
    pub expires_at: Timestamp,
}

/// A registration whose address isn't confirmed yet. It is no account and reserves neither its name nor its address; it
/// expires with its flow. Its address is the flow's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingRegistration {
    /// The name of the account to be added.
    pub username: Name,
    /// The hash of its password, as accounts keep it.
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

/// What a flow lets one do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Set another password.
    Reset,
    /// Confirm the account's address.
    Verification,
    /// Confirm an address that the account is to have.
    EmailChange,
}

/// A keyed hash, for comparing alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Digest(pub [u8; 16]);

/// A flow, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowLoaded {
    /// The head, read first.
    pub head: Head,
    /// The flow, if there is one.
    pub flow: Option<Flow>,
    /// Whose it is, if it is anybody's.
    pub account: Option<Account>,
}

/// What was asked for before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The flow about each matter, and when it was asked for.
    pub flows: Vec<Option<(FlowId, Timestamp)>>,
    /// How many mails there have been for somebody.
    pub mails: u32,
}

impl Flow {
    /// Whether its link is good at `now`. One that is older than the clock says was made while the clock was ahead.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.created_at <= now && now < self.expires_at
    }

    /// Whether its code is good at `now`.
    pub fn is_code_good(&self, now: Timestamp) -> bool {
        self.is_good(now) && now.is_within(limits::CODE_LIFETIME, self.created_at)
    }
}

impl Purpose {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Reset, Self::Verification, Self::EmailChange];

    /// As it is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verification => "verification",
            Self::EmailChange => "email_change",
        }
    }

    /// The purpose of a text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}
