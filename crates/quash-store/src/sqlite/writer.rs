//! The one thread that writes: many changes, one transaction, one fsync. No answer and no wake-up leaves before
//! COMMIT has returned. What a change writes is in `apply`.

use std::sync::Arc;

use quash_core::model::{Change, Receipt};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::fault::{Fault, Signals};
use super::{apply, statements};
use crate::StoreError;

/// The most changes in one transaction, and about the most rows that one may write.
const BATCH: usize = 512;

/// How many changes may wait before whoever brings another one waits too.
pub(super) const QUEUE: usize = 4096;

/// What becomes of a change.
pub(super) type Outcome = Result<Receipt, StoreError>;

/// A change on its way to the writer, and where its outcome is awaited.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) change: Change,
    pub(super) outcome: oneshot::Sender<Outcome>,
}

/// The writer's connection and what it needs beside it.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) signals: Arc<Signals>,
    pub(super) checkpoints: Arc<Checkpoints>,
}

/// Why a batch came to nothing.
enum Undone {
    /// The transaction is gone, and what its members wrote with it. SQLite does that on `FULL`, `IOERR` and `NOMEM`,
    /// whatever savepoints there are. Members that aren't to blame may still succeed alone.
    Lost,
    /// It couldn't be begun or committed.
    Refused(StoreError),
}

impl Writer {
    /// Writes until nobody can bring another change, then gives the connection back.
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
            // Whoever stopped waiting doesn't need it.
            let _ = member.outcome.send(outcome);
        }
    }

    /// One outcome for each member, none of them before it is durable.
    fn outcomes(&self, batch: &[Write]) -> Vec<Outcome> {
        if let [only] = batch {
            return vec![self.write_alone(&only.change)];
        }
        match self.write_together(batch) {
            Ok(outcomes) => outcomes,
            Err(Undone::Lost) => batch.iter().map(|member| self.write_alone(&member.change)).collect(),
            Err(Undone::Refused(error)) => vec![Err(error); batch.len()],
        }
    }

    fn write_together(&self, batch: &[Write]) -> Result<Vec<Outcome>, Undone> {
        self.begin().map_err(Undone::Refused)?;
        let outcomes =
            batch.iter().map(|member| self.write_member(&member.change)).collect::<Result<_, _>>()?;
        self.commit().map_err(Undone::Refused)?;
        Ok(outcomes)
    }

    /// One member of a batch, in a savepoint, so that its conflict leaves the others alone.
    fn write_member(&self, change: &Change) -> Result<Outcome, Undone> {
        let written = self.run_statement(statements::SAVEPOINT).and_then(|()| {
            let receipt = apply::apply(&self.conn, change)?;
            self.run_statement(statements::RELEASE)?;
            Ok(receipt)
        });
        let error = match written {
            Ok(receipt) => return Ok(Ok(receipt)),
            Err(fault) => self.signals.told(fault),
        };
        let undone = !self.conn.is_autocommit()
            && self.run_statement(statements::ROLLBACK_MEMBER).is_ok()
            && self.run_statement(statements::RELEASE).is_ok();
        if undone {
            return Ok(Err(error));
        }
        self.roll_back();
        Err(Undone::Lost)
    }

    /// One change in a transaction of its own.
    fn write_alone(&self, change: &Change) -> Outcome {
        self.begin()?;
        match apply::apply(&self.conn, change) {
            Ok(receipt) => self.commit().map(|()| receipt),
            Err(fault) => {
                self.roll_back();
                Err(self.signals.told(fault))
            }
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.signals.unbroken()?;
        // What a failed ROLLBACK may have left open.
        self.roll_back();
        self.run_statement(statements::BEGIN_WRITE).map_err(|fault| self.signals.told(fault))
    }

    fn commit(&self) -> Result<(), StoreError> {
        self.run_statement(statements::COMMIT).map_err(|fault| {
            self.roll_back();
            self.signals.told(fault)
        })
    }

    /// Leaves no transaction open. If even that fails, the next one can't begin, and says so.
    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            let _ = self.run_statement(statements::ROLLBACK).map_err(|fault| self.signals.told(fault));
        }
    }

    fn run_statement(&self, statement: &str) -> Result<(), Fault> {
        self.conn.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}

/// How many of those waiting go into the next transaction, and about how many rows they write.
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
