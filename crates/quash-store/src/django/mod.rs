//! Reads the users of a Django site from its database, for an import. Nothing is written to it. Tables and columns
//! have Django's names, except where a [`UserQuery`] names others.

mod query;
mod sqlite;

use std::path::Path;

use quash_core::model::Timestamp;

pub use self::query::{DjangoColumn, UserQuery};

use self::query::{ColumnKind, Dialect, Statement};
use self::sqlite::SqliteSource;
use crate::postgres::PostgresSource;
use crate::{UrlFault, check_postgres_url};

/// The rows that are read at once.
pub(crate) const PAGE: usize = 500;

/// A value of another program's table.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    /// Bytes that aren't UTF-8.
    Bytes,
}

/// The reason why a database can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {source_name}: {detail}")]
    Unreadable {
        /// The file, or the database without user and password.
        source_name: String,
        detail: String,
    },
    /// The URL of a PostgreSQL database.
    #[error("{0}")]
    Url(UrlFault),
}

/// A Django site's database.
pub struct DjangoSource(Engine);

enum Engine {
    Sqlite(SqliteSource),
    Postgres(PostgresSource),
}

/// Rows that are read page by page, in the order of their primary key.
pub struct Rows<'s> {
    pages: Pages<'s>,
    kinds: Vec<ColumnKind>,
}

enum Pages<'s> {
    Sqlite(sqlite::Pages<'s>),
    Postgres(&'s PostgresSource),
}

impl DjangoSource {
    /// Opens an SQLite file read-only. Each page is a transaction of its own, so that the site can write meanwhile.
    ///
    /// # Errors
    /// There is no such file, or it isn't a database.
    pub fn sqlite(path: &Path) -> Result<Self, SourceError> {
        SqliteSource::open(path).map(Engine::Sqlite).map(Self)
    }

    /// Connects to a PostgreSQL database, and begins the read-only transaction in which everything is read.
    ///
    /// # Errors
    /// The URL is invalid, or the server doesn't answer.
    pub async fn postgres(url: &str) -> Result<Self, SourceError> {
        check_postgres_url(url).map_err(SourceError::Url)?;
        PostgresSource::begin(url).await.map(Engine::Postgres).map(Self)
    }

    /// The file, or the database without user and password.
    pub fn name(&self) -> &str {
        match &self.0 {
            Engine::Sqlite(source) => source.name(),
            Engine::Postgres(source) => source.name(),
        }
    }

    /// The columns of a table; empty if there is no such table.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn columns(&self, table: &str) -> Result<Vec<DjangoColumn>, SourceError> {
        match &self.0 {
            Engine::Sqlite(source) => source.columns(table),
            Engine::Postgres(source) => source.columns(&self.dialect().table(table)).await,
        }
    }

    /// The number of rows of a table.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn count(&self, table: &str) -> Result<u64, SourceError> {
        let statement = format!("SELECT count(*) FROM {}", self.dialect().table(table));
        match &self.0 {
            Engine::Sqlite(source) => source.number(&statement),
            Engine::Postgres(source) => source.number(&statement).await,
        }
    }

    /// Begins to read users, in the order of their primary key. The values of a row are the key, the query's columns,
    /// and a JSON list for each of its relations. Only one set of rows is read at a time.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn users(&self, query: &UserQuery) -> Result<Rows<'_>, SourceError> {
        self.rows(query.statement(self.dialect()), query.kinds()).await
    }

    /// Begins to read the unexpired tokens of Simple JWT's blacklist: the key, the `jti` and the expiry of each.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn blacklisted(&self, now: Timestamp) -> Result<Rows<'_>, SourceError> {
        let statement = query::blacklisted(self.dialect(), now);
        self.rows(statement, vec![ColumnKind::Other; 3]).await
    }

    async fn rows(&self, statement: Statement, kinds: Vec<ColumnKind>) -> Result<Rows<'_>, SourceError> {
        let pages = match &self.0 {
            Engine::Sqlite(source) => Pages::Sqlite(source.pages(statement)),
            Engine::Postgres(source) => {
                source.declare(&statement.whole()).await?;
                Pages::Postgres(source)
            }
        };
        Ok(Rows { pages, kinds })
    }

    const fn dialect(&self) -> Dialect {
        match &self.0 {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }
}

impl Rows<'_> {
    /// Reads the next rows; empty at the end.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn next(&mut self) -> Result<Vec<Vec<Cell>>, SourceError> {
        let mut rows = match &mut self.pages {
            Pages::Sqlite(pages) => pages.next()?,
            Pages::Postgres(source) => source.fetch().await?,
        };
        for row in &mut rows {
            for (cell, kind) in row.iter_mut().zip(&self.kinds) {
                kind.refine(cell);
            }
        }
        Ok(rows)
    }
}
