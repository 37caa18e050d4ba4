//! Operators' changes to accounts: deactivate and reactivate, lock and unlock, edit, delete. The table in
//! `quash-core` defines the sessions and tokens that each change ends.

use std::time::Duration;

use quash_core::decide::{
    ChangeAuthor, change_account, delete_account, edit_if_different, set_claims, set_email,
    set_password_hash, unlocked,
};
use quash_core::model::{
    Account, AccountBy, AccountEdit, AccountFields, AccountState, Change, Devices, Email, EndCause, Entropy,
    Event, Seq, Subject, Timestamp, draw, limits,
};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::mail::account_address;
use crate::passwords::Requester;
use crate::retry::{Uncommitted, retry};
use crate::use_cases::account::add::{NewPassword, ValueFault};
use crate::use_cases::account::own::own_words;
use crate::use_cases::session::end::Ended;

/// The result of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The account after the change.
    pub account: Account,
    /// The sequence number of the log entry, if the change ended anything.
    pub seq: Option<Seq>,
}

/// A password that can be used once.
pub struct OneTimePassword {
    pub password: Zeroizing<String>,
    pub until: Timestamp,
}

/// The account to change.
#[derive(Clone, Copy, Debug)]
pub struct AccountToChange<'a> {
    pub subject: &'a Subject,
    /// The account must have one of these versions. `None`: any.
    pub versions: Option<&'a [u64]>,
}

/// The state of an e-mail address that an operator sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Address {
    /// The owner must confirm it.
    Unconfirmed,
    /// Needs no confirmation.
    Confirmed,
}

/// A reason to refuse a change of an account.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeFault {
    /// There is no such account, or it was deleted.
    #[error("there is no such account")]
    Gone,
    /// The account is already in the requested state.
    #[error("the account is {0} already")]
    Already(&'static str),
    /// Only a reactivated account can be locked or unlocked.
    #[error("the account is deactivated")]
    Deactivated,
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// The account has none of the versions that the requester has seen.
    #[error("the account has changed")]
    VersionDiffers,
    #[error("another account has this name or e-mail address")]
    Taken,
    /// A failure on our side.
    #[error("the account could not be changed now")]
    Failed(Failure),
}

impl Service {
    /// Deactivates an account: its sessions end, and it can't sign in.
    ///
    /// # Errors
    /// The account is already deactivated or doesn't exist, or the store is unavailable.
    pub async fn deactivate(
        &self,
        account: impl Into<AccountToChange<'_>>,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        self.context
            .change(account, |account, now| match account.state {
                AccountState::Deactivated { .. } => Err(ChangeFault::Already("deactivated")),
                AccountState::Active | AccountState::Locked { .. } => Ok(self.context.edit(
                    account,
                    EndCause::Deactivated,
                    in_state(AccountState::Deactivated { at: now }),
                    &by,
                    now,
                )),
            })
            .await
    }

    /// Lets a deactivated account sign in again. Ended sessions stay ended.
    ///
    /// # Errors
    /// The account isn't deactivated or doesn't exist, or the store is unavailable.
    pub async fn reactivate(
        &self,
        account: impl Into<AccountToChange<'_>>,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        self.context
            .change(account, |account, now| match account.state {
                AccountState::Deactivated { .. } => Ok(Some(change_account(
                    account,
                    Event::Reactivated,
                    in_state(AccountState::Active),
                    by.clone(),
                    now,
                ))),
                AccountState::Active | AccountState::Locked { .. } => Err(ChangeFault::Already("active")),
            })
            .await
    }

    /// Locks an account for `span`, as failed attempts would. If an operator has already locked it, the lock
    /// lasts at least this long, and nothing else changes.
    ///
    /// # Errors
    /// The account is deactivated or doesn't exist, or the store is unavailable.
    pub async fn lock(
        &self,
        account: impl Into<AccountToChange<'_>>,
        span: Duration,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        self.context
            .change(account, |account, now| match account.state {
                AccountState::Deactivated { .. } => Err(ChangeFault::Deactivated),
                // No known device is exempt from this lock, so no session has to end again.
                AccountState::Locked { since, until }
                    if since <= now && now < until && account.devices == Devices::default() =>
                {
                    let fields = in_state(AccountState::Locked { since, until: until.max(now + span) });
                    Ok(fields
                        .differ_from(account)
                        .then(|| change_account(account, Event::Locked, fields, by.clone(), now)))
                }
                AccountState::Active | AccountState::Locked { .. } => {
                    // An operator's lock applies to every client: the account forgets its devices, so that no
                    // session is bound to one.
                    let forgotten = AccountFields {
                        devices: Some(Devices::default()),
                        ..in_state(AccountState::Locked { since: now, until: now + span })
                    };
                    Ok(self.context.edit(account, EndCause::Locked, forgotten, &by, now))
                }
            })
            .await
    }

    /// Unlocks an account, and resets its number of locks and of failed attempts.
    ///
    /// # Errors
    /// The account is deactivated or doesn't exist, or the store is unavailable.
    pub async fn unlock(
        &self,
        account: impl Into<AccountToChange<'_>>,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        let to_change = account.into();
        let change = self.context.change(to_change, |account, now| match account.state {
            AccountState::Deactivated { .. } => Err(ChangeFault::Deactivated),
            AccountState::Active | AccountState::Locked { .. } => {
                let fields = unlocked(account, AccountFields::default());
                Ok(fields
                    .differ_from(account)
                    .then(|| change_account(account, Event::Unlocked, fields, by.clone(), now)))
            }
        });
        let changed = change.await?;
        self.context.lockout.clear(to_change.subject).await;
        Ok(changed)
    }

    /// Renames an account. Its sessions end if tokens identify accounts by their names.
    ///
    /// # Errors
    /// The name is invalid or taken; or as for the other changes.
    pub async fn rename(
        &self,
        subject: &Subject,
        name: &str,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        let context = &*self.context;
        let name = context.new_name(name, Some(&context.loaded(subject).await?)).map_err(ValueFault::Name)?;
        if context
            .is_subject_of_another(&name, Some(subject), context.clock.now())
            .await
            .map_err(ChangeFault::Failed)?
        {
            return Err(ChangeFault::Taken);
        }
        let fields = AccountFields { username: Some(name), ..AccountFields::default() };
        context
            .change(subject, |account, now| {
                Ok(context.edit(account, EndCause::NameChanged, fields.clone(), &by, now))
            })
            .await
    }

    /// Sets an account's e-mail address: its sessions end. Setting the current address again ends nothing. It
    /// can become confirmed, and get other capitals.
    ///
    /// # Errors
    /// The address is invalid or taken; or as for the other changes.
    pub async fn set_email(
        &self,
        subject: &Subject,
        email: &str,
        address: Address,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        let email =
            account_address(email, self.context.policy.accounts.local_parts).map_err(ValueFault::Email)?;
        self.context
            .change(subject, |account, now| {
                let verified_at = (address == Address::Confirmed).then_some(now);
                let email = Some(Email { verified_at, ..email.clone() });
                let context = &*self.context;
                Ok(set_email(account, email, by.clone(), &context.policy, context.guard.scopes(), now))
            })
            .await
    }

    /// Sets or removes an account's password: its sessions end, and a new password ends a lock. Setting the
    /// current hash again changes nothing.
    ///
    /// # Errors
    /// The password is refused or its hash has an unknown format; or as for the other changes.
    pub async fn set_password(
        &self,
        subject: &Subject,
        password: NewPassword,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        let account = self.context.loaded(subject).await?;
        let context = &*self.context;
        let changed = match password {
            NewPassword::Plain(password) => {
                let hash = context
                    .passwords
                    .hash_new(password, &own_words(&account), Requester::OPERATOR, &*context.entropy)
                    .await;
                let hash = hash.map_err(ChangeFault::Failed)?.map_err(ValueFault::Password)?;
                let fields = AccountFields { password: Some(Some(hash)), ..AccountFields::default() };
                let edit = |account: &_, now| {
                    Ok(context.edit(account, EndCause::PasswordSet, fields.clone(), &by, now))
                };
                context.change(subject, edit).await?
            }
            NewPassword::Encoded(text) => {
                let hash = context.encoded(text).map_err(ValueFault::PasswordHash)?;
                let (policy, scopes) = (&context.policy, context.guard.scopes());
                let edit = |account: &_, now| {
                    Ok(set_password_hash(account, Some(hash.clone()), by.clone(), policy, scopes, now))
                };
                context.change(subject, edit).await?
            }
        };
        context.passwords.add_class_of(changed.account.password.as_ref());
        if changed.seq.is_some() && changed.account.has_usable_password() {
            context.lockout.clear(subject).await;
        }
        Ok(changed)
    }

    /// Sets a random temporary password, valid for one day, that must be changed at first use: the account's
    /// sessions and a lock end.
    ///
    /// # Errors
    /// The account doesn't exist, or can't be changed now.
    pub async fn give_one_time_password(
        &self,
        account: impl Into<AccountToChange<'_>>,
        by: ChangeAuthor,
    ) -> Result<(Changed, OneTimePassword), ChangeFault> {
        let context = &*self.context;
        let to_change = account.into();
        to_change.check(&context.loaded(to_change.subject).await?)?;
        let password = random_password(&*context.entropy);
        let hash = context
            .passwords
            .hash(password.clone(), Requester::OPERATOR, &*context.entropy)
            .await
            .map_err(ChangeFault::Failed)?;
        let until = context.clock.now() + limits::ONE_TIME_PASSWORD;
        let fields = AccountFields {
            password: Some(Some(hash)),
            temporary_until: Some(Some(until)),
            ..AccountFields::default()
        };
        let changed = context
            .change(to_change, |account, now| {
                Ok(context.edit(account, EndCause::PasswordSet, fields.clone(), &by, now))
            })
            .await?;
        context.lockout.clear(to_change.subject).await;
        Ok((changed, OneTimePassword { password, until }))
    }

    /// Removes an account's password, so that its owner must reset it: its sessions end.
    ///
    /// # Errors
    /// The account doesn't exist, or can't be changed now.
    pub async fn require_reset(
        &self,
        account: impl Into<AccountToChange<'_>>,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        self.context
            .change(account, |account, now| {
                let fields = AccountFields {
                    password: account.has_usable_password().then_some(None),
                    temporary_until: Some(None),
                    ..AccountFields::default()
                };
                Ok(self.context.edit(account, EndCause::PasswordSet, fields, &by, now))
            })
            .await
    }

    /// Replaces an account's custom claims.
    ///
    /// # Errors
    /// The claims are too long or one has a name that quash reserves; or as for the other changes.
    pub async fn set_claims(
        &self,
        subject: &Subject,
        json: &str,
        by: ChangeAuthor,
    ) -> Result<Changed, ChangeFault> {
        let claims = self.context.custom_claims(json).map_err(ValueFault::Claims)?;
        let (policy, scopes) = (&self.context.policy, self.context.guard.scopes());
        self.context
            .change(subject, |account, now| {
                Ok(set_claims(account, claims.clone(), by.clone(), policy, scopes, now))
            })
            .await
    }

    /// Deletes an account with its sessions. Its subject is never reused.
    ///
    /// # Errors
    /// The account doesn't exist, or can't be deleted now.
    pub async fn delete(
        &self,
        account: impl Into<AccountToChange<'_>>,
        by: ChangeAuthor,
    ) -> Result<Ended, ChangeFault> {
        let to_change = account.into();
        let context = &*self.context;
        retry!({
            let account = context.loaded(to_change.subject).await.map_err(Uncommitted::Failed)?;
            to_change.check(&account).map_err(Uncommitted::Failed)?;
            let change = delete_account(&account, by.clone(), context.guard.scopes(), context.clock.now());
            Ok(context.end(change).await?)
        })
    }
}

impl Context {
    /// Loads, decides and commits. If `decide` returns `None`, the account is already in the requested state,
    /// and nothing is written. A conflict over an unchanged row is one over a name or an address.
    async fn change(
        &self,
        account: impl Into<AccountToChange<'_>>,
        decide: impl Fn(&Account, Timestamp) -> Result<Option<AccountEdit>, ChangeFault>,
    ) -> Result<Changed, ChangeFault> {
        let to_change = account.into();
        let subject = to_change.subject;
        let mut tried = None;
        retry!({
            let (account, head) = self.loaded_at(subject).await.map_err(Uncommitted::Failed)?;
            to_change.check(&account).map_err(Uncommitted::Failed)?;
            if tried == Some(account.version) {
                return Err(Uncommitted::Failed(ChangeFault::Taken));
            }
            tried = Some(account.version);
            let decided = decide(&account, self.clock.now());
            if !matches!(decided, Ok(Some(_))) {
                self.announce(head).await?;
            }
            let Some(edit) = decided.map_err(Uncommitted::Failed)? else {
                return Ok(Changed { account, seq: None });
            };
            let Ended { seq } = self.end(Change::EditAccount(Box::new(edit))).await?;
            Ok(Changed { account: self.loaded(subject).await.map_err(Uncommitted::Failed)?, seq })
        })
    }

    /// A change with this cause, unless the account already has these values.
    fn edit(
        &self,
        account: &Account,
        cause: EndCause,
        fields: AccountFields,
        by: &ChangeAuthor,
        now: Timestamp,
    ) -> Option<AccountEdit> {
        edit_if_different(account, cause, fields, by.clone(), &self.policy, self.guard.scopes(), now)
    }

    async fn loaded(&self, subject: &Subject) -> Result<Account, ChangeFault> {
        self.loaded_at(subject).await.map(|(account, _)| account)
    }

    /// The account, with the newest number of the log at which it was read.
    async fn loaded_at(&self, subject: &Subject) -> Result<(Account, Seq), ChangeFault> {
        let failed = |error: StoreError| ChangeFault::Failed(error.into());
        let loaded = self.store.account(&AccountBy::Subject(subject.clone()), self.clock.now()).await;
        let loaded = loaded.map_err(failed)?;
        match loaded.account {
            Some(account) => Ok((account, loaded.head.seq)),
            None => {
                self.announce(loaded.head.seq).await.map_err(failed)?;
                Err(ChangeFault::Gone)
            }
        }
    }
}

impl AccountToChange<'_> {
    fn check(self, account: &Account) -> Result<(), ChangeFault> {
        match self.versions {
            Some(versions) if !versions.contains(&account.version) => Err(ChangeFault::VersionDiffers),
            Some(_) | None => Ok(()),
        }
    }
}

impl<'a> From<&'a Subject> for AccountToChange<'a> {
    fn from(subject: &'a Subject) -> Self {
        Self { subject, versions: None }
    }
}

fn in_state(state: AccountState) -> AccountFields {
    AccountFields { state: Some(state), ..AccountFields::default() }
}

/// A password of 100 bits in four groups, drawn from 32 characters that users don't confuse.
fn random_password(entropy: &dyn Entropy) -> Zeroizing<String> {
    const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
    let drawn = Zeroizing::new(draw::<20>(entropy));
    let mut password = Zeroizing::new(String::with_capacity(23));
    for (place, byte) in drawn.iter().enumerate() {
        if place > 0 && place % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    password
}

impl From<Failure> for ChangeFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quash_core::model::Seeded;

    #[test]
    fn temporary_passwords_have_four_groups_without_look_alikes() {
        let entropy = Seeded::new(1);
        let (one, other) = (random_password(&entropy), random_password(&entropy));
        assert_ne!(*one, *other);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
        assert!(!one.contains(['0', '1', 'l', 'o']) && one.len() == 23);
    }
}
