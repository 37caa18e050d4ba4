//! Requests for a mail, and the use of its link or code: the common part of resetting a password, and of
//! verifying and changing an address.

use std::net::IpAddr;

use quash_core::decide::{
    FlowOwner, MailRequest, MailTarget, empty_transaction, judge_flow, notice, start_flow,
};
use quash_core::model::{
    Account, AccountBy, Change, Flow, FlowId, FlowLoaded, MailKind, MailPriority, Purpose, Refusal,
    RegistrationBy, Timestamp, fold, limits,
};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::retry::{Uncommitted, retry};

/// The recipient of a requested mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MailRecipient {
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

impl MailRecipient {
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
    pub async fn check_link(&self, link: &str, purpose: Purpose) -> Result<(), Failure> {
        let context = &*self.context;
        let id = context.flow_key.flow_of(link, purpose).ok_or(Refusal::LinkInvalid)?;
        let loaded = context.store.flow(id).await?;
        judge_flow(&loaded, purpose, &context.flow_key, context.clock.now())?;
        Ok(())
    }
}

impl Context {
    /// Writes a flow and its mail together with other changes, and returns the flow's id. A request that
    /// matches no account costs the same reads and a transaction of the same size, and leaves no row.
    ///
    /// # Errors
    /// The store is unavailable, or the guard of one of the other changes fails.
    pub(crate) async fn ask(
        &self,
        request: &MailRequest<'_>,
        others: &[Change],
        pace: Pace,
    ) -> Result<Option<FlowId>, StoreError> {
        // Serialized for each recipient: a hundred concurrent requests send no more mails than a hundred
        // sequential ones.
        let _lock = self.outbox.lock(request.recipient_hash(&self.flow_key)).await;
        let now = self.clock.now();
        let earlier = self
            .store
            .earlier_requests(
                &[request.subject_hash(&self.flow_key)],
                request.recipient_hash(&self.flow_key),
                now,
            )
            .await?;
        if pace == Pace::Reminding
            && earlier.flows.iter().flatten().any(|(_, at)| now.is_within(limits::REMIND_AFTER, *at))
        {
            return Ok(None);
        }
        let (id, changes) = start_flow(request, &earlier, &self.flow_key, now, &*self.entropy);
        self.store.commit(Change::Together(others.iter().cloned().chain(changes).collect())).await?;
        self.outbox.wake();
        Ok(Some(id))
    }

    /// Like [`Context::ask`], for a client that isn't signed in. Its network is counted before anything is
    /// looked up: past its allowance, each request gets the id of a decoy. `finds` can include a registration
    /// whose address is unconfirmed.
    pub(crate) async fn ask_for(
        &self,
        recipient: &MailRecipient,
        network: Option<IpAddr>,
        kind: MailKind,
        finds: Finds,
        wanted: fn(&Account) -> bool,
    ) -> Result<FlowId, Failure> {
        if !self.lockout.may_ask_for_mail(network).await? {
            return Ok(FlowId::random(&*self.entropy));
        }
        let purpose = kind.purpose().unwrap_or(Purpose::Reset);
        let typed = recipient.folded();
        retry!({
            let now = self.clock.now();
            let account = self.store.account(&recipient.by(), now).await?.account;
            let registration = match finds {
                Finds::Accounts => None,
                Finds::AccountsAndRegistrations => {
                    self.store.registration(&recipient.registration_by(), now).await?
                }
            };
            let about = match (&account, &registration) {
                (Some(account), _) if account.email.is_some() && wanted(account) => {
                    MailTarget::Account(account)
                }
                (None, Some(Flow { registration: Some(pending), subject_hash, .. })) => {
                    MailTarget::Registration {
                        pending,
                        subject_hash: *subject_hash,
                        lifetime: self.policy.registration.link_lifetime,
                    }
                }
                _ => MailTarget::Decoy,
            };
            let to = match about {
                MailTarget::Account(account) => account.email.as_ref().map(|email| email.shown.as_str()),
                MailTarget::Registration { .. } => {
                    registration.as_ref().and_then(|flow| flow.address.as_deref())
                }
                MailTarget::Decoy => None,
            };
            let request = MailRequest {
                purpose,
                about,
                typed: &typed,
                kind,
                to,
                recipient: None,
                priority: kind.priority(),
            };
            self.ask(&request, &[], Pace::AtOnce).await?.ok_or(Uncommitted::Conflict)
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
                let permit = self.lockout.pass(*network).await?;
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
                let is_in_time = loaded.flow.is_some_and(|flow| flow.is_code_valid(self.clock.now()));
                if self.flow_key.is_code(code, id, purpose) && had_tries && is_in_time {
                    return Ok(id);
                }
                if let Some(permit) = permit {
                    permit.failed().await?;
                }
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
    pub(crate) async fn notify_of_lock(&self, account: &Account) {
        let Some(email) = account.email.as_ref().filter(|email| email.verified_at.is_some()) else { return };
        // Without its counter, a notice could be sent with every lock.
        if !self.lockout.may_notify(&account.subject).await.unwrap_or(false) {
            return;
        }
        let request = MailRequest {
            purpose: Purpose::Reset,
            about: MailTarget::Account(account),
            typed: "",
            kind: MailKind::Locked,
            to: Some(&email.shown),
            recipient: None,
            priority: MailKind::Locked.priority(),
        };
        if let Err(error) = self.ask(&request, &[], Pace::AtOnce).await {
            tracing::warn!(%error, "failed to notify the owner of a locked account");
        }
    }

    /// Sends the mail that confirms an address, after a user with the right password was refused because the
    /// address is unconfirmed. A failure here doesn't affect the refusal.
    pub(crate) async fn send_confirmation_again(&self, by: &AccountBy) {
        let sent = async {
            let loaded = self.store.account(by, self.clock.now()).await?;
            let Some((account, email)) =
                loaded.account.as_ref().and_then(|account| Some((account, account.email.as_ref()?)))
            else {
                return Ok(());
            };
            let request = MailRequest {
                purpose: Purpose::Verification,
                about: MailTarget::Account(account),
                typed: "",
                kind: MailKind::Verification,
                to: Some(&email.shown),
                recipient: None,
                priority: MailPriority::Unrequested,
            };
            self.ask(&request, &[], Pace::Reminding).await?;
            Ok::<_, StoreError>(())
        };
        // On a conflict, the concurrent request has sent the mail.
        if let Err(error) = sent.await
            && error != StoreError::Conflict
        {
            tracing::warn!(%error, "failed to request the mail that confirms an address");
        }
    }
}
