//! Converts between rows and the core's types. An undecodable row is a [`SqliteError`], never a panic.
//! `statements.rs` and `reader.rs` select the rows.

use std::time::Duration;

use quash_core::model::{
    Account, AccountClaims, AccountState, Actor, Adopted, Client, ClientName, CustomClaims, DeviceId,
    Devices, Email, Ending, Entry, Forgotten, Generation, Head, KeyRecord, KeySource, KeyState, Kid, Name,
    PasswordHash, Reason, Rights, ScopeKey, ScopeKind, Sealed, Seq, Session, SessionId, SessionState,
    Subject, Timestamp,
};
use quash_core::token::Algorithm;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row};

use super::fault::SqliteError;
use super::named::{self, Values};
use super::statements;
use crate::log::LogEnd;

/// Returns the row that a statement finds, if any.
pub(super) fn one<T>(
    conn: &Connection,
    statement: &str,
    values: Values<'_>,
    read: impl Fn(&mut Columns<'_, '_>) -> Result<T, SqliteError>,
) -> Result<Option<T>, SqliteError> {
    let found = || {
        let mut prepared = named::prepare(conn, statement, values)?;
        let mut rows = prepared.query(values)?;
        rows.next()?.map(|row| read(&mut Columns { row, next: 0 })).transpose()
    };
    found().map_err(|fault| named::name_row(fault, statement, values))
}

/// Returns whether a statement finds a row.
pub(super) fn exists(conn: &Connection, statement: &str, values: Values<'_>) -> Result<bool, SqliteError> {
    Ok(one(conn, statement, values, |_| Ok(()))?.is_some())
}

/// Returns all rows that a statement finds.
pub(super) fn all<T>(
    conn: &Connection,
    statement: &str,
    values: Values<'_>,
    read: impl Fn(&mut Columns<'_, '_>) -> Result<T, SqliteError>,
) -> Result<Vec<T>, SqliteError> {
    let found = || {
        let mut prepared = named::prepare(conn, statement, values)?;
        let mut rows = prepared.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(&mut Columns { row, next: 0 })?);
        }
        Ok(found)
    };
    found().map_err(|fault| named::name_row(fault, statement, values))
}

/// Reads the head of the log and the watermark over everything.
pub(super) fn head(conn: &Connection) -> Result<Head, SqliteError> {
    let read = |columns: &mut Columns<'_, '_>| {
        Ok(Head {
            seq: columns.seq()?,
            chain: columns.take()?,
            sessions_before: columns.seq()?,
            foreign_after: columns.moment()?,
            forgotten: Forgotten { seq: columns.seq()?, at: columns.moment()?, until: columns.moment()? },
            ring: columns.count()?,
            settings: columns.count()?,
            longest_lifetime: Duration::from_millis(columns.count()?),
        })
    };
    one(conn, statements::HEAD, &[], read)?.ok_or(SqliteError::Value("no head of the log"))
}

/// Reads the end of the log, for appending.
pub(super) fn log_end(conn: &Connection) -> Result<LogEnd, SqliteError> {
    let read = |columns: &mut Columns<'_, '_>| {
        Ok(LogEnd { seq: columns.seq()?, chain: columns.take()?, longest_lifetime_ms: columns.count()? })
    };
    one(conn, statements::LOG_END, &[], read)?.ok_or(SqliteError::Value("no end of the log"))
}

pub(super) fn account(columns: &mut Columns<'_, '_>) -> Result<Account, SqliteError> {
    columns.row_of("account", |columns| {
        Ok(Account {
            subject: columns.subject()?,
            username: Name::parse(columns.text()?).map_err(|_| SqliteError::Value("a user name"))?,
            email: email(columns)?,
            password: columns.take::<Option<String>>()?.map(PasswordHash::new),
            state: account_state(columns)?,
            sessions_before: columns.seq()?,
            version: columns.count()?,
            created_at: columns.moment()?,
            foreign_after: columns.moment()?,
            last_login_at: columns.perhaps_moment()?,
            temporary_until: columns.perhaps_moment()?,
            locks: columns.take()?,
            claims: account_claims(columns)?,
            devices: Devices::parse(columns.text()?).map_err(|_| SqliteError::Value("known devices"))?,
            mark: columns.take()?,
        })
    })
}

pub(super) fn session(columns: &mut Columns<'_, '_>) -> Result<Session, SqliteError> {
    columns.row_of("session", |columns| {
        Ok(Session {
            id: columns.session_id()?,
            subject: columns.subject()?,
            generation: Generation(columns.take()?),
            rotated_at: columns.moment()?,
            seed: columns.take()?,
            opened_seq: columns.seq()?,
            opened_at: columns.moment()?,
            idle_until: columns.moment()?,
            ends_at: columns.perhaps_moment()?,
            state: session_state(columns)?,
            device: columns.take()?,
            address: columns.take()?,
            claims: claims(columns)?,
            adopted: adopted(columns)?,
            known_device: columns.take::<Option<[u8; 16]>>()?.map(DeviceId::from_bytes),
            client: columns.take::<Option<String>>()?.as_deref().map(client_name).transpose()?,
        })
    })
}

pub(super) fn entry(columns: &mut Columns<'_, '_>) -> Result<Entry, SqliteError> {
    columns.row_of("revocation_log", |columns| {
        Ok(Entry {
            seq: columns.seq()?,
            kind: ScopeKind::from_u8(columns.take()?).ok_or(SqliteError::Value("a kind of scope"))?,
            key: ScopeKey(columns.take()?),
            drop_after: columns.perhaps_moment()?,
            reason: reason(columns.text()?)?,
            at: columns.moment()?,
            actor: actor(columns.text()?)?,
            chain: columns.take()?,
            until: columns.perhaps_moment()?,
        })
    })
}

/// Decodes a watermark and the ending that it caused.
pub(super) fn ending(columns: &mut Columns<'_, '_>) -> Result<(Seq, Ending), SqliteError> {
    let watermark = columns.seq()?;
    Ok((
        watermark,
        Ending { reason: reason(columns.text()?)?, at: columns.moment()?, actor: actor(columns.text()?)? },
    ))
}

pub(super) fn key(columns: &mut Columns<'_, '_>) -> Result<KeyRecord, SqliteError> {
    columns.row_of("signing_key", |columns| {
        Ok(KeyRecord {
            kid: Kid::parse(columns.text()?).map_err(|_| SqliteError::Value("a key id"))?,
            algorithm: Algorithm::parse(columns.text()?).ok_or(SqliteError::Value("an algorithm"))?,
            state: match (columns.text()?, columns.perhaps_moment()?) {
                ("next", Some(since)) => KeyState::Next { since },
                ("current", None) => KeyState::Current,
                ("retiring", Some(until)) => KeyState::Retiring { until },
                ("struck", Some(at)) => KeyState::Revoked { at },
                _ => return Err(SqliteError::Value("a key's state")),
            },
            secret: Sealed(columns.take()?),
            created_at: columns.moment()?,
            source: KeySource::parse(columns.text()?).ok_or(SqliteError::Value("a key's source"))?,
        })
    })
}

pub(super) fn client(columns: &mut Columns<'_, '_>) -> Result<Client, SqliteError> {
    columns.row_of("client", |columns| {
        Ok(Client {
            name: client_name(columns.text()?)?,
            rights: Rights::parse(columns.text()?).ok_or(SqliteError::Value("rights"))?,
            created_at: columns.moment()?,
            namespace: columns.take()?,
        })
    })
}

/// Encodes a count or a log number for SQLite.
pub(super) fn stored(number: u64) -> Result<i64, SqliteError> {
    i64::try_from(number).map_err(|_| SqliteError::Value("a number beyond 2^63"))
}

/// Encodes an account's state as three columns.
pub(super) fn stored_state(state: AccountState) -> (&'static str, Option<i64>, Option<i64>) {
    match state {
        AccountState::Active => ("active", None, None),
        AccountState::Locked { since, until } => ("locked", Some(until.as_millis()), Some(since.as_millis())),
        AccountState::Deactivated { at } => ("deactivated", Some(at.as_millis()), None),
    }
}

/// Encodes an account's claims as two columns.
pub(super) fn stored_claims(claims: &AccountClaims) -> (Option<String>, bool) {
    match claims {
        AccountClaims::Unset => (None, false),
        AccountClaims::Adopted(claims) => (Some(object(claims)), true),
        AccountClaims::Set(claims) => (Some(object(claims)), false),
    }
}

/// Encodes claims as a JSON object, which may be empty.
pub(super) fn object(claims: &CustomClaims) -> String {
    claims.to_json().unwrap_or_else(|| "{}".into())
}

/// Encodes a key's state as two columns.
pub(super) fn stored_key_state(state: KeyState) -> (&'static str, Option<i64>) {
    match state {
        KeyState::Next { since } => ("next", Some(since.as_millis())),
        KeyState::Current => ("current", None),
        KeyState::Retiring { until } => ("retiring", Some(until.as_millis())),
        KeyState::Revoked { at } => ("struck", Some(at.as_millis())),
    }
}

fn email(columns: &mut Columns<'_, '_>) -> Result<Option<Email>, SqliteError> {
    let shown: Option<String> = columns.take()?;
    let verified_at = columns.perhaps_moment()?;
    let parse = |shown: String| Email::parse(&shown).map_err(|_| SqliteError::Value("an e-mail address"));
    Ok(shown.map(parse).transpose()?.map(|email| Email { verified_at, ..email }))
}

fn account_state(columns: &mut Columns<'_, '_>) -> Result<AccountState, SqliteError> {
    match (columns.text()?, columns.perhaps_moment()?, columns.perhaps_moment()?) {
        ("active", None, None) => Ok(AccountState::Active),
        // An older version of quash stored no start.
        ("locked", Some(until), since) => {
            Ok(AccountState::Locked { since: since.unwrap_or_default(), until })
        }
        ("deactivated", Some(at), None) => Ok(AccountState::Deactivated { at }),
        _ => Err(SqliteError::Value("an account's state")),
    }
}

fn session_state(columns: &mut Columns<'_, '_>) -> Result<SessionState, SqliteError> {
    let columns: (Option<String>, Option<Timestamp>, Option<String>) =
        (columns.take()?, columns.perhaps_moment()?, columns.take()?);
    match columns {
        (None, None, None) => Ok(SessionState::Live),
        (Some(why), Some(at), Some(who)) => {
            Ok(SessionState::Ended(Ending { reason: reason(&why)?, at, actor: actor(&who)? }))
        }
        _ => Err(SqliteError::Value("a session's end")),
    }
}

fn account_claims(columns: &mut Columns<'_, '_>) -> Result<AccountClaims, SqliteError> {
    let (json, adopted): (Option<String>, bool) = (columns.take()?, columns.take()?);
    let Some(json) = json else { return Ok(AccountClaims::Unset) };
    let claims = CustomClaims::parse(&json).map_err(|_| SqliteError::Value("custom claims"))?;
    Ok(if adopted { AccountClaims::Adopted(claims) } else { AccountClaims::Set(claims) })
}

fn claims(columns: &mut Columns<'_, '_>) -> Result<CustomClaims, SqliteError> {
    let claims: Option<String> = columns.take()?;
    claims.map_or_else(
        || Ok(CustomClaims::default()),
        |json| CustomClaims::parse(&json).map_err(|_| SqliteError::Value("custom claims")),
    )
}

fn adopted(columns: &mut Columns<'_, '_>) -> Result<Option<Adopted>, SqliteError> {
    match (columns.take::<Option<[u8; 16]>>()?, columns.perhaps_moment()?) {
        (None, None) => Ok(None),
        (Some(key), Some(until)) => Ok(Some(Adopted { key: ScopeKey(key), until })),
        _ => Err(SqliteError::Value("an adopted token")),
    }
}

fn client_name(text: &str) -> Result<ClientName, SqliteError> {
    ClientName::parse(text).map_err(|_| SqliteError::Value("a client's name"))
}

pub(super) fn reason(text: &str) -> Result<Reason, SqliteError> {
    Reason::parse(text).ok_or(SqliteError::Value("a reason"))
}

pub(super) fn actor(text: &str) -> Result<Actor, SqliteError> {
    Actor::parse(text).ok_or(SqliteError::Value("an actor"))
}

/// Reads a row column by column, from the left.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl<'r> Columns<'r, '_> {
    pub(super) fn take<T: FromSql>(&mut self) -> Result<T, SqliteError> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// Decodes a row of a table, whose key is the next column. An error names both.
    pub(super) fn row_of<T>(
        &mut self,
        table: &str,
        read: impl FnOnce(&mut Self) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let key = self.next;
        read(self).map_err(|fault| fault.in_row(table, self.row.get_ref(key).ok().and_then(named::key_text)))
    }

    pub(super) fn count(&mut self) -> Result<u64, SqliteError> {
        u64::try_from(self.take::<i64>()?).map_err(|_| SqliteError::Value("a number below zero"))
    }

    pub(super) fn seq(&mut self) -> Result<Seq, SqliteError> {
        self.count().map(Seq::from_u64)
    }

    fn session_id(&mut self) -> Result<SessionId, SqliteError> {
        self.take().map(SessionId::from_bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'r str, SqliteError> {
        let text = self.row.get_ref(self.next)?.as_str().map_err(|_| SqliteError::Value("a text"))?;
        self.next += 1;
        Ok(text)
    }

    pub(super) fn subject(&mut self) -> Result<Subject, SqliteError> {
        Subject::parse(self.text()?).map_err(|_| SqliteError::Value("a subject"))
    }

    pub(super) fn moment(&mut self) -> Result<Timestamp, SqliteError> {
        self.take().map(Timestamp::from_millis)
    }

    pub(super) fn perhaps_moment(&mut self) -> Result<Option<Timestamp>, SqliteError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_millis))
    }
}
