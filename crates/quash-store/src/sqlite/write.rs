//! How a statement is run that writes, and what is said of it. What a change writes is told in `apply.rs` and beside it.

use quash_core::model::{Receipt, Seq};
use rusqlite::{Connection, Params};

use super::fault::Fault;

/// Writes exactly one row, else the guard in the statement doesn't hold.
pub(super) fn write_one(conn: &Connection, statement: &str, values: impl Params) -> Result<Receipt, Fault> {
    if write(conn, statement, values)? == 1 { Ok(Receipt::default()) } else { Err(Fault::Conflict) }
}

/// Writes as many rows as there are, and says how many.
pub(super) fn write(conn: &Connection, statement: &str, values: impl Params) -> Result<usize, Fault> {
    Ok(conn.prepare_cached(statement)?.execute(values)?)
}

/// What is said of a change that appended an entry.
pub(super) fn appended(seq: Seq) -> Receipt {
    Receipt { seq: Some(seq), pruned: 0 }
}

/// What is said of a change that took rows.
pub(super) fn pruned(rows: usize) -> Receipt {
    Receipt { seq: None, pruned: u32::try_from(rows).unwrap_or(u32::MAX) }
}
