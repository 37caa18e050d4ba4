//! Converts between rows and the core's types. An undecodable row is a [`PostgresError`], never a panic.
//! `statements` selects the columns.

use quash_core::model::{Ending, Head};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::fault::PostgresError;
use super::migrate;
use crate::StoreError;
use crate::columns::Decode;
use crate::log::LogEnd;

pub(super) use crate::columns::{ReadColumns, object, stored, stored_claims, stored_key_state, stored_state};

/// Decodes all rows.
pub(super) fn all<T>(
    rows: &[Row],
    read: impl Fn(&mut Columns<'_>) -> Result<T, PostgresError>,
) -> Result<Vec<T>, PostgresError> {
    rows.iter().map(|row| read(&mut Columns::of(row))).collect()
}

/// Decodes the first row, if there is one.
pub(super) fn first<T>(
    rows: &[Row],
    read: impl Fn(&mut Columns<'_>) -> Result<T, PostgresError>,
) -> Result<Option<T>, PostgresError> {
    rows.first().map(|row| read(&mut Columns::of(row))).transpose()
}

/// Decodes the row that every statement which reads the head returns.
pub(super) fn only<T>(
    rows: &[Row],
    read: impl Fn(&mut Columns<'_>) -> Result<T, PostgresError>,
) -> Result<T, PostgresError> {
    first(rows, read)?.ok_or(PostgresError::Value("no row about the cluster"))
}

/// The head. A replica's may lack entries, so it counts as none; so does one that only a newer quash understands.
pub(super) fn head(columns: &mut Columns<'_>) -> Result<Head, PostgresError> {
    let head: Head = row(columns)?;
    if columns.take::<bool>()? {
        return Err(StoreError::Unavailable("the server is a replica".into()).into());
    }
    let fence: i32 = columns.take()?;
    if fence > migrate::NEWEST {
        let fault = format!(
            "a newer quash has changed the database (migration {fence}) so that this one can't use it: update this node"
        );
        return Err(StoreError::Unavailable(fault).into());
    }
    Ok(head)
}

pub(super) fn log_end(head: &Head) -> LogEnd {
    let longest = u64::try_from(head.longest_lifetime.as_millis()).unwrap_or(u64::MAX);
    LogEnd { seq: head.seq, chain: head.chain, longest_lifetime_ms: longest }
}

/// Decodes an ending by a watermark, if there is one.
pub(super) fn optional_ending(columns: &mut Columns<'_>) -> Result<Option<Ending>, PostgresError> {
    if columns.skip_null(4)? {
        return Ok(None);
    }
    columns.seq()?;
    row(columns).map(Some)
}

/// The bound of a page. No stored number exceeds i64: nothing follows a number that does.
pub(super) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns whether PostgreSQL can store a text: it refuses the character U+0000. No row contains another one.
pub(super) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Decodes a row, or some columns of it.
pub(super) fn row<T: Decode>(columns: &mut Columns<'_>) -> Result<T, PostgresError> {
    T::decode(columns)
}

/// Reads a row column by column, from the left.
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql<'r>>(&mut self) -> Result<T, PostgresError> {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// Returns whether the next column is NULL, and then skips `columns` of them: a joined row is missing.
    pub(super) fn skip_null(&mut self, columns: usize) -> Result<bool, PostgresError> {
        let is_null = self.row.try_get::<_, Option<Any>>(self.next)?.is_none();
        self.next += if is_null { columns } else { 0 };
        Ok(is_null)
    }
}

impl<'r> ReadColumns<'r> for Columns<'r> {
    type Error = PostgresError;

    fn optional_integer(&mut self) -> Result<Option<i64>, PostgresError> {
        Ok(self.take::<Option<Whole>>()?.map(|whole| whole.0))
    }

    fn flag(&mut self) -> Result<bool, PostgresError> {
        self.take()
    }

    fn optional_text(&mut self) -> Result<Option<&'r str>, PostgresError> {
        self.take()
    }

    fn optional_blob(&mut self) -> Result<Option<&'r [u8]>, PostgresError> {
        self.take()
    }

    fn row_of<T>(
        &mut self,
        table: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let key = self.next;
        read(self).map_err(|fault| {
            let key = self.row.try_get::<_, Any>(key).map(|key| key.0).unwrap_or_default();
            fault.in_row(table, key)
        })
    }
}

/// A number of any width.
struct Whole(i64);

impl<'a> FromSql<'a> for Whole {
    fn from_sql(sql_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *sql_type {
            Type::INT2 => i16::from_sql(sql_type, raw)?.into(),
            Type::INT4 => i32::from_sql(sql_type, raw)?.into(),
            _ => i64::from_sql(sql_type, raw)?,
        }))
    }

    fn accepts(sql_type: &Type) -> bool {
        matches!(*sql_type, Type::INT2 | Type::INT4 | Type::INT8)
    }
}

/// A key of any type, in the form in which logs show it.
struct Any(String);

impl<'a> FromSql<'a> for Any {
    fn from_sql(sql_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *sql_type {
            Type::TEXT => String::from_utf8_lossy(raw).into_owned(),
            Type::INT8 => i64::from_sql(sql_type, raw)?.to_string(),
            _ => quash_core::hex::encode(raw),
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
