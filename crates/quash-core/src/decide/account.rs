//! Changes to accounts. The table of `model/end_cause.rs` says which sessions and tokens end with each.

use crate::model::{
    Account, AccountEdit, AccountFields, Actor, Change, Devices, Email, EndCause, EndScope, Ends, Event,
    NewEntry, Note, PasswordHash, Policy, ScopeHasher, Timestamp,
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
/// sessions, all sessions end instead: only [`super::lock_account`] tells bound from unbound ones.
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

/// Sets an account's address, or removes it: its sessions end. Setting the current address again changes
/// nothing, except that it can become confirmed.
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
        (Some(before), Some(same)) if before.shown == same.shown => {
            let verified_at = before.verified_at.or(same.verified_at);
            let fields = of(Some(Email { verified_at, ..before.clone() }));
            let is_another = fields.differ_from(account);
            is_another.then(|| change_account(account, Event::EmailVerified, fields, by, now))
        }
        _ => edit_if_different(account, EndCause::EmailChanged, of(email), by, policy, scopes, now),
    }
}

/// Sets the hash that the Django site has for an account, or removes its password: its sessions end. Setting
/// the current hash again changes nothing.
pub fn set_password_hash(
    account: &Account,
    hash: Option<PasswordHash>,
    by: ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<AccountEdit> {
    let (password, temporary_until) = (Some(hash), Some(None));
    let fields = AccountFields { password, temporary_until, ..AccountFields::default() };
    let is_marked = policy.tokens.names.password_mark.is_some() && account.mark.is_some();
    let marked = AccountFields { mark: Some(None), ..fields.clone() };
    (is_marked || fields.differ_from(account))
        .then(|| edit_account(account, EndCause::PasswordSet, marked, by, policy, scopes, now))
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
