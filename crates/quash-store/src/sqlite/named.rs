//! Binds values to the named parameters of a statement, and finds the table and the row of a failed one.

use quash_core::hex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use super::fault::SqliteError;

/// The values of a statement's parameters, as `named_params!` makes them.
pub(super) type Values<'a> = &'a [(&'a str, &'a dyn ToSql)];

/// The column that identifies a row of each table. `feed_head`, `audit_head` and `audit_seal` have one row.
pub(super) const KEY_COLUMNS: &[(&str, &str)] = &[
    ("account", "subject"),
    ("adopted", "key"),
    ("audit", "id"),
    ("audit_person", "id"),
    ("client", "name"),
    ("flow", "id"),
    ("gone", "subject"),
    ("mail", "id"),
    ("remembered", "name"),
    ("revocation_log", "seq"),
    ("secret", "name"),
    ("session", "sid"),
    ("signing_key", "kid"),
];

/// Prepares a statement that has exactly these parameters: SQLite would take a missing one as NULL.
pub(super) fn prepare<'c>(
    conn: &'c Connection,
    statement: &str,
    values: Values<'_>,
) -> Result<CachedStatement<'c>, SqliteError> {
    let prepared = conn.prepare_cached(statement)?;
    if prepared.parameter_count() == values.len() {
        Ok(prepared)
    } else {
        Err(rusqlite::Error::InvalidParameterCount(values.len(), prepared.parameter_count()).into())
    }
}

/// Adds to an error the table of the statement, and the key of the row if the statement has it as a
/// parameter.
pub(super) fn name_row(fault: SqliteError, statement: &str, values: Values<'_>) -> SqliteError {
    let Some(table) = table_of(statement) else { return fault };
    let column = KEY_COLUMNS.iter().find(|(of, _)| *of == table).map(|(_, column)| *column);
    let bound = values.iter().find(|(name, _)| name.strip_prefix(':') == column).map(|(_, value)| value);
    let key = bound.and_then(|value| match value.to_sql().ok()? {
        ToSqlOutput::Borrowed(value) => key_text(value),
        ToSqlOutput::Owned(value) => key_text(ValueRef::from(&value)),
        _ => None,
    });
    fault.in_row(table, key)
}

/// Returns the table that a statement writes, or else the last one that it names.
pub(super) fn table_of(statement: &str) -> Option<&str> {
    let mut words = statement.split_ascii_whitespace();
    match words.next()? {
        "INSERT" => words.skip_while(|word| *word != "INTO").nth(1),
        "UPDATE" => words.find(|word| !matches!(*word, "OR" | "IGNORE")),
        "DELETE" => words.nth(1),
        "SELECT" => {
            let mut table = None;
            while let Some(word) = words.next() {
                if word == "FROM" {
                    table = words.next();
                }
            }
            table
        }
        _ => None,
    }
}

/// Returns a key in the form in which logs and commands show it.
pub(super) fn key_text(key: ValueRef<'_>) -> Option<String> {
    match key {
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Blob(bytes) => Some(hex::encode(bytes)),
        ValueRef::Null | ValueRef::Real(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::Client;
    use rusqlite::named_params;

    use super::*;
    use crate::StoreError;
    use crate::sqlite::fault::StoreSignals;
    use crate::sqlite::{SqliteOptions, open_writer, rows, statements, write};

    fn opened(directory: &tempfile::TempDir) -> Connection {
        let path = directory.path().join("quash.db");
        crate::sqlite::lock::create_private(&path).expect("a file");
        open_writer(&path, &SqliteOptions::default()).expect("a database")
    }

    fn text(fault: SqliteError) -> String {
        match StoreSignals::new(quash_core::model::Seq::ZERO).to_store_error(fault) {
            StoreError::Unavailable(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_values_are_not_taken_as_null() {
        let directory = tempfile::tempdir().expect("a directory");
        let conn = opened(&directory);
        let values = named_params! { ":subject": "dana" };
        let fault =
            write::write(&conn, statements::DELETE_ACCOUNT, values).expect_err("a parameter is missing");
        assert_eq!(
            text(fault),
            "table account, row dana: Wrong number of parameters passed to query. Got 1, needed 2"
        );
    }

    #[test]
    fn failed_writes_name_the_table_and_the_row() {
        let directory = tempfile::tempdir().expect("a directory");
        let conn = opened(&directory);
        conn.execute_batch("DROP TABLE feed_head").expect("a damaged schema");
        let values = named_params! { ":sid": [0xab_u8; 3], ":known_device": [0_u8; 16] };
        let fault = write::write(&conn, statements::BIND_SESSION, values).expect_err("a missing table");
        assert_eq!(text(fault), "table session, row ababab: no such table: feed_head");
    }

    #[test]
    fn unreadable_rows_are_named_by_their_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let conn = opened(&directory);
        conn.execute_batch(
            "INSERT INTO client (name, digest, rights, created_at) VALUES ('shop', zeroblob(32), 'fly', 1);
             INSERT INTO remembered (name, value) VALUES ('first', 'a secret text');",
        )
        .expect("rows");
        let values = named_params! { ":digest": [0_u8; 32] };
        let fault = rows::one(&conn, statements::CLIENT_BY_SECRET, values, rows::row::<Client>)
            .expect_err("no rights");
        assert_eq!(text(fault), "table client, row shop: the database contains unreadable data: rights");
        let values = named_params! { ":name": "first" };
        let fault = rows::one(&conn, statements::REMEMBERED, values, |columns| columns.take::<i64>())
            .expect_err("a text");
        let text = text(fault);
        assert!(text.starts_with("table remembered, row first: "), "{text}");
        assert!(!text.contains("a secret text"), "{text}");
    }
}
