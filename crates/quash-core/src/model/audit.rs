//! The audit: what has happened to accounts, sessions and keys, by whom and why. Its entries follow from the changes,
//! so that none can be written without them. How they are sealed is decided in `decide/seal.rs`.

use super::{
    AccountEdit, Actor, Chain, Change, Client, Ending, Ends, KeyRecord, Kid, NewEntry, Note, OldSessions,
    Opening, Reason, SessionEnd, SessionId, Subject, Timestamp,
};

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// An account was added.
    AccountAdded,
    /// An account was deleted.
    AccountDeleted,
    /// An account may not be used any more.
    Deactivated,
    /// It may be used again.
    Reactivated,
    /// Signing in was locked after failed attempts.
    Locked,
    /// It was unlocked before the time was over.
    Unlocked,
    /// Its owner changed the password.
    PasswordChanged,
    /// Its owner set another password with a link or a code from a mail.
    PasswordReset,
    /// An operator set another password, or took it away.
    PasswordSet,
    /// It has another address, or none.
    EmailChanged,
    /// Its owner confirmed the address.
    EmailVerified,
    /// It has another name to sign in with.
    NameChanged,
    /// Its tokens say something else.
    ClaimsChanged,
    /// All its sessions were ended, or all but one.
    SessionsEnded,
    /// A session was opened with a password.
    SignedIn,
    /// A session was opened with a token of another issuer.
    TokenAdopted,
    /// A session was ended.
    SessionEnded,
    /// A token of another issuer was ended, which had opened no session.
    TokenEnded,
    /// Everything issued before was ended.
    EverythingEnded,
    /// Tokens were revoked, and no session ended.
    Revoked,
    /// A key was made, or named by the settings: it signs, or is the next one to.
    KeyAdded,
    /// The key that was next signs.
    KeyPromoted,
    /// A key signs again.
    KeyResumed,
    /// A key verifies no more.
    KeyDropped,
    /// A client was added: a service with a secret of its own.
    ClientAdded,
    /// A client was removed: its secret opens nothing any more.
    ClientRemoved,
    /// A key was removed in an emergency, and with it what it had signed.
    KeyStruck,
    /// An operator accepted the audit after a fault. Earlier entries are not vouched for.
    AuditAccepted,
}

/// An entry that isn't in the audit yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// By whom.
    pub actor: Actor,
    /// Why, where something ended.
    pub reason: Option<Reason>,
    /// Whose account.
    pub subject: Option<Subject>,
    /// Which session.
    pub session: Option<SessionId>,
    /// Which key.
    pub kid: Option<String>,
    /// What is personal: it can be blanked.
    pub person: Option<Person>,
}

/// What is personal in an entry of the audit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// The account's name, or the client's.
    pub name: Option<String>,
    /// The address that a session was opened from.
    pub address: Option<String>,
    /// What it was opened with.
    pub device: Option<String>,
    /// What an operator has said about it.
    pub note: Option<Note>,
}

/// An entry of the audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// Its number, from 1, without gaps.
    pub id: u64,
    /// What it says.
    pub new: NewAudit,
    /// The number of the last entry that the same transaction has appended to the log of revocations, if any.
    pub seq: Option<super::Seq>,
    /// What vouches for it, once it is sealed.
    pub sealing: Option<Sealing>,
}

/// What vouches for an entry of the audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealing {
    /// What makes the hash over the personal part unguessable. It is blanked with that.
    pub salt: Option<[u8; 16]>,
    /// The hash over the personal part, if the entry had one.
    pub person: Option<Chain>,
    /// The hash over this entry and all before it.
    pub chain: Chain,
}

/// A place in the audit: after an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AuditPlace {
    /// The entry's number; 0: before all.
    pub id: u64,
    /// The hash over it and all before it.
    pub chain: Chain,
}

/// What is signed: everything between two places is as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditSeal {
    /// What comes before is forgotten.
    pub first: AuditPlace,
    /// What comes after isn't sealed yet.
    pub last: AuditPlace,
    /// When it was signed.
    pub at: Timestamp,
    /// A compact JWS that says the same.
    pub signed: String,
}

/// How far the audit has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditHead {
    /// The newest number that was given.
    pub newest: u64,
    /// The lowest and the highest number of an entry that is there; `None`: there is none.
    pub present: Option<(u64, u64)>,
    /// The seal. The first one is written when the store is created.
    pub seal: Option<AuditSeal>,
}

/// An entry that is being sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedEntry {
    /// Its number.
    pub id: u64,
    /// What vouches for it from then on.
    pub sealing: Sealing,
}

impl AuditSeal {
    /// Whether the sealed part begins where an operator has accepted the audit after a fault: a hash of zeros covers nothing.
    pub fn is_acceptance(&self) -> bool {
        self.first.id > 0 && self.first.chain == Chain::default()
    }
}

impl NewAudit {
    /// What a change is in the audit. What isn't an event leaves nothing: a rotation, a setting, what is forgotten.
    pub fn of(change: &Change) -> Vec<Self> {
        match change {
            Change::AddAccount(account, actor) => {
                let person = Person { name: Some(account.username.shown().to_owned()), ..Person::default() };
                let new = Self::new(Event::AccountAdded, account.created_at, actor).about(&account.subject);
                vec![Self { person: Some(person), ..new }]
            }
            Change::OpenSession(opening) => opened(opening),
            Change::EndSessions { sessions, tokens } => {
                let tokens = tokens.iter().map(|entry| Self::ending(Event::TokenEnded, entry));
                sessions.iter().map(ended).chain(tokens).collect()
            }
            Change::EditAccount(edit) => vec![edited(edit)],
            Change::DeleteAccount { subject, entry, note, .. } => {
                vec![Self::ending(Event::AccountDeleted, entry).about(subject).noted(note.as_ref())]
            }
            Change::EndEverything { entry } => vec![Self::ending(Event::EverythingEnded, entry)],
            Change::BeginEpoch { entry, sessions: OldSessions::End, .. } => {
                vec![Self::ending(Event::EverythingEnded, entry)]
            }
            Change::Revoke { entry } | Change::BeginEpoch { entry, sessions: OldSessions::Keep, .. } => {
                vec![Self::ending(Event::Revoked, entry)]
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
            Change::StrikeKey { kid, entry, .. }
            | Change::AddStruckKey { key: KeyRecord { kid, .. }, entry } => {
                vec![Self::ending(Event::KeyStruck, entry).about_key(kid)]
            }
            Change::AddClient { client, note, .. } => {
                vec![of_client(Event::ClientAdded, client, client.created_at, note.as_ref())]
            }
            Change::RemoveClient { client, at, note } => {
                vec![of_client(Event::ClientRemoved, client, *at, note.as_ref())]
            }
            Change::AcceptAudit { seal, note, .. } => {
                vec![Self::new(Event::AuditAccepted, seal.at, &Actor::Operator).noted(note.as_ref())]
            }
            // Each of those together leaves its own.
            Change::Together(_)
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

    /// Whether it ended sessions by a watermark, so that their rows don't know why: all of its account, or all there were.
    pub fn raises_a_watermark(&self) -> bool {
        self.reason.is_some() && self.event.may_raise_a_watermark()
    }

    /// Why, when and by whom something ended, if it did.
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

    fn noted(self, note: Option<&Note>) -> Self {
        let person = note.map(|note| Person { note: Some(note.clone()), ..Person::default() });
        Self { person, ..self }
    }
}

fn opened(opening: &Opening) -> Vec<NewAudit> {
    let Opening { session, evict, adopts, .. } = opening;
    let event = if adopts.is_some() { Event::TokenAdopted } else { Event::SignedIn };
    let person =
        Person { address: session.address.clone(), device: session.device.clone(), ..Person::default() };
    let new = NewAudit::new(event, session.opened_at, &Actor::Owner).about(&session.subject);
    let opened = NewAudit {
        session: Some(session.id),
        person: Some(person).filter(|person| *person != Person::default()),
        ..new
    };
    let evicted = evict.as_ref().map(|end| ended(end).about(&session.subject));
    evicted.into_iter().chain([opened]).collect()
}

fn ended(end: &SessionEnd) -> NewAudit {
    let new = NewAudit::ending(Event::SessionEnded, &end.entry).about(&end.subject);
    NewAudit { session: Some(end.session), ..new }
}

fn of_client(event: Event, client: &Client, at: Timestamp, note: Option<&Note>) -> NewAudit {
    let person = Person { name: Some(client.name.to_string()), note: note.cloned(), ..Person::default() };
    NewAudit { person: Some(person), ..NewAudit::new(event, at, &Actor::Operator) }
}

fn edited(edit: &AccountEdit) -> NewAudit {
    let new = NewAudit::new(edit.event, edit.at, &edit.actor).about(&edit.subject).noted(edit.note.as_ref());
    match &edit.ends {
        Ends::Nothing => new,
        Ends::Access(entry) => NewAudit { reason: Some(entry.reason), ..new },
        Ends::Sessions { entry, survivor } => {
            NewAudit { reason: Some(entry.reason), session: survivor.map(|survivor| survivor.session), ..new }
        }
    }
}

impl Event {
    /// Each of them.
    pub const ALL: [Self; 28] = [
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
        Self::ClientRemoved,
        Self::KeyStruck,
        Self::AuditAccepted,
    ];

    /// As it is kept and shown.
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
            Self::ClientRemoved => "client_removed",
            Self::KeyStruck => "key_struck",
            Self::AuditAccepted => "audit_accepted",
        }
    }

    /// Whether a watermark can rise with it. Where it does, its entry has a reason.
    const fn may_raise_a_watermark(self) -> bool {
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
            | Self::ClientRemoved
            | Self::KeyStruck
            | Self::AuditAccepted => false,
        }
    }

    /// The event of a text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_is_kept() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(event));
        }
        assert_eq!(Event::parse("SignedIn"), None);
    }
}
