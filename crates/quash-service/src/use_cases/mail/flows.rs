//! Requests for a mail, and the use of its link or code: the common part of resetting a password, and of
//! verifying and changing an address.

use std::net::IpAddr;

use quash_core::decide::{About, Asking, FlowOwner, empty_transaction, judge_flow, notice, start_flow};
use quash_core::model::{
    Account, AccountBy, Change, Flow, FlowId, FlowLoaded, MailKind, MailPriority, Purpose, Refusal,
    RegistrationBy, Timestamp, fold, limits,
};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::{Desk, Service};
use crate::failure::Failure;
use crate::lockout::Passage;
use crate::retry::{Uncommitted, retry};

/// The recipient of a requested mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// The account with this name.
    Name(String),
    /// The account with this address.
    Email(String),
}

/// The proof that a user has received a mail.
#[derive(Clone)]
pub enum MailProof {
    /// The token in the link.
    Link(Zeroizing<String>),
    /// The code, with the id from the answer to the request.
    Code {
        /// The id, as sent.
        flow: String,
        /// The code, as typed.
        code: Zeroizing<String>,
        /// The client's network, if its failures are to be counted.
        network: Option<IpAddr>,
    },
}

/// The minimum interval between two mails on the same matter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// No interval.
    AtOnce,
    /// One minute.
    Reminding,
}

/// The rows that a request for a mail looks up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finds {
    Accounts,
    AccountsAndRegistrations,
}

impl Whom {
    pub(crate) fn by(&self) -> AccountBy {
        match self {
            Self::Name(name) => AccountBy::Name(fold(name)),
            Self::Email(email) => AccountBy::Email(fold(email)),
        }
    }

    pub(crate) fn registration_by(&self) -> RegistrationBy {
        match self {
            Self::Name(name) => RegistrationBy::Name(fold(name)),
            Self::Email(email) => RegistrationBy::Email(fold(email)),
        }
    }

    pub(crate) fn folded(&self) -> String {
        match self {
            Self::Name(text) | Self::Email(text) => fold(text),
        }
    }
}

impl Service {
    /// Checks that a link is valid, without using it.
    ///
    /// # Errors
    /// The link is invalid, or the store is unavailable.
    pub async fn look_at_link(&self, link: &str, purpose: Purpose) -> Result<(), Failure> {
        let desk = &*self.desk;
        let id = desk.flow_key.flow_of(link, purpose).ok_or(Refusal::LinkInvalid)?;
        let loaded = desk.store.flow(id).await?;
        judge_flow(&loaded, purpose, &desk.flow_key, desk.clock.now())?;
        Ok(())
    }
}

impl Desk {
    /// Writes a flow and its mail together with other changes, and returns the flow's id. A request that
    /// matches no account costs the same reads and a transaction of the same size, and leaves no row.
    ///
    /// # Errors
    /// The store is unavailable, or the guard of one of the other changes fails.
    pub(crate) async fn ask(
        &self,
        asking: &Asking<'_>,
        beside: &[Change],
        pace: Pace,
    ) -> Result<Option<FlowId>, StoreError> {
        // Serialized for each recipient: a hundred concurrent requests send no more mails than a hundred
        // sequential ones.
        let _turn = self.outbox.turn(asking.whom(&self.flow_key)).await;
        let now = self.clock.now();
        let since = now - limits::MAIL_COUNTED;
        let asked =
            self.store.asked(&[asking.matter(&self.flow_key)], asking.whom(&self.flow_key), since).await?;
        if pace == Pace::Reminding
            && asked.flows.iter().flatten().any(|(_, at)| now.is_within(limits::REMIND_AFTER, *at))
        {
            return Ok(None);
        }
        let (id, changes) = start_flow(asking, &asked, &self.flow_key, now, &*self.entropy);
        self.store.commit(Change::Together(beside.iter().cloned().chain(changes).collect())).await?;
        self.outbox.wake();
        Ok(Some(id))
    }

    /// Like [`Desk::ask`], for a client that isn't signed in. Its network is counted before anything is
    /// looked up: past its allowance, each request gets the id of a decoy. `finds` can include a registration
    /// whose address is unconfirmed.
    pub(crate) async fn ask_for(
        &self,
        whom: &Whom,
        network: Option<IpAddr>,
        kind: MailKind,
        finds: Finds,
        wanted: fn(&Account) -> bool,
    ) -> Result<FlowId, Failure> {
        if !self.outbox.networks.may_ask(network, self.clock.uptime()) {
            return Ok(FlowId::random(&*self.entropy));
        }
        let purpose = kind.purpose().unwrap_or(Purpose::Reset);
        let typed = whom.folded();
        retry!({
            let now = self.clock.now();
            let account = self.store.account(&whom.by(), now).await?.account;
            let registration = match finds {
                Finds::Accounts => None,
                Finds::AccountsAndRegistrations => {
                    self.store.registration(&whom.registration_by(), now).await?
                }
            };
            let about = match (&account, &registration) {
                (Some(account), _) if account.email.is_some() && wanted(account) => About::Account(account),
                (None, Some(Flow { registration: Some(pending), matter, .. })) => About::Registration {
                    pending,
                    matter: *matter,
                    lifetime: self.policy.registration.link_lifetime,
                },
                _ => About::Nobody,
            };
            let to = match about {
                About::Account(account) => account.email.as_ref().map(|email| email.shown.as_str()),
                About::Registration { .. } => registration.as_ref().and_then(|flow| flow.address.as_deref()),
                About::Nobody => None,
            };
            let asking = Asking {
                purpose,
                about,
                typed: &typed,
                kind,
                to,
                recipient: None,
                priority: kind.priority(),
            };
            self.ask(&asking, &[], Pace::AtOnce).await?.ok_or(Uncommitted::Conflict)
        })
    }

    /// Returns the flow of a proof. A wrong code costs the same whether or not such a flow exists, and counts
    /// as a failure of its network.
    ///
    /// # Errors
    /// The proof is wrong, its network has failed too often, or the store is unavailable.
    pub(crate) async fn flow_of(&self, proof: &MailProof, purpose: Purpose) -> Result<FlowId, Failure> {
        match proof {
            MailProof::Link(link) => Ok(self.flow_key.flow_of(link, purpose).ok_or(Refusal::LinkInvalid)?),
            MailProof::Code { flow, code, network } => {
                let id: FlowId = flow.parse().map_err(|_| Refusal::LinkInvalid)?;
                let passage = self.lockout.pass(*network).map_err(Failure::Unavailable)?;
                let had_tries = match self.store.commit(Change::SpendTry(id)).await {
                    Ok(_) => true,
                    Err(StoreError::Conflict) => {
                        self.store
                            .commit(empty_transaction(self.clock.now(), &self.flow_key, &*self.entropy))
                            .await?;
                        false
                    }
                    Err(error) => return Err(error.into()),
                };
                let loaded = self.store.flow(id).await?;
                let is_in_time = loaded.flow.is_some_and(|flow| flow.is_code_good(self.clock.now()));
                if self.flow_key.is_code(code, id, purpose) && had_tries && is_in_time {
                    return Ok(id);
                }
                passage.into_iter().for_each(Passage::failed);
                Err(Refusal::LinkInvalid.into())
            }
        }
    }

    /// Uses a flow once: loads it, and commits the change that `decide` returns.
    ///
    /// # Errors
    /// The flow is no longer valid, `decide` refuses, or the store is unavailable.
    pub(crate) async fn use_flow(
        &self,
        id: FlowId,
        purpose: Purpose,
        decide: impl Fn(&Flow, FlowOwner<'_>, Timestamp) -> Result<Change, Failure>,
    ) -> Result<(), Failure> {
        retry!({
            let loaded: FlowLoaded = self.store.flow(id).await?;
            let now = self.clock.now();
            let (flow, owner) = judge_flow(&loaded, purpose, &self.flow_key, now)?;
            let change = decide(flow, owner, now)?;
            self.commit_and_announce(change).await?;
            self.outbox.wake();
            Ok(())
        })
    }

    /// Adds to a change a mail that notifies the account's owner, if the account has a confirmed address.
    pub(crate) fn with_notice(
        &self,
        change: Change,
        kind: MailKind,
        account: &Account,
        now: Timestamp,
    ) -> Change {
        match account.email.as_ref().filter(|email| email.verified_at.is_some()) {
            Some(email) => Change::Together(vec![
                change,
                notice(kind, &email.shown, account, &self.flow_key, now, &*self.entropy),
            ]),
            None => change,
        }
    }

    /// Notifies the owner of an account that it is locked, and how to regain access: once a day, however
    /// often it is locked. A failure here doesn't affect the lock.
    pub(crate) async fn tell_of_lock(&self, account: &Account) {
        let Some(email) = account.email.as_ref().filter(|email| email.verified_at.is_some()) else { return };
        if !self.outbox.told.may_tell(&account.subject, self.clock.uptime()) {
            return;
        }
        let asking = Asking {
            purpose: Purpose::Reset,
            about: About::Account(account),
            typed: "",
            kind: MailKind::Locked,
            to: Some(&email.shown),
            recipient: None,
            priority: MailKind::Locked.priority(),
        };
        if let Err(error) = self.ask(&asking, &[], Pace::AtOnce).await {
            tracing::warn!(%error, "failed to notify the owner of a locked account");
        }
    }

    /// Sends the mail that confirms an address, after a user with the right password was refused because the
    /// address is unconfirmed. A failure here doesn't affect the refusal.
    pub(crate) async fn remind(&self, by: &AccountBy) {
        let reminded = async {
            let loaded = self.store.account(by, self.clock.now()).await?;
            let Some((account, email)) =
                loaded.account.as_ref().and_then(|account| Some((account, account.email.as_ref()?)))
            else {
                return Ok(());
            };
            let asking = Asking {
                purpose: Purpose::Verification,
                about: About::Account(account),
                typed: "",
                kind: MailKind::Verification,
                to: Some(&email.shown),
                recipient: None,
                priority: MailPriority::Unrequested,
            };
            self.ask(&asking, &[], Pace::Reminding).await.map(drop)
        };
        // On a conflict, the concurrent request has sent the mail.
        if let Err(error) = reminded.await
            && error != StoreError::Conflict
        {
            tracing::warn!(%error, "failed to request the mail that confirms an address");
        }
    }
}
