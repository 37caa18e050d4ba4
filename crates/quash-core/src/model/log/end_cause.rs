//! The table of the events that end sessions or revoke tokens, and of their effects. `quash policy show`
//! prints it.
//!
//! `decide/` determines when an event occurs, and applies the table's effect on every code path.

use crate::model::{ClaimsChange, Event, LockEnds, Policy, Reason, ScopeKind};

/// An event that ends sessions or revokes tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndCause {
    /// The bearer of a token logs out.
    LogOut,
    /// The user or an operator ends one session.
    SessionEnded,
    /// An account has one session over the limit.
    OverLimit,
    /// A user, or an operator for them, logs out everywhere.
    LogOutEverywhere,
    /// A user logs out everywhere else.
    LogOutElsewhere,
    /// A spent refresh token is used again.
    Reuse,
    /// A refresh token is used that the store hasn't issued yet: the store has lost its latest changes.
    TokenFromTheFuture,
    PasswordChanged,
    /// A user resets the password with a mail.
    PasswordReset,
    /// An operator sets a new password, or removes it.
    PasswordSet,
    /// A new address is confirmed, or an operator sets one.
    EmailChanged,
    /// The name that identifies the account in its tokens changes.
    NameChanged,
    Deactivated,
    Deleted,
    /// An account is locked after failed sign-ins.
    Locked,
    /// An account's custom claims change.
    ClaimsChanged,
    /// A key is revoked in an emergency.
    KeyRemoved,
    /// An operator revokes all tokens of an account.
    AccountRevoked,
    /// An operator revokes everything, after a breach.
    EverythingRevoked,
    /// The store is restored from a backup, or is found to have lost its latest changes.
    StoreRestored,
    /// A client or an operator revokes a session of a namespace.
    NamespaceSessionRevoked,
    /// A client or an operator revokes a token of a namespace.
    NamespaceTokenRevoked,
    /// A client or an operator revokes the tokens of a user of a namespace.
    NamespaceSubjectRevoked,
    /// A client or an operator revokes every token of a namespace.
    NamespaceRevoked,
}

/// The sessions or tokens that an event ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndScope {
    /// Nothing, because of a setting.
    Nothing,
    Session,
    /// All sessions of an account except one, which gets new tokens.
    Others,
    /// All sessions of an account.
    Sessions,
    /// An account's sessions that aren't bound to a known device: the client has presented no device token.
    Unbound,
    /// The access tokens of an account. The account's sessions stay live.
    Access,
    /// Every token that a key has signed.
    Key,
    /// Every session opened and every token issued before the event.
    Everything,
    /// A session of a namespace. quash has no row for it.
    NamespaceSession,
    /// A token of a namespace.
    NamespaceToken,
    /// The tokens of a user of a namespace issued before the event.
    NamespaceSubject,
    /// Every token of a namespace issued before the event.
    Namespace,
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndCauseRow {
    pub name: &'static str,
    /// A description of the event.
    pub what: &'static str,
    /// The reason recorded for the ended sessions and revoked tokens.
    pub reason: Reason,
    /// The audit event; `None` if each ended session has an entry of its own.
    pub event: Option<Event>,
    /// The default effect.
    pub ends: EndScope,
    /// The setting that can change the effect.
    pub setting: Option<&'static str>,
}

impl EndCause {
    /// All rows, in the order in which they are shown.
    pub const ALL: [Self; 24] = [
        Self::LogOut,
        Self::SessionEnded,
        Self::OverLimit,
        Self::LogOutEverywhere,
        Self::LogOutElsewhere,
        Self::Reuse,
        Self::TokenFromTheFuture,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::PasswordSet,
        Self::EmailChanged,
        Self::NameChanged,
        Self::Deactivated,
        Self::Deleted,
        Self::Locked,
        Self::ClaimsChanged,
        Self::KeyRemoved,
        Self::AccountRevoked,
        Self::EverythingRevoked,
        Self::StoreRestored,
        Self::NamespaceSessionRevoked,
        Self::NamespaceTokenRevoked,
        Self::NamespaceSubjectRevoked,
        Self::NamespaceRevoked,
    ];

    #[rustfmt::skip]
    pub const fn row(self) -> EndCauseRow {
        match self {
            Self::LogOut => row("log_out", "the bearer of a token logs out", Reason::LogOut, None, EndScope::Session, None),
            Self::SessionEnded => row("session_ended", "a user or an operator ends a session", Reason::Ended, None, EndScope::Session, None),
            Self::OverLimit => row("over_limit", "one session more than the limit: the one idle longest ends", Reason::OverLimit, None, EndScope::Session, None),
            Self::LogOutEverywhere => row("log_out_everywhere", "a user logs out everywhere", Reason::LogOutEverywhere, Some(Event::SessionsEnded), EndScope::Sessions, None),
            Self::LogOutElsewhere => row("log_out_elsewhere", "a user logs out everywhere else", Reason::LogOutEverywhere, Some(Event::SessionsEnded), EndScope::Others, None),
            Self::Reuse => row("reuse", "a spent refresh token is used again", Reason::Reuse, None, EndScope::Session, None),
            Self::TokenFromTheFuture => row("token_from_the_future", "a refresh token is used that the store has not issued yet", Reason::Restored, None, EndScope::Session, None),
            Self::PasswordChanged => row("password_changed", "a user changes the password", Reason::PasswordChanged, Some(Event::PasswordChanged), EndScope::Others, None),
            Self::PasswordReset => row("password_reset", "a user resets the password", Reason::PasswordReset, Some(Event::PasswordReset), EndScope::Sessions, None),
            Self::PasswordSet => row("password_set", "an operator or another system sets a new password or removes it", Reason::PasswordSet, Some(Event::PasswordSet), EndScope::Sessions, None),
            Self::EmailChanged => row("email_changed", "a new address is confirmed, or an operator or another system sets one", Reason::EmailChanged, Some(Event::EmailChanged), EndScope::Sessions, None),
            Self::NameChanged => row("name_changed", "the name that identifies an account in tokens changes", Reason::NameChanged, Some(Event::NameChanged), EndScope::Nothing, Some("tokens.user_id_field")),
            Self::Deactivated => row("deactivated", "an account is deactivated", Reason::Deactivated, Some(Event::Deactivated), EndScope::Sessions, None),
            Self::Deleted => row("deleted", "an account is deleted", Reason::Deleted, Some(Event::AccountDeleted), EndScope::Sessions, None),
            Self::Locked => row("locked", "an account is locked after failed sign-ins", Reason::Locked, Some(Event::Locked), EndScope::Unbound, Some("lockout.end_sessions")),
            Self::ClaimsChanged => row("claims_changed", "a custom claim changes", Reason::ClaimsChanged, Some(Event::ClaimsChanged), EndScope::Access, Some("claims.on_change")),
            Self::KeyRemoved => row("key_removed", "a key is revoked in an emergency", Reason::KeyRemoved, Some(Event::KeyRevoked), EndScope::Key, None),
            Self::AccountRevoked => row("account_revoked", "an operator revokes all tokens of an account", Reason::Revoked, Some(Event::SessionsEnded), EndScope::Sessions, None),
            Self::EverythingRevoked => row("everything_revoked", "an operator revokes everything", Reason::Revoked, Some(Event::EverythingEnded), EndScope::Everything, None),
            Self::StoreRestored => row("store_restored", "the store is restored from a backup, or went back", Reason::Restored, Some(Event::EverythingEnded), EndScope::Everything, None),
            Self::NamespaceSessionRevoked => row("namespace_session_revoked", "a client or an operator revokes a session in a namespace", Reason::Revoked, Some(Event::Revoked), EndScope::NamespaceSession, None),
            Self::NamespaceTokenRevoked => row("namespace_token_revoked", "a client or an operator revokes a token in a namespace", Reason::Revoked, Some(Event::Revoked), EndScope::NamespaceToken, None),
            Self::NamespaceSubjectRevoked => row("namespace_subject_revoked", "a client or an operator revokes a user in a namespace", Reason::Revoked, Some(Event::Revoked), EndScope::NamespaceSubject, None),
            Self::NamespaceRevoked => row("namespace_revoked", "a client or an operator revokes everything in a namespace", Reason::Revoked, Some(Event::Revoked), EndScope::Namespace, None),
        }
    }

    /// Returns whether the event makes the account forget its known devices. True if another person may have
    /// signed in, or if the account can't be used any more.
    pub const fn forgets_devices(self) -> bool {
        matches!(
            self,
            Self::LogOutEverywhere
                | Self::PasswordReset
                | Self::PasswordSet
                | Self::Deactivated
                | Self::Deleted
                | Self::AccountRevoked
        )
    }

    /// The effect with the given settings.
    pub fn ends(self, policy: &Policy) -> EndScope {
        match self {
            Self::Locked => match policy.accounts.lock_ends {
                LockEnds::All => EndScope::Sessions,
                LockEnds::Unbound => EndScope::Unbound,
                LockEnds::None => EndScope::Nothing,
            },
            Self::ClaimsChanged => match policy.accounts.claims_change {
                ClaimsChange::Renew => EndScope::Access,
                ClaimsChange::Wait => EndScope::Nothing,
            },
            Self::NameChanged if policy.tokens.names.user_id_field == crate::model::UserIdField::Username => {
                EndScope::Sessions
            }
            _ => self.row().ends,
        }
    }
}

impl EndScope {
    /// The description in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Session => "this session",
            Self::Others => "all other sessions; this one gets new tokens",
            Self::Sessions => "all sessions",
            Self::Unbound => "all sessions whose client has presented no device token",
            Self::Access => "access tokens; sessions stay live",
            Self::Key => "every access, sliding and foreign token that it signed; sessions stay live",
            Self::Everything => "everything issued before, in all namespaces",
            Self::NamespaceSession => "all tokens of this session, in the namespace",
            Self::NamespaceToken => "this token, in the namespace",
            Self::NamespaceSubject => "all tokens of this user issued before, in the namespace",
            Self::Namespace => "every token issued before, in the namespace",
        }
    }

    /// The kind of the log entry that revokes the tokens; `None` if there is no entry.
    pub const fn scope(self) -> Option<ScopeKind> {
        match self {
            Self::Nothing => None,
            Self::Session | Self::Unbound | Self::NamespaceSession => Some(ScopeKind::Session),
            Self::Others | Self::Sessions | Self::Access | Self::NamespaceSubject => Some(ScopeKind::Subject),
            Self::Key => Some(ScopeKind::Key),
            Self::Everything => Some(ScopeKind::Everything),
            Self::NamespaceToken => Some(ScopeKind::Token),
            Self::Namespace => Some(ScopeKind::Client),
        }
    }

    /// Returns whether only tokens of a namespace end, of which quash has no rows.
    pub const fn is_in_namespace(self) -> bool {
        matches!(
            self,
            Self::NamespaceSession | Self::NamespaceToken | Self::NamespaceSubject | Self::Namespace
        )
    }
}

const fn row(
    name: &'static str,
    what: &'static str,
    reason: Reason,
    event: Option<Event>,
    ends: EndScope,
    setting: Option<&'static str>,
) -> EndCauseRow {
    EndCauseRow { name, what, reason, event, ends, setting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_causes_have_unique_names() {
        let mut names: Vec<_> = EndCause::ALL.iter().map(|cause| cause.row().name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EndCause::ALL.len());
    }

    #[test]
    fn only_listed_end_causes_forget_devices() {
        let forget: Vec<_> = EndCause::ALL
            .into_iter()
            .filter(|cause| cause.forgets_devices())
            .map(|cause| cause.row().name)
            .collect();
        let wanted = [
            "log_out_everywhere",
            "password_reset",
            "password_set",
            "deactivated",
            "deleted",
            "account_revoked",
        ];
        assert_eq!(forget, wanted);
    }

    #[test]
    fn only_rows_that_name_a_setting_can_be_changed() {
        let mut other = Policy::default();
        other.accounts.lock_ends = LockEnds::None;
        other.accounts.claims_change = ClaimsChange::Wait;
        other.tokens.names.user_id_field = crate::model::UserIdField::Username;
        for cause in EndCause::ALL {
            assert_eq!(cause.ends(&Policy::default()), cause.row().ends, "{cause:?}");
            assert_eq!(cause.ends(&other) != cause.row().ends, cause.row().setting.is_some(), "{cause:?}");
        }
    }
}
