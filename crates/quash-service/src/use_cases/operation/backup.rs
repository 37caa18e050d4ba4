//! Backing up: the store copies itself. What else must be kept, the master key above all, isn't here to be copied.

use std::path::Path;

use quash_core::model::Seq;

use crate::context::Service;

pub use quash_store::BackupError as BackupFault;

/// A backup that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackedUp {
    /// The newest number of the log that it knows.
    pub seq: Seq,
}

impl Service {
    /// Copies all that the store keeps, as it is at one moment, to a new file. Without the master key nobody can use it.
    ///
    /// # Errors
    /// Something stands there already, it can't be written, or the store keeps nothing beyond this process.
    pub async fn back_up(&self, to: &Path) -> Result<BackedUp, BackupFault> {
        self.desk.store.back_up(to).await.map(|seq| BackedUp { seq })
    }
}
