//! A quick check of the database file on opening.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use crate::OpenError;

/// The largest database that is checked completely, which takes about 0.2 seconds. Of a larger one only the
/// small tables are checked.
const WHOLE_BYTES: i64 = 64 * 1024 * 1024;

/// The small tables that every feature needs.
const SMALL: &[&str] =
    &["feed_head", "signing_key", "secret", "remembered", "audit_head", "audit_seal", "client"];

/// Refuses a damaged database.
pub(in crate::sqlite) fn quick(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let whole = bytes(conn).map_err(|error| refused(path, &error))? <= WHOLE_BYTES;
    let tables = if whole { vec![None] } else { SMALL.iter().map(Some).collect() };
    for table in tables {
        let checked = match table {
            None => conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)),
            Some(table) => conn.query_row(&format!("PRAGMA quick_check('{table}')"), [], |row| row.get(0)),
        };
        let said = checked.map_err(|error| refused(path, &error))?;
        if said != "ok" {
            return Err(damaged(path, said));
        }
    }
    Ok(())
}

/// Converts a SQLite error, distinguishing a damaged file from one that can't be used for another reason.
pub(in crate::sqlite) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    if is_damage(error) { damaged(path, error.to_string()) } else { crate::sqlite::unusable(path, error) }
}

/// Returns whether an error means that the file is damaged.
pub(in crate::sqlite) fn is_damage(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn damaged(path: &Path, detail: String) -> OpenError {
    OpenError::Damaged { store: path.display().to_string(), detail }
}

fn bytes(conn: &Connection) -> Result<i64, rusqlite::Error> {
    let of = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    Ok(of("page_count")?.saturating_mul(of("page_size")?))
}
