//! Signing in.

use std::net::IpAddr;

use quash_core::decide::{Device, judge_sign_in, open_session};
use quash_core::model::{PasswordHash, fold, limits};
use zeroize::Zeroizing;

use crate::desk::Service;
use crate::failure::{Conflicts, Failure};
use crate::refresh::Pair;

/// An attempt to sign in.
pub struct Attempt {
    /// The name, as typed.
    pub name: String,
    /// The password, as received: never trimmed, never cut.
    pub password: Zeroizing<String>,
    /// What the client tells about itself.
    pub device: Device,
    /// The network it comes from, if its places in the queue are to be counted.
    pub network: Option<IpAddr>,
}

impl Service {
    /// Opens a session. Whatever is wrong with the attempt, exactly one hash is spent on it, and the answer doesn't
    /// tell which of name, password and account it was.
    ///
    /// # Errors
    /// The attempt is refused, or can't be judged now.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<Pair, Failure> {
        let desk = &*self.desk;
        let folded = fold(&attempt.name);
        let mut judged: Option<(Option<PasswordHash>, bool)> = None;
        let mut conflicts = Conflicts::default();
        loop {
            let started = desk.clock.now();
            let loaded = desk.store.account_by_name(&folded, started).await?;
            let hash = loaded.account.as_ref().and_then(|account| account.password.clone());
            let right = match &judged {
                Some((before, right)) if *before == hash => *right,
                _ => {
                    let right = desk.passwords.verify(hash.clone(), attempt.password.clone(), attempt.network).await?;
                    judged = Some((hash, right));
                    // Hashing takes long, and others sign in meanwhile: what is decided on is loaded afterwards. While
                    // the row's hash is the one that was compared, it needn't be compared again.
                    continue;
                }
            };
            let account = judge_sign_in(&loaded, right, desk.clock.now())?;
            if desk.clock.now().since(started) > limits::SIGN_WITHIN {
                continue;
            }
            let scopes = desk.guard.scopes();
            let opened = open_session(&loaded, account, None, &attempt.device, &desk.policy, scopes, started, &*desk.entropy);
            match desk.commit_and_announce(opened.change).await {
                Ok(_) => return Ok(desk.mint(&opened.grant, started)),
                Err(error) => conflicts.again(error)?,
            }
        }
    }
}
