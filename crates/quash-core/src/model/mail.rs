//! Mails that are to be sent. What one says is made when it is sent; no link and no code is kept.

use super::{Digest, FlowId, MailId, Purpose, Subject, Timestamp, limits};

/// A mail that is to be sent, or was sent a while ago.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Which.
    pub id: MailId,
    /// What it says.
    pub kind: MailKind,
    /// The recipient's address. `None` in rows of earlier versions, whose requests meant no account.
    pub to: Option<String>,
    /// The recipient's account, if it is one's.
    pub subject: Option<Subject>,
    /// Its place before or behind other mails that are due.
    pub priority: MailPriority,
    /// Whom it goes to, so that it can be counted.
    pub whom: Digest,
    /// What its link is for.
    pub flow: Option<FlowId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When to try to send it.
    pub due_at: Timestamp,
    /// When to forget it.
    pub keep_until: Timestamp,
    /// How often sending it was tried.
    pub attempts: u32,
    /// How often nobody knows whether it was sent.
    pub doubts: u32,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
}

/// What a mail says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MailKind {
    /// How to set another password.
    Reset,
    /// How to confirm the address.
    Verification,
    /// How to confirm an address that an account is to have.
    EmailChange,
    /// That the password was reset.
    PasswordWasReset,
    /// To the address as it is: that the account is to have another.
    EmailChangeAsked,
    /// To the address as it was: that the account has another.
    EmailWasChanged,
    /// That somebody has tried to register with this address, which an account has.
    AddressTaken,
    /// That the name to be registered is somebody's.
    NameTaken,
    /// That the password was changed by somebody who knew the one before.
    PasswordWasChanged,
    /// That the account is locked after failed attempts, and how to come back.
    Locked,
}

/// The order in which mails that are due are sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MailPriority {
    /// A link that its recipient has asked for and waits for.
    Requested,
    /// A notice of something that has happened to an account.
    Notice,
    /// A mail that other people's requests can cause: reminders, taken names and addresses, locks.
    Unrequested,
}

/// What has become of an attempt to send a mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailOutcome {
    /// It was sent.
    Sent(Timestamp),
    /// It surely wasn't.
    NotSent,
}

impl MailKind {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::Reset,
        Self::Verification,
        Self::EmailChange,
        Self::PasswordWasReset,
        Self::EmailChangeAsked,
        Self::EmailWasChanged,
        Self::AddressTaken,
        Self::NameTaken,
        Self::PasswordWasChanged,
        Self::Locked,
    ];

    /// As it is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verification => "verification",
            Self::EmailChange => "email_change",
            Self::PasswordWasReset => "password_was_reset",
            Self::EmailChangeAsked => "email_change_asked",
            Self::EmailWasChanged => "email_was_changed",
            Self::AddressTaken => "address_taken",
            Self::NameTaken => "name_taken",
            Self::PasswordWasChanged => "password_was_changed",
            Self::Locked => "locked",
        }
    }

    /// The kind of a text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The priority of a mail of this kind, unless it is a reminder.
    pub const fn priority(self) -> MailPriority {
        match self {
            Self::Reset | Self::Verification | Self::EmailChange => MailPriority::Requested,
            Self::PasswordWasReset
            | Self::PasswordWasChanged
            | Self::EmailChangeAsked
            | Self::EmailWasChanged => MailPriority::Notice,
            Self::AddressTaken | Self::NameTaken | Self::Locked => MailPriority::Unrequested,
        }
    }

    /// What its link is for.
    pub const fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Reset | Self::Locked => Some(Purpose::Reset),
            Self::Verification => Some(Purpose::Verification),
            Self::EmailChange => Some(Purpose::EmailChange),
            Self::PasswordWasReset
            | Self::PasswordWasChanged
            | Self::EmailChangeAsked
            | Self::EmailWasChanged
            | Self::AddressTaken
            | Self::NameTaken => None,
        }
    }
}

impl MailPriority {
    /// All of them, the first to be sent first.
    pub const ALL: [Self; 3] = [Self::Requested, Self::Notice, Self::Unrequested];

    /// The number that the store keeps.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Notice => 1,
            Self::Unrequested => 2,
        }
    }

    /// The priority of a number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_u8() == number)
    }
}

impl Mail {
    /// What an attempt begins with: as if it had been sent and nobody knew.
    pub fn tried(&mut self, due_at: Timestamp) {
        self.attempts = self.attempts.saturating_add(1);
        self.doubts = self.doubts.saturating_add(1);
        self.due_at = due_at;
    }

    /// What has become of the attempt.
    pub fn settle(&mut self, outcome: MailOutcome) {
        self.doubts = self.doubts.saturating_sub(1);
        if let MailOutcome::Sent(at) = outcome {
            self.sent_at = Some(at);
            self.keep_until = at + limits::MAIL_COUNTED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_purposes_are_read_as_they_are_kept() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::parse(kind.as_str()), Some(kind));
        }
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
        }
        for priority in MailPriority::ALL {
            assert_eq!(MailPriority::from_u8(priority.as_u8()), Some(priority));
        }
        assert_eq!(
            (MailKind::parse("Reset"), Purpose::parse(""), MailPriority::from_u8(3)),
            (None, None, None)
        );
    }
}
