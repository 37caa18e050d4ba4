//! Requests about the audit, and the shapes of their replies.

use std::collections::BTreeMap;

use quash_core::hex;
use quash_core::model::{Audit, AuditPlace, NewAudit, PersonalData, Subject};
use quash_service::{AuditRefused, AuditVerified, NotAccepted, Service};
use serde::{Deserialize, Serialize};

use super::AccountSelector;
use super::account_changes::note;
use super::lookup::{account, by_subject, failed, is_full};
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// A request about the audit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "audit", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AuditRequest {
    /// Returns a page of entries, after the number `after`.
    Entries { after: u64, of: Option<AccountSelector>, limit: u32 },
    /// Returns the newest entry and the sealed range.
    Head,
    /// Compares the audit with what was sealed.
    Verify {
        /// A head that an operator noted before.
        noted: Option<NotedPlace>,
    },
    /// Begins the audit anew after a fault.
    Accept { reason: Option<String> },
}

/// A place in the audit: the number of an entry, and the hash over it and all earlier entries, in hex.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NotedPlace {
    pub(crate) id: u64,
    pub(crate) chain: String,
}

/// An entry of the audit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditShown {
    pub(crate) id: u64,
    pub(crate) at: Moment,
    pub(crate) event: String,
    /// `owner`, `operator` or `rule`.
    pub(crate) actor: String,
    /// The reason, if the entry ended something.
    pub(crate) reason: Option<String>,
    /// The account's subject.
    pub(crate) subject: Option<String>,
    /// The account's current name; `null` if the account was deleted.
    #[serde(default)]
    pub(crate) username: Option<String>,
    pub(crate) sid: Option<String>,
    pub(crate) kid: Option<String>,
    /// The sequence number of its entry in the log.
    pub(crate) seq: Option<u64>,
    /// The account's name at the time.
    pub(crate) name: Option<String>,
    /// The address that a session was opened from.
    pub(crate) address: Option<String>,
    /// The user agent that opened the session.
    pub(crate) device: Option<String>,
    /// The system user that ran the command.
    pub(crate) author: Option<String>,
    /// The reason that the operator gave.
    pub(crate) note: Option<String>,
    /// The hash over this entry and all earlier ones, in hex; `null` if it isn't sealed yet.
    pub(crate) chain: Option<String>,
}

/// A page of the audit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditPage {
    /// Sorted by number.
    pub(crate) entries: Vec<AuditShown>,
    /// The value of `--after` for the next page; `null` on the last page.
    pub(crate) next: Option<u64>,
}

/// The newest entry and the sealed range of the audit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditHeadShown {
    /// The number of the newest entry.
    pub(crate) newest: u64,
    /// The number before the oldest entry; entries up to it are no longer kept.
    pub(crate) first: u64,
    /// The end of the sealed part.
    pub(crate) head: NotedPlace,
    /// `null` if nothing was sealed yet.
    pub(crate) sealed_at: Option<Moment>,
    /// The signature, a compact JWS over both ends.
    pub(crate) signed: Option<String>,
}

/// The result of checking the whole audit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditVerifiedShown {
    /// The number of entries that match their seal.
    pub(crate) entries: u64,
    /// The number of these whose personal data was blanked.
    pub(crate) blanked: u64,
    /// The number of entries that aren't sealed yet.
    pub(crate) unsealed: u64,
    /// The end of the sealed part.
    pub(crate) head: NotedPlace,
    pub(crate) sealed_at: Moment,
    /// Entries up to this number are not vouched for: an operator accepted them after a fault.
    #[serde(default)]
    pub(crate) accepted: Option<u64>,
}

/// The result of accepting the audit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditAcceptedShown {
    /// Entries up to this number are not vouched for.
    pub(crate) accepted: u64,
}

/// The reply to a request about the audit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditReply {
    Entries(AuditPage),
    Head(AuditHeadShown),
    Verified(AuditVerifiedShown),
    Accepted(AuditAcceptedShown),
}

/// Executes a request about the audit.
///
/// # Errors
/// The request fails. The error is written for the operator.
pub(super) async fn execute(
    service: &Service,
    request: AuditRequest,
    author: Option<String>,
) -> Result<AuditReply, CommandError> {
    match request {
        AuditRequest::Entries { after, of, limit } => {
            entries(service, after, of, limit).await.map(AuditReply::Entries)
        }
        AuditRequest::Head => {
            let head = service.audit_head().await.map_err(|failure| failed(&failure))?;
            let (first, last) =
                head.seal.as_ref().map_or_else(Default::default, |seal| (seal.first, seal.last));
            Ok(AuditReply::Head(AuditHeadShown {
                newest: head.newest,
                first: first.id,
                head: NotedPlace::of(last),
                sealed_at: head.seal.as_ref().map(|seal| Moment(seal.at)),
                signed: head.seal.map(|seal| seal.signed),
            }))
        }
        AuditRequest::Verify { noted } => {
            let noted = noted.map(NotedPlace::into_place).transpose()?;
            let verified = service.verify_audit(noted).await.map_err(refused)?;
            let AuditVerified { entries, blanked, unsealed, head, sealed_at, accepted } = verified;
            let (head, sealed_at) = (NotedPlace::of(head), Moment(sealed_at));
            Ok(AuditReply::Verified(AuditVerifiedShown {
                entries,
                blanked,
                unsealed,
                head,
                sealed_at,
                accepted,
            }))
        }
        AuditRequest::Accept { reason } => match service.accept_audit(note(reason, author)?).await {
            Ok(accepted) => Ok(AuditReply::Accepted(AuditAcceptedShown { accepted })),
            Err(NotAccepted::Failed(failure)) => Err(failed(&failure)),
            Err(intact @ NotAccepted::Intact) => {
                Err(CommandError::new(Exit::Conflict, format!("there is nothing to accept: {intact}")))
            }
        },
    }
}

async fn entries(
    service: &Service,
    after: u64,
    of: Option<AccountSelector>,
    limit: u32,
) -> Result<AuditPage, CommandError> {
    let subject = match of {
        // Entries of a deleted account are found by its subject.
        Some(which) => match (account(service, &which).await, which) {
            (Ok(account), _) => Some(account.subject),
            (Err(error), AccountSelector::Any(text) | AccountSelector::Subject(text))
                if error.exit == Exit::NotFound =>
            {
                Some(Subject::parse(&text).map_err(|_| error)?)
            }
            (Err(error), _) => return Err(error),
        },
        None => None,
    };
    let read = service.audit(after, subject.as_ref(), limit).await.map_err(|failure| failed(&failure))?;
    let mut entries: Vec<_> = read.into_iter().map(AuditShown::new).collect();
    let mut names = BTreeMap::new();
    for entry in &mut entries {
        let Some(subject) = &entry.subject else { continue };
        if !names.contains_key(subject) {
            let account = by_subject(service, subject).await?;
            names.insert(subject.clone(), account.map(|account| account.username.shown().to_owned()));
        }
        entry.username = names.get(subject).cloned().flatten();
    }
    let next = entries.last().filter(|_| is_full(entries.len(), limit)).map(|entry| entry.id);
    Ok(AuditPage { entries, next })
}

/// The error for the operator if the audit can't be verified.
pub(crate) fn refused(refused: AuditRefused) -> CommandError {
    match refused {
        AuditRefused::Failed(failure) => failed(&failure),
        AuditRefused::Fault(_) | AuditRefused::NotThrough(_) => CommandError::new(Exit::Refused, format!("the audit is not what was sealed: {refused}"))
            .hint("the store was changed by another program, or was replaced with an older copy: compare it with a backup and with exported entries; nothing is sealed until `quash audit accept` begins the audit anew"),
        AuditRefused::Forgotten(_) => CommandError::new(Exit::NotFound, refused.to_string()).hint("audit.keep sets how long entries are kept"),
    }
}

impl AuditShown {
    fn new(audit: Audit) -> Self {
        let Audit { id, new, seq, sealing } = audit;
        let NewAudit { at, event, actor, reason, subject, session, kid, person } = new;
        let PersonalData { name, address, device, note } = person.unwrap_or_default();
        let note = note.unwrap_or_default();
        Self {
            id,
            at: Moment(at),
            event: event.as_str().into(),
            actor: actor.as_str().into(),
            reason: reason.map(|reason| reason.as_str().into()),
            subject: subject.map(|subject| subject.to_string()),
            username: None,
            sid: session.map(|session| session.to_string()),
            kid,
            seq: seq.map(|seq| seq.as_u64()),
            name,
            address,
            device,
            author: note.author,
            note: note.text,
            chain: sealing.map(|sealing| hex::encode(&sealing.chain)),
        }
    }
}

impl NotedPlace {
    fn of(place: AuditPlace) -> Self {
        Self { id: place.id, chain: hex::encode(&place.chain) }
    }

    fn into_place(self) -> Result<AuditPlace, CommandError> {
        let wrong = || {
            CommandError::new(Exit::Usage, "that isn't a head of the audit")
                .hint("write it as `quash audit verify` prints it: the number of an entry, a colon and 64 hex characters")
        };
        hex::decode(&self.chain.to_ascii_lowercase())
            .map(|chain| AuditPlace { id: self.id, chain })
            .ok_or_else(wrong)
    }
}
