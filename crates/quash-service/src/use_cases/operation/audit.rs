//! The audit: seals new entries each second, prunes old ones, and lets an operator read and verify them. The
//! store writes the entries; `quash-core` decides how they are sealed.

use std::time::Duration;

use quash_core::decide::{AuditFault, AuditWalk, check_seal};
use quash_core::model::{
    Audit, AuditFilter, AuditHead, AuditPlace, AuditSeal, Change, Note, Subject, Timestamp, limits,
};
use quash_core::token::SigningKey;
use quash_store::Store;
use tokio::sync::watch;

use crate::context::{Context, Service};
use crate::failing::Failing;
use crate::failure::{Failure, StartError};
use crate::sealer::audit_key;
use crate::use_cases::operation::epoch::check_master_key;
use crate::vault::MasterKey;

/// The longest time an entry waits for its seal while the process runs.
const SEALED_EVERY: Duration = Duration::from_secs(1);
/// The most entries handled in one transaction, so that clients' transactions don't wait long.
pub(crate) const BATCH: u32 = 500;
/// The number of walks before a fault is reported, as entries may be pruned during a walk.
const WALKS: u32 = 3;

/// The result of a complete check of the audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditVerified {
    /// The number of entries that match their seals.
    pub entries: u64,
    /// The number of these whose personal data was blanked.
    pub blanked: u64,
    /// The number of entries that are too recent to be sealed.
    pub unsealed: u64,
    /// The end of the sealed audit. An operator who notes it can check later that the audit still contains
    /// this place.
    pub head: AuditPlace,
    /// The time of the newest seal.
    pub sealed_at: Timestamp,
    /// The last entry written before an operator accepted the audit after a fault. It and earlier entries are
    /// unverified.
    pub accepted: Option<u64>,
}

/// A reason why the audit wasn't accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAccepted {
    /// There is nothing to accept.
    #[error("the audit matches its seals")]
    Intact,
    /// A failure on our side.
    #[error("the audit could not be read or written now")]
    Failed(Failure),
}

/// A reason why the audit can't be verified.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuditRefused {
    /// It doesn't match its seals.
    #[error("{0}")]
    Fault(#[from] AuditFault),
    /// It doesn't contain a place that was noted earlier.
    #[error(
        "entry {0} has another hash than the one that was noted: the audit was replaced or the store went back"
    )]
    NotThrough(u64),
    /// The place that was noted precedes its first entry.
    #[error("entry {0} is no longer kept: a later place must be noted")]
    Forgotten(u64),
    /// A failure on our side.
    #[error("the audit could not be read now")]
    Failed(Failure),
}

impl Service {
    /// Seals new entries for as long as the process runs.
    pub async fn seal_audit(&self) {
        let mut failing = Failing::default();
        loop {
            match self.context.seal_round().await {
                Ok(sealed) if sealed >= BATCH as usize => continue,
                Ok(_) => {
                    if let Some(failed) = failing.succeeded() {
                        tracing::info!(failed, "sealing the audit again");
                    }
                }
                Err(failure) => {
                    if let Some(failed) = failing.failed(&failure.to_string(), self.context.clock.uptime()) {
                        tracing::warn!(%failure, failed, "the audit could not be sealed now");
                    }
                }
            }
            tokio::time::sleep(SEALED_EVERY).await;
        }
    }

    /// Seals all entries written so far.
    pub async fn seal_audit_now(&self) {
        loop {
            match self.context.seal_round().await {
                Ok(sealed) if sealed >= BATCH as usize => {}
                Ok(_) => return,
                Err(failure) => return tracing::warn!(%failure, "the audit could not be sealed now"),
            }
        }
    }

    /// Follows the newest seal, so that it can be noted outside of the store.
    pub fn audit_seals(&self) -> watch::Receiver<Option<AuditSeal>> {
        self.context.sealer.follow()
    }

    /// Returns a page of the audit, ordered by number, after the number `after`, optionally of one account
    /// only.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, Failure> {
        Ok(self.context.store.audit(after, of, limit.min(limits::PAGE)).await?)
    }

    /// Returns a page of the entries that match a filter, newest first, after the last entry of the page before.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn audit_before(
        &self,
        before: Option<(Timestamp, u64)>,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, Failure> {
        let before = before.unwrap_or((Timestamp::from_millis(i64::MAX), u64::MAX));
        Ok(self.context.store.audit_before(before, filter, limit.min(limits::PAGE)).await?)
    }

    /// The newest number and the seal of the audit.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn audit_head(&self) -> Result<AuditHead, Failure> {
        Ok(self.context.store.audit_head().await?)
    }

    /// Reads the whole audit, and compares it with its seal, with the seal noted outside of the store, and
    /// with a place that the operator has noted.
    ///
    /// # Errors
    /// The audit doesn't match its seals, or doesn't contain the noted place.
    pub async fn verify_audit(&self, noted: Option<AuditPlace>) -> Result<AuditVerified, AuditRefused> {
        let mut walks = 0;
        loop {
            walks += 1;
            let beginning = self.context.sealer.noted().map(|seal| seal.first);
            match self.context.walk_audit(noted).await {
                Err(AuditRefused::Fault(_))
                    if walks < WALKS && self.context.sealer.noted().map(|seal| seal.first) != beginning => {}
                walked => return walked,
            }
        }
    }

    /// Begins the audit anew after a fault: existing entries stay, but are no longer verified. Returns the
    /// number of the last of them.
    ///
    /// # Errors
    /// There is no fault, or the acceptance can't be written now.
    pub async fn accept_audit(&self, note: Option<Note>) -> Result<u64, NotAccepted> {
        match self.verify_audit(None).await {
            Ok(_) => return Err(NotAccepted::Intact),
            Err(AuditRefused::Failed(failure)) => return Err(NotAccepted::Failed(failure)),
            Err(AuditRefused::Fault(_) | AuditRefused::NotThrough(_) | AuditRefused::Forgotten(_)) => {}
        }
        self.context.accept(note).await.map_err(NotAccepted::Failed)
    }
}

/// Checks the whole audit of a store that no service uses. `remembered` is the seal noted outside of the
/// store.
///
/// # Errors
/// The master key isn't the store's, or the store can't be read. The inner error: the audit doesn't match its
/// seal.
pub async fn verify_audit_of(
    store: &dyn Store,
    master: &MasterKey,
    remembered: Option<AuditSeal>,
) -> Result<Result<AuditVerified, AuditRefused>, StartError> {
    // Before the audit: another master key would look like a forged seal.
    check_master_key(&store.keys().await?, master)?;
    Ok(AuditReader { store, key: &audit_key(master)? }.walk(remembered, None).await)
}

/// The audit of a store, and the key of its seals.
struct AuditReader<'a> {
    store: &'a dyn Store,
    key: &'a SigningKey,
}

impl AuditReader<'_> {
    async fn walk(
        &self,
        remembered: Option<AuditSeal>,
        noted: Option<AuditPlace>,
    ) -> Result<AuditVerified, AuditRefused> {
        let head = self.store.audit_head().await.map_err(|error| AuditRefused::Failed(error.into()))?;
        let seal = check_seal(&head, remembered.as_ref(), self.key)?;
        if let Some(noted) = noted.filter(|noted| noted.id < seal.first.id) {
            return Err(AuditRefused::Forgotten(noted.id));
        }
        let remembered = remembered.map(|seal| seal.last).filter(|last| last.id >= seal.first.id);
        let mut ahead: Vec<AuditPlace> = noted.into_iter().chain(remembered).collect();
        let mut walk = AuditWalk::new(seal);
        ahead.retain(|place| *place != walk.at());
        while walk.remaining() > 0 {
            let entries = self.audit_after(walk.at().id, walk.remaining()).await?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                walk.step(entry)?;
                ahead.retain(|place| *place != walk.at());
            }
        }
        walk.check_sealed_end()?;
        if let Some(place) = ahead.first() {
            return Err(AuditRefused::NotThrough(place.id));
        }
        let verified = AuditVerified {
            entries: walk.entries,
            blanked: walk.blanked,
            unsealed: head.newest - seal.last.id,
            head: seal.last,
            sealed_at: seal.at,
            accepted: seal.is_acceptance().then_some(seal.first.id),
        };
        while walk.at().id < head.newest {
            let entries = self.audit_after(walk.at().id, head.newest - walk.at().id).await?;
            if entries.is_empty() {
                return Err(AuditFault::Cut(head.newest).into());
            }
            entries.iter().try_for_each(|entry| walk.step_unsealed(entry))?;
        }
        walk.finish()?;
        Ok(verified)
    }

    /// Returns up to `most` entries after a number. An unreadable row is a fault of the audit if the store
    /// can otherwise be read.
    async fn audit_after(&self, after: u64, most: u64) -> Result<Vec<Audit>, AuditRefused> {
        let limit = u32::try_from(most).unwrap_or(u32::MAX).min(BATCH);
        let error = match self.store.audit(after, None, limit).await {
            Ok(entries) => return Ok(entries),
            Err(error) => error,
        };
        match self.store.audit(after, None, 1).await {
            Ok(first) => Ok(first),
            Err(_) if self.store.audit_head().await.is_ok() => Err(AuditFault::Unreadable(after + 1).into()),
            Err(_) => Err(AuditRefused::Failed(error.into())),
        }
    }
}

impl Context {
    async fn walk_audit(&self, noted: Option<AuditPlace>) -> Result<AuditVerified, AuditRefused> {
        // Read before the head, so that a seal made meanwhile doesn't count as a fault.
        let remembered = self.sealer.noted();
        AuditReader { store: &*self.store, key: &self.sealer.key }.walk(remembered, noted).await
    }

    /// Blanks the personal data of deleted accounts.
    pub(crate) async fn blank_persons(&self) -> Result<(), Failure> {
        while let Some(subject) = self.store.unblanked().await? {
            self.store.commit(Change::BlankPersons { subject, limit: BATCH }).await?;
        }
        Ok(())
    }
}
