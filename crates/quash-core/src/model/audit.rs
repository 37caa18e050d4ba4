//! The audit: what happened to accounts, sessions and keys, who did it and why.
//!
//! Entries are derived from changes, so that no change is written without its entry. Sealing is in
//! `decide/seal.rs`.

use super::{
    AccountEdit, Actor, Chain, Change, Client, ClientEdit, Ending, Ends, KeyRecord, Kid, NamesRevocation,
    NewEntry, Note, OldSessions, Reason, ScopeKind, SessionEnd, SessionId, SessionOpening, Subject,
    Timestamp,
};

/// The kind of an audit entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    AccountAdded,
    AccountDeleted,
    Deactivated,
    Reactivated,
    /// Signing in was locked after failed attempts.
    Locked,
    /// The account was unlocked before its lock expired.
    Unlocked,
    /// The owner changed the password.
    PasswordChanged,
    /// The owner set a new password with a link or a code from a mail.
    PasswordReset,
    /// An operator set a new password, or removed it.
    PasswordSet,
    /// The account has a new address, or none.
    EmailChanged,
    /// The owner confirmed the address.
    EmailVerified,
    /// The account has a new name to sign in with.
    NameChanged,
    /// The custom claims changed.
    ClaimsChanged,
    /// All sessions of the account were ended, or all but one.
    SessionsEnded,
    /// A session was opened with a password.
    SignedIn,
    /// A session was opened with a token of another issuer.
    TokenAdopted,
    SessionEnded,
    /// A token of another issuer that had opened no session was revoked.
    TokenEnded,
    /// Everything issued before the event was revoked.
    EverythingEnded,
    /// Tokens were revoked; no session ended.
    Revoked,
    /// A key was created or named by the settings. It is the current key or the next one.
    KeyAdded,
    /// The next key became the current one.
    KeyPromoted,
    /// A retiring key became the current one again.
    KeyResumed,
    /// A key was dropped: it no longer verifies.
    KeyDropped,
    /// A client was added: a service with a secret of its own.
    ClientAdded,
    /// A client has other rights or another expiry.
    ClientChanged,
    /// A client has a new secret: the one before is no longer accepted.
    ClientSecretRenewed,
    /// A client was removed: its secret is no longer accepted.
    ClientRemoved,
    /// A key was revoked in an emergency, and with it the tokens that it signed.
    KeyRevoked,
    /// An operator accepted the audit after a fault. Earlier entries aren't protected by a seal.
    AuditAccepted,
}

/// An entry to be written to the audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAudit {
    pub at: Timestamp,
    pub event: Event,
    pub actor: Actor,
    /// The reason, if something ended.
    pub reason: Option<Reason>,
    pub subject: Option<Subject>,
    pub session: Option<SessionId>,
    pub kid: Option<String>,
    /// Personal data, which can be blanked.
    pub person: Option<PersonalData>,
}

/// The personal data of an audit entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PersonalData {
    /// The account's name, the client's, or that of the namespace in which names were revoked.
    pub name: Option<String>,
    /// The network address that opened the session.
    pub address: Option<String>,
    /// The user agent that opened the session.
    pub device: Option<String>,
    /// The operator's note.
    pub note: Option<Note>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// The entry's number, from 1, without gaps.
    pub id: u64,
    pub new: NewAudit,
    /// The number of the last entry that the same transaction appended to the log of revocations, if any.
    pub seq: Option<super::Seq>,
    /// The entry's protection; `None` until it is sealed.
    pub sealing: Option<Sealing>,
}

/// The values that protect a sealed entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealing {
    /// Random bytes that make the hash over the personal data unguessable. Blanked together with the data.
    pub salt: Option<[u8; 16]>,
    /// The hash over the personal data, if the entry had any.
    pub person: Option<Chain>,
    /// The hash over this entry and all before it.
    pub chain: Chain,
}

/// A position in the audit: after an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AuditPlace {
    /// The entry's number. 0: before the first entry.
    pub id: u64,
    /// The hash over this entry and all before it.
    pub chain: Chain,
}

/// A signed statement that the entries between two positions are unchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditSeal {
    /// The start of the sealed range. Entries before it are deleted.
    pub first: AuditPlace,
    /// The end of the sealed range. Entries after it aren't sealed yet.
    pub last: AuditPlace,
    /// The time of signing.
    pub at: Timestamp,
    /// A compact JWS with the same content.
    pub signed: String,
}

/// The extent of the audit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditHead {
    /// The newest number ever assigned.
    pub newest: u64,
    /// The lowest and the highest number of the entries present; `None` if there are none.
    pub present: Option<(u64, u64)>,
    /// The current seal. The first one is written when the store is created.
    pub seal: Option<AuditSeal>,
}

/// An entry that is being sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedEntry {
    pub id: u64,
    pub sealing: Sealing,
}

/// The entries that a reader asks for: those that match all that is given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    pub subject: Option<Subject>,
    pub event: Option<Event>,
    pub actor: Option<Actor>,
    /// Entries of this time or later.
    pub from: Option<Timestamp>,
    /// Entries before this time.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns whether an entry is one of those.
    pub fn matches(&self, new: &NewAudit) -> bool {
        let Self { subject, event, actor, from, until } = self;
        subject.as_ref().is_none_or(|subject| new.subject.as_ref() == Some(subject))
            && event.is_none_or(|event| new.event == event)
            && actor.as_ref().is_none_or(|actor| new.actor == *actor)
            && from.is_none_or(|from| new.at >= from)
            && until.is_none_or(|until| new.at < until)
    }
}

impl AuditSeal {
    /// Returns whether the sealed range begins where an operator accepted the audit after a fault. Its hash
    /// is then all zeros, which covers nothing.
    pub fn is_acceptance(&self) -> bool {
        self.first.id > 0 && self.first.chain == Chain::default()
    }
}

impl NewAudit {
    /// The audit entries of a change. A change that isn't an event, such as a rotation, a setting or a
    /// pruning, has none.
    pub fn of(change: &Change) -> Vec<Self> {
        match change {
            Change::AddAccount(account, actor) => {
                let person = PersonalData {
                    name: Some(account.username.shown().to_owned()),
                    ..PersonalData::default()
                };
                let new = Self::new(Event::AccountAdded, account.created_at, actor).about(&account.subject);
                vec![Self { person: Some(person), ..new }]
            }
            Change::OpenSession(opening) => opened(opening),
            Change::EndSessions { sessions, tokens } => {
                let tokens = tokens.iter().map(|entry| match entry.kind {
                    ScopeKind::Session => Self::ending(Event::Revoked, entry),
                    _ => Self::ending(Event::TokenEnded, entry),
                });
                sessions.iter().map(ended).chain(tokens).collect()
            }
            Change::EditAccount(edit) => vec![edited(edit)],
            Change::DeleteAccount { subject, entry, note, .. } => {
                vec![Self::ending(Event::AccountDeleted, entry).about(subject).with_note(note.as_ref())]
            }
            Change::EndEverything { entry } => vec![Self::ending(Event::EverythingEnded, entry)],
            Change::BeginEpoch { entry, sessions: OldSessions::End, .. } => {
                vec![Self::ending(Event::EverythingEnded, entry)]
            }
            Change::Revoke { entry } | Change::BeginEpoch { entry, sessions: OldSessions::Keep, .. } => {
                vec![Self::ending(Event::Revoked, entry)]
            }
            Change::ApplySettings { entry, .. } => {
                entry.iter().map(|entry| Self::ending(Event::Revoked, entry)).collect()
            }
            Change::RevokeNames(revoked) => {
                let NamesRevocation { namespace, reason, actor, at, .. } = &**revoked;
                let person = PersonalData { name: Some(namespace.clone()), ..PersonalData::default() };
                let new = Self::new(Event::Revoked, *at, actor);
                vec![Self { reason: Some(*reason), person: Some(person), ..new }]
            }
            Change::AddKey { key, actor, .. } => {
                vec![Self::new(Event::KeyAdded, key.created_at, actor).about_key(&key.kid)]
            }
            Change::PromoteKey { kid, at, actor, .. } => {
                vec![Self::new(Event::KeyPromoted, *at, actor).about_key(kid)]
            }
            Change::ResumeKey { kid, at, .. } => {
                vec![Self::new(Event::KeyResumed, *at, &Actor::Rule).about_key(kid)]
            }
            Change::DropKey { kid, at, actor } => {
                vec![Self::new(Event::KeyDropped, *at, actor).about_key(kid)]
            }
            Change::RevokeKey { kid, entry, .. }
            | Change::AddRevokedKey { key: KeyRecord { kid, .. }, entry } => {
                vec![Self::ending(Event::KeyRevoked, entry).about_key(kid)]
            }
            Change::AddClient { client, actor, note, .. } => {
                vec![of_client(Event::ClientAdded, client, client.created_at, actor, note.as_ref())]
            }
            Change::ChangeClient(edit) => {
                let ClientEdit { client, digest, at, actor, note, .. } = &**edit;
                let event = if digest.is_some() { Event::ClientSecretRenewed } else { Event::ClientChanged };
                vec![of_client(event, client, *at, actor, note.as_ref())]
            }
            Change::RemoveClient { client, at, actor, note } => {
                vec![of_client(Event::ClientRemoved, client, *at, actor, note.as_ref())]
            }
            Change::AcceptAudit { seal, note, .. } => {
                vec![Self::new(Event::AuditAccepted, seal.at, &Actor::Operator).with_note(note.as_ref())]
            }
            // The parts of `Together` have their own entries.
            Change::Together(_)
            | Change::UseClients(_)
            | Change::Rotate { .. }
            | Change::BindSession { .. }
            | Change::AddSecret { .. }
            | Change::Remember { .. }
            | Change::RaiseLongestLifetime(_)
            | Change::SealAudit { .. }
            | Change::BlankPersons { .. }
            | Change::StartFlow { .. }
            | Change::SpendTry(_)
            | Change::UseFlow(_)
            | Change::AddMail(_)
            | Change::TryMail { .. }
            | Change::SettleMail { .. }
            | Change::DropMail(_)
            | Change::ForgetExpired { .. }
            | Change::MarkExpired { .. }
            | Change::DeleteMarked { .. } => Vec::new(),
        }
    }

    /// Returns whether the event ended sessions by a watermark: all of its account, or all there were. The
    /// sessions' rows then don't hold the reason.
    pub fn raises_watermark(&self) -> bool {
        self.reason.is_some() && self.event.may_raise_watermark()
    }

    /// The reason, time and actor, if something ended.
    pub fn end(&self) -> Option<Ending> {
        self.reason.map(|reason| Ending { reason, at: self.at, actor: self.actor.clone() })
    }

    fn new(event: Event, at: Timestamp, actor: &Actor) -> Self {
        Self {
            at,
            event,
            actor: actor.clone(),
            reason: None,
            subject: None,
            session: None,
            kid: None,
            person: None,
        }
    }

    fn ending(event: Event, entry: &NewEntry) -> Self {
        Self { reason: Some(entry.reason), ..Self::new(event, entry.at, &entry.actor) }
    }

    fn about(self, subject: &Subject) -> Self {
        Self { subject: Some(subject.clone()), ..self }
    }

    fn about_key(self, kid: &Kid) -> Self {
        Self { kid: Some(kid.as_str().to_owned()), ..self }
    }

    fn with_note(self, note: Option<&Note>) -> Self {
        let person = note.map(|note| PersonalData { note: Some(note.clone()), ..PersonalData::default() });
        Self { person, ..self }
    }
}

fn opened(opening: &SessionOpening) -> Vec<NewAudit> {
    let SessionOpening { session, evict, adopts, .. } = opening;
    let event = if adopts.is_some() { Event::TokenAdopted } else { Event::SignedIn };
    let person = PersonalData {
        address: session.address.clone(),
        device: session.device.clone(),
        ..PersonalData::default()
    };
    let new = NewAudit::new(event, session.opened_at, &Actor::Owner).about(&session.subject);
    let opened = NewAudit {
        session: Some(session.id),
        person: Some(person).filter(|person| *person != PersonalData::default()),
        ..new
    };
    let evicted = evict.as_ref().map(|end| ended(end).about(&session.subject));
    evicted.into_iter().chain([opened]).collect()
}

fn ended(end: &SessionEnd) -> NewAudit {
    let new = NewAudit::ending(Event::SessionEnded, &end.entry).about(&end.subject);
    NewAudit { session: Some(end.session), ..new }
}

fn of_client(event: Event, client: &Client, at: Timestamp, actor: &Actor, note: Option<&Note>) -> NewAudit {
    let person =
        PersonalData { name: Some(client.name.to_string()), note: note.cloned(), ..PersonalData::default() };
    NewAudit { person: Some(person), ..NewAudit::new(event, at, actor) }
}

fn edited(edit: &AccountEdit) -> NewAudit {
    let new =
        NewAudit::new(edit.event, edit.at, &edit.actor).about(&edit.subject).with_note(edit.note.as_ref());
    match &edit.ends {
        Ends::Nothing => new,
        Ends::Access(entry) => NewAudit { reason: Some(entry.reason), ..new },
        Ends::Sessions { entry, survivor } => {
            NewAudit { reason: Some(entry.reason), session: survivor.map(|survivor| survivor.session), ..new }
        }
    }
}

impl Event {
    pub const ALL: [Self; 30] = [
        Self::AccountAdded,
        Self::AccountDeleted,
        Self::Deactivated,
        Self::Reactivated,
        Self::Locked,
        Self::Unlocked,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::PasswordSet,
        Self::EmailChanged,
        Self::EmailVerified,
        Self::NameChanged,
        Self::ClaimsChanged,
        Self::SessionsEnded,
        Self::SignedIn,
        Self::TokenAdopted,
        Self::SessionEnded,
        Self::TokenEnded,
        Self::EverythingEnded,
        Self::Revoked,
        Self::KeyAdded,
        Self::KeyPromoted,
        Self::KeyResumed,
        Self::KeyDropped,
        Self::ClientAdded,
        Self::ClientChanged,
        Self::ClientSecretRenewed,
        Self::ClientRemoved,
        Self::KeyRevoked,
        Self::AuditAccepted,
    ];

    /// The event's name in the store, in answers and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountAdded => "account_added",
            Self::AccountDeleted => "account_deleted",
            Self::Deactivated => "deactivated",
            Self::Reactivated => "reactivated",
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::PasswordSet => "password_set",
            Self::EmailChanged => "email_changed",
            Self::EmailVerified => "email_verified",
            Self::NameChanged => "name_changed",
            Self::ClaimsChanged => "claims_changed",
            Self::SessionsEnded => "sessions_ended",
            Self::SignedIn => "signed_in",
            Self::TokenAdopted => "token_adopted",
            Self::SessionEnded => "session_ended",
            Self::TokenEnded => "token_ended",
            Self::EverythingEnded => "everything_ended",
            Self::Revoked => "revoked",
            Self::KeyAdded => "key_added",
            Self::KeyPromoted => "key_promoted",
            Self::KeyResumed => "key_resumed",
            Self::KeyDropped => "key_dropped",
            Self::ClientAdded => "client_added",
            Self::ClientChanged => "client_changed",
            Self::ClientSecretRenewed => "client_secret_renewed",
            Self::ClientRemoved => "client_removed",
            Self::KeyRevoked => "key_struck",
            Self::AuditAccepted => "audit_accepted",
        }
    }

    /// Returns whether the event can raise a watermark. If it does, its entry has a reason.
    const fn may_raise_watermark(self) -> bool {
        match self {
            Self::AccountDeleted
            | Self::Deactivated
            | Self::Locked
            | Self::PasswordChanged
            | Self::PasswordReset
            | Self::PasswordSet
            | Self::EmailChanged
            | Self::NameChanged
            | Self::SessionsEnded
            | Self::EverythingEnded => true,
            Self::AccountAdded
            | Self::Reactivated
            | Self::Unlocked
            | Self::EmailVerified
            | Self::ClaimsChanged
            | Self::SignedIn
            | Self::TokenAdopted
            | Self::SessionEnded
            | Self::TokenEnded
            | Self::Revoked
            | Self::KeyAdded
            | Self::KeyPromoted
            | Self::KeyResumed
            | Self::KeyDropped
            | Self::ClientAdded
            | Self::ClientChanged
            | Self::ClientSecretRenewed
            | Self::ClientRemoved
            | Self::KeyRevoked
            | Self::AuditAccepted => false,
        }
    }

    /// The event with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_events_round_trip_through_their_names() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(event));
        }
        assert_eq!(Event::parse("SignedIn"), None);
    }
}
