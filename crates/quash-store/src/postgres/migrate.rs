//! Migrates a database to the current schema. `migrations/postgres` contains the schema, one file per step,
//! never changed once released. The numbers continue those of SQLite's steps at the time when PostgreSQL was
//! added.

use aws_lc_rs::digest::{SHA256, digest};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::fault::message;
use crate::OpenError;
use crate::moving::MOVED;

struct Migration {
    name: &'static str,
    sql: &'static str,
    readers: Readers,
}

/// Which processes can use the database after a migration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Also those that don't know it: it only adds.
    All,
    /// Only those that know it. Others answer 503 from their next read on, and don't start again.
    Newer,
}

/// The number of the first migration.
const FIRST: i32 = 18;

/// The newest migration that this program knows.
pub(super) const NEWEST: i32 = 22;

/// Raises the number that processes compare with the newest migration that they know.
const FENCE: &str = "UPDATE cluster SET schema_fence = $1 WHERE id = 1";

const FENCED: &str = "SELECT schema_fence FROM cluster WHERE id = 1";

/// In order.
const MIGRATIONS: &[Migration] = &[
    additive("many_nodes", include_str!("../../migrations/postgres/0018_many_nodes.sql")),
    additive("soft_state", include_str!("../../migrations/postgres/0019_soft_state.sql")),
    additive("identity", include_str!("../../migrations/postgres/0020_identity.sql")),
    // Older processes would accept expired credentials, and can't read the new rights and events.
    Migration {
        name: "admin",
        sql: include_str!("../../migrations/postgres/0021_admin.sql"),
        readers: Readers::Newer,
    },
    additive("searches", include_str!("../../migrations/postgres/0022_searches.sql")),
];

const fn additive(name: &'static str, sql: &'static str) -> Migration {
    Migration { name, sql, readers: Readers::All }
}

/// Keeps processes from opening the database until the transaction ends. The number is quash's own.
pub(super) const KEEP_OUT: &str = "SELECT pg_advisory_xact_lock(8245928655720965225)";

const TABLE: &str =
    "CREATE TABLE schema_migration (number int PRIMARY KEY, name text NOT NULL, checksum bytea NOT NULL)";

const HAS_TABLE: &str = "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relname = $1 AND n.nspname = current_schema()";

const RECORDED: &str = "SELECT number, checksum FROM schema_migration ORDER BY number";

const RECORD: &str = "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)";

/// Applies the missing migrations, each in one transaction with its record. Two processes that start at once
/// migrate one after the other.
pub(super) async fn run(client: &Client, store: &str) -> Result<(), OpenError> {
    let lock = format!("BEGIN; SET LOCAL lock_timeout = '60s'; {KEEP_OUT}");
    loop {
        let failed = |error: tokio_postgres::Error| unusable(store, &error);
        client.batch_execute(&lock).await.map_err(failed)?;
        let applied = applied(client, store).await?;
        let Some((number, migration)) = (FIRST..).zip(MIGRATIONS).nth(applied) else {
            return client.batch_execute("COMMIT").await.map_err(failed);
        };
        if applied == 0 {
            client.batch_execute(TABLE).await.map_err(failed)?;
        }
        client.batch_execute(migration.sql).await.map_err(failed)?;
        let checksum = digest(&SHA256, migration.sql.as_bytes());
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&number, Type::INT4), (&migration.name, Type::TEXT), (&checksum.as_ref(), Type::BYTEA)];
        client.execute_typed(RECORD, &values).await.map_err(failed)?;
        if migration.readers == Readers::Newer {
            client.execute_typed(FENCE, &[(&number, Type::INT4)]).await.map_err(failed)?;
        }
        client.batch_execute("COMMIT").await.map_err(failed)?;
    }
}

/// Returns whether a database has no tables of quash, or no key: no server was ever started on it.
pub(super) async fn is_new(client: &Client, store: &str) -> Result<bool, OpenError> {
    let failed = |error: tokio_postgres::Error| unusable(store, &error);
    if client.query_typed(HAS_TABLE, &[(&"signing_key", Type::TEXT)]).await.map_err(failed)?.is_empty() {
        return Ok(true);
    }
    let keys = client.query_typed("SELECT 1 FROM signing_key LIMIT 1", &[]).await.map_err(failed)?;
    Ok(keys.is_empty())
}

/// Returns the number of migrations that were applied, after comparing them with the known ones.
async fn applied(client: &Client, store: &str) -> Result<usize, OpenError> {
    let failed = |error: tokio_postgres::Error| unusable(store, &error);
    let is_there = async |table: &str| -> Result<bool, OpenError> {
        let found = client.query_typed(HAS_TABLE, &[(&table, Type::TEXT)]).await.map_err(failed)?;
        Ok(!found.is_empty())
    };
    if !is_there("schema_migration").await? {
        if is_there("account").await? || is_there("session").await? {
            let detail = "it has tables of another program: give quash a database of its own";
            return Err(OpenError::Unusable { store: store.to_owned(), detail: detail.into() });
        }
        return Ok(0);
    }
    let found = client.query_typed(RECORDED, &[]).await.map_err(failed)?;
    let found: Vec<(i32, Vec<u8>)> = found
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if let Some((number, to)) = found.last()
        && u32::try_from(*number) == Ok(MOVED)
    {
        let to = String::from_utf8_lossy(to).into_owned();
        return Err(OpenError::Moved { store: store.to_owned(), to });
    }
    let fence = client.query_typed(FENCED, &[]).await.map_err(failed)?;
    let fence: i32 = fence.first().map_or(Ok(0), |row| row.try_get(0)).map_err(failed)?;
    if fence > NEWEST {
        let number = |number: i32| u32::try_from(number).unwrap_or_default();
        return Err(OpenError::Newer {
            store: store.to_owned(),
            found: number(found.last().map_or(0, |(number, _)| *number)),
            known: number(NEWEST),
        });
    }
    for ((number, checksum), (expected, migration)) in found.iter().zip((FIRST..).zip(MIGRATIONS)) {
        if (*number, checksum.as_slice()) != (expected, digest(&SHA256, migration.sql.as_bytes()).as_ref()) {
            let number = u32::try_from(expected).unwrap_or_default();
            return Err(OpenError::Altered { store: store.to_owned(), number });
        }
    }
    // Migrations of a newer version of quash are ignored.
    Ok(found.len().min(MIGRATIONS.len()))
}

fn unusable(store: &str, error: &tokio_postgres::Error) -> OpenError {
    let detail = match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("42501") => format!(
            "the user may not create tables ({}): make it the owner of the database, or grant CREATE on its schema",
            message(error)
        ),
        Some("3F000") => format!(
            "no schema of the user's search_path exists ({}): create one, or correct search_path in the URL or of the \
             user (ALTER ROLE)",
            message(error)
        ),
        _ => message(error),
    };
    OpenError::Unusable { store: store.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_migration_is_the_last_one() {
        assert_eq!((FIRST..).zip(MIGRATIONS).last().map(|(number, _)| number), Some(NEWEST));
    }
}
