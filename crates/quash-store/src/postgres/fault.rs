//! The errors inside the PostgreSQL store, and the conversion to [`StoreError`].

use std::io;

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::StoreError;
use crate::columns::BadValue;

/// The reason why an operation failed.
#[derive(Debug)]
pub(super) enum PostgresError {
    /// The guard of a change doesn't hold.
    Conflict,
    /// A row can't be decoded, or a value can't be encoded.
    Value(&'static str),
    /// The server refused a statement, or the connection is lost.
    Postgres(tokio_postgres::Error),
    /// No connection, or the answer can't be trusted.
    Store(StoreError),
    /// An error, and where it occurred.
    InRow {
        table: &'static str,
        /// The key of the row.
        key: String,
        error: Box<Self>,
    },
}

impl PostgresError {
    /// Adds the table and the row's key. A conflict has no row.
    pub(super) fn in_row(self, table: &'static str, key: String) -> Self {
        match self {
            Self::Value(_) => Self::InRow { table, key, error: Box::new(self) },
            other => other,
        }
    }

    /// Returns whether the server refused a statement only because an earlier one of the transaction has failed.
    fn is_consequence(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION))
    }

    /// Returns whether PostgreSQL has undone the transaction in favour of another one: it may succeed if it
    /// is run again.
    pub(super) fn is_lost_race(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        matches!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
    }
}

impl From<BadValue> for PostgresError {
    fn from(BadValue(what): BadValue) -> Self {
        Self::Value(what)
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<StoreError> for PostgresError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The error of an operation that wrote nothing. The outcome of a COMMIT is determined in `transaction.rs`.
impl From<PostgresError> for StoreError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Conflict => Self::Conflict,
            PostgresError::Value(what) => {
                Self::Unavailable(format!("the database contains unreadable data: {what}"))
            }
            PostgresError::Store(error) => error,
            PostgresError::Postgres(error) => match error.as_db_error().map(DbError::code) {
                Some(&SqlState::UNIQUE_VIOLATION | &SqlState::FOREIGN_KEY_VIOLATION) => Self::Conflict,
                Some(&SqlState::DISK_FULL) => Self::Full,
                _ => Self::Unavailable(message(&error)),
            },
            PostgresError::InRow { table, key, error } => match Self::from(*error) {
                Self::Unavailable(detail) => Self::Unavailable(format!("table {table}, row {key}: {detail}")),
                other => other,
            },
        }
    }
}

/// The results of two statements of one transaction that were sent at once.
///
/// # Errors
/// The failure that isn't the consequence of the other one.
pub(super) fn both<A, B>(
    one: Result<A, PostgresError>,
    other: Result<B, PostgresError>,
) -> Result<(A, B), PostgresError> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(error), Err(cause)) if error.is_consequence() => Err(cause),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Returns whether the server refused a statement, and serves the connection further.
pub(super) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|refused| refused.parsed_severity() == Some(Severity::Error))
}

/// Returns whether a server was refused because of `target_session_attrs`.
fn is_read_only(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>()).is_some_and(
        |cause| cause.kind() == io::ErrorKind::PermissionDenied && cause.raw_os_error().is_none(),
    )
}

/// The text of an error for logs: never the detail of the server's message, which may name data.
pub(super) fn message(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        let text = format!("{} (SQLSTATE {})", refused.message(), refused.code().code());
        // Transactions are short: a lock is held that long only by one that can't end.
        return match *refused.code() {
            SqlState::LOCK_NOT_AVAILABLE => {
                format!(
                    "{text}: another transaction holds the lock; does its commit wait for a standby that is away?"
                )
            }
            _ => text,
        };
    }
    if is_read_only(error) {
        return "it accepts no writes: it is a standby, or default_transaction_read_only is on".into();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
