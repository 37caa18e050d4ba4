//! The database as a file: its lock, its check, checkpoints, backups and their restoration.

pub(super) mod backup;
pub(super) mod check;
pub(super) mod checkpoint;
pub(super) mod lock;
pub(super) mod restore;
