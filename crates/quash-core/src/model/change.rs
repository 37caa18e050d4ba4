//! Changes: what a decision asks the store to write. One change is one fact and one transaction.
//!
//! Each says under which condition it may be written. The store checks that inside the transaction, and writes all
//! of it or nothing; it never decides.

use super::{
    Account, AccountClaims, AccountState, Actor, AuditPlace, AuditSeal, Client, CustomClaims, DeviceId,
    Devices, Email, Ending, Epoch, Event, Flow, FlowId, Generation, KeyRecord, KeyState, Kid, Mail, MailId,
    MailOutcome, Name, NewEntry, OldSessions, PasswordHash, ScopeKey, SealedEntry, SecretDigest, Seq,
    Session, SessionId, Subject, Timestamp,
};

/// A fact to be written in one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new account, and who added it. Only while its subject, name and address are unused.
    AddAccount(Account, Actor),
    /// A new session. Only while the account's row is at its version and no watermark is above the session's
    /// `opened_seq`, and, where it adopts a token, what is said there.
    OpenSession(Box<Opening>),
    /// The next generation. Only while the session is live, at generation `from`, and no watermark covers it.
    Rotate {
        /// The session.
        session: SessionId,
        /// The generation as loaded; the next one is written.
        from: Generation,
        /// When the new refresh token was minted.
        rotated_at: Timestamp,
        /// Its `exp`.
        idle_until: Timestamp,
    },
    /// The known device of a session whose client has presented its device token after the sign-in. Only while the session
    /// is live and no watermark covers it.
    BindSession {
        /// The session.
        session: SessionId,
        /// The device.
        device: DeviceId,
    },
    /// The end of one or two sessions, and of tokens of other issuers. Only while each row is live, no token has opened
    /// a session, and none has an entry in the log.
    EndSessions {
        /// The sessions, each with its entry in the log.
        sessions: Vec<SessionEnd>,
        /// The tokens' entries.
        tokens: Vec<NewEntry>,
    },
    /// Another row of an account, and what dies with the one before. Only while the row is at `version`, nobody else has
    /// its new name or address, and the survivor as described there.
    EditAccount(Box<AccountEdit>),
    /// The end of an account, with all that is its own but the entry. Its subject is never given out again. Only while
    /// the row is at `version`.
    DeleteAccount {
        /// Which.
        subject: Subject,
        /// The account's version as loaded.
        version: u64,
        /// The entry, of the kind subject.
        entry: NewEntry,
        /// What whoever wants it has to say.
        note: Option<Note>,
    },
    /// What vouches for entries of the audit, and the seal over them; entries up to the seal's first place are forgotten.
    /// Only while the audit is sealed up to `from`.
    SealAudit {
        /// Up to where the audit was sealed, as loaded.
        from: AuditPlace,
        /// The entries that are sealed now.
        entries: Vec<SealedEntry>,
        /// The seal from then on.
        seal: AuditSeal,
    },
    /// A seal that begins the audit anew after a fault. Entries before it stay, and no number up to its last place is given
    /// again. Only while the audit is sealed up to `from`.
    AcceptAudit {
        /// Up to where the audit was sealed, as loaded.
        from: AuditPlace,
        /// The seal from then on.
        seal: AuditSeal,
        /// The operator's note.
        note: Option<Note>,
    },
    /// What is personal in the audit about a deleted account is blanked, but for what was said of its deletion; when
    /// nothing is left, the subject needn't be looked at again.
    BlankPersons {
        /// Whose account it was.
        subject: Subject,
        /// At most so many entries.
        limit: u32,
    },
    /// Several changes, in this order: all of them or none.
    Together(Vec<Change>),
    /// The end of all sessions: the global watermark becomes the entry's own number. Always.
    EndEverything {
        /// The entry, of the kind everything.
        entry: NewEntry,
    },
    /// The log goes on in another epoch. Only while it is in the epoch `from`, and that is below `to`.
    BeginEpoch {
        /// The log's epoch as loaded.
        from: Epoch,
        /// The new one.
        to: Epoch,
        /// Its first entry, of the kind everything.
        entry: NewEntry,
        /// What becomes of sessions that were opened before.
        sessions: OldSessions,
    },
    /// An entry that touches no session. Always.
    Revoke {
        /// The entry.
        entry: NewEntry,
    },
    /// A new key. One that is current makes the one that was retire: only while the current key is `replaces`. One that is
    /// next replaces none: only while no other is next.
    AddKey {
        /// The new key, current or next.
        key: KeyRecord,
        /// The key that is current now, and until when it goes on verifying.
        replaces: Option<(Kid, KeyState)>,
        /// Who wants it.
        actor: Actor,
    },
    /// The key that is next is current; the one that was current begins to retire. Only while both are what they are said
    /// to be.
    PromoteKey {
        /// The key that is next.
        kid: Kid,
        /// When.
        at: Timestamp,
        /// The key that is current now, if there is one, and until when it goes on verifying.
        replaces: Option<(Kid, KeyState)>,
        /// Who wants it.
        actor: Actor,
    },
    /// A retiring key is current again; the one that was current begins to retire. Only while both are what they are
    /// said to be.
    ResumeKey {
        /// The retiring key.
        kid: Kid,
        /// When.
        at: Timestamp,
        /// The key that is current now, if there is one, and until when it goes on verifying.
        replaces: Option<(Kid, KeyState)>,
    },
    /// The end of a key whose last token has expired, or that has signed none. Only while it is retiring or next.
    DropKey {
        /// The key.
        kid: Kid,
        /// When.
        at: Timestamp,
        /// Who wants it.
        actor: Actor,
    },
    /// The end of a key, in whatever state, and of what it has signed. Only while it is there and wasn't struck before.
    StrikeKey {
        /// The key.
        kid: Kid,
        /// What is kept of it from then on.
        secret: super::Sealed,
        /// The entry, of the kind key.
        entry: NewEntry,
    },
    /// A key that was struck elsewhere, so that it is known here, too. Only while there is none of its id.
    AddStruckKey {
        /// The key, struck.
        key: KeyRecord,
        /// The entry, of the kind key.
        entry: NewEntry,
    },
    /// A new client. Only while there is none of its name or with its secret.
    AddClient {
        /// The client.
        client: Client,
        /// The digest of its secret.
        digest: SecretDigest,
        /// What whoever adds it has to say.
        note: Option<Note>,
    },
    /// The end of a client: its secret opens nothing any more. Only while it is there as it is said to be.
    RemoveClient {
        /// The client.
        client: Client,
        /// When.
        at: Timestamp,
        /// What whoever removes it has to say.
        note: Option<Note>,
    },
    /// A secret that isn't a signing key, under a name. Only while there is none of this name.
    AddSecret {
        /// Its name.
        name: &'static str,
        /// The secret.
        secret: super::Sealed,
    },
    /// A setting that must be known at the next start, under a name; it replaces the one before.
    Remember {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The longest lifetime configured, in milliseconds. It only ever grows.
    RaiseLongestLifetime(u64),
    /// A new flow. Only while the flow about the same matter is `replaces`, which it takes the place of, or there is none.
    StartFlow {
        /// The flow.
        flow: Box<Flow>,
        /// The one before.
        replaces: Option<FlowId>,
    },
    /// One try less. Only while the flow is there and has tries left.
    SpendTry(FlowId),
    /// The end of a flow, because it is used. Only while it is there.
    UseFlow(FlowId),
    /// A mail to be sent. Always.
    AddMail(Box<Mail>),
    /// The beginning of an attempt to send a mail. Only while it is there, wasn't sent, and was tried so often.
    TryMail {
        /// The mail.
        mail: MailId,
        /// How often it was tried, as loaded.
        attempts: u32,
        /// When to try again if nobody says what has become of it.
        due_at: Timestamp,
    },
    /// What has become of an attempt. Only while the mail is there, wasn't sent, and was tried so often.
    SettleMail {
        /// The mail.
        mail: MailId,
        /// How often it was tried, this attempt included.
        attempts: u32,
        /// What has become of it.
        outcome: MailOutcome,
    },
    /// The end of a mail that isn't to be sent. Only while it is there and wasn't sent.
    DropMail(MailId),
    /// Forgets session rows, flows and mails past their time.
    ForgetExpired {
        /// The moment that they are compared with.
        now: Timestamp,
        /// At most so many rows of each kind.
        limit: u32,
    },
    /// Marks entries of the log past their time.
    MarkExpired {
        /// The moment that they are compared with.
        now: Timestamp,
        /// At most so many.
        limit: u32,
    },
    /// Deletes entries of the log that were marked before and are still past their time, and keeps of them what
    /// [`Forgotten`](super::Forgotten) tells.
    DeleteMarked {
        /// The moment that they are compared with.
        now: Timestamp,
        /// Only those marked up to this moment.
        marked_until: Timestamp,
        /// At most so many.
        limit: u32,
    },
}

/// What becomes of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountEdit {
    /// Which.
    pub subject: Subject,
    /// The account's version as loaded; the next one is written.
    pub version: u64,
    /// What this is.
    pub event: Event,
    /// Who wants it.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What the row says from then on.
    pub fields: AccountFields,
    /// What dies with that.
    pub ends: Ends,
    /// What whoever wants it has to say.
    pub note: Option<Note>,
}

/// What an operator says about what they do. It is personal: in the audit it can be blanked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// Who they are, as the system knows them.
    pub author: Option<String>,
    /// Why they do it.
    pub text: Option<String>,
}

/// Fields of an account's row that change; `None`: it stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccountFields {
    /// What it signs in with.
    pub username: Option<Name>,
    /// Its address; `Some(None)`: it has none any more.
    pub email: Option<Option<Email>>,
    /// Its password; `Some(None)`: none is usable any more.
    pub password: Option<Option<PasswordHash>>,
    /// Until when its password may be used, and for nothing but changing it; `Some(None)`: for everything.
    pub must_change: Option<Option<Timestamp>>,
    /// Whether it may sign in.
    pub state: Option<AccountState>,
    /// How often it was locked since it has last signed in.
    pub locks: Option<u32>,
    /// The claims that an operator sets, in place of all others.
    pub claims: Option<CustomClaims>,
    /// The devices that it is known on.
    pub devices: Option<Devices>,
    /// The mark of the hash that Django nodes have; `Some(None)`: they have the account's own.
    pub mark: Option<Option<String>>,
}

impl AccountFields {
    /// Whether the account's row would be another. Claims in another order are the same.
    pub fn differ_from(&self, account: &Account) -> bool {
        fn differs<T: PartialEq>(field: Option<&T>, now: &T) -> bool {
            field.is_some_and(|field| field != now)
        }
        differs(self.username.as_ref(), &account.username)
            || differs(self.email.as_ref(), &account.email)
            || differs(self.password.as_ref(), &account.password)
            || differs(self.must_change.as_ref(), &account.must_change)
            || differs(self.state.as_ref(), &account.state)
            || differs(self.locks.as_ref(), &account.locks)
            || self.claims.as_ref().is_some_and(
                |claims| !matches!(&account.claims, AccountClaims::Set(own) if claims.same_as(own)),
            )
            || differs(self.devices.as_ref(), &account.devices)
            || differs(self.mark.as_ref(), &account.mark)
    }
}

/// What dies with an account's row as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ends {
    /// Nothing.
    Nothing,
    /// The access tokens minted before, and not their sessions: the next refresh gives new ones.
    Access(NewEntry),
    /// Its sessions: its watermark becomes the entry's own number.
    Sessions {
        /// The entry, of the kind subject.
        entry: NewEntry,
        /// The session that lives on.
        survivor: Option<Survivor>,
    },
}

/// What opens a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The session, live.
    pub session: Session,
    /// The account's version as loaded.
    pub version: u64,
    /// A better hash of the password that was just verified; it doesn't count as a new version.
    pub rehash: Option<PasswordHash>,
    /// The session that makes room for it.
    pub evict: Option<SessionEnd>,
    /// When the account has signed in, if that is to be kept.
    pub last_login: Option<Timestamp>,
    /// The device that the account is known on from then on, as the one with the latest sign-in.
    pub knows: Option<DeviceId>,
    /// How often the account was locked since it has last signed in, where that changes.
    pub locks: Option<u32>,
    /// The token of another issuer that opens it, whose key stands in the session.
    pub adopts: Option<Adoption>,
    /// The claims of that token, which become the account's if it never had any.
    pub claims: Option<CustomClaims>,
}

/// One session's end, with the entry that tells it to the verifiers. Why, when and by whom stands in the entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEnd {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// The entry, of the kind session.
    pub entry: NewEntry,
    /// The entry over the token of another issuer that opened it.
    pub adopted: Option<NewEntry>,
}

/// What must hold where a token of another issuer opens a session: no session was opened with it, be that of a deleted
/// account, the log has no entry over it, and it was minted after the sessions of its account, and of all, were last ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adoption {
    /// When it was minted.
    pub minted_at: Timestamp,
    /// The scopes that must have no entry: the token's own and its key's.
    pub scopes: Vec<ScopeKey>,
}

/// The session that lives on when the others of its account end. Its `opened_seq` becomes the entry's own number.
/// Only while the row is live, at `generation`, and no watermark is above its `opened_seq` as they stand in the
/// transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survivor {
    /// The session.
    pub session: SessionId,
    /// Its generation as loaded; the next one is written.
    pub generation: Generation,
    /// When its new refresh token was minted.
    pub rotated_at: Timestamp,
    /// That token's `exp`.
    pub idle_until: Timestamp,
}

/// What the store says once a change is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The number of the last entry that the change appended, if it appended any.
    pub seq: Option<Seq>,
    /// How many rows a pruning change took.
    pub pruned: u32,
}

impl AccountEdit {
    /// Nothing but the end of its sessions.
    pub fn ending(account: &Account, event: Event, entry: NewEntry) -> Self {
        let (actor, at) = (entry.actor.clone(), entry.at);
        Self { ends: Ends::Sessions { entry, survivor: None }, ..Self::of(account, event, actor, at) }
    }

    /// Nothing yet.
    pub fn of(account: &Account, event: Event, actor: Actor, at: Timestamp) -> Self {
        Self {
            subject: account.subject.clone(),
            version: account.version,
            event,
            actor,
            at,
            fields: AccountFields::default(),
            ends: Ends::Nothing,
            note: None,
        }
    }
}

impl SessionEnd {
    /// What the session's row says from then on.
    pub fn ending(&self) -> Ending {
        Ending { reason: self.entry.reason, at: self.entry.at, actor: self.entry.actor.clone() }
    }
}
