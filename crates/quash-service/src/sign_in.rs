//! Signing in.

use std::net::IpAddr;

use quash_core::decide::{Device, Kind, judge_sign_in, open_session};
use quash_core::model::{AccountBy, AccountLoaded, PasswordHash, Subject, fold, limits};
use quash_core::token::Issued;
use zeroize::Zeroizing;

use crate::desk::Service;
use crate::failure::{Conflicts, Failure};

/// An attempt to sign in.
pub struct Attempt {
    /// What kind of tokens it is to give.
    pub kind: Kind,
    /// The name, as typed.
    pub name: String,
    /// The password, as received: never trimmed, never cut.
    pub password: Zeroizing<String>,
    /// What the client tells about itself.
    pub device: Device,
    /// The network it comes from, if its places in the queue are to be counted.
    pub network: Option<IpAddr>,
}

/// What was found out about a password, and about which hash.
struct Judged {
    row: Option<(Subject, u64)>,
    hash: Option<PasswordHash>,
    right: bool,
}

impl Service {
    /// Opens a session. Whatever is wrong with the attempt, exactly one hash is spent on it, and the answer doesn't
    /// tell which of name, password and account it was. One that succeeds spends a second where the account's hash is
    /// outdated.
    ///
    /// # Errors
    /// The attempt is refused, or can't be judged now.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<Issued, Failure> {
        let desk = &*self.desk;
        let folded = fold(&attempt.name);
        let by = AccountBy::Name(folded.clone());
        let mut judged: Option<Judged> = None;
        let mut better: Option<Option<PasswordHash>> = None;
        let mut conflicts = Conflicts::default();
        // Hashing takes long, and others sign in meanwhile: what is decided on is loaded after each hash.
        loop {
            let started = desk.clock.now();
            let loaded = desk.store.account(&by, started).await?;
            let Some(right) = judged.as_ref().and_then(|judged| judged.still_holds(&loaded)) else {
                judged = Some(self.judge(&loaded, &folded, &attempt).await?);
                continue;
            };
            let account = judge_sign_in(&loaded, right, desk.clock.now())?;
            let outdated = account.password.as_ref().is_some_and(|hash| desk.passwords.is_outdated(hash));
            if outdated && better.is_none() {
                better = Some(desk.passwords.rehash(attempt.password.clone(), &*desk.entropy).await);
                continue;
            }
            if desk.clock.now().since(started) > limits::SIGN_WITHIN {
                continue;
            }
            // Where there was no place for a better hash, the one that is there goes on until the next time.
            let rehash = better.clone().flatten().filter(|_| outdated);
            let scopes = desk.guard.scopes();
            let (kind, device) = (attempt.kind, &attempt.device);
            let opened = open_session(kind, &loaded, account, rehash, device, &desk.policy, scopes, started, &*desk.entropy);
            let opened = opened.inspect_err(|_| {
                tracing::warn!(subject = %account.subject, "an account lacks the field that tokens call it by, and can't sign in");
            })?;
            match desk.commit_and_announce(opened.change).await {
                Ok(_) => return desk.mint(&opened.grant, started),
                Err(error) => conflicts.again(error)?,
            }
        }
    }

    async fn judge(&self, loaded: &AccountLoaded, folded: &str, attempt: &Attempt) -> Result<Judged, Failure> {
        let (row, hash) = (row(loaded), hash(loaded));
        let right = self.desk.passwords.verify(hash.clone(), folded, attempt.password.clone(), attempt.network).await?;
        Ok(Judged { row, hash, right })
    }
}

impl Judged {
    /// The answer, while the row's hash is the one that was compared, or the row is at the same version: then another
    /// attempt has re-hashed the same password.
    fn still_holds(&self, loaded: &AccountLoaded) -> Option<bool> {
        let rehashed = self.row.is_some() && self.row == row(loaded);
        (rehashed || self.hash == hash(loaded)).then_some(self.right)
    }
}

fn row(loaded: &AccountLoaded) -> Option<(Subject, u64)> {
    loaded.account.as_ref().map(|account| (account.subject.clone(), account.version))
}

fn hash(loaded: &AccountLoaded) -> Option<PasswordHash> {
    loaded.account.as_ref().and_then(|account| account.password.clone())
}
