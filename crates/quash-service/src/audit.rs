//! The audit: its entries are sealed each second, forgotten after their time, and read and verified for an operator.
//! That they are written is the store's business; how they are sealed is decided in quash-core.

use std::time::Duration;

use quash_core::decide::{AuditFault, AuditWalk, seal_audit};
use quash_core::model::{Audit, AuditHead, AuditPlace, Change, Subject, Timestamp, limits};

use crate::desk::{Desk, Service};
use crate::failure::{Failure, Unavailable};

/// How long an entry waits for its seal at most, while the process runs.
const SEALED_EVERY: Duration = Duration::from_secs(1);
/// Entries at a time: each is a short transaction among those of the clients.
const BATCH: u32 = 500;

/// What a walk along the whole audit has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditVerified {
    /// Entries that are as they were sealed.
    pub entries: u64,
    /// Those of them of which what is personal was blanked.
    pub blanked: u64,
    /// Entries that are too young to be sealed.
    pub unsealed: u64,
    /// Where the sealed audit ends. Whoever notes it can ask later whether the audit still goes through it.
    pub head: AuditPlace,
    /// When it was sealed; `None`: never yet.
    pub sealed_at: Option<Timestamp>,
}

/// Why the audit can't be vouched for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuditRefused {
    /// It isn't what was sealed.
    #[error("{0}")]
    Fault(#[from] AuditFault),
    /// It doesn't go through a place that was noted before.
    #[error("entry {0} has another hash than the one that was noted: the audit was replaced or the store went back")]
    NotThrough(u64),
    /// The place that was noted is before its beginning.
    #[error("entry {0} is no longer kept: a later place must be noted")]
    Forgotten(u64),
    /// Ours.
    #[error("the audit could not be read now")]
    Failed(Failure),
}

impl Service {
    /// Seals new entries for as long as the process runs.
    pub async fn seal_audit(&self) {
        loop {
            match self.desk.seal_round().await {
                Ok(sealed) if sealed >= BATCH as usize => continue,
                Ok(_) => {}
                Err(failure) => tracing::warn!(?failure, "the audit could not be sealed now"),
            }
            tokio::time::sleep(SEALED_EVERY).await;
        }
    }

    /// A page of the audit in the order of its numbers, after the number `after`; of one account, where one is given.
    ///
    /// # Errors
    /// The store is away.
    pub async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, Failure> {
        Ok(self.desk.store.audit(after, of, limit.min(limits::PAGE)).await?)
    }

    /// How far the audit has come.
    ///
    /// # Errors
    /// The store is away.
    pub async fn audit_head(&self) -> Result<AuditHead, Failure> {
        Ok(self.desk.store.audit_head().await?)
    }

    /// Walks along the whole audit, and compares it with its seal and with a place that was noted before.
    ///
    /// # Errors
    /// It isn't what was sealed, or doesn't go through that place.
    pub async fn verify_audit(&self, noted: Option<AuditPlace>) -> Result<AuditVerified, AuditRefused> {
        let desk = &*self.desk;
        let head = self.audit_head().await.map_err(AuditRefused::Failed)?;
        let Some(seal) = head.seal else {
            let fault = noted.map(|noted| AuditRefused::NotThrough(noted.id));
            let nothing = AuditVerified { entries: 0, blanked: 0, unsealed: head.newest, head: AuditPlace::default(), sealed_at: None };
            return fault.map_or(Ok(nothing), Err);
        };
        if let Some(noted) = noted.filter(|noted| noted.id < seal.first.id) {
            return Err(AuditRefused::Forgotten(noted.id));
        }
        let mut walk = AuditWalk::new(&seal, &desk.audit_key)?;
        let mut through = noted.is_none_or(|noted| noted == walk.at());
        while walk.ahead() > 0 {
            let limit = u32::try_from(walk.ahead()).unwrap_or(u32::MAX).min(BATCH);
            let entries = desk.store.audit(walk.at().id, None, limit).await.map_err(|error| AuditRefused::Failed(error.into()))?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                walk.step(entry)?;
                through |= noted == Some(walk.at());
            }
        }
        walk.end()?;
        match noted {
            Some(noted) if !through => Err(AuditRefused::NotThrough(noted.id)),
            _ => Ok(AuditVerified {
                entries: seal.last.id - seal.first.id,
                blanked: walk.blanked,
                unsealed: head.newest - seal.last.id,
                head: seal.last,
                sealed_at: Some(seal.at),
            }),
        }
    }
}

impl Desk {
    /// Seals entries that aren't yet. Says how many.
    async fn seal_round(&self) -> Result<usize, Failure> {
        let head = self.store.audit_head().await?;
        let sealed = head.seal.as_ref().map_or(0, |seal| seal.last.id);
        if head.newest <= sealed {
            return Ok(0);
        }
        let entries = self.store.audit(sealed, None, BATCH).await?;
        self.store.commit(self.sealing(&head, &entries, None)?).await?;
        Ok(entries.len())
    }

    /// Forgets sealed entries that were made before `made_before`, from the beginning. Says how many.
    pub(crate) async fn forget_audit(&self, made_before: Timestamp) -> Result<u32, Failure> {
        let mut forgotten = 0;
        loop {
            let head = self.store.audit_head().await?;
            let Some(seal) = &head.seal else {
                return Ok(forgotten);
            };
            let oldest = self.store.audit(seal.first.id, None, BATCH).await?;
            let ripe = oldest.iter().take_while(|audit| audit.new.at < made_before && audit.id <= seal.last.id);
            let first = ripe.filter_map(|audit| audit.sealing.map(|sealing| AuditPlace { id: audit.id, chain: sealing.chain })).last();
            let Some(first) = first else {
                return Ok(forgotten);
            };
            forgotten += self.store.commit(self.sealing(&head, &[], Some(first))?).await?.pruned;
        }
    }

    /// Blanks what is personal about deleted accounts.
    pub(crate) async fn blank_persons(&self) -> Result<(), Failure> {
        while let Some(subject) = self.store.unblanked().await? {
            self.store.commit(Change::BlankPersons { subject, limit: BATCH }).await?;
        }
        Ok(())
    }

    fn sealing(&self, head: &AuditHead, entries: &[Audit], first: Option<AuditPlace>) -> Result<Change, Failure> {
        let sealed = seal_audit(head, entries, first, &self.audit_key, self.clock.now(), &*self.entropy);
        sealed.map_err(|_| Failure::Unavailable(Unavailable::Unsigned))
    }
}
