//! Writes many changes of one kind in one statement: rotations, and ends of sessions. Each kind has one
//! writer with its own connection, which takes what waits. All other changes run alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use quash_core::model::{
    Change, Entry, NewAudit, Reason, Receipt, SessionEnd, SessionId, Subject, Timestamp,
};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;

use crate::StoreError;
use crate::log::LogEnd;
use crate::postgres::apply;
use crate::postgres::fault::PostgresError;
use crate::postgres::rows::{self, ReadColumns};
use crate::postgres::server::connect::Pool;
use crate::postgres::statements;
use crate::postgres::transaction::{Database, Statement, Transaction};

/// The most changes in a batch.
const BATCH: usize = 512;

/// The number of changes that may wait before a caller has to.
const QUEUE: usize = 4096;

type Outcome = Result<Receipt, StoreError>;

/// A submitted change, and the channel for its outcome.
struct Submitted {
    session: SessionId,
    change: Change,
    outcome: oneshot::Sender<Outcome>,
}

/// The queues of the writers. They end when these are dropped.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct Lanes {
    rotations: mpsc::Sender<Submitted>,
    endings: mpsc::Sender<Submitted>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    Rotations,
    Endings,
}

impl Lanes {
    /// Starts the writers, each with a pool of one connection.
    pub(in crate::postgres) fn start(database: &Arc<Database>, rotations: Pool, endings: Pool) -> Self {
        let start = |lane, pool| {
            let (sender, queue) = mpsc::channel(QUEUE);
            tokio::spawn(write(Arc::clone(database), pool, lane, queue));
            sender
        };
        Self { rotations: start(Lane::Rotations, rotations), endings: start(Lane::Endings, endings) }
    }

    /// Writes a change, with others of its kind or alone. A change that was begun is completed, even if the
    /// caller stops waiting.
    pub(in crate::postgres) async fn commit(&self, database: &Arc<Database>, change: Change) -> Outcome {
        let (lane, session) = match &change {
            Change::Rotate { session, .. } => (&self.rotations, *session),
            Change::EndSessions { sessions, tokens } if tokens.is_empty() && sessions.len() == 1 => {
                (&self.endings, sessions[0].session)
            }
            _ => {
                let database = Arc::clone(database);
                let written = tokio::spawn(async move { apply::commit(&database, &change).await });
                return written.await.map_err(|_| ended())?;
            }
        };
        let (outcome, written) = oneshot::channel();
        let closing = |_| StoreError::Unavailable("it is closing".into());
        lane.send(Submitted { session, change, outcome }).await.map_err(closing)?;
        written.await.map_err(|_| ended())?
    }
}

fn ended() -> StoreError {
    StoreError::Unknown("the task that wrote it has ended".into())
}

/// Writes until all senders are dropped.
async fn write(database: Arc<Database>, pool: Pool, lane: Lane, mut queue: mpsc::Receiver<Submitted>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut waiting, BATCH).await > 0 {
        let mut batch = BTreeMap::new();
        for member in waiting.drain(..) {
            // The first change of a session wins.
            match batch.entry(member.session) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(member);
                }
                std::collections::btree_map::Entry::Occupied(_) => {
                    let _ = member.outcome.send(Err(StoreError::Conflict));
                }
            }
        }
        let members: Vec<Submitted> = batch.into_values().collect();
        let outcomes = outcomes(&database, &pool, lane, &members).await;
        for (member, outcome) in members.into_iter().zip(outcomes) {
            // The receiver is gone if the caller stopped waiting.
            let _ = member.outcome.send(outcome);
        }
    }
}

/// Returns one outcome for each member, after all of them are durable.
async fn outcomes(database: &Database, pool: &Pool, lane: Lane, members: &[Submitted]) -> Vec<Outcome> {
    let written = match lane {
        Lane::Rotations => rotate(database, pool, members).await,
        Lane::Endings => end(database, pool, members).await,
    };
    match written {
        Ok(outcomes) => outcomes,
        // PostgreSQL has undone all of them, perhaps because of one.
        Err(error) if error.is_lost_race() => {
            let mut outcomes = Vec::with_capacity(members.len());
            for member in members {
                outcomes.push(apply::commit(database, &member.change).await);
            }
            outcomes
        }
        Err(error) => vec![Err(error.into()); members.len()],
    }
}

async fn rotate(
    database: &Database,
    pool: &Pool,
    members: &[Submitted],
) -> Result<Vec<Outcome>, PostgresError> {
    let mut ids: Vec<&[u8]> = Vec::with_capacity(members.len());
    let (mut from_all, mut following, mut rotated, mut idle) = (vec![], vec![], vec![], vec![]);
    for member in members {
        let Change::Rotate { session, from, rotated_at, idle_until } = &member.change else { continue };
        ids.push(session.as_bytes());
        from_all.push(i64::from(from.0));
        following.push(i64::from(from.next().0));
        rotated.push(rotated_at.as_millis());
        idle.push(idle_until.as_millis());
    }
    let update: Statement<'_> = (statements::ROTATE_ALL, vec![&ids, &from_all, &following, &rotated, &idle]);
    let (transaction, answers) = database.begin_on(pool, &[update]).await?;
    let written = written(answers.first())?;
    finish(transaction, &written, &[]).await?;
    let outcome = |member: &Submitted| {
        if written.contains(member.session.as_bytes()) {
            Ok(Receipt::default())
        } else {
            Err(StoreError::Conflict)
        }
    };
    Ok(members.iter().map(outcome).collect())
}

async fn end(database: &Database, pool: &Pool, members: &[Submitted]) -> Result<Vec<Outcome>, PostgresError> {
    let ends: Vec<&SessionEnd> = members
        .iter()
        .filter_map(|member| match &member.change {
            Change::EndSessions { sessions, .. } => sessions.first(),
            _ => None,
        })
        .collect();
    let ids: Vec<&[u8]> = ends.iter().map(|end| end.session.as_bytes().as_slice()).collect();
    let endings: Vec<_> = ends.iter().map(|end| end.ending()).collect();
    let reasons: Vec<&str> = endings.iter().map(|ending| ending.reason.as_str()).collect();
    let moments: Vec<i64> = endings.iter().map(|ending| ending.at.as_millis()).collect();
    let actors: Vec<&str> = endings.iter().map(|ending| ending.actor.as_str()).collect();
    let update: Statement<'_> = (statements::END_ALL, vec![&ids, &reasons, &moments, &actors]);
    let lock = (statements::LOCK_LOG, Vec::new());
    let log_end = (statements::LOG_END, Vec::new());
    let (transaction, answers) = database.begin_on(pool, &[update, lock, log_end]).await?;
    let written = written(answers.first())?;
    let mut end = rows::log_end(&rows::only(answers.get(2).map_or(&[][..], Vec::as_slice), rows::head)?);

    let mut entries = Vec::new();
    let mut audits = Vec::new();
    let mut outcomes = Vec::with_capacity(members.len());
    for (member, ended) in members.iter().zip(&ends) {
        if !written.contains(member.session.as_bytes()) {
            outcomes.push(Err(StoreError::Conflict));
            continue;
        }
        for new in std::iter::once(&ended.entry).chain(&ended.adopted) {
            let entry = end.followed_by(new);
            end = LogEnd { seq: entry.seq, chain: entry.chain, ..end };
            entries.push(entry);
        }
        audits.extend(NewAudit::of(&member.change).into_iter().map(|new| (new, end.seq)));
        outcomes.push(Ok(Receipt::appended(end.seq)));
    }
    let columns = EntryColumns::of(&entries)?;
    let rows = AuditColumns::of(&audits)?;
    let inserts = [(statements::ADD_ENTRIES, columns.params()), (statements::ADD_AUDITS, rows.params())];
    finish(transaction, &written, &inserts).await?;
    database.saw_end(end.seq, end.chain);
    Ok(outcomes)
}

/// The ids that a statement has returned.
fn written(rows: Option<&Vec<Row>>) -> Result<HashSet<[u8; 16]>, PostgresError> {
    let ids = rows::all(rows.map_or(&[][..], Vec::as_slice), |columns| columns.bytes())?;
    Ok(ids.into_iter().collect())
}

/// Commits a batch. One that has changed nothing is undone: its locks alone would cost a flush.
async fn finish(
    transaction: Transaction<'_>,
    written: &HashSet<[u8; 16]>,
    statements: &[Statement<'_>],
) -> Result<(), PostgresError> {
    if written.is_empty() {
        transaction.roll_back().await;
        return Ok(());
    }
    transaction.commit_after(statements).await
}

/// Entries of the log as arrays.
#[derive(Debug, Default)]
pub(in crate::postgres) struct EntryColumns<'e> {
    numbers: Vec<i64>,
    kinds: Vec<i16>,
    keys: Vec<&'e [u8]>,
    dropped: Vec<Option<i64>>,
    reasons: Vec<&'e str>,
    moments: Vec<i64>,
    actors: Vec<&'e str>,
    chains: Vec<&'e [u8]>,
    events: Vec<Option<i64>>,
}

impl<'e> EntryColumns<'e> {
    pub(in crate::postgres) fn of(entries: &'e [Entry]) -> Result<Self, PostgresError> {
        let mut columns = Self::default();
        for entry in entries {
            columns.numbers.push(rows::stored(entry.seq.as_u64())?);
            columns.kinds.push(i16::from(entry.kind.as_u8()));
            columns.keys.push(&entry.key.0);
            columns.dropped.push(entry.drop_after.map(Timestamp::as_millis));
            columns.reasons.push(entry.reason.as_str());
            columns.moments.push(entry.at.as_millis());
            columns.actors.push(entry.actor.as_str());
            columns.chains.push(&entry.chain);
            columns.events.push(entry.until.map(Timestamp::as_millis));
        }
        Ok(columns)
    }

    pub(in crate::postgres) fn params(&self) -> Vec<&dyn crate::postgres::params::Param> {
        vec![
            &self.numbers,
            &self.kinds,
            &self.keys,
            &self.dropped,
            &self.reasons,
            &self.moments,
            &self.actors,
            &self.chains,
            &self.events,
        ]
    }
}

/// Entries of the audit without personal data, as arrays.
#[derive(Debug, Default)]
struct AuditColumns<'e> {
    moments: Vec<i64>,
    events: Vec<&'e str>,
    actors: Vec<&'e str>,
    reasons: Vec<Option<&'e str>>,
    subjects: Vec<Option<&'e str>>,
    sessions: Vec<Option<&'e [u8]>>,
    numbers: Vec<i64>,
}

impl<'e> AuditColumns<'e> {
    fn of(audits: &'e [(NewAudit, quash_core::model::Seq)]) -> Result<Self, PostgresError> {
        let mut columns = Self::default();
        for (new, seq) in audits {
            columns.moments.push(new.at.as_millis());
            columns.events.push(new.event.as_str());
            columns.actors.push(new.actor.as_str());
            columns.reasons.push(new.reason.map(Reason::as_str));
            columns.subjects.push(new.subject.as_ref().map(Subject::as_str));
            columns.sessions.push(new.session.as_ref().map(|session| session.as_bytes().as_slice()));
            columns.numbers.push(rows::stored(seq.as_u64())?);
        }
        Ok(columns)
    }

    fn params(&self) -> Vec<&dyn crate::postgres::params::Param> {
        vec![
            &self.moments,
            &self.events,
            &self.actors,
            &self.reasons,
            &self.subjects,
            &self.sessions,
            &self.numbers,
        ]
    }
}
