//! Runs statements that write, and checks the number of rows. `apply.rs` and its siblings define the changes.

use quash_core::model::Receipt;
use rusqlite::Connection;

use super::fault::SqliteError;
use super::named::{self, Values};

/// Writes exactly one row. Otherwise the statement's guard doesn't hold.
pub(super) fn write_one(
    conn: &Connection,
    statement: &str,
    values: Values<'_>,
) -> Result<Receipt, SqliteError> {
    if write(conn, statement, values)? == 1 { Ok(Receipt::default()) } else { Err(SqliteError::Conflict) }
}

/// Writes any number of rows, and returns it.
pub(super) fn write(conn: &Connection, statement: &str, values: Values<'_>) -> Result<usize, SqliteError> {
    named::prepare(conn, statement, values)
        .and_then(|mut prepared| Ok(prepared.execute(values)?))
        .map_err(|fault| named::name_row(fault, statement, values))
}
