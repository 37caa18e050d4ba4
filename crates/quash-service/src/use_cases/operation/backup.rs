//! Backups: copies of the store. The master key isn't part of a backup and must be kept separately.

use std::path::Path;

use quash_core::model::Seq;

use crate::context::Service;

pub use quash_store::BackupError as BackupFault;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackedUp {
    /// The newest sequence number in the copied log.
    pub seq: Seq,
}

impl Service {
    /// Copies a consistent snapshot of the store to a new file. The copy is useless without the master key.
    ///
    /// # Errors
    /// The file exists already or can't be written, or the store is in memory only.
    pub async fn back_up(&self, to: &Path) -> Result<BackedUp, BackupFault> {
        self.context.store.back_up(to).await.map(|seq| BackedUp { seq })
    }
}
