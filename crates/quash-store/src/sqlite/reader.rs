//! The reader threads. Reads share a transaction, in which the head is read first. `writer.rs` writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quash_core::model::{
    Account, AccountBy, AccountLoaded, Client, ClientName, Ending, Entry, ForeignLoaded, Head, KeyRecord,
    ScopeKey, Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded, StoredClient, Subject, Timestamp,
};
use rusqlite::{Connection, named_params};
use tokio::sync::{mpsc, oneshot};

use super::fault::{SqliteError, StoreSignals, unavailable};
use super::rows::ReadColumns;
use super::{rows, statements};
use crate::StoreError;

/// The number of reads that may queue before a caller has to wait.
const QUEUE: usize = 4096;

/// The maximum number of reads that share one transaction.
const BATCH: usize = 64;

/// A submitted read. It sends its result to the caller itself.
type Read = Box<dyn FnOnce(&Connection, Result<Head, StoreError>, &StoreSignals) + Send>;

/// The sending end of the queue of reads.
#[derive(Clone, Debug)]
pub(super) struct Reads(mpsc::Sender<Read>);

/// The receiving end of the queue, shared by the reader threads.
#[derive(Debug)]
pub(super) struct ReadQueue(Mutex<mpsc::Receiver<Read>>);

/// Creates a queue of reads for several threads.
pub(super) fn queue() -> (Reads, Arc<ReadQueue>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Reads(sender), Arc::new(ReadQueue(Mutex::new(receiver))))
}

impl Reads {
    /// Runs `read` in a read transaction that has already read the head.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, Head) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |conn, head, signals| {
            let found = head.and_then(|head| read(conn, head).map_err(|fault| signals.to_store_error(fault)));
            // The receiver is gone if the caller stopped waiting.
            let _ = answer.send(found);
        });
        self.0.send(read).await.map_err(|_| unavailable("it is closing"))?;
        answered.await.map_err(|_| unavailable("it is closing"))?
    }
}

impl ReadQueue {
    /// Runs a reader thread until all senders are dropped.
    ///
    /// Answers all queued reads in one transaction, which begins after each of them was submitted. This saves
    /// work: after every write, SQLite has to read its pages again.
    pub(super) fn run(&self, conn: &Connection, signals: &StoreSignals) {
        let mut waiting = Vec::with_capacity(BATCH);
        while self.take(&mut waiting) > 0 {
            let head =
                signals.unbroken().and_then(|()| begin(conn).map_err(|fault| signals.to_store_error(fault)));
            for read in waiting.drain(..) {
                read(conn, head.clone(), signals);
            }
            if let Err(fault) = end(conn) {
                signals.to_store_error(fault);
            }
        }
    }

    fn take(&self, waiting: &mut Vec<Read>) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv_many(waiting, BATCH)
    }
}

/// Begins a read transaction and reads the head.
fn begin(conn: &Connection) -> Result<Head, SqliteError> {
    conn.prepare_cached(statements::BEGIN_READ)?.execute([])?;
    rows::head(conn)
}

/// Releases the snapshot.
fn end(conn: &Connection) -> Result<(), SqliteError> {
    if !conn.is_autocommit() {
        conn.prepare_cached(statements::ROLLBACK)?.execute([])?;
    }
    Ok(())
}

pub(super) fn account(
    conn: &Connection,
    head: Head,
    by: &AccountBy,
    now: Timestamp,
) -> Result<AccountLoaded, SqliteError> {
    let account = match by {
        AccountBy::Name(folded) => by_name(conn, folded)?,
        AccountBy::Subject(subject) => {
            let values = named_params! { ":subject": subject.as_str() };
            rows::one(conn, statements::ACCOUNT_BY_SUBJECT, values, rows::row)?
        }
        AccountBy::Email(folded) => by_email(conn, folded, None)?,
        AccountBy::NameOrEmail(folded) => by_email(conn, folded, by_name(conn, folded)?)?,
    };
    loaded(conn, head, account, now)
}

fn by_name(conn: &Connection, folded: &str) -> Result<Option<Account>, SqliteError> {
    let values = named_params! { ":username_folded": folded };
    rows::one(conn, statements::ACCOUNT_BY_NAME, values, rows::row)
}

/// Returns the account that has confirmed an address; else the account of that name; else the account that has
/// the address.
fn by_email(conn: &Connection, folded: &str, named: Option<Account>) -> Result<Option<Account>, SqliteError> {
    let values = named_params! { ":email_folded": folded };
    let addressed = rows::one(conn, statements::ACCOUNT_BY_EMAIL, values, rows::row)?;
    let is_confirmed =
        |account: &Account| account.email.as_ref().is_some_and(|email| email.verified_at.is_some());
    Ok(if addressed.as_ref().is_some_and(is_confirmed) { addressed } else { named.or(addressed) })
}

pub(super) fn is_gone(conn: &Connection, subject: &Subject) -> Result<bool, SqliteError> {
    rows::exists(conn, statements::IS_GONE, named_params! { ":subject": subject.as_str() })
}

pub(super) fn largest_number(conn: &Connection) -> Result<u64, SqliteError> {
    Ok(rows::one(conn, statements::LARGEST_NUMBER, &[], |columns| columns.count())?.unwrap_or(0))
}

pub(super) fn foreign(
    conn: &Connection,
    head: Head,
    key: ScopeKey,
    scopes: &[ScopeKey],
    user: ScopeKey,
    by: Option<&AccountBy>,
    now: Timestamp,
) -> Result<ForeignLoaded, SqliteError> {
    let read = |columns: &mut rows::Columns<'_, '_>| Ok((rows::row(columns)?, rows::row(columns)?));
    let adopted = rows::one(conn, statements::ADOPTED, named_params! { ":foreign_key": key.0 }, read)?;
    let mut revoked = rows::exists(conn, statements::ADOPTED_BEFORE, named_params! { ":key": key.0 })?;
    for scope in scopes {
        revoked |= rows::exists(conn, statements::REVOKED_ALREADY, named_params! { ":key": scope.0 })?;
    }
    let account = match by {
        Some(by) => account(conn, head, by, now)?,
        None => loaded(conn, head, None, now)?,
    };
    let of_user = named_params! { ":key": user.0 };
    let freed_at =
        rows::one(conn, statements::FREED_AT, of_user, |columns| columns.optional_moment())?.flatten();
    Ok(ForeignLoaded { account, adopted, revoked, freed_at })
}

pub(super) fn accounts(
    conn: &Connection,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Account>, SqliteError> {
    // No folded name is empty.
    let values = named_params! { ":after": after.unwrap_or_default(), ":limit": limit };
    rows::all(conn, statements::ACCOUNTS, values, rows::row)
}

/// One lookup per class: there are few, and the index sorts them.
pub(super) fn password_classes(conn: &Connection, limit: u32) -> Result<Vec<String>, SqliteError> {
    let mut classes: Vec<String> = Vec::new();
    while classes.len() < limit as usize {
        let after = classes.last().map_or("", String::as_str);
        let values = named_params! { ":after": after };
        let next = rows::one(conn, statements::PASSWORD_CLASS_AFTER, values, |columns| {
            columns.take::<Option<String>>()
        })?;
        match next.flatten() {
            Some(class) => classes.push(class),
            None => break,
        }
    }
    Ok(classes)
}

pub(super) fn session(conn: &Connection, head: Head, id: SessionId) -> Result<SessionLoaded, SqliteError> {
    let values = named_params! { ":sid": id.as_bytes() };
    let found = rows::one(conn, statements::SESSION, values, |columns| {
        Ok((rows::row(columns)?, rows::row(columns)?))
    })?;
    Ok(SessionLoaded { head, found })
}

pub(super) fn sessions_of(
    conn: &Connection,
    subject: &Subject,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<Session>, SqliteError> {
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let values = named_params! { ":subject": subject.as_str(), ":after": after, ":limit": limit };
    rows::all(conn, statements::SESSIONS_OF, values, rows::row)
}

pub(super) fn entries_after(conn: &Connection, after: Seq, limit: u32) -> Result<Vec<Entry>, SqliteError> {
    // No stored number exceeds i64: nothing follows a number that does.
    let after = i64::try_from(after.as_u64()).unwrap_or(i64::MAX);
    rows::all(conn, statements::ENTRIES_AFTER, named_params! { ":after": after, ":limit": limit }, rows::row)
}

pub(super) fn entries_between(
    conn: &Connection,
    after: Seq,
    until: Seq,
    limit: u32,
) -> Result<Vec<(Entry, bool)>, SqliteError> {
    let bound = |seq: Seq| i64::try_from(seq.as_u64()).unwrap_or(i64::MAX);
    let read = |columns: &mut rows::Columns<'_, '_>| Ok((rows::row(columns)?, columns.take()?));
    let values = named_params! { ":after": bound(after), ":until": bound(until), ":limit": limit };
    rows::all(conn, statements::ENTRIES_BETWEEN, values, read)
}

pub(super) fn entries_of(conn: &Connection, keys: &[ScopeKey]) -> Result<Vec<Entry>, SqliteError> {
    let mut found = BTreeMap::new();
    for key in keys {
        let entries =
            rows::all(conn, statements::ENTRIES_OF, named_params! { ":key": key.0 }, rows::row::<Entry>)?;
        found.extend(entries.into_iter().map(|entry| (entry.seq, entry)));
    }
    Ok(found.into_values().collect())
}

/// Two lookups per number: over the account, and over everything.
pub(super) fn endings(
    conn: &Connection,
    of: &Subject,
    after: &[Seq],
) -> Result<Vec<Option<Ending>>, SqliteError> {
    let first = |subject: Option<&str>, after: i64| {
        let values = named_params! { ":subject": subject, ":after": after };
        rows::one(conn, statements::FIRST_ENDING, values, rows::ending)
    };
    let found = |after: &Seq| {
        let after = i64::try_from(after.as_u64()).unwrap_or(i64::MAX);
        let (own, everything) = (first(Some(of.as_str()), after)?, first(None, after)?);
        Ok(own
            .into_iter()
            .chain(everything)
            .min_by_key(|(watermark, _)| *watermark)
            .map(|(_, ending)| ending))
    };
    after.iter().map(found).collect()
}

pub(super) fn keys(conn: &Connection) -> Result<Vec<KeyRecord>, SqliteError> {
    rows::all(conn, statements::KEYS, &[], rows::row)
}

pub(super) fn client(conn: &Connection, digest: SecretDigest) -> Result<Option<Client>, SqliteError> {
    rows::one(conn, statements::CLIENT_BY_SECRET, named_params! { ":digest": digest.0 }, rows::row)
}

pub(super) fn clients(
    conn: &Connection,
    after: Option<&ClientName>,
    limit: u32,
) -> Result<Vec<StoredClient>, SqliteError> {
    // No name is empty.
    let values = named_params! { ":after": after.map_or("", ClientName::as_str), ":limit": limit };
    rows::all(conn, statements::CLIENTS, values, rows::row)
}

pub(super) fn client_named(
    conn: &Connection,
    name: &ClientName,
) -> Result<Option<StoredClient>, SqliteError> {
    rows::one(conn, statements::CLIENT_BY_NAME, named_params! { ":name": name.as_str() }, rows::row)
}

pub(super) fn secret(conn: &Connection, name: &str) -> Result<Option<Sealed>, SqliteError> {
    rows::one(conn, statements::SECRET, named_params! { ":name": name }, |columns| columns.take().map(Sealed))
}

pub(super) fn remembered(conn: &Connection, name: &str) -> Result<Option<String>, SqliteError> {
    rows::one(conn, statements::REMEMBERED, named_params! { ":name": name }, |columns| columns.take())
}

fn loaded(
    conn: &Connection,
    head: Head,
    account: Option<Account>,
    now: Timestamp,
) -> Result<AccountLoaded, SqliteError> {
    let Some(account) = account else {
        return Ok(AccountLoaded { head, account: None, live_sessions: 0, longest_idle: None });
    };
    let watermark = rows::stored(account.sessions_before.max(head.sessions_before).as_u64())?;
    let counted = named_params! {
        ":subject": account.subject.as_str(), ":now": now.as_millis(), ":watermark": watermark,
    };
    let live_sessions =
        rows::one(conn, statements::LIVE_SESSIONS, counted, |columns| columns.take())?.unwrap_or(0);
    let longest_idle = rows::one(conn, statements::IDLEST, counted, rows::row)?;
    Ok(AccountLoaded { head, account: Some(account), live_sessions, longest_idle })
}
