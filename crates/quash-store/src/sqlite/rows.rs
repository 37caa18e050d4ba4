//! Converts between rows and the core's types. An undecodable row is a [`SqliteError`], never a panic.
//! `statements.rs` and `reader.rs` select the rows.

use quash_core::model::{Ending, Head, Seq};
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, Row};

use super::fault::SqliteError;
use super::named::{self, Values};
use super::statements;
use crate::columns::{BadValue, Decode};
use crate::log::LogEnd;

pub(super) use crate::columns::{ReadColumns, object, stored, stored_claims, stored_key_state, stored_state};

/// Returns the row that a statement finds, if any.
pub(super) fn one<T>(
    conn: &Connection,
    statement: &str,
    values: Values<'_>,
    read: impl Fn(&mut Columns<'_, '_>) -> Result<T, SqliteError>,
) -> Result<Option<T>, SqliteError> {
    let found = || {
        let mut prepared = named::prepare(conn, statement, values)?;
        let mut rows = prepared.query(values)?;
        rows.next()?.map(|row| read(&mut Columns { row, next: 0 })).transpose()
    };
    found().map_err(|fault| named::name_row(fault, statement, values))
}

/// Returns whether a statement finds a row.
pub(super) fn exists(conn: &Connection, statement: &str, values: Values<'_>) -> Result<bool, SqliteError> {
    Ok(one(conn, statement, values, |_| Ok(()))?.is_some())
}

/// Returns all rows that a statement finds.
pub(super) fn all<T>(
    conn: &Connection,
    statement: &str,
    values: Values<'_>,
    read: impl Fn(&mut Columns<'_, '_>) -> Result<T, SqliteError>,
) -> Result<Vec<T>, SqliteError> {
    let found = || {
        let mut prepared = named::prepare(conn, statement, values)?;
        let mut rows = prepared.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(&mut Columns { row, next: 0 })?);
        }
        Ok(found)
    };
    found().map_err(|fault| named::name_row(fault, statement, values))
}

/// Reads the head of the log and the watermark over everything.
pub(super) fn head(conn: &Connection) -> Result<Head, SqliteError> {
    one(conn, statements::HEAD, &[], row)?.ok_or(SqliteError::Value("no head of the log"))
}

/// Reads the end of the log, for appending.
pub(super) fn log_end(conn: &Connection) -> Result<LogEnd, SqliteError> {
    let read = |columns: &mut Columns<'_, '_>| {
        Ok(LogEnd { seq: columns.seq()?, chain: columns.take()?, longest_lifetime_ms: columns.count()? })
    };
    one(conn, statements::LOG_END, &[], read)?.ok_or(SqliteError::Value("no end of the log"))
}

/// Decodes a watermark and the ending that it caused.
pub(super) fn ending(columns: &mut Columns<'_, '_>) -> Result<(Seq, Ending), SqliteError> {
    Ok((columns.seq()?, row(columns)?))
}

/// Decodes a row, or some columns of it.
pub(super) fn row<T: Decode>(columns: &mut Columns<'_, '_>) -> Result<T, SqliteError> {
    T::decode(columns)
}

/// Reads a row column by column, from the left.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl<'r> Columns<'r, '_> {
    pub(super) fn take<T: FromSql>(&mut self) -> Result<T, SqliteError> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    fn value(&mut self) -> Result<ValueRef<'r>, SqliteError> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }
}

impl<'r> ReadColumns<'r> for Columns<'r, '_> {
    type Error = SqliteError;

    fn optional_integer(&mut self) -> Result<Option<i64>, SqliteError> {
        self.take()
    }

    fn flag(&mut self) -> Result<bool, SqliteError> {
        self.take()
    }

    fn optional_text(&mut self) -> Result<Option<&'r str>, SqliteError> {
        Ok(self.value()?.as_str_or_null().map_err(|_| BadValue("a text"))?)
    }

    fn optional_blob(&mut self) -> Result<Option<&'r [u8]>, SqliteError> {
        Ok(self.value()?.as_blob_or_null().map_err(|_| BadValue("bytes"))?)
    }

    fn row_of<T>(
        &mut self,
        table: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let key = self.next;
        read(self).map_err(|fault| fault.in_row(table, self.row.get_ref(key).ok().and_then(named::key_text)))
    }
}
