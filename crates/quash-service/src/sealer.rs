//! The sealer of the audit: the only code that signs it. It never seals over a seal that is missing, forged
//! or older than the one that it remembers, because the new signature would authenticate the forgery.
//! `quash-core` defines the checks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::decide::{AuditFault, check_seal, is_ours, seal_audit};
use quash_core::model::{AuditHead, AuditSeal, Change, Clock, Entropy};
use quash_core::token::{Algorithm, SigningKey};
use quash_store::Store;
use tokio::sync::watch;

use crate::failure::StartError;
use crate::vault::MasterKey;

/// The name of the setting that marks a store as sealed at least once.
pub(crate) const BEGUN: &str = "audit_sealed";
/// The interval at which a lasting fault is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Seals the audit, and remembers the newest seal.
pub(crate) struct Sealer {
    pub(crate) key: SigningKey,
    /// The newest known seal: written by this process, or noted outside of the store.
    pub(crate) noted: watch::Sender<Option<AuditSeal>>,
    /// Held from reading a seal until the next one is committed.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// The uptime at which a fault was last logged.
    logged_at: Mutex<Option<Duration>>,
}

impl Sealer {
    /// Opens the sealer with a key derived from the master key. A store without a past gets its first seal;
    /// so does, once, a store of an older version that didn't seal at first start. `noted` is the newest seal
    /// remembered outside of the store.
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
            // An unreadable audit is read again before anything is sealed.
            (noted, Err(_)) => (noted, None),
        };
        let sealer = Self {
            key,
            noted: watch::Sender::new(noted),
            turn: tokio::sync::Mutex::default(),
            logged_at: Mutex::default(),
        };
        if let Some(fault) = fault {
            sealer.log_fault(fault, clock.uptime());
        }
        Ok(sealer)
    }

    /// The newest known seal.
    pub(crate) fn noted(&self) -> Option<AuditSeal> {
        self.noted.borrow().clone()
    }

    /// Follows the newest known seal.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<AuditSeal>> {
        self.noted.subscribe()
    }

    /// Logs a fault, at most once a minute.
    pub(crate) fn log_fault(&self, fault: AuditFault, uptime: Duration) {
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_some_and(|at| uptime.saturating_sub(at) < LOG_EVERY) {
            return;
        }
        *logged_at = Some(uptime);
        tracing::error!(
            %fault,
            "the audit is not what was sealed, and nothing is sealed until an operator accepts it: see `quash audit verify` and \
             `quash audit accept`"
        );
    }
}

/// Returns the seal in a store, if it was signed with this master key.
///
/// # Errors
/// The store can't be used.
pub async fn audit_seal_of(store: &dyn Store, master: &MasterKey) -> Result<Option<AuditSeal>, StartError> {
    let key = audit_key(master)?;
    // The head may lag behind the seal outside of the store, so only the signature is checked.
    let head = store.audit_head().await?;
    Ok(head.seal.filter(|seal| is_ours(seal, &key)))
}

/// The key that signs the audit's seals.
pub(crate) fn audit_key(master: &MasterKey) -> Result<SigningKey, StartError> {
    SigningKey::new(Algorithm::EdDsa, &master.derive::<32>("audit"), None).map_err(StartError::SigningKey)
}

pub(crate) fn seal_of(change: &Change) -> Option<&AuditSeal> {
    match change {
        Change::SealAudit { seal, .. } | Change::AcceptAudit { seal, .. } => Some(seal),
        _ => None,
    }
}
