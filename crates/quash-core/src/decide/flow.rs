//! What mails let their readers do: whether a link or a code is good, and what it does. That is used up in the transaction
//! in which it has its effect.

use crate::model::{
    Account, AccountFields, AccountState, Actor, Asked, Change, Digest, Email, Entropy, Event, Flow, FlowId, FlowLoaded, Mail, MailId,
    MailKind, PasswordHash, Policy, Purpose, Refusal, Road, ScopeHasher, Timestamp, limits,
};
use crate::token::FlowKey;

use super::account::{change_account, edit_account};

/// Something that somebody asks to be mailed.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// What it lets one do.
    pub purpose: Purpose,
    /// Whose account it is about; `None`: nobody's.
    pub account: Option<&'a Account>,
    /// What was typed, folded: what it is about where it is nobody's.
    pub typed: &'a str,
    /// What the mail says.
    pub kind: MailKind,
    /// Where it goes; `None`: nowhere.
    pub to: Option<&'a str>,
}

impl Asking<'_> {
    /// What it is about.
    pub fn matter(&self, key: &FlowKey) -> Digest {
        match self.account {
            Some(account) => key.matter(self.purpose, &account.subject),
            None => key.matter_of_nobody(self.purpose, self.typed),
        }
    }

    /// Whom the mail goes to.
    pub fn whom(&self, key: &FlowKey) -> Digest {
        key.whom(self.to.unwrap_or(self.typed))
    }

    /// The matters to be looked up: its own, and the one that stands for it where there were too many mails.
    pub fn matters(&self, key: &FlowKey) -> [Digest; 2] {
        let matter = self.matter(key);
        [matter, key.matter_beyond(matter)]
    }
}

/// A flow and its mail. Whoever has had too many mails gets none, and the flow is nobody's: the one before stays good. What
/// is written has the same form in any case.
pub fn start_flow(asking: &Asking<'_>, asked: &Asked, key: &FlowKey, now: Timestamp, entropy: &dyn Entropy) -> (FlowId, [Change; 2]) {
    let is_beyond = asked.mails >= limits::MAILS;
    let [matter, beyond] = asking.matters(key);
    let account = asking.account.filter(|_| !is_beyond);
    let to = asking.to.filter(|_| !is_beyond).map(str::to_owned);
    let flow = Flow {
        id: FlowId::random(entropy),
        purpose: asking.purpose,
        matter: if is_beyond { beyond } else { matter },
        subject: account.map(|account| account.subject.clone()),
        address: to.clone(),
        binding: account.map_or(matter, |account| key.binding(account)),
        tries: limits::CODE_TRIES,
        created_at: now,
        expires_at: now + limits::LINK_LIFETIME,
    };
    let mail = Mail {
        // What goes nowhere counts for nobody.
        whom: if to.is_some() { asking.whom(key) } else { flow.matter },
        flow: asking.kind.purpose().map(|_| flow.id),
        keep_until: flow.expires_at,
        ..new_mail(asking.kind, to, key, now, entropy)
    };
    let replaces = asked.flows.get(usize::from(is_beyond)).copied().flatten().map(|(id, _)| id);
    (flow.id, [Change::StartFlow { flow: Box::new(flow), replaces }, Change::AddMail(Box::new(mail))])
}

/// A mail that tells somebody what has happened.
pub fn notice(kind: MailKind, to: &str, key: &FlowKey, now: Timestamp, entropy: &dyn Entropy) -> Change {
    Change::AddMail(Box::new(new_mail(kind, Some(to.to_owned()), key, now, entropy)))
}

/// Whether a flow is good for a purpose, and whose it is.
///
/// # Errors
/// [`Refusal::LinkInvalid`], whatever is wrong.
pub fn judge_flow<'a>(loaded: &'a FlowLoaded, purpose: Purpose, key: &FlowKey, now: Timestamp) -> Result<(&'a Flow, &'a Account), Refusal> {
    let flow = loaded.flow.as_ref().filter(|flow| flow.purpose == purpose && now < flow.expires_at).ok_or(Refusal::LinkInvalid)?;
    let is_good = |account: &&Account| key.binding(account) == flow.binding && !matches!(account.state, AccountState::Deactivated { .. });
    let account = loaded.account.as_ref().filter(is_good).ok_or(Refusal::LinkInvalid)?;
    Ok((flow, account))
}

/// Sets another password. All sessions end, a lock and what else stood against signing in is gone, and the address that
/// the mail went to is a confirmed one. Its owner is told.
#[expect(clippy::too_many_arguments, reason = "each is one of what a decision may depend on; a bundle would only hide them")]
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
        must_change: Some(None),
        state: matches!(account.state, AccountState::Locked { .. }).then_some(AccountState::Active),
        locks: Some(0),
        email: confirmed(flow, account, now).map(Some),
        ..AccountFields::default()
    };
    let edit = edit_account(account, Road::PasswordReset, fields, Actor::Owner.into(), policy, scopes, now);
    let mut changes = vec![Change::UseFlow(flow.id), Change::EditAccount(Box::new(edit))];
    changes.extend(flow.address.as_deref().map(|to| notice(MailKind::PasswordWasReset, to, key, now, entropy)));
    Change::Together(changes)
}

/// Confirms the account's address.
///
/// # Errors
/// It is confirmed already, or isn't the one that the mail went to.
pub fn verify_by_mail(flow: &Flow, account: &Account, now: Timestamp) -> Result<Change, Refusal> {
    let email = confirmed(flow, account, now).ok_or(Refusal::LinkInvalid)?;
    let fields = AccountFields { email: Some(Some(email)), ..AccountFields::default() };
    let edit = change_account(account, Event::EmailVerified, fields, Actor::Owner.into(), now);
    Ok(Change::Together(vec![Change::UseFlow(flow.id), Change::EditAccount(Box::new(edit))]))
}

/// Gives an account the address that the mail went to. All sessions end, and the address before is told. Nothing ends where
/// the account has the address already: then it is confirmed, if it wasn't.
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
    let email = flow.address.as_deref().and_then(|address| Email::parse(address).ok()).ok_or(Refusal::LinkInvalid)?;
    if account.email.as_ref().is_some_and(|before| before.shown == email.shown) {
        return Ok(verify_by_mail(flow, account, now).unwrap_or(Change::UseFlow(flow.id)));
    }
    let fields = AccountFields { email: Some(Some(Email { verified_at: Some(now), ..email })), ..AccountFields::default() };
    let edit = edit_account(account, Road::EmailChanged, fields, Actor::Owner.into(), policy, scopes, now);
    let mut changes = vec![Change::UseFlow(flow.id), Change::EditAccount(Box::new(edit))];
    let before = account.email.as_ref().map(|email| email.shown.as_str());
    changes.extend(before.map(|to| notice(MailKind::EmailWasChanged, to, key, now, entropy)));
    Ok(Change::Together(changes))
}

/// The account's address, confirmed now, if the mail went there and it wasn't before.
fn confirmed(flow: &Flow, account: &Account, now: Timestamp) -> Option<Email> {
    let email = account.email.as_ref().filter(|email| email.verified_at.is_none())?;
    (flow.address.as_ref() == Some(&email.shown)).then(|| Email { verified_at: Some(now), ..email.clone() })
}

fn new_mail(kind: MailKind, to: Option<String>, key: &FlowKey, now: Timestamp, entropy: &dyn Entropy) -> Mail {
    Mail {
        id: MailId::random(entropy),
        kind,
        whom: key.whom(to.as_deref().unwrap_or_default()),
        to,
        flow: None,
        created_at: now,
        due_at: now,
        keep_until: now + limits::NOTICE_KEPT,
        attempts: 0,
        doubts: 0,
        sent_at: None,
    }
}
