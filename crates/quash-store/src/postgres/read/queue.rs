//! Queues reads of the head and of sessions, which almost every request needs. Waiting reads share one statement,
//! which begins after each of them was submitted.

use std::sync::Arc;

use quash_core::model::{Head, SessionId, SessionLoaded};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::StoreError;
use crate::postgres::fault::PostgresError;
use crate::postgres::read::reader::read_session_loaded;
use crate::postgres::rows;
use crate::postgres::server::connect::Pool;
use crate::postgres::statements;
use crate::postgres::transaction::Database;

/// The most reads that share a statement.
const BATCH: usize = 256;

/// The number of reads that may wait before a caller has to.
const QUEUE: usize = 4096;

/// A submitted read, and the channel for its result.
enum QueuedRead {
    Head(oneshot::Sender<Result<Head, StoreError>>),
    Session(SessionId, oneshot::Sender<Result<SessionLoaded, StoreError>>),
}

/// The queue of reads. The readers end when it is dropped.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct ReadQueue(mpsc::Sender<QueuedRead>);

impl ReadQueue {
    /// Starts a reader for each of these pools.
    pub(in crate::postgres) fn start(database: &Arc<Database>, pools: Vec<Pool>) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for pool in pools {
            tokio::spawn(read(Arc::clone(database), pool, Arc::clone(&queue)));
        }
        Self(sender)
    }

    pub(in crate::postgres) async fn head(&self) -> Result<Head, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(QueuedRead::Head(answer)).await.map_err(|_| closing())?;
        answered.await.map_err(|_| closing())?
    }

    pub(in crate::postgres) async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(QueuedRead::Session(id, answer)).await.map_err(|_| closing())?;
        answered.await.map_err(|_| closing())?
    }
}

fn closing() -> StoreError {
    StoreError::Unavailable("it is closing".into())
}

/// Reads until all senders are dropped.
async fn read(database: Arc<Database>, pool: Pool, queue: Arc<Mutex<mpsc::Receiver<QueuedRead>>>) {
    let mut waiting = Vec::with_capacity(BATCH);
    loop {
        let taken = queue.lock().await.recv_many(&mut waiting, BATCH).await;
        if taken == 0 {
            return;
        }
        let (mut heads, mut sessions, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for queued in waiting.drain(..) {
            match queued {
                QueuedRead::Head(answer) => heads.push(answer),
                QueuedRead::Session(id, answer) => {
                    ids.push(id);
                    sessions.push(answer);
                }
            }
        }
        // A receiver is gone if the caller stopped waiting.
        match together(&database, &pool, &ids).await {
            Ok((head, loaded)) => {
                database.saw_end(head.seq, head.chain);
                for answer in heads {
                    let _ = answer.send(Ok(head));
                }
                for (answer, loaded) in sessions.into_iter().zip(loaded) {
                    let _ = answer.send(loaded.map_err(StoreError::from));
                }
            }
            Err(error) => {
                let error = StoreError::from(error);
                for answer in heads {
                    let _ = answer.send(Err(error.clone()));
                }
                for answer in sessions {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The head, and the sessions with these ids. An unreadable row is an error for its reader alone.
async fn together(
    database: &Database,
    pool: &Pool,
    ids: &[SessionId],
) -> Result<(Head, Vec<Result<SessionLoaded, PostgresError>>), PostgresError> {
    let found = if ids.is_empty() {
        database.query_on(pool, statements::HEAD, &[]).await?
    } else {
        let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        database.query_on(pool, statements::SESSIONS, &[&ids]).await?
    };
    let head = rows::only(&found, rows::head)?;
    let loaded = if ids.is_empty() {
        Vec::new()
    } else {
        found.iter().map(|row| read_session_loaded(&mut rows::Columns::of(row))).collect()
    };
    Ok((head, loaded))
}
