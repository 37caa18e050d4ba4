//! Sends statements to a server. By default they have no names, so that they work behind a pooler that gives each
//! transaction another connection. With names, the server parses and plans each once for a connection.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use crate::postgres::StatementNames;
use crate::postgres::params::{Params, typed};
use crate::postgres::pipeline::join_all;

/// A client, and the statements that it has prepared.
#[derive(Debug)]
pub(in crate::postgres) struct Statements {
    client: Client,
    /// By their text. `None`: statements have no names.
    prepared: Option<Mutex<HashMap<Box<str>, Statement>>>,
}

/// A statement that is sent as soon as its future is polled. So several are sent in the order of their futures.
pub(in crate::postgres) struct Ready<'s> {
    statement: &'s str,
    params: Params<'s>,
    /// `None`: it is sent without a name.
    named: Option<Statement>,
}

impl Statements {
    pub(super) fn new(client: Client, names: StatementNames) -> Self {
        Self { client, prepared: (names == StatementNames::Prepared).then(Mutex::default) }
    }

    /// Prepares statements, if they have names. They are then sent in the order in which their futures are polled.
    pub(in crate::postgres) async fn ready<'s>(
        &self,
        statements: impl IntoIterator<Item = (&'s str, Params<'s>)>,
    ) -> Result<Vec<Ready<'s>>, Error> {
        let ready = statements.into_iter().map(|(statement, params)| self.one(statement, params));
        join_all(ready).await.into_iter().collect()
    }

    /// Runs one statement, and returns its rows.
    pub(in crate::postgres) async fn run(
        &self,
        statement: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        self.query(self.one(statement, params).await?).await
    }

    /// Runs one statement, and returns the number of rows that it wrote.
    pub(in crate::postgres) async fn write(&self, statement: &str, params: Params<'_>) -> Result<u64, Error> {
        self.execute(self.one(statement, params).await?).await
    }

    /// Sends a statement, and returns its rows.
    pub(in crate::postgres) async fn query(&self, ready: Ready<'_>) -> Result<Vec<Row>, Error> {
        let Ready { statement, params, named } = ready;
        match named {
            Some(named) => self.noted(self.client.query(&named, &untyped(params)).await),
            None => self.client.query_typed(statement, &typed(params)).await,
        }
    }

    /// Sends a statement, and returns the number of rows that it wrote.
    pub(in crate::postgres) async fn execute(&self, ready: Ready<'_>) -> Result<u64, Error> {
        let Ready { statement, params, named } = ready;
        match named {
            Some(named) => self.noted(self.client.execute(&named, &untyped(params)).await),
            None => self.client.execute_typed(statement, &typed(params)).await,
        }
    }

    /// Prepares a statement, if it has a name and the client hasn't yet.
    async fn one<'s>(&self, statement: &'s str, params: Params<'s>) -> Result<Ready<'s>, Error> {
        let Some(prepared) = &self.prepared else { return Ok(Ready { statement, params, named: None }) };
        let known = locked(prepared).get(statement).cloned();
        let named = match known {
            Some(named) => named,
            None => {
                let types: Vec<Type> = params.iter().map(|param| param.sql_type()).collect();
                let named = self.client.prepare_typed(statement, &types).await?;
                locked(prepared).insert(statement.into(), named.clone());
                named
            }
        };
        Ok(Ready { statement, params, named: Some(named) })
    }

    /// Forgets the statements if the server refuses one that it has prepared: the tables may have changed, or a pooler
    /// has given the client another server.
    fn noted<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let (Err(error), Some(prepared)) = (&answer, &self.prepared)
            && is_stale(error)
        {
            locked(prepared).clear();
        }
        answer
    }
}

impl Deref for Statements {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
