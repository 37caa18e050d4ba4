//! Reads a Django site's PostgreSQL database, in one read-only transaction.

use tokio_postgres::types::Type;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::fault::message;
use super::server::connect::{Connection, Target};
use crate::django::{Cell, DjangoColumn, PAGE, SourceError};

/// A pause of the import must not end the transaction. Times are in UTC, in a form that sorts by time.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'";

const COLUMNS: &str = "SELECT a.attname::text, t.typname::text, coalesce(i.indisprimary, false) FROM pg_attribute a \
    JOIN pg_type t ON t.oid = a.atttypid \
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey) \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// A database, with its transaction.
pub(crate) struct PostgresSource {
    connection: Connection,
    name: String,
}

impl PostgresSource {
    pub(crate) async fn begin(url: &str) -> Result<Self, SourceError> {
        let target = Target::parse(url).map_err(SourceError::Url)?;
        let name = target.shown().to_owned();
        let connection = target.connect().await.map_err(|error| SourceError::Unreadable {
            source_name: name.clone(),
            detail: error.to_string(),
        })?;
        let source = Self { connection, name };
        source.run(BEGIN).await?;
        Ok(source)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The columns of a table with a quoted name; empty if there is none.
    pub(crate) async fn columns(&self, table: &str) -> Result<Vec<DjangoColumn>, SourceError> {
        let rows = self.connection.query_typed(COLUMNS, &[(&table, Type::TEXT)]).await;
        let rows = rows.map_err(|error| self.failed(&error))?;
        let column = |row: tokio_postgres::Row| {
            Ok(DjangoColumn::new(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        };
        rows.into_iter().map(column).collect::<Result<_, _>>().map_err(|error| self.failed(&error))
    }

    pub(crate) async fn number(&self, statement: &str) -> Result<u64, SourceError> {
        let rows = self.query(statement).await?;
        let number = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
        number.ok_or_else(|| SourceError::Unreadable {
            source_name: self.name.clone(),
            detail: "the server didn't answer with a number".into(),
        })
    }

    /// Opens the cursor for a statement, in place of the former one.
    pub(crate) async fn declare(&self, statement: &str) -> Result<(), SourceError> {
        self.run(&format!("CLOSE ALL; DECLARE quash_import NO SCROLL CURSOR FOR {statement}")).await
    }

    /// Reads the next rows of the cursor.
    pub(crate) async fn fetch(&self) -> Result<Vec<Vec<Cell>>, SourceError> {
        let rows = self.query(&format!("FETCH {PAGE} FROM quash_import")).await?;
        let cell = |text: Option<&str>| text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()));
        Ok(rows.iter().map(|row| (0..row.len()).map(|at| cell(row.get(at))).collect()).collect())
    }

    async fn run(&self, statements: &str) -> Result<(), SourceError> {
        self.connection.batch_execute(statements).await.map_err(|error| self.failed(&error))
    }

    async fn query(&self, statement: &str) -> Result<Vec<SimpleQueryRow>, SourceError> {
        let messages = self.connection.simple_query(statement).await.map_err(|error| self.failed(&error))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    fn failed(&self, error: &tokio_postgres::Error) -> SourceError {
        SourceError::Unreadable { source_name: self.name.clone(), detail: message(error) }
    }
}
