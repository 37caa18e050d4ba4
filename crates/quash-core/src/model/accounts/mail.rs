//! Mails to be sent. A mail's text is made at the time of sending; no link and no code is stored.

use crate::model::{Digest, FlowId, MailId, Purpose, Subject, Timestamp, limits};

/// A mail to be sent, or one that was sent recently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    pub id: MailId,
    pub kind: MailKind,
    /// The recipient's address. `None` in rows of earlier versions, for requests that matched no account.
    pub to: Option<String>,
    /// The recipient's account, if there is one.
    pub subject: Option<Subject>,
    /// The mail's rank among the mails that are due.
    pub priority: MailPriority,
    /// A hash of the recipient and the kind, for counting mails of this kind to them.
    pub recipient_hash: Digest,
    /// The flow that the mail's link belongs to.
    pub flow: Option<FlowId>,
    /// The time of the request.
    pub created_at: Timestamp,
    /// The time of the next attempt.
    pub due_at: Timestamp,
    /// The time at which the row may be deleted.
    pub keep_until: Timestamp,
    /// The number of attempts to send it.
    pub attempts: u32,
    /// The number of attempts whose outcome is unknown.
    pub uncertain_attempts: u32,
    pub sent_at: Option<Timestamp>,
}

/// The content of a mail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MailKind {
    /// A link to set a new password.
    Reset,
    /// A link to confirm the address.
    Verification,
    /// A link to confirm an address that the account is to have.
    EmailChange,
    /// A notice that the password was reset.
    PasswordWasReset,
    /// A notice to the current address that a change to another one was requested.
    EmailChangeAsked,
    /// A notice to the previous address that the account has another one.
    EmailWasChanged,
    /// A notice that this address, which an account has, was used in a registration.
    AddressTaken,
    /// A notice that the name of the registration is taken.
    NameTaken,
    /// A notice that the password was changed by someone who knew the previous one.
    PasswordWasChanged,
    /// A notice that the account is locked after failed attempts, with a link to unlock it.
    Locked,
}

/// The order in which due mails are sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MailPriority {
    /// A link that the recipient asked for and waits for.
    Requested,
    /// A notice of something that happened to an account.
    Notice,
    /// A mail that third parties can cause: confirmations repeated because of a sign-in, taken names and
    /// addresses, locks.
    Unrequested,
}

/// The outcome of an attempt to send a mail, if it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailOutcome {
    Sent(Timestamp),
    /// Certainly not sent.
    NotSent,
}

impl MailKind {
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

    /// The kind's name in the store.
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

    /// The kind with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The priority of a mail of this kind. A confirmation repeated because of a sign-in is
    /// [`MailPriority::Unrequested`].
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

    /// The purpose of the mail's link; `None` if it has none.
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
    /// The priorities, the first to be sent first.
    pub const ALL: [Self; 3] = [Self::Requested, Self::Notice, Self::Unrequested];

    /// The number that the store keeps.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Notice => 1,
            Self::Unrequested => 2,
        }
    }

    /// The priority with the given number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_u8() == number)
    }
}

impl Mail {
    /// Returns whether the next attempt is due. A pause longer than any that is set began after `now`: the
    /// clock was set back, and the mail doesn't wait for it to catch up.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let waits = now < self.due_at && self.due_at <= now + limits::MAIL_LONGEST_PAUSE;
        self.sent_at.is_none() && !waits
    }

    /// Returns whether the mail counts towards its recipient's limit.
    pub fn is_counted(&self, now: Timestamp) -> bool {
        now.is_within(limits::MAIL_COUNTED, self.created_at)
    }

    /// Begins an attempt; the next one is due at `due_at`. Until the attempt is settled, its outcome counts
    /// as unknown.
    pub fn begin_attempt(&mut self, due_at: Timestamp) {
        self.attempts = self.attempts.saturating_add(1);
        self.uncertain_attempts = self.uncertain_attempts.saturating_add(1);
        self.due_at = due_at;
    }

    /// Records the outcome of an attempt.
    pub fn settle_attempt(&mut self, outcome: MailOutcome) {
        self.uncertain_attempts = self.uncertain_attempts.saturating_sub(1);
        if let MailOutcome::Sent(at) = outcome {
            self.sent_at = Some(at);
            self.keep_until = at + limits::MAIL_COUNTED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(created_at: Timestamp, due_at: Timestamp) -> Mail {
        Mail {
            id: MailId::from_bytes([1; 16]),
            kind: MailKind::PasswordWasReset,
            to: None,
            subject: None,
            priority: MailPriority::Notice,
            recipient_hash: Digest([1; 16]),
            flow: None,
            created_at,
            due_at,
            keep_until: due_at + limits::NOTICE_KEPT,
            attempts: 0,
            uncertain_attempts: 0,
            sent_at: None,
        }
    }

    #[test]
    fn mails_do_not_wait_for_a_clock_that_was_set_back() {
        let due_at = Timestamp::from_secs(1_000_000);
        let mail = mail(due_at, due_at);
        let is_due = |secs| mail.is_due(Timestamp::from_secs(secs));
        assert_eq!([999_999, 1_000_000, 1_000_001].map(is_due), [false, true, true]);
        // The longest pause, and a second more; a week.
        assert_eq!([999_400, 999_399, 395_200].map(is_due), [false, true, true]);
        let sent = Mail { sent_at: Some(due_at), ..mail };
        assert!(!sent.is_due(due_at));
    }

    #[test]
    fn mails_count_from_their_request_for_an_hour() {
        let mail = mail(Timestamp::from_secs(10_000), Timestamp::from_secs(10_000));
        let is_counted = |secs| mail.is_counted(Timestamp::from_secs(secs));
        assert_eq!([9_999, 10_000, 13_599, 13_600].map(is_counted), [false, true, true, false]);
    }

    #[test]
    fn mail_kinds_purposes_and_priorities_round_trip() {
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
