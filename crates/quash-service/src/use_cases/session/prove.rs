//! Password checks, for sign-ins and for all requests that require the password again. Each costs exactly one
//! hash, also if it fails. Failures are counted here.

use std::net::IpAddr;

use quash_core::decide::PasswordCheck;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, DeviceId, PasswordHash, Refusal, Subject, Timestamp, limits,
};
use quash_store::Counted;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::Failure;
use crate::known_device::DeviceTokenInput;
use crate::lockout::{Acquired, Permit, Slot};
use crate::passwords::Requester;

/// A password check in progress.
pub(crate) struct Proof {
    by: AccountBy,
    /// Selects the decoy for a name without a hash, and the counter of attempts on it: the folded name, or
    /// the subject.
    folded: String,
    password: Zeroizing<String>,
    network: Option<IpAddr>,
    device: DeviceTokenInput,
    permit: Option<Permit>,
    /// The known device that counts the attempt, and its permit until the attempt has succeeded.
    by_device: Option<(DeviceId, Option<Permit>)>,
    turn: Option<Slot>,
    judged: Option<Judged>,
    better: Option<Option<PasswordHash>>,
}

/// The verdict on a password, and the hash that it was compared with.
struct Judged {
    row: Option<(Subject, u64)>,
    hash: Option<PasswordHash>,
    verdict: Verdict,
}

/// The verdict on a password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    /// The account was locked, so the password wasn't compared.
    Unasked,
}

/// The state loaded after the comparison, and the facts about the attempt.
pub(crate) struct Authenticated {
    /// The time at which loading began.
    pub(crate) started: Timestamp,
    pub(crate) loaded: AccountLoaded,
    pub(crate) account: Account,
    /// A new hash of the password, if the account's is outdated and there was capacity to make one.
    pub(crate) rehash: Option<PasswordHash>,
    /// The known device of the attempt.
    pub(crate) known_device: Option<DeviceId>,
}

impl Proof {
    /// Starts a check of the password of the account that `by` finds. `folded` is the text by which it is
    /// found.
    pub(crate) fn new(
        by: AccountBy,
        folded: String,
        password: Zeroizing<String>,
        network: Option<IpAddr>,
        device: DeviceTokenInput,
    ) -> Self {
        Self {
            by,
            folded,
            password,
            network,
            device,
            permit: None,
            by_device: None,
            turn: None,
            judged: None,
            better: None,
        }
    }
}

impl Context {
    /// Compares the password once, and then loads the state to decide on, because hashing takes long and
    /// other requests may change it meanwhile. After a conflict, another call loads again and compares only
    /// if the hash has changed.
    ///
    /// Failures are counted for each account, whichever endpoint is used; under a lock nothing is compared.
    /// From a known device they are counted for the device, and the account's lock doesn't apply.
    ///
    /// # Errors
    /// The refusal of `judge`, or the password can't be judged now.
    pub(crate) async fn prove(
        &self,
        proof: &mut Proof,
        judge: impl Fn(&AccountLoaded, PasswordCheck, Timestamp) -> Result<&Account, Refusal>,
    ) -> Result<Authenticated, Failure> {
        loop {
            if proof.judged.is_none() {
                self.admit(proof).await?;
            }
            let started = self.clock.now();
            let loaded = self.store.account(&proof.by, started).await?;
            let Some(verdict) = proof.judged.as_ref().and_then(|judged| judged.still_holds(&loaded)) else {
                if let (counted, Acquired::AtOnce) = self.acquire_slot(proof, loaded.account.as_ref()).await?
                {
                    proof.judged = Some(self.compare(&loaded, proof, counted).await?);
                }
                continue;
            };
            if let Some(turn) = &proof.turn {
                turn.in_time()?;
            }
            let tried = proof.tried(verdict, loaded.account.as_ref());
            let account = match judge(&loaded, tried, self.clock.now()) {
                Ok(account) => account.clone(),
                Err(refusal) => {
                    self.count(proof, verdict, refusal, loaded.account.as_ref()).await?;
                    return Err(refusal.into());
                }
            };
            let outdated = account.password.as_ref().is_some_and(|hash| self.passwords.is_outdated(hash));
            if outdated && proof.better.is_none() {
                proof.better = Some(
                    self.passwords.rehash(proof.password.clone(), proof.requester(), &*self.entropy).await,
                );
                continue;
            }
            if !self.clock.now().is_within(limits::SIGN_WITHIN, started) {
                continue;
            }
            // The device stays: after a conflict, it is still the one that a lock doesn't apply to.
            proof.permit = None;
            proof.by_device.iter_mut().for_each(|(_, permit)| *permit = None);
            if let Some(turn) = proof.turn.take() {
                turn.succeeded().await;
            }
            // If there was no capacity for a better hash, the current one is kept until the next time.
            let rehash = proof.better.clone().flatten().filter(|_| outdated);
            let known_device = self.known_device(proof, Some(&account));
            return Ok(Authenticated { started, loaded, account, rehash, known_device });
        }
    }

    /// Reserves one of the failures that the attempt's network has left, unless it already has.
    async fn admit(&self, proof: &mut Proof) -> Result<(), Failure> {
        if proof.permit.is_none() {
            proof.permit = self.lockout.pass(proof.network).await?;
        }
        Ok(())
    }

    /// Waits for the attempt's slot. State loaded before may be outdated afterwards.
    async fn acquire_slot(
        &self,
        proof: &mut Proof,
        account: Option<&Account>,
    ) -> Result<(Counted, Acquired), Failure> {
        self.admit(proof).await?;
        let counted = self.counted(proof, account).await?;
        if proof.turn.as_ref().is_some_and(|turn| turn.counted() == counted) {
            return Ok((counted, Acquired::AtOnce));
        }
        // Frees a slot of another counter first: an attempt that holds one must not wait for another.
        proof.turn = None;
        let (turn, got) = self.lockout.turn(counted).await?;
        proof.turn = Some(turn);
        Ok((counted, got))
    }

    /// The counter of the attempt: that of its known device, while the account's devices have failures left,
    /// or else the account's or name's.
    async fn counted(&self, proof: &mut Proof, account: Option<&Account>) -> Result<Counted, Failure> {
        let known = self.known_device(proof, account);
        let admitted = proof.by_device.as_ref().filter(|(_, permit)| permit.is_some());
        if known.is_none() || admitted.map(|(device, _)| *device) != known {
            proof.by_device = match (known, account) {
                (Some(device), Some(account)) => {
                    let permit = self.lockout.pass_device(&account.subject).await?;
                    permit.map(|permit| (device, Some(permit)))
                }
                _ => None,
            };
        }
        Ok(match (&proof.by_device, account) {
            (Some((device, _)), Some(account)) => self.lockout.counted_by_device(&account.subject, *device),
            _ => self.lockout.counted(account, &proof.folded),
        })
    }

    /// The device of the attempt, if the account knows it. A device that the account has forgotten isn't
    /// known.
    fn known_device(&self, proof: &Proof, account: Option<&Account>) -> Option<DeviceId> {
        account.and_then(|account| self.device_key.presented(&proof.device, account))
    }

    async fn compare(
        &self,
        loaded: &AccountLoaded,
        proof: &Proof,
        counted: Counted,
    ) -> Result<Judged, Failure> {
        let (row, hash) = (row(loaded), hash(loaded));
        let is_locked = self.lockout.is_locked(counted, loaded.account.as_ref(), self.clock.now()).await?;
        let verdict = if is_locked {
            self.passwords
                .spend(hash.as_ref(), &proof.folded, proof.password.clone(), proof.requester())
                .await?;
            Verdict::Unasked
        } else if self
            .passwords
            .verify(hash.clone(), &proof.folded, proof.password.clone(), proof.requester())
            .await?
        {
            Verdict::Right
        } else {
            Verdict::Wrong
        };
        Ok(Judged { row, hash, verdict })
    }

    /// Counts a failure. A right password refused for another reason isn't one. Under a lock, only the
    /// network's failure counts.
    ///
    /// # Errors
    /// The counters are unavailable: the attempt mustn't be answered.
    async fn count(
        &self,
        proof: &mut Proof,
        verdict: Verdict,
        refusal: Refusal,
        account: Option<&Account>,
    ) -> Result<(), Failure> {
        let (permit, device, turn) = (proof.permit.take(), proof.by_device.take(), proof.turn.take());
        if verdict == Verdict::Right && refusal != Refusal::BadCredentials {
            return Ok(());
        }
        if let Some(permit) = permit {
            permit.failed().await?;
        }
        if verdict == Verdict::Unasked {
            return Ok(());
        }
        if let Some((_, Some(permit))) = device {
            permit.failed().await?;
        }
        match turn {
            Some(turn) => turn.failed(account, self.clock.now()).await,
            None => Ok(()),
        }
    }
}

impl Proof {
    fn requester(&self) -> Requester {
        Requester::new(self.network, self.by_device.is_some())
    }

    /// The verdict as it is judged: a device that the account has meanwhile forgotten is treated as unknown.
    fn tried(&self, verdict: Verdict, account: Option<&Account>) -> PasswordCheck {
        let is_known = |(device, _): &(DeviceId, Option<Permit>)| {
            account.is_some_and(|account| account.devices.contains(*device))
        };
        match verdict {
            Verdict::Wrong | Verdict::Unasked => PasswordCheck::Wrong,
            Verdict::Right if self.by_device.as_ref().is_some_and(is_known) => {
                PasswordCheck::RightFromKnownDevice
            }
            Verdict::Right => PasswordCheck::Right,
        }
    }
}

impl Judged {
    /// The verdict, if the row still has the compared hash, or is at the same version: then another attempt
    /// has rehashed the same password.
    fn still_holds(&self, loaded: &AccountLoaded) -> Option<Verdict> {
        let rehashed = self.row.is_some() && self.row == row(loaded);
        (rehashed || self.hash == hash(loaded)).then_some(self.verdict)
    }
}

fn row(loaded: &AccountLoaded) -> Option<(Subject, u64)> {
    loaded.account.as_ref().map(|account| (account.subject.clone(), account.version))
}

fn hash(loaded: &AccountLoaded) -> Option<PasswordHash> {
    loaded.account.as_ref().and_then(|account| account.password.clone())
}
