//! Operators' searches over all accounts, by a prefix of their name or address, or by their status.

use quash_core::model::{Account, AccountBy, Email, Subject, fold, limits};
use quash_store::AccountSearch;

use crate::context::Service;
use crate::failure::Failure;
use crate::use_cases::account::add::NewAccount;
use crate::use_cases::account::provision::UniqueField;

/// A page of accounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountPage {
    pub accounts: Vec<Account>,
    /// The folded name or address after which the next page begins, if there may be more.
    pub next: Option<String>,
}

impl Service {
    /// Returns the page of a search after the folded name or address `after`. The prefix is as an operator typed
    /// it: it is folded like names and addresses.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn search_accounts(
        &self,
        search: AccountSearch,
        after: Option<&str>,
        limit: u32,
    ) -> Result<AccountPage, Failure> {
        let context = &*self.context;
        let limit = limit.clamp(1, limits::PAGE);
        let search = match search {
            AccountSearch::Name { prefix, status } => AccountSearch::Name { prefix: fold(&prefix), status },
            AccountSearch::Email { prefix } => AccountSearch::Email { prefix: fold(&prefix) },
        };
        let accounts = context.store.search_accounts(&search, after, context.clock.now(), limit).await?;
        let last = accounts.last().filter(|_| accounts.len() >= limit as usize);
        let next = last.and_then(|account| match search {
            AccountSearch::Name { .. } => Some(account.username.folded().to_owned()),
            AccountSearch::Email { .. } => account.email.as_ref().map(Email::folded),
        });
        Ok(AccountPage { accounts, next })
    }

    /// Returns the value of a new account that was refused as taken: that of an account which exists, or the
    /// subject of a deleted one. It may have become free meanwhile.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn taken_field(&self, new: &NewAccount) -> Result<UniqueField, Failure> {
        let name = self.account_by(&AccountBy::Name(fold(&new.name))).await?;
        if name.is_some() || self.is_subject(&new.name).await? {
            return Ok(UniqueField::Username);
        }
        if let Some(email) = &new.email
            && self.account_by(&AccountBy::Email(fold(email))).await?.is_some()
        {
            return Ok(UniqueField::Email);
        }
        Ok(UniqueField::Subject)
    }

    /// Returns whether an account has this text as its subject.
    async fn is_subject(&self, text: &str) -> Result<bool, Failure> {
        match Subject::parse(text) {
            Ok(subject) => Ok(self.account_by(&AccountBy::Subject(subject)).await?.is_some()),
            Err(_) => Ok(false),
        }
    }
}
