//! Migrates a database to the current schema. `migrations/sqlite` contains the schema, one file per step,
//! never changed once released.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, TransactionBehavior, named_params};

use crate::OpenError;
use crate::moving::{MOVED, MOVED_NAME};

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// In order. The first has the number 1.
const MIGRATIONS: &[Migration] = &[
    Migration { name: "sessions", sql: include_str!("../../migrations/sqlite/0001_sessions.sql") },
    Migration {
        name: "foreign_tokens",
        sql: include_str!("../../migrations/sqlite/0002_foreign_tokens.sql"),
    },
    Migration { name: "accounts", sql: include_str!("../../migrations/sqlite/0003_accounts.sql") },
    Migration { name: "audit", sql: include_str!("../../migrations/sqlite/0004_audit.sql") },
    Migration { name: "mail", sql: include_str!("../../migrations/sqlite/0005_mail.sql") },
    Migration { name: "endings", sql: include_str!("../../migrations/sqlite/0006_endings.sql") },
    Migration { name: "devices", sql: include_str!("../../migrations/sqlite/0007_devices.sql") },
    Migration { name: "clients", sql: include_str!("../../migrations/sqlite/0008_clients.sql") },
    Migration { name: "keys", sql: include_str!("../../migrations/sqlite/0009_keys.sql") },
    Migration { name: "forgotten", sql: include_str!("../../migrations/sqlite/0010_forgotten.sql") },
    Migration { name: "registrations", sql: include_str!("../../migrations/sqlite/0011_registrations.sql") },
    Migration { name: "store_id", sql: include_str!("../../migrations/sqlite/0012_store_id.sql") },
    Migration {
        name: "subject_numbers",
        sql: include_str!("../../migrations/sqlite/0013_subject_numbers.sql"),
    },
    Migration { name: "removed_names", sql: include_str!("../../migrations/sqlite/0014_removed_names.sql") },
    Migration { name: "namespaces", sql: include_str!("../../migrations/sqlite/0015_namespaces.sql") },
    Migration {
        name: "unique_addresses",
        sql: include_str!("../../migrations/sqlite/0016_unique_addresses.sql"),
    },
    Migration { name: "ring", sql: include_str!("../../migrations/sqlite/0017_ring.sql") },
    Migration { name: "admin", sql: include_str!("../../migrations/sqlite/0018_admin.sql") },
    Migration { name: "searches", sql: include_str!("../../migrations/sqlite/0019_searches.sql") },
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    number   INTEGER NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    checksum BLOB    NOT NULL
) STRICT";

/// Checks, without writing, that the applied migrations match those of this program. Returns their number.
pub(super) fn applied(conn: &Connection, path: &Path) -> Result<usize, OpenError> {
    let found = recorded(conn).map_err(|error| super::file::check::refused(path, &error))?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if let Some((MOVED, to)) = found.last() {
        let to = String::from_utf8_lossy(to).into_owned();
        return Err(OpenError::Moved { store: path.display().to_string(), to });
    }
    if let Some((newest, _)) = found.last()
        && *newest > known
    {
        return Err(OpenError::Newer { store: path.display().to_string(), found: *newest, known });
    }
    for ((number, checksum), (expected, migration)) in found.iter().zip((1..).zip(MIGRATIONS)) {
        if (*number, checksum.as_slice()) != (expected, digest(&SHA256, migration.sql.as_bytes()).as_ref()) {
            return Err(OpenError::Altered { store: path.display().to_string(), number: expected });
        }
    }
    Ok(found.len())
}

/// Applies the migrations after the first `applied`, each in one transaction with its record.
pub(super) fn apply(conn: &mut Connection, applied: usize) -> Result<(), rusqlite::Error> {
    for (number, migration) in (1_u32..).zip(MIGRATIONS).skip(applied) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLE)?;
        transaction.execute_batch(migration.sql)?;
        let checksum = digest(&SHA256, migration.sql.as_bytes());
        transaction.execute(
            "INSERT INTO schema_migration (number, name, checksum) VALUES (:number, :name, :checksum)",
            named_params! { ":number": number, ":name": migration.name, ":checksum": checksum.as_ref() },
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// Records that the data was moved, and where: the database isn't opened again.
pub(super) fn mark_moved(conn: &mut Connection, to: &str) -> Result<(), rusqlite::Error> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT INTO schema_migration (number, name, checksum) VALUES (:number, :name, :checksum)",
        named_params! { ":number": MOVED, ":name": MOVED_NAME, ":checksum": to.as_bytes() },
    )?;
    transaction.commit()
}

/// Returns numbers and checksums, in order; none for an empty database. Fails for another program's database.
fn recorded(conn: &Connection) -> Result<Vec<(u32, Vec<u8>)>, rusqlite::Error> {
    let tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let mut records = conn.prepare("SELECT number, checksum FROM schema_migration ORDER BY number")?;
    records.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
