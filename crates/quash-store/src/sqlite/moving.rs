//! SQLite's part in moving a store: reads all rows in one snapshot, and writes them to a new database.

use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{Connection, OpenFlags, named_params, params_from_iter};

use super::file::check;
use super::{SqliteStore, migrate};
use crate::OpenError;
use crate::moving::{Cell, Kind, Line, Lines, MoveError, TABLES, Table, Value, line};

/// The bytes of lines that are handed over at once.
const CHUNK: usize = 64 * 1024;

/// The counters and watermarks of a store, which the two engines keep in different tables.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Heads {
    pub(crate) seq: i64,
    pub(crate) chain: Vec<u8>,
    /// The highest deleted number.
    pub(crate) forgotten: i64,
    pub(crate) sessions_before: i64,
    pub(crate) foreign_after: i64,
    pub(crate) forgotten_at: i64,
    pub(crate) forgotten_until: i64,
    pub(crate) ring: i64,
    pub(crate) settings: i64,
    pub(crate) longest_lifetime_ms: i64,
    /// The newest number of the audit.
    pub(crate) audit: i64,
}

/// All data of a store, as of one moment. The store writes nothing that this misses, as long as nobody
/// commits.
pub(crate) struct Snapshot {
    conn: Connection,
    path: String,
}

impl SqliteStore {
    pub(crate) fn snapshot(&self) -> Result<Snapshot, MoveError> {
        let conn = super::open_beside(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let snapshot = Snapshot { conn, path: self.path.display().to_string() };
        snapshot.conn.execute_batch("BEGIN").map_err(|error| snapshot.failed(&error))?;
        // The first read begins the snapshot.
        snapshot.heads()?;
        Ok(snapshot)
    }

    /// Records that the data was moved to `to`, a store as it is named for operators. Later starts are
    /// refused.
    ///
    /// # Errors
    /// It can't be written.
    pub fn mark_moved(&self, to: &str) -> Result<(), OpenError> {
        let mut conn = super::open_beside(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate::mark_moved(&mut conn, to).map_err(|error| check::refused(&self.path, &error))
    }

    /// Returns a connection that fills this store, which is new.
    pub(crate) fn filling(&self) -> Result<Filling, MoveError> {
        let conn = super::open_beside(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let filling = Filling { conn, path: self.path.display().to_string() };
        // Deletes the rows that migrations have inserted.
        filling
            .conn
            .execute_batch("BEGIN IMMEDIATE; DELETE FROM remembered")
            .map_err(|error| filling.failed(&error))?;
        Ok(filling)
    }
}

impl Snapshot {
    /// The rows of all tables.
    pub(crate) fn count(&self) -> Result<u64, MoveError> {
        let mut rows = 0;
        for table in TABLES {
            let statement = format!("SELECT count(*) FROM {}", table.file);
            let count: i64 =
                self.conn.query_row(&statement, [], |row| row.get(0)).map_err(|error| self.failed(&error))?;
            rows += u64::try_from(count).unwrap_or_default();
        }
        Ok(rows)
    }

    pub(crate) fn heads(&self) -> Result<Heads, MoveError> {
        heads(&self.conn).map_err(|error| self.failed(&error))
    }

    /// Reads the rows of a table, in the order of their keys. `each` gets whole lines and their number, and
    /// returns whether it wants more.
    pub(crate) fn lines(
        &self,
        table: &'static Table,
        mut each: impl FnMut(Vec<u8>, u64) -> bool,
    ) -> Result<Lines, MoveError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let unsuitable = || MoveError::Unsuitable {
            table: table.file,
            detail: "a text with the character U+0000, or a value of another type",
        };
        let mut all = Lines::new();
        let mut statement = self.conn.prepare(&table.read_from_file()).map_err(failed)?;
        let mut found = statement.query([]).map_err(failed)?;
        let (mut chunk, mut rows) = (Vec::with_capacity(CHUNK + 1024), 0);
        while let Some(row) = found.next().map_err(failed)? {
            let mut cells = Vec::with_capacity(table.columns.len());
            for (place, (_, kind)) in table.columns.iter().enumerate() {
                let value = row.get_ref(place).map_err(failed)?;
                cells.push(cell(value, *kind).ok_or_else(unsuitable)?);
            }
            if !line(&mut chunk, cells) {
                return Err(unsuitable());
            }
            rows += 1;
            if chunk.len() >= CHUNK {
                all.add(&chunk, rows);
                if !each(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK + 1024)), rows) {
                    return Ok(all);
                }
                rows = 0;
            }
        }
        all.add(&chunk, rows);
        if rows > 0 {
            each(chunk, rows);
        }
        Ok(all)
    }

    fn failed(&self, error: &rusqlite::Error) -> MoveError {
        failed(&self.path, error)
    }
}

fn cell(value: ValueRef<'_>, kind: Kind) -> Option<Cell<'_>> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Integer(number), Kind::Number) => Cell::Number(number),
        (ValueRef::Integer(number @ (0 | 1)), Kind::Flag) => Cell::Flag(number == 1),
        (ValueRef::Text(text), Kind::Text) => Cell::Text(text),
        (ValueRef::Blob(bytes), Kind::Bytes) => Cell::Bytes(bytes),
        _ => return None,
    })
}

fn heads(conn: &Connection) -> Result<Heads, rusqlite::Error> {
    conn.query_row(
        "SELECT f.seq, f.chain, f.min_seq, f.sessions_before, f.foreign_after, f.forgotten_at, f.forgotten_until, \
         f.ring, f.settings, f.longest_lifetime_ms, a.last FROM feed_head f JOIN audit_head a ON a.id = f.id",
        [],
        |row| {
            Ok(Heads {
                seq: row.get(0)?,
                chain: row.get(1)?,
                forgotten: row.get(2)?,
                sessions_before: row.get(3)?,
                foreign_after: row.get(4)?,
                forgotten_at: row.get(5)?,
                forgotten_until: row.get(6)?,
                ring: row.get(7)?,
                settings: row.get(8)?,
                longest_lifetime_ms: row.get(9)?,
                audit: row.get(10)?,
            })
        },
    )
}

/// Fills a new database, in one transaction.
pub(crate) struct Filling {
    conn: Connection,
    path: String,
}

impl Filling {
    /// Writes whole lines of a table.
    pub(crate) fn add(&mut self, table: &'static Table, lines: &[u8]) -> Result<(), MoveError> {
        let mut statement =
            self.conn.prepare_cached(&table.write_to_file()).map_err(|error| self.failed(&error))?;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let unsuitable =
                || MoveError::Unsuitable { table: table.server, detail: "a value of another type" };
            let values = Line(line).values(table.columns).ok_or_else(unsuitable)?;
            let values = values.into_iter().map(|value| match value {
                Value::Null => Stored::Null,
                Value::Number(number) => Stored::Integer(number),
                Value::Text(text) => Stored::Text(text),
                Value::Bytes(bytes) => Stored::Blob(bytes),
            });
            statement.execute(params_from_iter(values)).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    /// Writes what isn't a row, commits, and reads a snapshot.
    pub(crate) fn finish(self, heads: &Heads) -> Result<Snapshot, MoveError> {
        let Heads { seq, chain, forgotten, audit, .. } = heads;
        let write = || -> Result<(), rusqlite::Error> {
            self.conn.execute(
                "UPDATE feed_head SET seq = :seq, chain = :chain, min_seq = :min_seq, sessions_before = :sessions, \
                 foreign_after = :foreign, forgotten_at = :at, forgotten_until = :until, ring = :ring, \
                 settings = :settings, longest_lifetime_ms = :longest",
                named_params! {
                    ":seq": seq, ":chain": chain, ":min_seq": forgotten, ":sessions": heads.sessions_before,
                    ":foreign": heads.foreign_after, ":at": heads.forgotten_at, ":until": heads.forgotten_until,
                    ":ring": heads.ring, ":settings": heads.settings, ":longest": heads.longest_lifetime_ms,
                },
            )?;
            self.conn.execute("UPDATE audit_head SET last = :last", named_params! { ":last": audit })?;
            self.conn.execute_batch("COMMIT; BEGIN")
        };
        write().map_err(|error| self.failed(&error))?;
        Ok(Snapshot { conn: self.conn, path: self.path })
    }

    fn failed(&self, error: &rusqlite::Error) -> MoveError {
        failed(&self.path, error)
    }
}

fn failed(path: &str, error: &rusqlite::Error) -> MoveError {
    MoveError::Failed { store: path.to_owned(), detail: error.to_string() }
}
