//! Reads an SQLite file, read-only.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Row};

use super::query::{DjangoColumn, Statement};
use super::{Cell, SourceError};

/// How long to wait for the site, which locks the file while it writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// A file that is open for reading.
pub(super) struct SqliteSource {
    conn: Connection,
    name: String,
}

/// Rows in pages, each read by a statement of its own.
pub(super) struct Pages<'s> {
    source: &'s SqliteSource,
    statement: Statement,
    /// The key of the last row that was read.
    last: Option<Value>,
}

impl SqliteSource {
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|conn| {
            conn.busy_timeout(BUSY_TIMEOUT)?;
            conn.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")?;
            // The first read shows whether the file is a database.
            conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
            Ok(conn)
        });
        match opened {
            Ok(conn) => Ok(Self { conn, name }),
            Err(error) => Err(unreadable(&name, &error)),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn columns(&self, table: &str) -> Result<Vec<DjangoColumn>, SourceError> {
        let read = || {
            let mut statement = self.conn.prepare("SELECT name, type, pk FROM pragma_table_info(:table)")?;
            let column = |row: &Row<'_>| {
                let (name, declared, key) = (row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?);
                Ok(DjangoColumn::new(name, &declared, key > 0))
            };
            statement.query_map(&[(":table", table)], column)?.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|error| self.failed(&error))
    }

    pub(super) fn number(&self, statement: &str) -> Result<u64, SourceError> {
        let number: i64 =
            self.conn.query_row(statement, [], |row| row.get(0)).map_err(|error| self.failed(&error))?;
        Ok(number.unsigned_abs())
    }

    pub(super) fn pages(&self, statement: Statement) -> Pages<'_> {
        Pages { source: self, statement, last: None }
    }

    fn failed(&self, error: &rusqlite::Error) -> SourceError {
        unreadable(&self.name, error)
    }
}

impl Pages<'_> {
    pub(super) fn next(&mut self) -> Result<Vec<Vec<Cell>>, SourceError> {
        let read = || {
            let mut statement = self.source.conn.prepare_cached(&self.statement.page(self.last.is_none()))?;
            let columns = statement.column_count();
            let mut rows = match &self.last {
                None => statement.query([])?,
                Some(last) => statement.query(&[(":after", last)])?,
            };
            let (mut page, mut last) = (Vec::new(), None);
            while let Some(row) = rows.next()? {
                page.push((0..columns).map(|at| row.get_ref(at).map(cell)).collect::<Result<Vec<_>, _>>()?);
                last = Some(row.get::<_, Value>(0)?);
            }
            Ok((page, last))
        };
        let (page, last) = read().map_err(|error| self.source.failed(&error))?;
        self.last = last.or(self.last.take());
        Ok(page)
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Bytes,
        },
        ValueRef::Blob(_) => Cell::Bytes,
    }
}

fn unreadable(name: &str, error: &rusqlite::Error) -> SourceError {
    SourceError::Unreadable { source_name: name.to_owned(), detail: error.to_string() }
}
