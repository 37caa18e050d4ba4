//! Builds the results of changes. `state.rs` and its submodules apply the changes.

use quash_core::model::Receipt;

use crate::StoreError;

/// Checks the guard of a change: it holds, or another change was faster.
pub(super) fn guard(holds: bool) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Conflict) }
}

/// The receipt of a change that appended no entry and deleted no row.
pub(super) const WRITTEN: Receipt = Receipt { seq: None, pruned: 0 };
