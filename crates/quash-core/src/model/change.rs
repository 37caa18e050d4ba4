//! Changes: what a decision asks the store to write. One change is one fact and one transaction.
//!
//! Each change documents the condition under which it may be written. The store checks the condition inside
//! the transaction and writes all of the change or nothing. It makes no decisions.

use super::{
    Account, AccountClaims, AccountState, Actor, AuditPlace, AuditSeal, Client, ClientName, CustomClaims,
    DeviceId, Devices, Email, Ending, Epoch, Event, Flow, FlowId, Generation, KeyRecord, KeyState, Kid, Mail,
    MailId, MailOutcome, Name, NewEntry, Note, OldSessions, PasswordHash, Reason, Rights, ScopeKey,
    SealedEntry, SecretDigest, Seq, Session, SessionId, Subject, Timestamp,
};

/// A fact to be written in one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Adds an account. Only while its subject, name and address are unused.
    AddAccount(Account, Actor),
    /// Opens a session. Only while the account's row is at its version, no watermark is above the session's
    /// `opened_seq`, and the account then has at most `most_live` live sessions. If the session adopts a token,
    /// the conditions of [`Adoption`] apply too.
    OpenSession(Box<SessionOpening>),
    /// Advances a session to the next generation. Only while the session is live, at generation `from`, and
    /// no watermark covers it.
    Rotate {
        session: SessionId,
        /// The generation as loaded; the next one is written.
        from: Generation,
        /// The time at which the new refresh token was minted.
        rotated_at: Timestamp,
        /// The new refresh token's `exp`.
        idle_until: Timestamp,
    },
    /// Records the known device of a session whose client presented its device token after the sign-in. Only
    /// while the session is live and no watermark covers it.
    BindSession { session: SessionId, device: DeviceId },
    /// Ends one or two sessions, and revokes tokens of other issuers. Only while each row is live, no token
    /// has opened a session, and none has an entry in the log.
    EndSessions {
        /// The sessions, each with its entry in the log.
        sessions: Vec<SessionEnd>,
        /// The entries of tokens of other issuers, or of their sessions in a namespace.
        tokens: Vec<NewEntry>,
    },
    /// Updates an account's row, and ends what depended on the previous one. Only while the row is at
    /// `version`, no other account has its new name or address, and the condition of [`Survivor`] holds.
    EditAccount(Box<AccountEdit>),
    /// Deletes an account with all its data except the entry. Its subject is never assigned again. Only while
    /// the row is at `version`.
    DeleteAccount {
        subject: Subject,
        /// The account's version as loaded.
        version: u64,
        /// The entry, of the kind subject.
        entry: NewEntry,
        note: Option<Note>,
    },
    /// Seals entries of the audit. Entries up to the seal's first position are deleted. Only while the audit
    /// is sealed up to `from`.
    SealAudit {
        /// The end of the sealed range, as loaded.
        from: AuditPlace,
        /// The entries to seal.
        entries: Vec<SealedEntry>,
        /// The new seal.
        seal: AuditSeal,
    },
    /// Starts a new seal after a fault in the audit. Earlier entries stay, and no number up to the seal's
    /// last position is assigned again. Only while the audit is sealed up to `from`.
    AcceptAudit {
        /// The end of the sealed range, as loaded.
        from: AuditPlace,
        /// The new seal.
        seal: AuditSeal,
        note: Option<Note>,
    },
    /// Blanks the personal data in a deleted account's audit entries, except in the entry of the deletion.
    /// Once none is left, the subject needn't be examined again.
    BlankPersons {
        subject: Subject,
        /// The maximum number of entries.
        limit: u32,
    },
    /// Applies several changes in this order: all of them or none.
    Together(Vec<Change>),
    /// Ends all sessions: the global watermark becomes the entry's own number. Unconditional.
    EndEverything {
        /// The entry, of the kind everything.
        entry: NewEntry,
    },
    /// Continues the log in a new epoch. Only while the log is in the epoch `from`, and that is below `to`.
    BeginEpoch {
        /// The log's epoch as loaded.
        from: Epoch,
        to: Epoch,
        /// The new epoch's first entry, of the kind everything.
        entry: NewEntry,
        sessions: OldSessions,
    },
    /// Appends an entry that ends no session. Unconditional.
    Revoke { entry: NewEntry },
    /// Appends entries of another issuer's namespace, in this order. Unconditional. There may be none: the
    /// request is in the audit all the same.
    RevokeNames(Box<NamesRevocation>),
    /// Adds a key. A current key retires the previous one: only while the current key is `replaces`. A next
    /// key replaces none: only while there is no other next key.
    AddKey {
        /// The new key, current or next.
        key: KeyRecord,
        /// The current key, and the end of its time as a verifying key.
        replaces: Option<(Kid, KeyState)>,
        actor: Actor,
    },
    /// Makes the next key the current one; the previous one starts to retire. Only while both are in the
    /// expected states.
    PromoteKey {
        kid: Kid,
        at: Timestamp,
        /// The current key, if there is one, and the end of its time as a verifying key.
        replaces: Option<(Kid, KeyState)>,
        actor: Actor,
    },
    /// Makes a retiring key the current one again; the previous one starts to retire. Only while both are in
    /// the expected states.
    ResumeKey {
        /// The retiring key.
        kid: Kid,
        at: Timestamp,
        /// The current key, if there is one, and the end of its time as a verifying key.
        replaces: Option<(Kid, KeyState)>,
    },
    /// Drops a key whose last token has expired, or that has signed none. Only while it is retiring or next.
    DropKey { kid: Kid, at: Timestamp, actor: Actor },
    /// Revokes a key in any state, and the tokens that it signed. Only while the key exists and isn't
    /// revoked.
    RevokeKey {
        kid: Kid,
        /// The secret that is stored from now on: of a key pair, the public half alone.
        secret: super::Sealed,
        /// The entry, of the kind key.
        entry: NewEntry,
    },
    /// Adds a key that was revoked in the store which this one replaces, so that no start uses it. Only while
    /// there is no key of its id.
    AddRevokedKey {
        /// The revoked key.
        key: KeyRecord,
        /// The entry, of the kind key.
        entry: NewEntry,
    },
    /// Adds a client. Only while there is none with its name or its secret.
    AddClient {
        client: Client,
        /// The digest of the client's secret.
        digest: SecretDigest,
        actor: Actor,
        note: Option<Note>,
    },
    /// Changes a client's rights, its expiry or its secret. Only while the client is stored as given, and no other has
    /// the secret.
    ChangeClient(Box<ClientEdit>),
    /// Removes a client: its secret is no longer accepted. Only while the client is stored as given.
    RemoveClient { client: Client, at: Timestamp, actor: Actor, note: Option<Note> },
    /// Records when clients were last used. Clients that were removed, or were used later, are skipped.
    UseClients(Vec<(ClientName, Timestamp)>),
    /// Adds a named secret that isn't a signing key. Only while there is none of this name.
    AddSecret { name: &'static str, secret: super::Sealed },
    /// Stores a named setting that must be known at the next start. Replaces the previous value.
    Remember { name: &'static str, value: String },
    /// Applies settings that define tokens, and ends the tokens that depended on the previous ones. Only while the
    /// head's `settings` are `from`.
    ApplySettings {
        /// The number of the settings as loaded; the next one is written.
        from: u64,
        /// The names and values of the settings.
        values: Vec<(&'static str, String)>,
        /// The entry that ends tokens.
        entry: Option<NewEntry>,
    },
    /// Raises the longest lifetime ever configured, in milliseconds. It never decreases.
    RaiseLongestLifetime(u64),
    /// Starts a flow. Only while the flow with the same subject hash is `replaces`, which it replaces, or
    /// there is none.
    StartFlow {
        flow: Box<Flow>,
        /// The previous flow.
        replaces: Option<FlowId>,
    },
    /// Uses up one try of a flow. Only while the flow exists and has tries left.
    SpendTry(FlowId),
    /// Deletes a flow because it is used. Only while it exists.
    UseFlow(FlowId),
    /// Adds a mail to be sent. Unconditional.
    AddMail(Box<Mail>),
    /// Begins an attempt to send a mail. Only while the mail exists, is unsent and has had this number of
    /// attempts.
    TryMail {
        mail: MailId,
        /// The number of attempts, as loaded.
        attempts: u32,
        /// The time of the next attempt if the outcome of this one isn't reported.
        due_at: Timestamp,
    },
    /// Records the outcome of an attempt. Only while the mail exists, is unsent and has had this number of
    /// attempts.
    SettleMail {
        mail: MailId,
        /// The number of attempts, this one included.
        attempts: u32,
        outcome: MailOutcome,
    },
    /// Deletes a mail that isn't to be sent. Only while it exists and is unsent.
    DropMail(MailId),
    /// Deletes expired session rows, flows and mails.
    ForgetExpired {
        now: Timestamp,
        /// The maximum number of rows of each kind.
        limit: u32,
    },
    /// Marks expired entries of the log.
    MarkExpired {
        now: Timestamp,
        /// The maximum number of entries.
        limit: u32,
    },
    /// Deletes entries of the log that were marked before and are still expired, and records them in
    /// [`Forgotten`](super::Forgotten).
    DeleteMarked {
        now: Timestamp,
        /// Only entries marked up to this time are deleted.
        marked_until: Timestamp,
        /// The maximum number of entries.
        limit: u32,
    },
}

impl Change {
    /// Returns whether the change itself, apart from the parts of [`Change::Together`], adds, removes or changes a
    /// signing key: [`Head::ring`](super::Head::ring) then grows.
    pub const fn turns_ring(&self) -> bool {
        matches!(
            self,
            Self::AddKey { .. }
                | Self::PromoteKey { .. }
                | Self::ResumeKey { .. }
                | Self::DropKey { .. }
                | Self::RevokeKey { .. }
                | Self::AddRevokedKey { .. }
        )
    }
}

/// A change of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientEdit {
    /// The client before the change.
    pub client: Client,
    pub rights: Rights,
    pub expires_at: Option<Timestamp>,
    /// The digest of a new secret; `None`: the secret stays.
    pub digest: Option<SecretDigest>,
    pub at: Timestamp,
    pub actor: Actor,
    pub note: Option<Note>,
}

/// A request of a client that revokes in a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamesRevocation {
    pub namespace: String,
    /// The common reason of the entries, or [`Reason::Revoked`].
    pub reason: Reason,
    pub actor: Actor,
    pub at: Timestamp,
    /// The entries, without those that the log has already.
    pub entries: Vec<NewEntry>,
}

/// A change of an account's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountEdit {
    pub subject: Subject,
    /// The account's version as loaded; the next one is written.
    pub version: u64,
    pub event: Event,
    pub actor: Actor,
    pub at: Timestamp,
    /// The new values.
    pub fields: AccountFields,
    /// The sessions or tokens that end with the change.
    pub ends: Ends,
    pub note: Option<Note>,
}

/// The fields of an account's row that change; `None`: unchanged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccountFields {
    /// The name to sign in with.
    pub username: Option<Name>,
    /// The address; `Some(None)`: removed.
    pub email: Option<Option<Email>>,
    /// The password; `Some(None)`: removed.
    pub password: Option<Option<PasswordHash>>,
    /// The end of a temporary password, which can only be used to change it; `Some(None)`: no restriction.
    pub temporary_until: Option<Option<Timestamp>>,
    pub state: Option<AccountState>,
    /// The number of locks since the last sign-in.
    pub locks: Option<u32>,
    /// The claims that an operator sets, in place of all others.
    pub claims: Option<CustomClaims>,
    /// The known devices.
    pub devices: Option<Devices>,
    /// The mark of the hash that the Django site has in its own table; `Some(None)`: it has the account's
    /// hash.
    pub mark: Option<Option<String>>,
}

impl AccountFields {
    /// Returns whether the fields would change the account's row. The order of claims doesn't count.
    pub fn differ_from(&self, account: &Account) -> bool {
        fn differs<T: PartialEq>(field: Option<&T>, now: &T) -> bool {
            field.is_some_and(|field| field != now)
        }
        differs(self.username.as_ref(), &account.username)
            || differs(self.email.as_ref(), &account.email)
            || differs(self.password.as_ref(), &account.password)
            || differs(self.temporary_until.as_ref(), &account.temporary_until)
            || differs(self.state.as_ref(), &account.state)
            || differs(self.locks.as_ref(), &account.locks)
            || self.claims.as_ref().is_some_and(
                |claims| !matches!(&account.claims, AccountClaims::Set(own) if claims.same_as(own)),
            )
            || differs(self.devices.as_ref(), &account.devices)
            || differs(self.mark.as_ref(), &account.mark)
    }
}

/// The sessions or tokens that end with an account's change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ends {
    Nothing,
    /// The access tokens minted before the change. Their sessions stay live: the next refresh returns new
    /// ones.
    Access(NewEntry),
    /// The account's sessions: its watermark becomes the entry's own number.
    Sessions {
        /// The entry, of the kind subject.
        entry: NewEntry,
        /// The session that stays live.
        survivor: Option<Survivor>,
    },
}

/// A session to open, with all that is written with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionOpening {
    /// The session, live.
    pub session: Session,
    /// The account's version as loaded.
    pub version: u64,
    /// A better hash of the password that was just verified, and the account's new mark. It doesn't increment
    /// the version.
    pub rehash: Option<(PasswordHash, String)>,
    /// The session that is ended to stay within the limit.
    pub evict: Option<SessionEnd>,
    /// The most live sessions that the account may have with this one, as of its `opened_at`. Sign-ins that were
    /// decided on at the same time don't know of each other.
    pub most_live: u32,
    /// The time of the sign-in, if the settings record it.
    pub last_login: Option<Timestamp>,
    /// The device to add to the account's known devices, as the one with the latest sign-in.
    pub known_device: Option<DeviceId>,
    /// The new number of locks since the last sign-in, if it changes.
    pub locks: Option<u32>,
    /// The token of another issuer that opens the session. The session holds its key.
    pub adopts: Option<Adoption>,
    /// The custom claims of that token. They become the account's if it never had any.
    pub claims: Option<CustomClaims>,
}

/// The end of one session, with the entry that announces it to verifiers. The entry holds the reason, time
/// and actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEnd {
    pub session: SessionId,
    pub subject: Subject,
    /// The entry, of the kind session.
    pub entry: NewEntry,
    /// The entry for the token of another issuer that opened the session.
    pub adopted: Option<NewEntry>,
}

/// The conditions under which a token of another issuer may open a session: it has opened none, not even one
/// of a deleted account; the log has no entry for it; and it was minted after the sessions of its account,
/// and all sessions, were last ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adoption {
    pub minted_at: Timestamp,
    /// The scopes that must have no entry: the token's own and its key's.
    pub scopes: Vec<ScopeKey>,
}

/// The session that stays live when the others of its account end. Its `opened_seq` becomes the entry's own
/// number.
///
/// Only while the row is live, at `generation`, and no watermark seen in the transaction is above its
/// `opened_seq`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survivor {
    pub session: SessionId,
    /// The session's generation as loaded; the next one is written.
    pub generation: Generation,
    /// The time at which the new refresh token was minted.
    pub rotated_at: Timestamp,
    /// The new refresh token's `exp`.
    pub idle_until: Timestamp,
}

/// The store's answer once a change is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The number of the last entry that the change appended, if it appended any.
    pub seq: Option<Seq>,
    /// The number of rows that a pruning change deleted.
    pub pruned: u32,
}

impl Receipt {
    /// The receipt of a change that appended an entry.
    pub const fn appended(seq: Seq) -> Self {
        Self { seq: Some(seq), pruned: 0 }
    }

    /// The receipt of a change that deleted rows.
    pub fn pruned(rows: impl TryInto<u32>) -> Self {
        Self { seq: None, pruned: rows.try_into().unwrap_or(u32::MAX) }
    }

    /// The receipt of this change and a later one together.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        Self { seq: later.seq.or(self.seq), pruned: self.pruned.saturating_add(later.pruned) }
    }
}

impl AccountEdit {
    /// An edit that only ends the account's sessions.
    pub fn ending(account: &Account, event: Event, entry: NewEntry) -> Self {
        let (actor, at) = (entry.actor.clone(), entry.at);
        Self { ends: Ends::Sessions { entry, survivor: None }, ..Self::of(account, event, actor, at) }
    }

    /// An edit without any new values.
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
    /// The ending that the session's row holds from now on.
    pub fn ending(&self) -> Ending {
        Ending { reason: self.entry.reason, at: self.entry.at, actor: self.entry.actor.clone() }
    }
}
