//! Builds the results of changes. `state.rs` and its submodules apply the changes.

use quash_core::model::{Receipt, Seq};

use crate::StoreError;

/// Checks the guard of a change: it holds, or another change was faster.
pub(super) fn guard(holds: bool) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Conflict) }
}

/// The receipt of a change that appended no entry and deleted no row.
pub(super) const WRITTEN: Receipt = Receipt { seq: None, pruned: 0 };

/// The receipt of a change that appended an entry.
pub(super) fn appended(seq: Seq) -> Receipt {
    Receipt { seq: Some(seq), pruned: 0 }
}

/// The receipt of a change that deleted rows.
pub(super) fn pruned(rows: usize) -> Receipt {
    Receipt { seq: None, pruned: u32::try_from(rows).unwrap_or(u32::MAX) }
}
