//! The sealer of the audit: the only code that signs it. It never seals over a seal that is missing, forged or older than the
//! one that it remembers: the new signature would vouch for the forgery. What is checked is decided in quash-core.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::decide::{AuditFault, accept_audit, check_seal, is_ours, seal_audit};
use quash_core::model::{AuditHead, AuditPlace, AuditSeal, Change, Clock, Entropy, Note, Timestamp};
use quash_core::token::{Algorithm, SigningKey};
use quash_store::{Store, StoreError};
use tokio::sync::watch;

use super::BATCH;
use crate::desk::Desk;
use crate::failure::{Failure, StartError, Unavailable};
use crate::vault::MasterKey;

/// The setting that a store keeps once it has had a seal.
const BEGUN: &str = "audit_sealed";
/// How often a fault is logged while it lasts.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Seals the audit, and remembers the newest seal.
pub(crate) struct Sealer {
    pub(super) key: SigningKey,
    /// The newest seal that is known: written by this process, or noted outside of the store.
    noted: watch::Sender<Option<AuditSeal>>,
    /// Held from the look at a seal to the commit of the next one.
    turn: tokio::sync::Mutex<()>,
    /// When a fault was last logged, by the process's uptime.
    told_at: Mutex<Option<Duration>>,
}

/// Why nothing was sealed.
pub(super) enum Unsealable {
    /// The audit isn't what was sealed.
    Fault(AuditFault),
    /// It can't be sealed now.
    Failed(Failure),
}

impl Sealer {
    /// Opens the sealer with the key that the master key gives. A store without any past gets its first seal; so does, once, a store of a version that sealed later.
    /// `noted` is the newest seal that is remembered outside of the store.
    pub(crate) async fn open(
        master: &MasterKey,
        noted: Option<AuditSeal>,
        store: &dyn Store,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, StartError> {
        let key = audit_key(master)?;
        let begun = store.remembered(BEGUN).await?.is_some();
        let remember = Change::Remember { name: BEGUN, value: "yes".into() };
        let (noted, fault) = match (noted, store.audit_head().await) {
            (None, Ok(AuditHead { seal: None, .. })) if !begun => {
                let first = seal_audit(&AuditHead::default(), &[], None, &key, clock.now(), entropy);
                let first = first.map_err(|_| StartError::Unsigned)?;
                let seal = seal_of(&first).cloned();
                store.commit(Change::Together(vec![first, remember])).await?;
                (seal, None)
            }
            (noted, Ok(head)) => match check_seal(&head, noted.as_ref(), &key) {
                Ok(seal) => {
                    if !begun {
                        store.commit(remember).await?;
                    }
                    (Some(seal.clone()), None)
                }
                Err(fault) => (noted, Some(fault)),
            },
            // What can't be read is looked at again before anything is sealed.
            (noted, Err(_)) => (noted, None),
        };
        let sealer = Self {
            key,
            noted: watch::Sender::new(noted),
            turn: tokio::sync::Mutex::default(),
            told_at: Mutex::default(),
        };
        fault.into_iter().for_each(|fault| sealer.tell(fault, clock.uptime()));
        Ok(sealer)
    }

    /// The newest seal that is known.
    pub(super) fn noted(&self) -> Option<AuditSeal> {
        self.noted.borrow().clone()
    }

    /// Follows the newest seal that is known.
    pub(super) fn follow(&self) -> watch::Receiver<Option<AuditSeal>> {
        self.noted.subscribe()
    }

    /// Logs a fault, once a minute at most.
    fn tell(&self, fault: AuditFault, uptime: Duration) {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_some_and(|at| uptime.saturating_sub(at) < TELL_EVERY) {
            return;
        }
        *told_at = Some(uptime);
        tracing::error!(
            %fault,
            "the audit is not what was sealed, and nothing is sealed until an operator accepts it: see `quash audit verify` and \
             `quash audit accept`"
        );
    }
}

impl Desk {
    /// Seals entries that aren't yet. Says how many.
    pub(super) async fn seal_round(&self) -> Result<usize, Failure> {
        let _turn = self.sealer.turn.lock().await;
        match self.seal_entries().await {
            Ok(sealed) => Ok(sealed),
            Err(Unsealable::Failed(failure)) => Err(failure),
            Err(Unsealable::Fault(fault)) => {
                self.sealer.tell(fault, self.clock.uptime());
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
        // Nobody else seals.
        if let Some(entry) = entries.iter().find(|entry| entry.sealing.is_some()) {
            return Err(Unsealable::Fault(AuditFault::Changed(entry.id)));
        }
        let change = seal_audit(&head, &entries, None, &self.sealer.key, self.clock.now(), &*self.entropy)
            .map_err(|_| unsigned())?;
        self.write_seal(change).await?;
        Ok(entries.len())
    }

    /// Forgets sealed entries that were made before `made_before`, from the beginning. Says how many.
    pub(crate) async fn forget_audit(&self, made_before: Timestamp) -> Result<u32, Failure> {
        let mut forgotten = 0;
        loop {
            let _turn = self.sealer.turn.lock().await;
            match self.forget_oldest(made_before).await {
                Ok(0) => return Ok(forgotten),
                Ok(more) => forgotten += more,
                Err(Unsealable::Failed(failure)) => return Err(failure),
                Err(Unsealable::Fault(fault)) => {
                    self.sealer.tell(fault, self.clock.uptime());
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
        self.write_seal(change.map_err(|_| unsigned())?).await
    }

    /// Begins the audit anew after a fault, with the operator's note.
    pub(super) async fn accept(&self, note: Option<Note>) -> Result<u64, Failure> {
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

/// Returns the seal in a store, if it was signed with this master key.
///
/// # Errors
/// The store can't be used.
pub async fn audit_seal_of(store: &dyn Store, master: &MasterKey) -> Result<Option<AuditSeal>, StartError> {
    let key = audit_key(master)?;
    // The head may lag behind the seal there: only the signature is asked for.
    let head = store.audit_head().await?;
    Ok(head.seal.filter(|seal| is_ours(seal, &key)))
}

/// The key that the audit is sealed with.
pub(crate) fn audit_key(master: &MasterKey) -> Result<SigningKey, StartError> {
    SigningKey::new(Algorithm::EdDsa, &master.derive::<32>("audit"), None).map_err(StartError::SigningKey)
}

fn seal_of(change: &Change) -> Option<&AuditSeal> {
    match change {
        Change::SealAudit { seal, .. } | Change::AcceptAudit { seal, .. } => Some(seal),
        _ => None,
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
