//! Changes to accounts. The table of `model/log/end_cause.rs` says which sessions and tokens end with each.

use crate::model::{
    Account, AccountClaims, AccountEdit, AccountFields, AccountState, Actor, Change, CustomClaims, Devices,
    Email, EndCause, EndScope, Ends, Event, NewEntry, Note, PasswordHash, Policy, ScopeHasher, Timestamp,
    UserIdField,
};

use super::cause::{Cause, account_entry};

/// The actor of an account change, with an optional note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeAuthor {
    pub actor: Actor,
    /// A free-text reason for the audit.
    pub note: Option<Note>,
}

impl From<Actor> for ChangeAuthor {
    fn from(actor: Actor) -> Self {
        Self { actor, note: None }
    }
}

/// Changes an account for an end cause, and ends the scope that the table says. If the scope is the unbound
/// sessions, all sessions end instead: only [`super::lock_account`] tells bound from unbound ones. A password
/// that is reset or set ends a lock, too.
pub fn edit_account(
    account: &Account,
    cause: EndCause,
    fields: AccountFields,
    by: ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> AccountEdit {
    let ended_scope = match cause.ends(policy) {
        EndScope::Unbound => EndScope::Sessions,
        ended_scope => ended_scope,
    };
    let ends_lock = matches!(cause, EndCause::PasswordReset | EndCause::PasswordSet)
        && matches!(&fields.password, Some(Some(hash)) if hash.is_usable());
    let fields = if ends_lock { unlocked(account, fields) } else { fields };
    // The Django site isn't notified of a new password: its own table has the former hash.
    let kept = fields.password.as_ref().map(|_| Some(account.node_mark()));
    let fields = AccountFields { mark: fields.mark.clone().or(kept), ..fields };
    edit_ending(ended_scope, account, cause, fields, by, scopes, now)
}

/// Like [`edit_account`], but with a given end scope.
pub(super) fn edit_ending(
    ended_scope: EndScope,
    account: &Account,
    cause: EndCause,
    fields: AccountFields,
    by: ChangeAuthor,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> AccountEdit {
    let row = cause.row();
    let forgotten = cause.forgets_devices().then(Devices::default);
    let fields = AccountFields { devices: forgotten.or(fields.devices), ..fields };
    let entry = entry(account, cause, &by, scopes, now);
    let ends = match ended_scope {
        EndScope::Sessions | EndScope::Others => Ends::Sessions { entry, survivor: None },
        EndScope::Access => Ends::Access(entry),
        EndScope::Nothing
        | EndScope::Session
        | EndScope::Unbound
        | EndScope::Key
        | EndScope::Everything
        | EndScope::NamespaceSession
        | EndScope::NamespaceToken
        | EndScope::NamespaceSubject
        | EndScope::Namespace => Ends::Nothing,
    };
    edit(account, row.event.unwrap_or(Event::SessionsEnded), fields, ends, by, now)
}

/// Like [`edit_account`], but `None` if the account already has these values: repeating them ends nothing.
pub fn edit_if_different(
    account: &Account,
    cause: EndCause,
    fields: AccountFields,
    by: ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<AccountEdit> {
    fields.differ_from(account).then(|| edit_account(account, cause, fields, by, policy, scopes, now))
}

/// Sets an account's address, or removes it: its sessions end. The current address with other capitals stays
/// confirmed and ends nothing, unless tokens identify accounts by their addresses. It can also become confirmed.
pub fn set_email(
    account: &Account,
    email: Option<Email>,
    by: ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<AccountEdit> {
    let of = |email| AccountFields { email: Some(email), ..AccountFields::default() };
    match (&account.email, &email) {
        (Some(before), Some(same)) if before.folded() == same.folded() => {
            let verified_at = before.verified_at.or(same.verified_at);
            let fields = of(Some(Email { verified_at, ..same.clone() }));
            let is_in_tokens = policy.tokens.names.user_id_field == UserIdField::Email;
            if is_in_tokens && before.shown != same.shown {
                return Some(edit_account(account, EndCause::EmailChanged, fields, by, policy, scopes, now));
            }
            let is_confirmed = verified_at != before.verified_at;
            let event = if is_confirmed { Event::EmailVerified } else { Event::EmailChanged };
            fields.differ_from(account).then(|| change_account(account, event, fields, by, now))
        }
        _ => edit_if_different(account, EndCause::EmailChanged, of(email), by, policy, scopes, now),
    }
}

/// Replaces an account's custom claims, which ends what the policy says. An account that never had any can get
/// none explicitly, which ends nothing: its tokens stay the same.
pub fn set_claims(
    account: &Account,
    claims: CustomClaims,
    by: ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<AccountEdit> {
    let is_same = account.claims == AccountClaims::Unset && claims.as_slice().is_empty();
    let fields = AccountFields { claims: Some(claims), ..AccountFields::default() };
    if is_same {
        return Some(change_account(account, Event::ClaimsChanged, fields, by, now));
    }
    edit_if_different(account, EndCause::ClaimsChanged, fields, by, policy, scopes, now)
}

/// Sets the hash that the Django site has for an account, or removes its password: its sessions end. Setting
/// the current hash again changes nothing. If the site has sent no hash so far and now sends an unusable one,
/// only the mark changes: a password that was chosen here stays.
pub fn set_password_hash(
    account: &Account,
    hash: Option<PasswordHash>,
    by: ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<AccountEdit> {
    if let Some(unusable) = hash.as_ref().filter(|hash| !hash.is_usable() && account.has_site_hash(None)) {
        let fields = if account.has_usable_password() {
            AccountFields { mark: Some(Some(unusable.mark())), ..AccountFields::default() }
        } else {
            AccountFields { password: Some(hash), mark: Some(None), ..AccountFields::default() }
        };
        return Some(change_account(account, Event::PasswordSet, fields, by, now));
    }
    let (password, temporary_until) = (Some(hash), Some(None));
    let fields = AccountFields { password, temporary_until, ..AccountFields::default() };
    let is_marked = policy.tokens.names.password_mark.is_some() && account.mark.is_some();
    let marked = AccountFields { mark: Some(None), ..fields.clone() };
    (is_marked || fields.differ_from(account))
        .then(|| edit_account(account, EndCause::PasswordSet, marked, by, policy, scopes, now))
}

/// Adds the end of a lock to these fields, for changes that also unlock.
#[must_use]
pub fn unlocked(account: &Account, fields: AccountFields) -> AccountFields {
    let is_locked = matches!(account.state, AccountState::Locked { .. });
    AccountFields {
        state: fields.state.or(is_locked.then_some(AccountState::Active)),
        locks: fields.locks.or((account.locks > 0).then_some(0)),
        ..fields
    }
}

/// Makes an account change that ends no session or token.
pub fn change_account(
    account: &Account,
    event: Event,
    fields: AccountFields,
    by: ChangeAuthor,
    now: Timestamp,
) -> AccountEdit {
    edit(account, event, fields, Ends::Nothing, by, now)
}

pub fn delete_account(account: &Account, by: ChangeAuthor, scopes: &ScopeHasher, now: Timestamp) -> Change {
    let entry = entry(account, EndCause::Deleted, &by, scopes, now);
    Change::DeleteAccount { subject: account.subject.clone(), version: account.version, entry, note: by.note }
}

fn entry(
    account: &Account,
    cause: EndCause,
    by: &ChangeAuthor,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> NewEntry {
    account_entry(account, &Cause { reason: cause.row().reason, actor: by.actor.clone() }, scopes, now)
}

fn edit(
    account: &Account,
    event: Event,
    mut fields: AccountFields,
    ends: Ends,
    by: ChangeAuthor,
    now: Timestamp,
) -> AccountEdit {
    // A new password is permanent, unless the caller says that it must be changed.
    if fields.password.is_some() && fields.temporary_until.is_none() {
        fields.temporary_until = account.temporary_until.map(|_| None);
    }
    AccountEdit { fields, ends, note: by.note, ..AccountEdit::of(account, event, by.actor, now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Subject};

    /// Returns the event and whether sessions end, for an account that has confirmed `dana@example.org`.
    fn readdressed(field: UserIdField, to: &str) -> (Event, bool) {
        let now = Timestamp::from_secs(100);
        let confirmed = |text| Email { verified_at: Some(now), ..Email::parse(text).expect("an address") };
        let name = Name::parse("dana").expect("a name");
        let account = Account {
            email: Some(confirmed("dana@example.org")),
            ..Account::new(Subject::parse("17").expect("a subject"), name, now)
        };
        let mut policy = Policy::default();
        policy.tokens.names.user_id_field = field;
        let email = Some(Email::parse(to).expect("an address"));
        let (by, scopes) = (Actor::Operator.into(), ScopeHasher::ours([1; 16]));
        let edit = set_email(&account, email, by, &policy, &scopes, now).expect("a change");
        let email = edit.fields.email.clone().flatten().expect("an address");
        assert_eq!((email.shown.as_str(), email.verified_at.is_some()), (to, to != "new@example.org"));
        (edit.event, edit.ends != Ends::Nothing)
    }

    #[test]
    fn other_capitals_end_sessions_only_if_tokens_have_the_address() {
        for field in [UserIdField::Subject, UserIdField::Username, UserIdField::Email] {
            assert_eq!(readdressed(field, "new@example.org"), (Event::EmailChanged, true));
            let ends = field == UserIdField::Email;
            assert_eq!(readdressed(field, "Dana@Example.org"), (Event::EmailChanged, ends), "{field:?}");
        }
    }
}
