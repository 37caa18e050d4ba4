//! Provisioning: another system, such as a Django site, says how the account of one of its users should be.

use crate::model::{
    Account, AccountClaims, AccountEdit, AccountFields, AccountState, CustomClaims, Email, EndCause, Event,
    Name, NewState, PasswordHash, Policy, ScopeHasher, Subject, Timestamp,
};

use super::account::{
    ChangeAuthor, change_account, edit_if_different, set_claims, set_email, set_password_hash,
};

/// The values that an account should have; `None`: unchanged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Provisioning {
    pub username: Option<Name>,
    /// The address, confirmed if it has a time for that; `Some(None)`: none.
    pub email: Option<Option<Email>>,
    /// The hash in the other system's table; `Some(None)`: no password is usable.
    pub password: Option<Option<PasswordHash>>,
    /// The mark of the hash in the other system's table, if that is another one of the same password.
    pub mark: Option<SiteMark>,
    pub state: Option<NewState>,
    /// The claims, in place of all others.
    pub claims: Option<CustomClaims>,
}

/// The mark of a hash that the other system has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteMark {
    pub mark: String,
    /// The mark of the system's former hash of the same password. `None`: the account's password isn't compared.
    pub before: Option<String>,
}

/// The new hash may be of another password, so its mark isn't enough: the system's former hash isn't the last one
/// that is known, or no password can be compared with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkDiffers;

/// Returns the edits of one transaction that give an account these values. Each ends what an operator's command
/// for it does; values that the account has change nothing. There may be none.
///
/// # Errors
/// The mark is one of another password.
pub fn provision(
    account: &Account,
    wanted: &Provisioning,
    by: &ChangeAuthor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Vec<AccountEdit>, MarkDiffers> {
    let edit = |cause, fields| edit_if_different(account, cause, fields, by.clone(), policy, scopes, now);
    let Provisioning { username, email, password, mark, state, claims } = wanted.clone();
    let renamed = username.and_then(|name| {
        edit(EndCause::NameChanged, AccountFields { username: Some(name), ..AccountFields::default() })
    });
    let addressed = email.and_then(|email| set_email(account, email, by.clone(), policy, scopes, now));
    let password = password.filter(|hash| !account.has_site_hash(hash.as_ref()));
    let rehashed =
        password.and_then(|hash| set_password_hash(account, hash, by.clone(), policy, scopes, now));
    // After another hash, whose mark it replaces. A repetition changes nothing.
    let mark = mark.filter(|mark| rehashed.is_some() || mark.mark != account.node_mark());
    if let Some(SiteMark { before: Some(before), .. }) = &mark
        && !account.has_had_site_hash(before)
    {
        return Err(MarkDiffers);
    }
    let marked = mark.map(|SiteMark { mark, .. }| {
        let fields = AccountFields { mark: Some(Some(mark)), ..AccountFields::default() };
        change_account(account, Event::PasswordSet, fields, by.clone(), now)
    });
    let claimed = claims.and_then(|claims| set_claims(account, claims, by.clone(), policy, scopes, now));
    let is_deactivated = matches!(account.state, AccountState::Deactivated { .. });
    let switched =
        state.filter(|state| (*state == NewState::Deactivated) != is_deactivated).and_then(|state| {
            let fields = AccountFields { state: Some(state.since(now)), ..AccountFields::default() };
            match state {
                NewState::Deactivated => edit(EndCause::Deactivated, fields),
                NewState::Active => {
                    Some(change_account(account, Event::Reactivated, fields, by.clone(), now))
                }
            }
        });
    let edits = [renamed, addressed, rehashed, marked, claimed, switched].into_iter().flatten();
    // Each edit increments the version.
    Ok(edits.zip(account.version..).map(|(edit, version)| AccountEdit { version, ..edit }).collect())
}

/// Returns a new account with these values.
pub fn provisioned(subject: Subject, username: Name, wanted: &Provisioning, now: Timestamp) -> Account {
    Account {
        email: wanted.email.clone().flatten(),
        password: wanted.password.clone().flatten(),
        mark: wanted.mark.clone().map(|SiteMark { mark, .. }| mark),
        state: wanted.state.unwrap_or_default().since(now),
        claims: wanted.claims.clone().map_or(AccountClaims::Unset, AccountClaims::Set),
        ..Account::new(subject, username, now)
    }
}
