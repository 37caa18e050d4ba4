//! Converts between the columns of rows and the core's types, for both engines. Each engine implements
//! [`ReadColumns`] to read single values; the order of a table's columns is the same in both.

use std::time::Duration;

use quash_core::model::{
    Account, AccountClaims, AccountState, Actor, Adopted, Audit, Client, ClientName, CustomClaims, DeviceId,
    Devices, Digest, Email, Ending, Entry, Event, Flow, FlowId, Forgotten, Generation, Head, KeyRecord,
    KeySource, KeyState, Kid, Mail, MailId, MailKind, MailPriority, Name, NewAudit, Note, PasswordHash,
    PendingRegistration, PersonalData, Purpose, Reason, Rights, ScopeKey, ScopeKind, Sealed, Sealing, Seq,
    Session, SessionId, SessionState, StoredClient, Subject, Timestamp,
};
use quash_core::token::Algorithm;

/// A value that can't be decoded, or that the database can't store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadValue(pub(crate) &'static str);

/// Reads a row column by column, from the left.
pub(crate) trait ReadColumns<'r>: Sized {
    type Error: From<BadValue>;

    fn optional_integer(&mut self) -> Result<Option<i64>, Self::Error>;

    fn flag(&mut self) -> Result<bool, Self::Error>;

    fn optional_text(&mut self) -> Result<Option<&'r str>, Self::Error>;

    fn optional_blob(&mut self) -> Result<Option<&'r [u8]>, Self::Error>;

    /// Decodes a row of a table, whose key is the next column. An error names both.
    fn row_of<T>(
        &mut self,
        table: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, Self::Error>,
    ) -> Result<T, Self::Error>;

    fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Self::Error> {
        let integer = self.optional_integer()?.ok_or(BadValue("a number"))?;
        Ok(T::try_from(integer).map_err(|_| BadValue("a number out of range"))?)
    }

    fn count(&mut self) -> Result<u64, Self::Error> {
        self.number()
    }

    fn seq(&mut self) -> Result<Seq, Self::Error> {
        self.count().map(Seq::from_u64)
    }

    fn optional_seq(&mut self) -> Result<Option<Seq>, Self::Error> {
        let number = self.optional_integer()?.map(u64::try_from).transpose();
        Ok(number.map_err(|_| BadValue("a number out of range"))?.map(Seq::from_u64))
    }

    fn moment(&mut self) -> Result<Timestamp, Self::Error> {
        self.number().map(Timestamp::from_millis)
    }

    fn optional_moment(&mut self) -> Result<Option<Timestamp>, Self::Error> {
        Ok(self.optional_integer()?.map(Timestamp::from_millis))
    }

    fn text(&mut self) -> Result<&'r str, Self::Error> {
        Ok(self.optional_text()?.ok_or(BadValue("a text"))?)
    }

    fn optional_string(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.optional_text()?.map(str::to_owned))
    }

    fn subject(&mut self) -> Result<Subject, Self::Error> {
        Ok(self.optional_subject()?.ok_or(BadValue("a subject"))?)
    }

    fn optional_subject(&mut self) -> Result<Option<Subject>, Self::Error> {
        let subject = self.optional_text()?.map(Subject::parse).transpose();
        Ok(subject.map_err(|_| BadValue("a subject"))?)
    }

    fn blob(&mut self) -> Result<Vec<u8>, Self::Error> {
        Ok(self.optional_blob()?.ok_or(BadValue("bytes"))?.to_vec())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Self::Error> {
        Ok(self.optional_bytes()?.ok_or(BadValue("bytes"))?)
    }

    fn optional_bytes<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Self::Error> {
        let bytes = self.optional_blob()?.map(TryInto::try_into).transpose();
        Ok(bytes.map_err(|_| BadValue("bytes of another length"))?)
    }
}

/// A type that is decoded from a row, or from some of its columns.
pub(crate) trait Decode: Sized {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error>;
}

/// The columns of the table `account`, called `a`, in the order in which [`Account`] is decoded.
macro_rules! account {
    () => {
        "a.subject, a.username, a.email, a.email_verified_at, a.password, a.state, a.state_at, a.locked_at, \
         a.sessions_before, a.version, a.created_at, a.foreign_after, a.last_login_at, a.must_change, a.locks, \
         a.claims, a.claims_adopted, a.devices, a.mark"
    };
}
pub(crate) use account;

/// The stored state of the account `a`, as the index `account_standing` has it.
macro_rules! standing {
    () => {
        "CASE WHEN a.state <> 'active' THEN a.state \
         WHEN a.email IS NOT NULL AND a.email_verified_at IS NULL THEN 'unverified' ELSE 'active' END"
    };
}
pub(crate) use standing;

/// The status of the account `a` at a time, like `Account::status`.
macro_rules! status {
    ($now:literal) => {
        concat!(
            "CASE WHEN a.state = 'deactivated' THEN 'deactivated' \
             WHEN a.state = 'locked' AND coalesce(a.locked_at, 0) <= ",
            $now,
            " AND a.state_at > ",
            $now,
            " THEN 'locked' WHEN a.email IS NOT NULL AND a.email_verified_at IS NULL THEN 'unverified' \
             ELSE 'active' END"
        )
    };
}
pub(crate) use status;

impl Decode for Account {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("account", |columns| {
            Ok(Self {
                subject: columns.subject()?,
                username: Name::parse(columns.text()?).map_err(|_| BadValue("a user name"))?,
                email: email(columns)?,
                password: columns.optional_string()?.map(PasswordHash::new),
                state: account_state(columns)?,
                sessions_before: columns.seq()?,
                version: columns.count()?,
                created_at: columns.moment()?,
                foreign_after: columns.moment()?,
                last_login_at: columns.optional_moment()?,
                temporary_until: columns.optional_moment()?,
                locks: columns.number()?,
                claims: account_claims(columns)?,
                devices: Devices::parse(columns.text()?).map_err(|_| BadValue("known devices"))?,
                mark: columns.optional_string()?,
            })
        })
    }
}

/// The columns of the table `session`, called `s`, in the order in which [`Session`] is decoded.
macro_rules! session {
    () => {
        "s.sid, s.subject, s.generation, s.rotated_at, s.seed, s.opened_seq, s.opened_at, s.idle_until, s.ends_at, \
         s.ended_reason, s.ended_at, s.ended_actor, s.device, s.address, s.claims, s.foreign_key, s.foreign_until, \
         s.known_device, s.client"
    };
}
pub(crate) use session;

impl Decode for Session {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("session", |columns| {
            Ok(Self {
                id: SessionId::from_bytes(columns.bytes()?),
                subject: columns.subject()?,
                generation: Generation(columns.number()?),
                rotated_at: columns.moment()?,
                seed: columns.bytes()?,
                opened_seq: columns.seq()?,
                opened_at: columns.moment()?,
                idle_until: columns.moment()?,
                ends_at: columns.optional_moment()?,
                state: session_state(columns)?,
                device: columns.optional_string()?,
                address: columns.optional_string()?,
                claims: claims(columns)?,
                adopted: adopted(columns)?,
                known_device: columns.optional_bytes()?.map(DeviceId::from_bytes),
                client: columns.optional_text()?.map(client_name).transpose()?,
            })
        })
    }
}

impl Decode for Entry {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("revocation_log", |columns| {
            Ok(Self {
                seq: columns.seq()?,
                kind: ScopeKind::from_u8(columns.number()?).ok_or(BadValue("a kind of scope"))?,
                key: ScopeKey(columns.bytes()?),
                drop_after: columns.optional_moment()?,
                reason: reason(columns.text()?)?,
                at: columns.moment()?,
                actor: actor(columns.text()?)?,
                chain: columns.bytes()?,
                until: columns.optional_moment()?,
            })
        })
    }
}

impl Decode for Head {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        Ok(Self {
            seq: columns.seq()?,
            chain: columns.bytes()?,
            sessions_before: columns.seq()?,
            foreign_after: columns.moment()?,
            forgotten: Forgotten { seq: columns.seq()?, at: columns.moment()?, until: columns.moment()? },
            ring: columns.count()?,
            settings: columns.count()?,
            longest_lifetime: Duration::from_millis(columns.count()?),
        })
    }
}

impl Decode for Ending {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        Ok(Self { reason: reason(columns.text()?)?, at: columns.moment()?, actor: actor(columns.text()?)? })
    }
}

impl Decode for KeyRecord {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("signing_key", |columns| {
            Ok(Self {
                kid: Kid::parse(columns.text()?).map_err(|_| BadValue("a key id"))?,
                algorithm: Algorithm::parse(columns.text()?).ok_or(BadValue("an algorithm"))?,
                state: match (columns.text()?, columns.optional_moment()?) {
                    ("next", Some(since)) => KeyState::Next { since },
                    ("current", None) => KeyState::Current,
                    ("retiring", Some(until)) => KeyState::Retiring { until },
                    ("struck", Some(at)) => KeyState::Revoked { at },
                    _ => return Err(BadValue("a key's state").into()),
                },
                secret: Sealed(columns.blob()?),
                created_at: columns.moment()?,
                source: KeySource::parse(columns.text()?).ok_or(BadValue("a key's source"))?,
            })
        })
    }
}

/// The columns of the table `client`, called `c`, in the order in which [`Client`] is decoded.
macro_rules! client {
    () => {
        "c.name, c.rights, c.created_at, c.namespace, c.expires_at, c.version"
    };
}
pub(crate) use client;

impl Decode for Client {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("client", |columns| {
            Ok(Self {
                name: client_name(columns.text()?)?,
                rights: Rights::parse(columns.text()?).ok_or(BadValue("rights"))?,
                created_at: columns.moment()?,
                namespace: columns.optional_string()?,
                expires_at: columns.optional_moment()?,
                version: columns.count()?,
            })
        })
    }
}

/// Decodes the columns of a [`Client`], and then `last_used_at`.
impl Decode for StoredClient {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        Ok(Self { client: Client::decode(columns)?, last_used_at: columns.optional_moment()? })
    }
}

/// The columns of the table `flow`, called `w`, in the order in which [`Flow`] is decoded.
macro_rules! flow {
    () => {
        "w.id, w.purpose, w.matter, w.subject, w.address, w.binding, w.tries, w.created_at, w.expires_at, \
         w.username, w.password, w.password_class"
    };
}
pub(crate) use flow;

impl Decode for Flow {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("flow", |columns| {
            Ok(Self {
                id: FlowId::from_bytes(columns.bytes()?),
                purpose: Purpose::parse(columns.text()?).ok_or(BadValue("a purpose"))?,
                subject_hash: Digest(columns.bytes()?),
                subject: columns.optional_subject()?,
                address: columns.optional_string()?,
                binding: Digest(columns.bytes()?),
                tries: columns.number()?,
                created_at: columns.moment()?,
                expires_at: columns.moment()?,
                registration: registration(columns)?,
            })
        })
    }
}

impl Decode for Mail {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("mail", |columns| {
            Ok(Self {
                id: MailId::from_bytes(columns.bytes()?),
                kind: MailKind::parse(columns.text()?).ok_or(BadValue("a kind of mail"))?,
                to: columns.optional_string()?,
                recipient_hash: Digest(columns.bytes()?),
                flow: columns.optional_bytes()?.map(FlowId::from_bytes),
                created_at: columns.moment()?,
                due_at: columns.moment()?,
                keep_until: columns.moment()?,
                attempts: columns.number()?,
                uncertain_attempts: columns.number()?,
                sent_at: columns.optional_moment()?,
                subject: columns.optional_subject()?,
                priority: MailPriority::from_u8(columns.number()?).ok_or(BadValue("a mail's priority"))?,
            })
        })
    }
}

impl Decode for Audit {
    fn decode<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Self, C::Error> {
        columns.row_of("audit", |columns| {
            let id = columns.count()?;
            let mut new = NewAudit {
                at: columns.moment()?,
                event: Event::parse(columns.text()?).ok_or(BadValue("an event"))?,
                actor: actor(columns.text()?)?,
                reason: columns.optional_text()?.map(reason).transpose()?,
                subject: columns.optional_subject()?,
                session: columns.optional_bytes()?.map(SessionId::from_bytes),
                kid: columns.optional_string()?,
                person: None,
            };
            let seq = columns.optional_seq()?;
            let known = columns.optional_integer()?.is_some();
            let (name, address, device) =
                (columns.optional_string()?, columns.optional_string()?, columns.optional_string()?);
            let note = Note { author: columns.optional_string()?, text: columns.optional_string()? };
            if known {
                let note = Some(note).filter(|note| *note != Note::default());
                new.person = Some(PersonalData { name, address, device, note });
            }
            let (salt, person) = (columns.optional_bytes()?, columns.optional_bytes()?);
            let sealing = columns.optional_bytes()?.map(|chain| Sealing { salt, person, chain });
            Ok(Self { id, new, seq, sealing })
        })
    }
}

/// Encodes a count or a log number.
pub(crate) fn stored(number: u64) -> Result<i64, BadValue> {
    i64::try_from(number).map_err(|_| BadValue("a number beyond 2^63"))
}

/// Encodes an account's state as three columns.
pub(crate) fn stored_state(state: AccountState) -> (&'static str, Option<i64>, Option<i64>) {
    match state {
        AccountState::Active => ("active", None, None),
        AccountState::Locked { since, until } => ("locked", Some(until.as_millis()), Some(since.as_millis())),
        AccountState::Deactivated { at } => ("deactivated", Some(at.as_millis()), None),
    }
}

/// Encodes an account's claims as two columns.
pub(crate) fn stored_claims(claims: &AccountClaims) -> (Option<String>, bool) {
    match claims {
        AccountClaims::Unset => (None, false),
        AccountClaims::Adopted(claims) => (Some(object(claims)), true),
        AccountClaims::Set(claims) => (Some(object(claims)), false),
    }
}

/// Encodes claims as a JSON object, which may be empty.
pub(crate) fn object(claims: &CustomClaims) -> String {
    claims.to_json().unwrap_or_else(|| "{}".into())
}

/// Encodes a key's state as two columns.
pub(crate) fn stored_key_state(state: KeyState) -> (&'static str, Option<i64>) {
    match state {
        KeyState::Next { since } => ("next", Some(since.as_millis())),
        KeyState::Current => ("current", None),
        KeyState::Retiring { until } => ("retiring", Some(until.as_millis())),
        KeyState::Revoked { at } => ("struck", Some(at.as_millis())),
    }
}

fn email<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Option<Email>, C::Error> {
    let email = columns.optional_text()?.map(Email::parse).transpose();
    let verified_at = columns.optional_moment()?;
    let email = email.map_err(|_| BadValue("an e-mail address"))?;
    Ok(email.map(|email| Email { verified_at, ..email }))
}

fn account_state<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<AccountState, C::Error> {
    match (columns.text()?, columns.optional_moment()?, columns.optional_moment()?) {
        ("active", None, None) => Ok(AccountState::Active),
        // An older version of quash stored no start.
        ("locked", Some(until), since) => {
            Ok(AccountState::Locked { since: since.unwrap_or_default(), until })
        }
        ("deactivated", Some(at), None) => Ok(AccountState::Deactivated { at }),
        _ => Err(BadValue("an account's state").into()),
    }
}

fn session_state<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<SessionState, C::Error> {
    match (columns.optional_text()?, columns.optional_moment()?, columns.optional_text()?) {
        (None, None, None) => Ok(SessionState::Live),
        (Some(reason_text), Some(at), Some(actor_text)) => {
            Ok(SessionState::Ended(Ending { reason: reason(reason_text)?, at, actor: actor(actor_text)? }))
        }
        _ => Err(BadValue("a session's end").into()),
    }
}

fn account_claims<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<AccountClaims, C::Error> {
    let (json, adopted) = (columns.optional_text()?, columns.flag()?);
    let Some(json) = json else { return Ok(AccountClaims::Unset) };
    let claims = custom_claims(json)?;
    Ok(if adopted { AccountClaims::Adopted(claims) } else { AccountClaims::Set(claims) })
}

fn claims<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<CustomClaims, C::Error> {
    Ok(columns.optional_text()?.map(custom_claims).transpose()?.unwrap_or_default())
}

fn custom_claims(json: &str) -> Result<CustomClaims, BadValue> {
    CustomClaims::parse(json).map_err(|_| BadValue("custom claims"))
}

fn adopted<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Option<Adopted>, C::Error> {
    match (columns.optional_bytes()?, columns.optional_moment()?) {
        (None, None) => Ok(None),
        (Some(key), Some(until)) => Ok(Some(Adopted { key: ScopeKey(key), until })),
        _ => Err(BadValue("an adopted token").into()),
    }
}

fn registration<'r, C: ReadColumns<'r>>(columns: &mut C) -> Result<Option<PendingRegistration>, C::Error> {
    let (shown, hash, class) =
        (columns.optional_text()?, columns.optional_string()?, columns.optional_string()?);
    let Some((shown, hash)) = shown.zip(hash) else { return Ok(None) };
    let username = Name::parse(shown).map_err(|_| BadValue("a name"))?;
    let hash = PasswordHash::new(hash);
    Ok(Some(PendingRegistration { username, password: class.into_iter().fold(hash, PasswordHash::of_class) }))
}

fn client_name(text: &str) -> Result<ClientName, BadValue> {
    ClientName::parse(text).map_err(|_| BadValue("a client's name"))
}

fn reason(text: &str) -> Result<Reason, BadValue> {
    Reason::parse(text).ok_or(BadValue("a reason"))
}

fn actor(text: &str) -> Result<Actor, BadValue> {
    Actor::parse(text).ok_or(BadValue("an actor"))
}
