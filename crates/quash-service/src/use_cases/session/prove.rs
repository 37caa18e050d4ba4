//! Proving a password: the one way from a name and a password to an account, for signing in and for every door that asks
//! for the password again. Exactly one hash is spent on each, whatever is wrong with it; what is counted is counted here.

use std::net::IpAddr;

use quash_core::decide::Tried;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, DeviceId, PasswordHash, Refusal, Subject, Timestamp, limits,
};
use zeroize::Zeroizing;

use crate::context::Desk;
use crate::failure::Failure;
use crate::known::DeviceSaid;
use crate::lockout::{Counted, Got, Passage, Turn};
use crate::passwords::Requester;

/// A password that is being proven.
pub(crate) struct Proof {
    by: AccountBy,
    /// What picks the decoy for a name without a hash, and what attempts on it are counted by: the folded name, or the
    /// subject.
    folded: String,
    password: Zeroizing<String>,
    network: Option<IpAddr>,
    device: DeviceSaid,
    passage: Option<Passage>,
    /// The known device that it is counted by, and its part in what such devices may fail.
    by_device: Option<(DeviceId, Passage)>,
    turn: Option<Turn>,
    judged: Option<Judged>,
    better: Option<Option<PasswordHash>>,
}

/// What was found out about a password, and about which hash.
struct Judged {
    row: Option<(Subject, u64)>,
    hash: Option<PasswordHash>,
    verdict: Verdict,
}

/// What was found out about a password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    /// Nothing: the account was locked.
    Unasked,
}

/// What was loaded after the password was compared, and what to make of it.
pub(crate) struct Proven {
    /// When loading began.
    pub(crate) started: Timestamp,
    /// What was loaded.
    pub(crate) loaded: AccountLoaded,
    /// The account.
    pub(crate) account: Account,
    /// A better hash of the password, where the account's is outdated and there was a place to make one.
    pub(crate) rehash: Option<PasswordHash>,
    /// The known device that it came from.
    pub(crate) known_device: Option<DeviceId>,
}

impl Proof {
    /// A password of the account that `by` finds; `folded` is what it is called there.
    pub(crate) fn new(
        by: AccountBy,
        folded: String,
        password: Zeroizing<String>,
        network: Option<IpAddr>,
        device: DeviceSaid,
    ) -> Self {
        Self {
            by,
            folded,
            password,
            network,
            device,
            passage: None,
            by_device: None,
            turn: None,
            judged: None,
            better: None,
        }
    }
}

impl Desk {
    /// Compares the password once, and loads what is decided on after that: hashing takes long, and others work
    /// meanwhile. Called again after a conflict, it loads again and compares only what has changed.
    ///
    /// What is wrong with a password is counted, per account and whatever the door; under a lock nothing is compared. From
    /// a known device it is counted per device, and the account's lock doesn't keep it out.
    ///
    /// # Errors
    /// What `judge` says, or it can't be judged now.
    pub(crate) async fn prove(
        &self,
        proof: &mut Proof,
        judge: impl Fn(&AccountLoaded, Tried, Timestamp) -> Result<&Account, Refusal>,
    ) -> Result<Proven, Failure> {
        loop {
            if proof.judged.is_none() {
                self.admit(proof)?;
            }
            let started = self.clock.now();
            let loaded = self.store.account(&proof.by, started).await?;
            let Some(verdict) = proof.judged.as_ref().and_then(|judged| judged.still_holds(&loaded)) else {
                if let (counted, Got::AtOnce) = self.take_turn(proof, loaded.account.as_ref()).await? {
                    proof.judged = Some(self.compare(&loaded, proof, counted).await?);
                }
                continue;
            };
            let tried = proof.tried(verdict, loaded.account.as_ref());
            let account = match judge(&loaded, tried, self.clock.now()) {
                Ok(account) => account.clone(),
                Err(refusal) => {
                    self.count(proof, verdict, refusal, loaded.account.as_ref());
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
            (proof.passage, proof.by_device) = (None, None);
            proof.turn.take().into_iter().for_each(Turn::succeeded);
            // Where there was no place for a better hash, the one that is there goes on until the next time.
            let rehash = proof.better.clone().flatten().filter(|_| outdated);
            let known_device = self.known_device(proof, Some(&account));
            return Ok(Proven { started, loaded, account, rehash, known_device });
        }
    }

    /// Takes one of the failures that the attempt's network has left, unless it has one already.
    fn admit(&self, proof: &mut Proof) -> Result<(), Failure> {
        if proof.passage.is_none() {
            proof.passage = self.lockout.pass(proof.network).map_err(Failure::Unavailable)?;
        }
        Ok(())
    }

    /// Waits for the attempt's turn. What was loaded before may be old afterwards.
    async fn take_turn(
        &self,
        proof: &mut Proof,
        account: Option<&Account>,
    ) -> Result<(Counted, Got), Failure> {
        self.admit(proof)?;
        let counted = self.counted(proof, account);
        if proof.turn.as_ref().is_some_and(|turn| turn.counted() == counted) {
            return Ok((counted, Got::AtOnce));
        }
        // One that it has for another tally goes first: whoever has one mustn't wait for another.
        proof.turn = None;
        let (turn, got) = self.lockout.turn(counted).await.map_err(Failure::Unavailable)?;
        proof.turn = Some(turn);
        Ok((counted, got))
    }

    /// What the attempt is counted by: the known device that it comes from, while all those of the account may fail; else as
    /// without one.
    fn counted(&self, proof: &mut Proof, account: Option<&Account>) -> Counted {
        let known = self.known_device(proof, account);
        if proof.by_device.as_ref().map(|(device, _)| *device) != known {
            let device = known
                .zip(account)
                .and_then(|(device, account)| Some((device, self.lockout.pass_device(&account.subject)?)));
            proof.by_device = device;
        }
        match (&proof.by_device, account) {
            (Some((device, _)), Some(account)) => self.lockout.counted_by_device(&account.subject, *device),
            _ => self.lockout.counted(account, &proof.folded),
        }
    }

    /// The device that the attempt comes from, if the account is known on it. One that it was told to forget isn't.
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
        let verdict = if self.lockout.is_locked(counted, loaded.account.as_ref(), self.clock.now()) {
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

    /// Counts a failure. A right password that is refused for another reason isn't one. Under a lock it is the network's
    /// alone.
    fn count(&self, proof: &mut Proof, verdict: Verdict, refusal: Refusal, account: Option<&Account>) {
        let (passage, device, turn) = (proof.passage.take(), proof.by_device.take(), proof.turn.take());
        if verdict == Verdict::Right && refusal != Refusal::BadCredentials {
            return;
        }
        passage.into_iter().for_each(Passage::failed);
        if verdict != Verdict::Unasked {
            device.into_iter().for_each(|(_, passage)| passage.failed());
            turn.into_iter().for_each(|turn| turn.failed(account, self.clock.now()));
        }
    }
}

impl Proof {
    fn requester(&self) -> Requester {
        Requester::new(self.network, self.by_device.is_some())
    }

    /// What was found out, as it is judged: a device that the account knows no more is none.
    fn tried(&self, verdict: Verdict, account: Option<&Account>) -> Tried {
        let is_known = |(device, _): &(DeviceId, Passage)| {
            account.is_some_and(|account| account.devices.contains(*device))
        };
        match verdict {
            Verdict::Wrong | Verdict::Unasked => Tried::Wrong,
            Verdict::Right if self.by_device.as_ref().is_some_and(is_known) => Tried::RightFromKnownDevice,
            Verdict::Right => Tried::Right,
        }
    }
}

impl Judged {
    /// The answer, while the row's hash is the one that was compared, or the row is at the same version: then another
    /// attempt has re-hashed the same password.
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
