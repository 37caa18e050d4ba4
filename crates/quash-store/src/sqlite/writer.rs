//! The only writer thread: many changes, one transaction, one fsync. It sends no result and no wake-up before
//! COMMIT has returned. `apply.rs` applies the changes.

use std::sync::Arc;

use quash_core::model::{Change, Receipt};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::{SqliteError, StoreSignals};
use super::file::checkpoint::Checkpoints;
use super::{apply, statements};
use crate::StoreError;

/// The maximum number of changes in a transaction, and roughly of rows that it writes.
const BATCH: usize = 512;

/// The number of changes that may queue before a caller has to wait.
pub(super) const QUEUE: usize = 4096;

pub(super) type Outcome = Result<Receipt, StoreError>;

/// A submitted change, and the channel for its outcome.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) change: Change,
    pub(super) outcome: oneshot::Sender<Outcome>,
}

/// The writer's connection, and the state that it shares with the other threads.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) signals: Arc<StoreSignals>,
    pub(super) checkpoints: Arc<Checkpoints>,
}

/// The reason why a batch failed.
enum BatchError {
    /// SQLite has rolled back the transaction and all its members, as it does on `FULL`, `IOERR` and `NOMEM`
    /// despite savepoints. Members that didn't cause it may still succeed alone.
    Lost,
    /// The transaction couldn't be begun or committed. If its outcome is unknown, so is that of each member.
    Refused(StoreError),
}

impl Writer {
    /// Writes until all senders are dropped, then returns the connection.
    pub(super) fn run(self, mut queue: mpsc::Receiver<Write>) -> Connection {
        let mut waiting = Vec::with_capacity(BATCH);
        let mut growth = self.checkpoints.growth();
        while queue.blocking_recv_many(&mut waiting, BATCH) > 0 {
            while !waiting.is_empty() {
                let (members, weight) = first_batch(&waiting);
                self.write(waiting.drain(..members).collect());
                growth.wrote(weight, &self.conn, &self.signals);
            }
        }
        self.conn
    }

    fn write(&self, batch: Vec<Write>) {
        let outcomes = self.outcomes(&batch);
        if let Some(seq) = outcomes.iter().flatten().filter_map(|receipt| receipt.seq).max() {
            self.signals.newest.send_replace(seq);
        }
        for (member, outcome) in batch.into_iter().zip(outcomes) {
            // The receiver is gone if the caller stopped waiting.
            let _ = member.outcome.send(outcome);
        }
    }

    /// Returns one outcome for each member, after all of them are durable.
    fn outcomes(&self, batch: &[Write]) -> Vec<Outcome> {
        if let [only] = batch {
            return vec![self.write_alone(&only.change)];
        }
        match self.write_together(batch) {
            Ok(outcomes) => outcomes,
            Err(BatchError::Lost) => batch.iter().map(|member| self.write_alone(&member.change)).collect(),
            Err(BatchError::Refused(error)) => vec![Err(error); batch.len()],
        }
    }

    fn write_together(&self, batch: &[Write]) -> Result<Vec<Outcome>, BatchError> {
        self.begin().map_err(BatchError::Refused)?;
        let outcomes =
            batch.iter().map(|member| self.write_member(&member.change)).collect::<Result<_, _>>()?;
        self.commit().map_err(BatchError::Refused)?;
        Ok(outcomes)
    }

    /// Writes one member of a batch in a savepoint, so that its conflict doesn't affect the others.
    fn write_member(&self, change: &Change) -> Result<Outcome, BatchError> {
        let written = self.run_statement(statements::SAVEPOINT).and_then(|()| {
            let receipt = apply::apply(&self.conn, change)?;
            self.run_statement(statements::RELEASE)?;
            Ok(receipt)
        });
        let error = match written {
            Ok(receipt) => return Ok(Ok(receipt)),
            Err(fault) => self.signals.to_store_error(fault),
        };
        let undone = !self.conn.is_autocommit()
            && self.run_statement(statements::ROLLBACK_MEMBER).is_ok()
            && self.run_statement(statements::RELEASE).is_ok();
        if undone {
            return Ok(Err(error));
        }
        self.roll_back();
        Err(BatchError::Lost)
    }

    /// Writes one change in its own transaction.
    fn write_alone(&self, change: &Change) -> Outcome {
        self.begin()?;
        match apply::apply(&self.conn, change) {
            Ok(receipt) => self.commit().map(|()| receipt),
            Err(fault) => {
                self.roll_back();
                Err(self.signals.to_store_error(fault))
            }
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.signals.unbroken()?;
        // Closes a transaction that a failed ROLLBACK may have left open.
        self.roll_back();
        self.run_statement(statements::BEGIN_WRITE).map_err(|fault| self.signals.to_store_error(fault))
    }

    fn commit(&self) -> Result<(), StoreError> {
        self.run_statement(statements::COMMIT).map_err(|fault| {
            self.roll_back();
            self.signals.to_commit_error(fault)
        })
    }

    /// Leaves no transaction open. If even that fails, the next one fails to begin.
    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            let _ =
                self.run_statement(statements::ROLLBACK).map_err(|fault| self.signals.to_store_error(fault));
        }
    }

    fn run_statement(&self, statement: &str) -> Result<(), SqliteError> {
        self.conn.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}

/// Returns how many queued changes go into the next transaction, and the estimated number of rows that they
/// write.
fn first_batch(waiting: &[Write]) -> (usize, usize) {
    let mut weight = 0;
    for (members, write) in waiting.iter().enumerate() {
        let more = weight + apply::weight(&write.change);
        if members > 0 && more > BATCH {
            return (members, weight);
        }
        weight = more;
    }
    (waiting.len(), weight)
}
