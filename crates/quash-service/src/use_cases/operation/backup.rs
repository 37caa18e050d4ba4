//! Backups: copies of the store. The master key isn't part of a backup and must be kept separately.

use std::path::Path;

use quash_core::model::Seq;
use quash_store::BackupError;

use crate::context::Service;
use crate::use_cases::operation::doctor::BackupRecord;

/// The reason why there is no backup.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackupFault {
    #[error(transparent)]
    Failed(#[from] BackupError),
    #[error("quash backs up an SQLite file, and this store isn't one")]
    NoFile,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackedUp {
    /// The newest sequence number in the copied log.
    pub seq: Seq,
}

impl Service {
    /// Copies a consistent snapshot of the store to a new file, and then records it in the store. The copy is useless
    /// without the master key.
    ///
    /// # Errors
    /// The file exists already or can't be written, or the store isn't a file.
    pub async fn back_up(&self, to: &Path) -> Result<BackedUp, BackupFault> {
        let context = &*self.context;
        let file = context.file.as_ref().ok_or(BackupFault::NoFile)?;
        let began = context.clock.now();
        let seq = file.back_up(to).await?;
        // The backup is complete without it.
        if let Err(error) = context.store.commit(BackupRecord::change(began, to)).await {
            tracing::warn!(%error, "the backup is written, and couldn't be recorded for `quash doctor`");
        }
        Ok(BackedUp { seq })
    }
}
