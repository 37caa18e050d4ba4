//! The reads. A read that returns a head is one statement, or one transaction with one snapshot.

use quash_core::model::{
    Account, AccountBy, AccountLoaded, Client, ClientName, Digest, EarlierRequests, Ending, Entry, Flow,
    FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord, Mail, RegistrationBy, ScopeKey, Sealed,
    SecretDigest, Seq, Session, SessionId, SessionLoaded, StoredClient, Subject, Timestamp, limits,
};
use tokio_postgres::Row;

use crate::StoreError;
use crate::postgres::fault::PostgresError;
use crate::postgres::rows::{self, Columns, ReadColumns};
use crate::postgres::server::connect::Pool;
use crate::postgres::statements;
use crate::postgres::transaction::Database;

/// The number of columns of an account, and of a session.
const ACCOUNT: usize = 19;
const SESSION: usize = 19;

async fn head(database: &Database) -> Result<Head, PostgresError> {
    let head = rows::only(&database.query(statements::HEAD, &[]).await?, rows::head)?;
    database.saw_end(head.seq, head.chain);
    Ok(head)
}

/// The statement that loads an account, and its first parameter. `None` if PostgreSQL can store no such
/// text.
fn account_query(by: &AccountBy) -> Option<(&'static str, &str)> {
    let (statement, text) = match by {
        AccountBy::Name(folded) => (statements::ACCOUNT_BY_NAME, folded.as_str()),
        AccountBy::Subject(subject) => (statements::ACCOUNT_BY_SUBJECT, subject.as_str()),
        AccountBy::Email(folded) => (statements::ACCOUNT_BY_EMAIL, folded.as_str()),
        AccountBy::NameOrEmail(folded) => (statements::ACCOUNT_BY_NAME_OR_EMAIL, folded.as_str()),
    };
    rows::is_storable(text).then_some((statement, text))
}

pub(in crate::postgres) async fn account(
    database: &Database,
    by: &AccountBy,
    now: Timestamp,
) -> Result<AccountLoaded, PostgresError> {
    let Some((statement, text)) = account_query(by) else { return Ok(nobody(head(database).await?)) };
    let loaded =
        rows::only(&database.query(statement, &[&text, &now.as_millis()]).await?, read_account_loaded)?;
    database.saw_end(loaded.head.seq, loaded.head.chain);
    Ok(loaded)
}

fn nobody(head: Head) -> AccountLoaded {
    AccountLoaded { head, account: None, live_sessions: 0, longest_idle: None }
}

fn read_account_loaded(columns: &mut Columns<'_>) -> Result<AccountLoaded, PostgresError> {
    let head = rows::head(columns)?;
    if columns.skip_null(ACCOUNT)? {
        return Ok(nobody(head));
    }
    let account = rows::row(columns)?;
    let live_sessions = columns.number()?;
    let longest_idle = if columns.skip_null(SESSION)? { None } else { Some(rows::row(columns)?) };
    Ok(AccountLoaded { head, account: Some(account), live_sessions, longest_idle })
}

fn read_session_and_account(columns: &mut Columns<'_>) -> Result<(Session, Account), PostgresError> {
    Ok((rows::row(columns)?, rows::row(columns)?))
}

/// Several statements, in one snapshot.
pub(in crate::postgres) async fn foreign(
    database: &Database,
    key: ScopeKey,
    scopes: &[ScopeKey],
    user: ScopeKey,
    by: Option<&AccountBy>,
    now: Timestamp,
) -> Result<ForeignLoaded, PostgresError> {
    let query = by.and_then(account_query);
    let now = now.as_millis();
    let (key, user) = (key.0.as_slice(), user.0.as_slice());
    let scopes: Vec<&[u8]> = scopes.iter().map(|scope| scope.0.as_slice()).collect();
    let snapshot = database.begin_read().await?;
    let account = match query {
        Some((statement, text)) => {
            rows::only(&snapshot.query(statement, &[&text, &now]).await?, read_account_loaded)?
        }
        None => nobody(rows::only(&snapshot.query(statements::HEAD, &[]).await?, rows::head)?),
    };
    let found = snapshot.query(statements::ADOPTED, &[&key]).await?;
    let adopted = rows::first(&found, read_session_and_account)?;
    let found = snapshot.query(statements::FOREIGN, &[&key, &scopes, &user]).await?;
    let (revoked, freed_at) =
        rows::only(&found, |columns| Ok((columns.take()?, columns.optional_moment()?)))?;
    snapshot.roll_back().await;
    database.saw_end(account.head.seq, account.head.chain);
    Ok(ForeignLoaded { account, adopted, revoked, freed_at })
}

/// Up to the first U+0000, which no stored text contains: what follows a text up to there, follows it.
fn after(text: Option<&str>) -> &str {
    text.and_then(|text| text.split('\0').next()).unwrap_or_default()
}

pub(in crate::postgres) async fn accounts(
    database: &Database,
    folded: Option<&str>,
    limit: u32,
) -> Result<Vec<Account>, PostgresError> {
    let found = database.query(statements::ACCOUNTS, &[&after(folded), &i64::from(limit)]).await?;
    rows::all(&found, rows::row)
}

pub(in crate::postgres) async fn is_gone(
    database: &Database,
    subject: &Subject,
) -> Result<bool, PostgresError> {
    Ok(!database.query(statements::IS_GONE, &[&subject.as_str()]).await?.is_empty())
}

pub(in crate::postgres) async fn largest_number(database: &Database) -> Result<u64, PostgresError> {
    rows::only(&database.query(statements::LARGEST_NUMBER, &[]).await?, |columns| columns.count())
}

pub(in crate::postgres) async fn password_classes(
    database: &Database,
    limit: u32,
) -> Result<Vec<String>, PostgresError> {
    let found = database.query(statements::PASSWORD_CLASSES, &[&i64::from(limit)]).await?;
    rows::all(&found, |columns| columns.take())
}

pub(in crate::postgres) fn read_session_loaded(
    columns: &mut Columns<'_>,
) -> Result<SessionLoaded, PostgresError> {
    let head = rows::head(columns)?;
    let found = if columns.skip_null(SESSION)? { None } else { Some(read_session_and_account(columns)?) };
    Ok(SessionLoaded { head, found })
}

pub(in crate::postgres) async fn sessions_of(
    database: &Database,
    subject: &Subject,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<Session>, PostgresError> {
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let values = (subject.as_str(), after, i64::from(limit));
    rows::all(&database.query(statements::SESSIONS_OF, &[&values.0, &values.1, &values.2]).await?, rows::row)
}

pub(in crate::postgres) async fn entries_after(
    database: &Database,
    after: Seq,
    limit: u32,
) -> Result<Vec<Entry>, PostgresError> {
    let values = (rows::bound(after.as_u64()), i64::from(limit));
    let found = database.query(statements::ENTRIES_AFTER, &[&values.0, &values.1]).await?;
    let entries: Vec<Entry> = rows::all(&found, rows::row)?;
    // They may be newer than any head that was read.
    if let Some(last) = entries.last() {
        database.saw_end(last.seq, last.chain);
    }
    Ok(entries)
}

pub(in crate::postgres) async fn follow(
    database: &Database,
    pool: &Pool,
    after: Seq,
    limit: u32,
) -> Result<Followed, PostgresError> {
    let values = (rows::bound(after.as_u64()), i64::from(limit));
    let seen = database.end.borrow().seq.max(after);
    let found = database.query_on(pool, statements::FOLLOW, &[&values.0, &values.1]).await?;
    let head = rows::only(&found, rows::head)?;
    let entry = |row: &Row| {
        let mut columns = Columns::of(row);
        rows::head(&mut columns)?;
        if columns.skip_null(0)? { Ok(None) } else { rows::row(&mut columns).map(Some) }
    };
    let entries: Vec<_> =
        found.iter().map(entry).collect::<Result<Vec<_>, PostgresError>>()?.into_iter().flatten().collect();
    // The log never shrinks from one read to the next, and keeps its entries. If it doesn't, another server has
    // answered, even if its identity is the same.
    if head.seq < seen || database.contradicts(&head, &entries) {
        if let Some(history) = database.target.history() {
            history.find(history.own());
        }
        let fault = "the log lacks entries that this process has seen";
        return Err(StoreError::Unavailable(fault.into()).into());
    }
    database.recent.add(&entries);
    database.saw_end(head.seq, head.chain);
    Ok(Followed { head, entries })
}

pub(in crate::postgres) async fn entries_between(
    database: &Database,
    after: Seq,
    until: Seq,
    limit: u32,
) -> Result<Vec<(Entry, bool)>, PostgresError> {
    let values = (rows::bound(after.as_u64()), rows::bound(until.as_u64()), i64::from(limit));
    let found = database.query(statements::ENTRIES_BETWEEN, &[&values.0, &values.1, &values.2]).await?;
    rows::all(&found, |columns| Ok((rows::row(columns)?, columns.take()?)))
}

pub(in crate::postgres) async fn entries_of(
    database: &Database,
    keys: &[ScopeKey],
) -> Result<Vec<Entry>, PostgresError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.0.as_slice()).collect();
    rows::all(&database.query(statements::ENTRIES_OF, &[&keys]).await?, rows::row)
}

pub(in crate::postgres) async fn unblanked(database: &Database) -> Result<Option<Subject>, PostgresError> {
    rows::first(&database.query(statements::UNBLANKED, &[]).await?, |columns| columns.subject())
}

pub(in crate::postgres) async fn endings(
    database: &Database,
    of: &Subject,
    after: &[Seq],
) -> Result<Vec<Option<Ending>>, PostgresError> {
    let after: Vec<i64> = after.iter().map(|seq| rows::bound(seq.as_u64())).collect();
    let found = database.query(statements::ENDINGS, &[&of.as_str(), &after]).await?;
    rows::all(&found, rows::optional_ending)
}

pub(in crate::postgres) async fn keys(database: &Database) -> Result<Vec<KeyRecord>, PostgresError> {
    rows::all(&database.query(statements::KEYS, &[]).await?, rows::row)
}

pub(in crate::postgres) async fn client(
    database: &Database,
    digest: SecretDigest,
) -> Result<Option<Client>, PostgresError> {
    let found = database.query(statements::CLIENT_BY_SECRET, &[&digest.0.as_slice()]).await?;
    rows::first(&found, rows::row)
}

pub(in crate::postgres) async fn clients(
    database: &Database,
    name: Option<&ClientName>,
    limit: u32,
) -> Result<Vec<StoredClient>, PostgresError> {
    let name = after(name.map(ClientName::as_str));
    rows::all(&database.query(statements::CLIENTS, &[&name, &i64::from(limit)]).await?, rows::row)
}

pub(in crate::postgres) async fn client_named(
    database: &Database,
    name: &ClientName,
) -> Result<Option<StoredClient>, PostgresError> {
    rows::first(&database.query(statements::CLIENT_BY_NAME, &[&name.as_str()]).await?, rows::row)
}

pub(in crate::postgres) async fn secret(
    database: &Database,
    name: &str,
) -> Result<Option<Sealed>, PostgresError> {
    if !rows::is_storable(name) {
        return Ok(None);
    }
    let found = database.query(statements::SECRET, &[&name]).await?;
    rows::first(&found, |columns| columns.take().map(Sealed))
}

pub(in crate::postgres) async fn remembered(
    database: &Database,
    name: &str,
) -> Result<Option<String>, PostgresError> {
    if !rows::is_storable(name) {
        return Ok(None);
    }
    rows::first(&database.query(statements::REMEMBERED, &[&name]).await?, |columns| columns.take())
}

pub(in crate::postgres) async fn flow(database: &Database, id: FlowId) -> Result<FlowLoaded, PostgresError> {
    let found = database.query(statements::FLOW, &[&id.as_bytes().as_slice()]).await?;
    let loaded = rows::only(&found, |columns| {
        let head = rows::head(columns)?;
        let flow = if columns.skip_null(12)? { None } else { Some(rows::row(columns)?) };
        let account = if columns.skip_null(ACCOUNT)? { None } else { Some(rows::row(columns)?) };
        Ok(FlowLoaded { head, flow, account })
    })?;
    database.saw_end(loaded.head.seq, loaded.head.chain);
    Ok(loaded)
}

pub(in crate::postgres) async fn earlier_requests(
    database: &Database,
    subject_hashes: &[Digest],
    recipient_hash: Digest,
    now: Timestamp,
) -> Result<EarlierRequests, PostgresError> {
    let matters: Vec<&[u8]> = subject_hashes.iter().map(|hash| hash.0.as_slice()).collect();
    let recipient = recipient_hash.0.as_slice();
    let (counted_after, until) = ((now - limits::MAIL_COUNTED).as_millis(), now.as_millis());
    let found =
        database.query(statements::EARLIER_REQUESTS, &[&matters, &recipient, &counted_after, &until]).await?;
    let mails = rows::only(&found, |columns| columns.number())?;
    let flows = rows::all(&found, |columns| {
        columns.count()?;
        if columns.skip_null(2)? {
            return Ok(None);
        }
        Ok(Some((FlowId::from_bytes(columns.bytes()?), columns.moment()?)))
    })?;
    Ok(EarlierRequests { flows: flows.into_iter().take(subject_hashes.len()).collect(), mails })
}

pub(in crate::postgres) async fn registration(
    database: &Database,
    by: &RegistrationBy,
    now: Timestamp,
) -> Result<Option<Flow>, PostgresError> {
    let (statement, folded) = match by {
        RegistrationBy::Name(folded) => (statements::REGISTRATION_BY_NAME, folded),
        RegistrationBy::Email(folded) => (statements::REGISTRATION_BY_EMAIL, folded),
    };
    if !rows::is_storable(folded) {
        return Ok(None);
    }
    rows::first(&database.query(statement, &[folded, &now.as_millis()]).await?, rows::row)
}

pub(in crate::postgres) async fn mails_due(
    database: &Database,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Mail>, PostgresError> {
    let values = (now.as_millis(), (now + limits::MAIL_LONGEST_PAUSE).as_millis(), i64::from(limit));
    let found = database.query(statements::MAILS_DUE, &[&values.0, &values.1, &values.2]).await?;
    rows::all(&found, rows::row)
}

pub(in crate::postgres) async fn next_mail(
    database: &Database,
    after: Timestamp,
) -> Result<Option<Timestamp>, PostgresError> {
    let found = database.query(statements::NEXT_MAIL, &[&after.as_millis()]).await?;
    rows::first(&found, |columns| columns.moment())
}
