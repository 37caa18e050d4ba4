//! Changes to accounts. The table of `model/road.rs` says which sessions and tokens end with each.

use crate::model::{
    Account, AccountEdit, AccountFields, Actor, Change, Devices, Ends, Event, Extent, NewEntry, Note, Policy,
    Road, ScopeHasher, Timestamp,
};

use super::cause::{Cause, account_entry};

/// The actor of an account change, with an optional note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    pub actor: Actor,
    /// A free-text reason for the audit.
    pub note: Option<Note>,
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self { actor, note: None }
    }
}

/// Changes an account for an end cause, and ends the scope that the table says. If the scope is the unbound
/// sessions, all sessions end instead: only [`super::lock_account`] tells bound from unbound ones.
pub fn edit_account(
    account: &Account,
    road: Road,
    fields: AccountFields,
    by: By,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> AccountEdit {
    let extent = match road.ends(policy) {
        Extent::Unbound => Extent::Sessions,
        extent => extent,
    };
    // Django nodes aren't notified of a new password: they compare tokens with the hash that they have.
    let is_marked = policy.tokens.names.password_mark.is_some();
    let kept = fields.password.as_ref().filter(|_| is_marked).map(|_| Some(account.node_mark()));
    let fields = AccountFields { mark: fields.mark.clone().or(kept), ..fields };
    edit_ending(extent, account, road, fields, by, scopes, now)
}

/// Like [`edit_account`], but with a given end scope.
pub(super) fn edit_ending(
    extent: Extent,
    account: &Account,
    road: Road,
    fields: AccountFields,
    by: By,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> AccountEdit {
    let row = road.row();
    let forgotten = road.forgets_devices().then(Devices::default);
    let fields = AccountFields { devices: forgotten.or(fields.devices), ..fields };
    let entry = entry(account, road, &by, scopes, now);
    let ends = match extent {
        Extent::Sessions | Extent::Others => Ends::Sessions { entry, survivor: None },
        Extent::Access => Ends::Access(entry),
        Extent::Nothing | Extent::Session | Extent::Unbound | Extent::Key | Extent::Everything => {
            Ends::Nothing
        }
    };
    edit(account, row.event.unwrap_or(Event::SessionsEnded), fields, ends, by, now)
}

/// Makes an account change that ends no session or token.
pub fn change_account(
    account: &Account,
    event: Event,
    fields: AccountFields,
    by: By,
    now: Timestamp,
) -> AccountEdit {
    edit(account, event, fields, Ends::Nothing, by, now)
}

pub fn delete_account(account: &Account, by: By, scopes: &ScopeHasher, now: Timestamp) -> Change {
    let entry = entry(account, Road::Deleted, &by, scopes, now);
    Change::DeleteAccount { subject: account.subject.clone(), version: account.version, entry, note: by.note }
}

fn entry(account: &Account, road: Road, by: &By, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    account_entry(account, &Cause { reason: road.row().reason, actor: by.actor.clone() }, scopes, now)
}

fn edit(
    account: &Account,
    event: Event,
    mut fields: AccountFields,
    ends: Ends,
    by: By,
    now: Timestamp,
) -> AccountEdit {
    // A new password is permanent, unless the caller says that it must be changed.
    if fields.password.is_some() && fields.must_change.is_none() {
        fields.must_change = account.must_change.map(|_| None);
    }
    AccountEdit { fields, ends, note: by.note, ..AccountEdit::of(account, event, by.actor, now) }
}
