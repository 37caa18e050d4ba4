//! Converts between rows and the core's types. An undecodable row is a [`PostgresError`], never a panic.
//! `statements` selects the columns.

use std::time::Duration;

use quash_core::model::{
    Account, AccountClaims, AccountState, Actor, Adopted, Client, ClientName, CustomClaims, DeviceId,
    Devices, Email, Ending, Entry, Forgotten, Generation, Head, KeyRecord, KeySource, KeyState, Kid, Name,
    PasswordHash, Reason, Rights, ScopeKey, ScopeKind, Sealed, Seq, Session, SessionId, SessionState,
    Subject, Timestamp,
};
use quash_core::token::Algorithm;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::fault::PostgresError;
use crate::StoreError;
use crate::log::LogEnd;

/// Decodes all rows.
pub(super) fn all<T>(
    rows: &[Row],
    read: impl Fn(&mut Columns<'_>) -> Result<T, PostgresError>,
) -> Result<Vec<T>, PostgresError> {
    rows.iter().map(|row| read(&mut Columns::of(row))).collect()
}

/// Decodes the first row, if there is one.
pub(super) fn first<T>(
    rows: &[Row],
    read: impl Fn(&mut Columns<'_>) -> Result<T, PostgresError>,
) -> Result<Option<T>, PostgresError> {
    rows.first().map(|row| read(&mut Columns::of(row))).transpose()
}

/// Decodes the row that every look has.
pub(super) fn only<T>(
    rows: &[Row],
    read: impl Fn(&mut Columns<'_>) -> Result<T, PostgresError>,
) -> Result<T, PostgresError> {
    first(rows, read)?.ok_or(PostgresError::Value("no row about the cluster"))
}

/// The head. A replica's may lack entries, so it counts as none.
pub(super) fn head(columns: &mut Columns<'_>) -> Result<Head, PostgresError> {
    let head = Head {
        seq: columns.seq()?,
        chain: columns.bytes()?,
        sessions_before: columns.seq()?,
        foreign_after: columns.moment()?,
        forgotten: Forgotten { seq: columns.seq()?, at: columns.moment()?, until: columns.moment()? },
        ring: columns.count()?,
        settings: columns.count()?,
        longest_lifetime: Duration::from_millis(columns.count()?),
    };
    if columns.take::<bool>()? {
        return Err(StoreError::Unavailable("the server is a replica".into()).into());
    }
    Ok(head)
}

pub(super) fn log_end(head: &Head) -> LogEnd {
    let longest = u64::try_from(head.longest_lifetime.as_millis()).unwrap_or(u64::MAX);
    LogEnd { seq: head.seq, chain: head.chain, longest_lifetime_ms: longest }
}

pub(super) fn account(columns: &mut Columns<'_>) -> Result<Account, PostgresError> {
    columns.row_of("account", |columns| {
        Ok(Account {
            subject: columns.subject()?,
            username: Name::parse(columns.text()?).map_err(|_| PostgresError::Value("a user name"))?,
            email: email(columns)?,
            password: columns.take::<Option<String>>()?.map(PasswordHash::new),
            state: account_state(columns)?,
            sessions_before: columns.seq()?,
            version: columns.count()?,
            created_at: columns.moment()?,
            foreign_after: columns.moment()?,
            last_login_at: columns.perhaps_moment()?,
            temporary_until: columns.perhaps_moment()?,
            locks: columns.small()?,
            claims: account_claims(columns)?,
            devices: Devices::parse(columns.text()?).map_err(|_| PostgresError::Value("known devices"))?,
            mark: columns.take()?,
        })
    })
}

pub(super) fn session(columns: &mut Columns<'_>) -> Result<Session, PostgresError> {
    columns.row_of("session", |columns| {
        Ok(Session {
            id: SessionId::from_bytes(columns.bytes()?),
            subject: columns.subject()?,
            generation: Generation(columns.small()?),
            rotated_at: columns.moment()?,
            seed: columns.bytes()?,
            opened_seq: columns.seq()?,
            opened_at: columns.moment()?,
            idle_until: columns.moment()?,
            ends_at: columns.perhaps_moment()?,
            state: session_state(columns)?,
            device: columns.take()?,
            address: columns.take()?,
            claims: claims(columns)?,
            adopted: adopted(columns)?,
            known_device: columns.perhaps_bytes()?.map(DeviceId::from_bytes),
            client: columns.take::<Option<&str>>()?.map(client_name).transpose()?,
        })
    })
}

pub(super) fn entry(columns: &mut Columns<'_>) -> Result<Entry, PostgresError> {
    columns.row_of("revocation_log", |columns| {
        Ok(Entry {
            seq: columns.seq()?,
            kind: u8::try_from(columns.take::<i16>()?)
                .ok()
                .and_then(ScopeKind::from_u8)
                .ok_or(PostgresError::Value("a kind of scope"))?,
            key: ScopeKey(columns.bytes()?),
            drop_after: columns.perhaps_moment()?,
            reason: reason(columns.text()?)?,
            at: columns.moment()?,
            actor: actor(columns.text()?)?,
            chain: columns.bytes()?,
            until: columns.perhaps_moment()?,
        })
    })
}

/// Decodes an ending by a watermark, if there is one.
pub(super) fn perhaps_ending(columns: &mut Columns<'_>) -> Result<Option<Ending>, PostgresError> {
    if columns.skip_null(4)? {
        return Ok(None);
    }
    columns.seq()?;
    Ok(Some(Ending {
        reason: reason(columns.text()?)?,
        at: columns.moment()?,
        actor: actor(columns.text()?)?,
    }))
}

pub(super) fn key(columns: &mut Columns<'_>) -> Result<KeyRecord, PostgresError> {
    columns.row_of("signing_key", |columns| {
        Ok(KeyRecord {
            kid: Kid::parse(columns.text()?).map_err(|_| PostgresError::Value("a key id"))?,
            algorithm: Algorithm::parse(columns.text()?).ok_or(PostgresError::Value("an algorithm"))?,
            state: match (columns.text()?, columns.perhaps_moment()?) {
                ("next", Some(since)) => KeyState::Next { since },
                ("current", None) => KeyState::Current,
                ("retiring", Some(until)) => KeyState::Retiring { until },
                ("struck", Some(at)) => KeyState::Revoked { at },
                _ => return Err(PostgresError::Value("a key's state")),
            },
            secret: Sealed(columns.take()?),
            created_at: columns.moment()?,
            source: KeySource::parse(columns.text()?).ok_or(PostgresError::Value("a key's source"))?,
        })
    })
}

pub(super) fn client(columns: &mut Columns<'_>) -> Result<Client, PostgresError> {
    columns.row_of("client", |columns| {
        Ok(Client {
            name: client_name(columns.text()?)?,
            rights: Rights::parse(columns.text()?).ok_or(PostgresError::Value("rights"))?,
            created_at: columns.moment()?,
            namespace: columns.take()?,
        })
    })
}

/// Encodes a count or a log number for PostgreSQL.
pub(super) fn stored(number: u64) -> Result<i64, PostgresError> {
    i64::try_from(number).map_err(|_| PostgresError::Value("a number beyond 2^63"))
}

/// The bound of a page. No stored number exceeds i64: nothing follows a number that does.
pub(super) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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

/// Returns whether PostgreSQL can store a text: it refuses the character U+0000. No row contains another one.
pub(super) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

fn email(columns: &mut Columns<'_>) -> Result<Option<Email>, PostgresError> {
    let shown: Option<&str> = columns.take()?;
    let verified_at = columns.perhaps_moment()?;
    let parse = |shown: &str| Email::parse(shown).map_err(|_| PostgresError::Value("an e-mail address"));
    Ok(shown.map(parse).transpose()?.map(|email| Email { verified_at, ..email }))
}

fn account_state(columns: &mut Columns<'_>) -> Result<AccountState, PostgresError> {
    match (columns.text()?, columns.perhaps_moment()?, columns.perhaps_moment()?) {
        ("active", None, None) => Ok(AccountState::Active),
        // Another engine's older version stored no start.
        ("locked", Some(until), since) => {
            Ok(AccountState::Locked { since: since.unwrap_or_default(), until })
        }
        ("deactivated", Some(at), None) => Ok(AccountState::Deactivated { at }),
        _ => Err(PostgresError::Value("an account's state")),
    }
}

fn session_state(columns: &mut Columns<'_>) -> Result<SessionState, PostgresError> {
    let columns: (Option<&str>, Option<Timestamp>, Option<&str>) =
        (columns.take()?, columns.perhaps_moment()?, columns.take()?);
    match columns {
        (None, None, None) => Ok(SessionState::Live),
        (Some(why), Some(at), Some(who)) => {
            Ok(SessionState::Ended(Ending { reason: reason(why)?, at, actor: actor(who)? }))
        }
        _ => Err(PostgresError::Value("a session's end")),
    }
}

fn account_claims(columns: &mut Columns<'_>) -> Result<AccountClaims, PostgresError> {
    let (json, adopted): (Option<&str>, bool) = (columns.take()?, columns.take()?);
    let Some(json) = json else { return Ok(AccountClaims::Unset) };
    let claims = CustomClaims::parse(json).map_err(|_| PostgresError::Value("custom claims"))?;
    Ok(if adopted { AccountClaims::Adopted(claims) } else { AccountClaims::Set(claims) })
}

fn claims(columns: &mut Columns<'_>) -> Result<CustomClaims, PostgresError> {
    let claims: Option<&str> = columns.take()?;
    claims.map_or_else(
        || Ok(CustomClaims::default()),
        |json| CustomClaims::parse(json).map_err(|_| PostgresError::Value("custom claims")),
    )
}

fn adopted(columns: &mut Columns<'_>) -> Result<Option<Adopted>, PostgresError> {
    match (columns.perhaps_bytes()?, columns.perhaps_moment()?) {
        (None, None) => Ok(None),
        (Some(key), Some(until)) => Ok(Some(Adopted { key: ScopeKey(key), until })),
        _ => Err(PostgresError::Value("an adopted token")),
    }
}

fn client_name(text: &str) -> Result<ClientName, PostgresError> {
    ClientName::parse(text).map_err(|_| PostgresError::Value("a client's name"))
}

pub(super) fn reason(text: &str) -> Result<Reason, PostgresError> {
    Reason::parse(text).ok_or(PostgresError::Value("a reason"))
}

pub(super) fn actor(text: &str) -> Result<Actor, PostgresError> {
    Actor::parse(text).ok_or(PostgresError::Value("an actor"))
}

/// Reads a row column by column, from the left.
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql<'r>>(&mut self) -> Result<T, PostgresError> {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// Returns whether the next column is NULL, and then skips `columns` of them: a joined row is missing.
    pub(super) fn skip_null(&mut self, columns: usize) -> Result<bool, PostgresError> {
        let is_null = self.row.try_get::<_, Option<Any>>(self.next)?.is_none();
        self.next += if is_null { columns } else { 0 };
        Ok(is_null)
    }

    /// Decodes a row of a table, whose key is the next column. An error names both.
    pub(super) fn row_of<T>(
        &mut self,
        table: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let key = self.next;
        read(self).map_err(|fault| {
            let key = self.row.try_get::<_, Any>(key).map(|key| key.0).unwrap_or_default();
            fault.in_row(table, key)
        })
    }

    pub(super) fn count(&mut self) -> Result<u64, PostgresError> {
        u64::try_from(self.take::<i64>()?).map_err(|_| PostgresError::Value("a number below zero"))
    }

    pub(super) fn small(&mut self) -> Result<u32, PostgresError> {
        u32::try_from(self.take::<i64>()?).map_err(|_| PostgresError::Value("a number beyond 2^32"))
    }

    pub(super) fn seq(&mut self) -> Result<Seq, PostgresError> {
        self.count().map(Seq::from_u64)
    }

    pub(super) fn text(&mut self) -> Result<&'r str, PostgresError> {
        self.take()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PostgresError> {
        self.take::<&[u8]>()?.try_into().map_err(|_| PostgresError::Value("bytes of another length"))
    }

    pub(super) fn perhaps_bytes<const N: usize>(&mut self) -> Result<Option<[u8; N]>, PostgresError> {
        let bytes = self.take::<Option<&[u8]>>()?.map(TryInto::try_into).transpose();
        bytes.map_err(|_| PostgresError::Value("bytes of another length"))
    }

    pub(super) fn subject(&mut self) -> Result<Subject, PostgresError> {
        Subject::parse(self.text()?).map_err(|_| PostgresError::Value("a subject"))
    }

    pub(super) fn moment(&mut self) -> Result<Timestamp, PostgresError> {
        self.take().map(Timestamp::from_millis)
    }

    pub(super) fn perhaps_moment(&mut self) -> Result<Option<Timestamp>, PostgresError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_millis))
    }
}

/// A key of any type, in the form in which logs show it.
struct Any(String);

impl<'a> FromSql<'a> for Any {
    fn from_sql(
        sql_type: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        use tokio_postgres::types::Type;
        Ok(Self(match *sql_type {
            Type::TEXT => String::from_utf8_lossy(raw).into_owned(),
            Type::INT8 => i64::from_sql(sql_type, raw)?.to_string(),
            _ => quash_core::hex::encode(raw),
        }))
    }

    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
}
