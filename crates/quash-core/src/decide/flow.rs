//! Flows by mail: whether a link or code is valid, and its effect. A flow is used up in the transaction that
//! has its effect.

use std::time::Duration;

use crate::model::{
    Account, AccountFields, AccountState, Actor, Change, Digest, EarlierRequests, Email, EndCause, Entropy,
    Event, Flow, FlowId, FlowLoaded, Mail, MailId, MailKind, MailPriority, PasswordHash, PendingRegistration,
    Policy, Purpose, Refusal, ScopeHasher, Subject, Timestamp, fold, limits,
};
use crate::token::FlowKey;

use super::account::{change_account, edit_account, set_email};

#[derive(Clone, Debug)]
pub struct MailRequest<'a> {
    /// The action that the mail's link or code allows.
    pub purpose: Purpose,
    pub about: MailTarget<'a>,
    /// The typed name or address, folded: the lookup key when it matches no account.
    pub typed: &'a str,
    /// The mail's content.
    pub kind: MailKind,
    /// The recipient's address; no mail is sent for `None`.
    pub to: Option<&'a str>,
    /// The recipient's account, if it differs from the account of the request.
    pub recipient: Option<&'a Subject>,
    pub priority: MailPriority,
}

/// The account or registration that a mail request refers to.
#[derive(Clone, Debug)]
pub enum MailTarget<'a> {
    Account(&'a Account),
    /// A registration whose address isn't confirmed yet.
    Registration {
        pending: &'a PendingRegistration,
        /// The registration's own subject hash, which stays the same when the mail is sent again.
        subject_hash: Digest,
        /// The lifetime of its link.
        lifetime: Duration,
    },
    /// Neither. The request is answered with the id of a decoy.
    Decoy,
}

/// The account or registration of a valid flow.
#[derive(Clone, Copy, Debug)]
pub enum FlowOwner<'a> {
    Account(&'a Account),
    /// A registration that becomes an account.
    Registration(&'a PendingRegistration),
}

impl<'a> MailRequest<'a> {
    /// Returns the subject hash of the request.
    pub fn subject_hash(&self, key: &FlowKey) -> Digest {
        match self.about {
            MailTarget::Account(account) => key.subject_hash(self.purpose, &account.subject),
            MailTarget::Registration { subject_hash, .. } => subject_hash,
            MailTarget::Decoy => key.subject_hash_of_unknown(self.purpose, self.typed),
        }
    }

    /// Returns the hash of the recipient and the kind.
    pub fn recipient_hash(&self, key: &FlowKey) -> Digest {
        key.recipient_hash(self.kind, self.to.unwrap_or(self.typed))
    }

    fn account(&self) -> Option<&'a Account> {
        match self.about {
            MailTarget::Account(account) => Some(account),
            MailTarget::Registration { .. } | MailTarget::Decoy => None,
        }
    }
}

impl<'a> FlowOwner<'a> {
    /// Returns the account.
    ///
    /// # Errors
    /// [`Refusal::LinkInvalid`]: the flow belongs to a registration, which has no account yet.
    pub fn account(self) -> Result<&'a Account, Refusal> {
        match self {
            Self::Account(account) => Ok(account),
            Self::Registration(_) => Err(Refusal::LinkInvalid),
        }
    }
}

/// Starts a flow and adds its mail. A request that matches no account gets the id of a decoy. So does one
/// whose recipient has had too many mails of its kind; the previous flow then stays valid. A decoy's rows are deleted in
/// the transaction that writes them, so that the request costs as much as any other and leaves no row.
pub fn start_flow(
    request: &MailRequest<'_>,
    earlier: &EarlierRequests,
    key: &FlowKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> (FlowId, Vec<Change>) {
    let is_beyond = earlier.mails >= limits::MAILS;
    let about = if is_beyond { &MailTarget::Decoy } else { &request.about };
    let to = request.to.filter(|_| !is_beyond).map(str::to_owned);
    let id = FlowId::random(entropy);
    let (subject_hash, lifetime) = match about {
        MailTarget::Account(_) => (request.subject_hash(key), limits::LINK_LIFETIME),
        MailTarget::Registration { subject_hash, lifetime, .. } => (*subject_hash, *lifetime),
        MailTarget::Decoy => (key.subject_hash_of_decoy(id), limits::LINK_LIFETIME),
    };
    let account = request.account().filter(|_| !is_beyond);
    let flow = Flow {
        id,
        purpose: request.purpose,
        subject_hash,
        subject: account.map(|account| account.subject.clone()),
        registration: match about {
            MailTarget::Registration { pending, .. } => Some((*pending).clone()),
            MailTarget::Account(_) | MailTarget::Decoy => None,
        },
        address: to.clone(),
        binding: account.map_or(subject_hash, |account| key.binding(account)),
        tries: limits::CODE_TRIES,
        created_at: now,
        expires_at: now + lifetime,
    };
    let mail = Mail {
        flow: request.kind.purpose().map(|_| id),
        keep_until: flow.expires_at,
        subject: request.recipient.or(account.map(|account| &account.subject)).cloned(),
        priority: request.priority,
        ..new_mail(request.kind, to, key, now, entropy)
    };
    let (mail_id, is_sent, is_decoy) = (mail.id, mail.to.is_some(), matches!(about, MailTarget::Decoy));
    let replaces = earlier.flows.first().copied().flatten().map(|(id, _)| id).filter(|_| !is_decoy);
    let mut changes =
        vec![Change::StartFlow { flow: Box::new(flow), replaces }, Change::AddMail(Box::new(mail))];
    changes.extend(is_decoy.then_some(Change::UseFlow(id)));
    changes.extend((!is_sent).then_some(Change::DropMail(mail_id)));
    (id, changes)
}

/// Returns a change that costs a transaction and leaves no row, so that trying a code without a flow costs as
/// much as trying one against a flow.
pub fn empty_transaction(now: Timestamp, key: &FlowKey, entropy: &dyn Entropy) -> Change {
    let id = FlowId::random(entropy);
    let subject_hash = key.subject_hash_of_decoy(id);
    let flow = Flow {
        id,
        purpose: Purpose::Reset,
        subject_hash,
        subject: None,
        registration: None,
        address: None,
        binding: subject_hash,
        tries: 0,
        created_at: now,
        expires_at: now,
    };
    Change::Together(vec![Change::StartFlow { flow: Box::new(flow), replaces: None }, Change::UseFlow(id)])
}

/// Returns a mail that informs the account's owner of an event.
pub fn notice(
    kind: MailKind,
    to: &str,
    account: &Account,
    key: &FlowKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Change {
    let mail = new_mail(kind, Some(to.to_owned()), key, now, entropy);
    Change::AddMail(Box::new(Mail { subject: Some(account.subject.clone()), ..mail }))
}

/// Returns a flow that is valid for a purpose, and its owner.
///
/// # Errors
/// [`Refusal::LinkInvalid`], for every fault.
pub fn judge_flow<'a>(
    loaded: &'a FlowLoaded,
    purpose: Purpose,
    key: &FlowKey,
    now: Timestamp,
) -> Result<(&'a Flow, FlowOwner<'a>), Refusal> {
    let flow = loaded
        .flow
        .as_ref()
        .filter(|flow| flow.purpose == purpose && flow.is_valid(now))
        .ok_or(Refusal::LinkInvalid)?;
    if let Some(pending) = &flow.registration {
        return Ok((flow, FlowOwner::Registration(pending)));
    }
    let is_usable = |account: &&Account| {
        key.binding(account) == flow.binding && !matches!(account.state, AccountState::Deactivated { .. })
    };
    let account = loaded.account.as_ref().filter(is_usable).ok_or(Refusal::LinkInvalid)?;
    Ok((flow, FlowOwner::Account(account)))
}

/// Sets another password. All sessions end, a lock and a required password change are lifted, and the address
/// that the mail went to is confirmed. A mail informs the owner.
#[expect(
    clippy::too_many_arguments,
    reason = "each is an input of the decision; a struct would only hide them"
)]
pub fn reset_by_mail(
    flow: &Flow,
    account: &Account,
    password: PasswordHash,
    key: &FlowKey,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Change {
    let fields = AccountFields {
        password: Some(Some(password)),
        temporary_until: Some(None),
        email: confirmed(flow, account, now).map(Some),
        ..AccountFields::default()
    };
    let edit =
        edit_account(account, EndCause::PasswordReset, fields, Actor::Owner.into(), policy, scopes, now);
    let mut changes = vec![Change::UseFlow(flow.id), Change::EditAccount(Box::new(edit))];
    changes.extend(
        flow.address.as_deref().map(|to| notice(MailKind::PasswordWasReset, to, account, key, now, entropy)),
    );
    Change::Together(changes)
}

/// Confirms the account's address.
///
/// # Errors
/// The address is already confirmed, or isn't the one that the mail went to.
pub fn verify_by_mail(flow: &Flow, account: &Account, now: Timestamp) -> Result<Change, Refusal> {
    let email = confirmed(flow, account, now).ok_or(Refusal::LinkInvalid)?;
    let fields = AccountFields { email: Some(Some(email)), ..AccountFields::default() };
    let edit = change_account(account, Event::EmailVerified, fields, Actor::Owner.into(), now);
    Ok(Change::Together(vec![Change::UseFlow(flow.id), Change::EditAccount(Box::new(edit))]))
}

/// Adds the account of a registration whose address has been confirmed.
///
/// # Errors
/// [`Refusal::LinkInvalid`]: the flow has no address.
pub fn register_by_mail(
    flow: &Flow,
    pending: &PendingRegistration,
    subject: Subject,
    now: Timestamp,
) -> Result<Change, Refusal> {
    let email =
        flow.address.as_deref().and_then(|address| Email::parse(address).ok()).ok_or(Refusal::LinkInvalid)?;
    let account = Account {
        email: Some(Email { verified_at: Some(now), ..email }),
        ..Account::new(subject, pending.username.clone(), now).with_own_password(pending.password.clone())
    };
    Ok(Change::Together(vec![Change::UseFlow(flow.id), Change::AddAccount(account, Actor::Owner)]))
}

/// Sets the account's address to the one that the mail went to. All sessions end, and a mail informs the
/// previous address. If the account already has the address, perhaps with other capitals, nothing ends; the
/// address is confirmed if it wasn't.
///
/// # Errors
/// The flow has no address.
pub fn change_email_by_mail(
    flow: &Flow,
    account: &Account,
    key: &FlowKey,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Change, Refusal> {
    let email =
        flow.address.as_deref().and_then(|address| Email::parse(address).ok()).ok_or(Refusal::LinkInvalid)?;
    let before = account.email.as_ref().filter(|before| before.folded() != email.folded());
    let confirmed = Email { verified_at: Some(now), ..email };
    let edit = set_email(account, Some(confirmed), Actor::Owner.into(), policy, scopes, now);
    let mut changes = vec![Change::UseFlow(flow.id)];
    changes.extend(edit.map(|edit| Change::EditAccount(Box::new(edit))));
    let before = before.map(|email| email.shown.as_str());
    changes.extend(before.map(|to| notice(MailKind::EmailWasChanged, to, account, key, now, entropy)));
    Ok(Change::Together(changes))
}

/// Returns the account's address, now confirmed, if the mail went there and it wasn't confirmed before.
fn confirmed(flow: &Flow, account: &Account, now: Timestamp) -> Option<Email> {
    let email = account.email.as_ref().filter(|email| email.verified_at.is_none())?;
    let is_same = flow.address.as_deref().map(fold) == Some(email.folded());
    is_same.then(|| Email { verified_at: Some(now), ..email.clone() })
}

fn new_mail(
    kind: MailKind,
    to: Option<String>,
    key: &FlowKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Mail {
    Mail {
        id: MailId::random(entropy),
        kind,
        recipient_hash: key.recipient_hash(kind, to.as_deref().unwrap_or_default()),
        to,
        subject: None,
        priority: kind.priority(),
        flow: None,
        created_at: now,
        due_at: now,
        keep_until: now + limits::NOTICE_KEPT,
        attempts: 0,
        uncertain_attempts: 0,
        sent_at: None,
    }
}
