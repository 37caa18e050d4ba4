//! Seals the audit, prunes sealed entries, and begins the audit anew after a fault. The key and the newest
//! seal are in `sealer.rs`.

use quash_core::decide::{AuditFault, accept_audit, check_seal, seal_audit};
use quash_core::model::{AuditPlace, Change, Note, Timestamp};
use quash_store::StoreError;

use crate::context::Context;
use crate::failure::{Failure, Unavailable};
use crate::sealer::{BEGUN, seal_of};
use crate::use_cases::operation::audit::BATCH;

/// A reason why nothing was sealed.
pub(crate) enum Unsealable {
    /// The audit doesn't match its seals.
    Fault(AuditFault),
    /// It can't be sealed now.
    Failed(Failure),
}

impl Context {
    /// Seals a batch of unsealed entries. Returns their number.
    pub(crate) async fn seal_round(&self) -> Result<usize, Failure> {
        let _turn = self.sealer.turn.lock().await;
        match self.seal_entries().await {
            Ok(sealed) => Ok(sealed),
            Err(Unsealable::Failed(failure)) => Err(failure),
            Err(Unsealable::Fault(fault)) => {
                self.sealer.log_fault(fault, self.clock.uptime());
                Ok(0)
            }
        }
    }

    async fn seal_entries(&self) -> Result<usize, Unsealable> {
        let head = self.store.audit_head().await?;
        let seal =
            check_seal(&head, self.sealer.noted().as_ref(), &self.sealer.key).map_err(Unsealable::Fault)?;
        if head.newest == seal.last.id {
            return Ok(0);
        }
        let entries = self.store.audit(seal.last.id, None, BATCH).await?;
        // Without other nodes, no other process seals.
        if self.node.is_some() && self.store.audit_head().await?.seal != head.seal {
            return Ok(0);
        }
        if let Some(entry) = entries.iter().find(|entry| entry.sealing.is_some()) {
            return Err(Unsealable::Fault(AuditFault::Changed(entry.id)));
        }
        let change = seal_audit(&head, &entries, None, &self.sealer.key, self.clock.now(), &*self.entropy)
            .map_err(|_| unsigned())?;
        match self.write_seal(change).await {
            // Another node has sealed them, and its seal is read in the next round.
            Err(Unsealable::Failed(Failure::Unavailable(Unavailable::Contended))) if self.node.is_some() => {
                Ok(0)
            }
            sealed => sealed.map(|_| entries.len()),
        }
    }

    /// Prunes sealed entries from before `made_before`, oldest first. Returns their number.
    pub(crate) async fn forget_audit(&self, made_before: Timestamp) -> Result<u32, Failure> {
        let mut forgotten = 0;
        loop {
            let _turn = self.sealer.turn.lock().await;
            match self.forget_oldest(made_before).await {
                Ok(0) => return Ok(forgotten),
                Ok(more) => forgotten += more,
                Err(Unsealable::Failed(failure)) => return Err(failure),
                Err(Unsealable::Fault(fault)) => {
                    self.sealer.log_fault(fault, self.clock.uptime());
                    return Ok(forgotten);
                }
            }
        }
    }

    async fn forget_oldest(&self, made_before: Timestamp) -> Result<u32, Unsealable> {
        let head = self.store.audit_head().await?;
        let seal =
            check_seal(&head, self.sealer.noted().as_ref(), &self.sealer.key).map_err(Unsealable::Fault)?;
        let oldest = self.store.audit(seal.first.id, None, BATCH).await?;
        let ripe = oldest.iter().take_while(|audit| audit.new.at < made_before && audit.id <= seal.last.id);
        let first = ripe
            .filter_map(|audit| {
                audit.sealing.map(|sealing| AuditPlace { id: audit.id, chain: sealing.chain })
            })
            .last();
        let Some(first) = first else { return Ok(0) };
        let change = seal_audit(&head, &[], Some(first), &self.sealer.key, self.clock.now(), &*self.entropy);
        match self.write_seal(change.map_err(|_| unsigned())?).await {
            // Another node has done it.
            Err(Unsealable::Failed(Failure::Unavailable(Unavailable::Contended))) if self.node.is_some() => {
                Ok(0)
            }
            pruned => pruned,
        }
    }

    /// Begins the audit anew after a fault, with the operator's note.
    pub(crate) async fn accept(&self, note: Option<Note>) -> Result<u64, Failure> {
        let _turn = self.sealer.turn.lock().await;
        let head = self.store.audit_head().await?;
        let change =
            accept_audit(&head, self.sealer.noted().as_ref(), &self.sealer.key, note, self.clock.now());
        let change = change.map_err(|_| Failure::Unavailable(Unavailable::Unsigned))?;
        let seal = seal_of(&change).cloned();
        let remember = Change::Remember { name: BEGUN, value: "yes".into() };
        self.store.commit(Change::Together(vec![change, remember])).await?;
        let accepted = seal.as_ref().map_or(head.newest, |seal| seal.last.id);
        self.sealer.noted.send_replace(seal);
        Ok(accepted)
    }

    async fn write_seal(&self, change: Change) -> Result<u32, Unsealable> {
        let seal = seal_of(&change).cloned();
        let receipt = self.store.commit(change).await?;
        self.sealer.noted.send_replace(seal);
        Ok(receipt.pruned)
    }
}

fn unsigned() -> Unsealable {
    Unsealable::Failed(Failure::Unavailable(Unavailable::Unsigned))
}

impl From<StoreError> for Unsealable {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}
