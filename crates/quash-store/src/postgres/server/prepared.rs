//! Sends statements to a server. By default they have no names, so that they work behind a pooler that gives each
//! transaction another connection. With names, the server parses and plans each once for a connection.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use crate::postgres::params::{Params, typed};
use crate::postgres::pipeline::join_all;

/// The statements that a connection has prepared, by their text.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Prepared(Mutex<HashMap<Box<str>, Statement>>);

/// A statement that is sent as soon as its future is polled. So several are sent in the order of their futures.
pub(in crate::postgres) struct Ready<'s> {
    statement: &'s str,
    params: Params<'s>,
    /// `None`: it is sent without a name.
    named: Option<Statement>,
}

impl Prepared {
    /// Prepares a statement, if the connection hasn't yet.
    async fn statement(&self, client: &Client, text: &str, params: Params<'_>) -> Result<Statement, Error> {
        if let Some(statement) = self.known().get(text) {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = params.iter().map(|param| param.sql_type()).collect();
        let statement = client.prepare_typed(text, &types).await?;
        self.known().insert(text.into(), statement.clone());
        Ok(statement)
    }

    /// Forgets the statements if the server refuses one that it has prepared: the tables may have changed, or a pooler
    /// has given the connection another server.
    fn forget_if_stale<T>(&self, answer: &Result<T, Error>) {
        if answer.as_ref().is_err_and(is_stale) {
            self.known().clear();
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Box<str>, Statement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prepares a statement.
pub(in crate::postgres) async fn one<'s>(
    client: &Client,
    prepared: Option<&Prepared>,
    statement: &'s str,
    params: Params<'s>,
) -> Result<Ready<'s>, Error> {
    let named = match prepared {
        Some(prepared) => Some(prepared.statement(client, statement, params).await?),
        None => None,
    };
    Ok(Ready { statement, params, named })
}

/// Prepares statements that are to be sent one after the other without waiting for answers.
pub(in crate::postgres) async fn ready<'s>(
    client: &Client,
    prepared: Option<&Prepared>,
    statements: impl IntoIterator<Item = (&'s str, Params<'s>)>,
) -> Result<Vec<Ready<'s>>, Error> {
    let ready = statements.into_iter().map(|(statement, params)| one(client, prepared, statement, params));
    join_all(ready).await.into_iter().collect()
}

/// Sends a statement, and returns its rows.
pub(in crate::postgres) async fn query(
    client: &Client,
    prepared: Option<&Prepared>,
    ready: Ready<'_>,
) -> Result<Vec<Row>, Error> {
    let Ready { statement, params, named } = ready;
    let (Some(named), Some(prepared)) = (named, prepared) else {
        return client.query_typed(statement, &typed(params)).await;
    };
    let rows = client.query(&named, &untyped(params)).await;
    prepared.forget_if_stale(&rows);
    rows
}

/// Sends a statement, and returns the number of rows that it wrote.
pub(in crate::postgres) async fn execute(
    client: &Client,
    prepared: Option<&Prepared>,
    ready: Ready<'_>,
) -> Result<u64, Error> {
    let Ready { statement, params, named } = ready;
    let (Some(named), Some(prepared)) = (named, prepared) else {
        return client.execute_typed(statement, &typed(params)).await;
    };
    let written = client.execute(&named, &untyped(params)).await;
    prepared.forget_if_stale(&written);
    written
}

fn untyped<'a>(params: Params<'a>) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect()
}

/// Returns whether the server doesn't have a prepared statement any more, or can't use it. Nothing was done.
pub(in crate::postgres) fn is_stale(error: &Error) -> bool {
    let stale = [
        &SqlState::INVALID_SQL_STATEMENT_NAME,
        &SqlState::DUPLICATE_PSTATEMENT,
        // "cached plan must not change result type"
        &SqlState::FEATURE_NOT_SUPPORTED,
    ];
    error.code().is_some_and(|code| stale.contains(&code))
}
