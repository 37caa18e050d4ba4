//! What is said of a change. What it does is told in `state.rs` and beside it.

use quash_core::model::{Receipt, Seq};

use crate::StoreError;

/// The guard of a change: it holds, or somebody else was faster.
pub(super) fn guard(holds: bool) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Conflict) }
}

/// What the store says of a change that appended nothing and took no row.
pub(super) const WRITTEN: Receipt = Receipt { seq: None, pruned: 0 };

/// What is said of a change that appended an entry.
pub(super) fn appended(seq: Seq) -> Receipt {
    Receipt { seq: Some(seq), pruned: 0 }
}

/// What is said of a change that took rows.
pub(super) fn pruned(rows: usize) -> Receipt {
    Receipt { seq: None, pruned: u32::try_from(rows).unwrap_or(u32::MAX) }
}
