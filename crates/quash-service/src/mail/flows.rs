//! Asking for a mail, and using what it holds: what resetting, verifying and changing an address have in common.

use std::net::IpAddr;

use quash_core::decide::{Asking, judge_flow, notice, start_flow};
use quash_core::model::{Account, AccountBy, Change, Flow, FlowId, FlowLoaded, MailKind, Purpose, Refusal, Timestamp, fold, limits};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::desk::{Desk, Service};
use crate::failure::{Conflicts, Failure};

/// Whom somebody asks a mail for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// The account of a name.
    Name(String),
    /// The account of an address.
    Email(String),
}

/// What somebody has from a mail.
#[derive(Clone)]
pub enum MailProof {
    /// What stands in the link.
    Link(Zeroizing<String>),
    /// The code, with the id that the request's answer gave.
    Code {
        /// The id, as sent.
        flow: String,
        /// The code, as typed.
        code: Zeroizing<String>,
    },
}

/// How soon a mail may follow another about the same matter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    AtOnce,
    /// A minute later.
    Reminding,
}

impl Whom {
    pub(crate) fn by(&self) -> AccountBy {
        match self {
            Self::Name(name) => AccountBy::Name(fold(name)),
            Self::Email(email) => AccountBy::Email(fold(email)),
        }
    }

    pub(crate) fn folded(&self) -> String {
        match self {
            Self::Name(text) | Self::Email(text) => fold(text),
        }
    }
}

impl Service {
    /// Whether a link is good. Nothing is used up.
    ///
    /// # Errors
    /// It isn't, or the store is away.
    pub async fn look_at_link(&self, link: &str, purpose: Purpose) -> Result<(), Failure> {
        let desk = &*self.desk;
        let id = desk.flow_key.flow_of(link, purpose).ok_or(Refusal::LinkInvalid)?;
        let loaded = desk.store.flow(id).await?;
        judge_flow(&loaded, purpose, &desk.flow_key, desk.clock.now())?;
        Ok(())
    }
}

impl Desk {
    /// Writes what was asked for, with what is to be written beside it, and gives the flow's id. Whoever it is about, the
    /// same is read and the same is written.
    ///
    /// # Errors
    /// The store is away, or what is written beside it doesn't hold.
    pub(crate) async fn ask(&self, asking: &Asking<'_>, beside: &[Change], pace: Pace) -> Result<Option<FlowId>, StoreError> {
        // One at a time for each reader: so a hundred at once send no more mails than a hundred in a row.
        let _turn = self.outbox.turn(asking.whom(&self.flow_key)).await;
        let now = self.clock.now();
        let since = now - limits::MAIL_COUNTED;
        let asked = self.store.asked(&asking.matters(&self.flow_key), asking.whom(&self.flow_key), since).await?;
        if pace == Pace::Reminding && asked.flows.iter().flatten().any(|(_, at)| now.since(*at) < limits::REMIND_AFTER) {
            return Ok(None);
        }
        let (id, changes) = start_flow(asking, &asked, &self.flow_key, now, &*self.entropy);
        self.store.commit(Change::Together(beside.iter().cloned().chain(changes).collect())).await?;
        self.outbox.wake();
        Ok(Some(id))
    }

    /// As [`Desk::ask`], for what is asked by whoever doesn't say who they are, from a network whose mails are counted.
    pub(crate) async fn ask_for(
        &self,
        whom: &Whom,
        network: Option<IpAddr>,
        purpose: Purpose,
        kind: MailKind,
        wanted: fn(&Account) -> bool,
    ) -> Result<FlowId, Failure> {
        let typed = whom.folded();
        let mut conflicts = Conflicts::default();
        let mut may = None;
        loop {
            let account = self.store.account(&whom.by(), self.clock.now()).await?.account;
            let account = account.as_ref().filter(|account| account.email.is_some() && wanted(account));
            let account = account.filter(|_| *may.get_or_insert_with(|| self.outbox.networks.may_cause(network, self.clock.uptime())));
            let to = account.and_then(|account| account.email.as_ref()).map(|email| email.shown.as_str());
            let asking = Asking { purpose, account, typed: &typed, kind, to };
            match self.ask(&asking, &[], Pace::AtOnce).await {
                Ok(Some(id)) => return Ok(id),
                Ok(None) => {}
                Err(error) => conflicts.again(error)?,
            }
        }
    }

    /// What a proof stands for. A code costs a try, whether it is right or not, and whether the flow is anybody's or not.
    ///
    /// # Errors
    /// It stands for nothing, or the store is away.
    pub(crate) async fn flow_of(&self, proof: &MailProof, purpose: Purpose) -> Result<FlowId, Failure> {
        match proof {
            MailProof::Link(link) => Ok(self.flow_key.flow_of(link, purpose).ok_or(Refusal::LinkInvalid)?),
            MailProof::Code { flow, code } => {
                let id: FlowId = flow.parse().map_err(|_| Refusal::LinkInvalid)?;
                match self.store.commit(Change::SpendTry(id)).await {
                    Ok(_) => {}
                    Err(StoreError::Conflict) => return Err(Refusal::LinkInvalid.into()),
                    Err(error) => return Err(error.into()),
                }
                let loaded = self.store.flow(id).await?;
                let is_in_time = loaded.flow.is_some_and(|flow| self.clock.now() < flow.code_until());
                if is_in_time && self.flow_key.is_code(code, id, purpose) { Ok(id) } else { Err(Refusal::LinkInvalid.into()) }
            }
        }
    }

    /// Uses a flow: loads it, and writes what `decide` makes of it, once.
    ///
    /// # Errors
    /// It is good for nothing any more, what `decide` says, or the store is away.
    pub(crate) async fn use_flow(
        &self,
        id: FlowId,
        purpose: Purpose,
        decide: impl Fn(&Flow, &Account, Timestamp) -> Result<Change, Failure>,
    ) -> Result<(), Failure> {
        let mut conflicts = Conflicts::default();
        loop {
            let loaded: FlowLoaded = self.store.flow(id).await?;
            let now = self.clock.now();
            let (flow, account) = judge_flow(&loaded, purpose, &self.flow_key, now)?;
            let change = decide(flow, account, now)?;
            match self.commit_and_announce(change).await {
                Ok(_) => {
                    self.outbox.wake();
                    return Ok(());
                }
                Err(error) => conflicts.again(error)?,
            }
        }
    }

    /// A change, and beside it a mail that tells the account's owner of it, if it has an address that is known to be theirs.
    pub(crate) fn with_notice(&self, change: Change, kind: MailKind, account: &Account, now: Timestamp) -> Change {
        match account.email.as_ref().filter(|email| email.verified_at.is_some()) {
            Some(email) => Change::Together(vec![change, notice(kind, &email.shown, &self.flow_key, now, &*self.entropy)]),
            None => change,
        }
    }

    /// Tells the owner of an account that it is locked, and how to come back: once a day, however often it is locked. What
    /// goes wrong changes nothing of the lock.
    pub(crate) async fn tell_of_lock(&self, account: &Account) {
        let Some(email) = account.email.as_ref().filter(|email| email.verified_at.is_some()) else { return };
        if !self.outbox.told.may_tell(&account.subject, self.clock.uptime()) {
            return;
        }
        let (purpose, kind, to) = (Purpose::Reset, MailKind::Locked, Some(email.shown.as_str()));
        let asking = Asking { purpose, account: Some(account), typed: "", kind, to };
        if let Err(error) = self.ask(&asking, &[], Pace::AtOnce).await {
            tracing::warn!(%error, "the owner of a locked account could not be told");
        }
    }

    /// Sends the mail with which an address is confirmed again, after somebody who knows the password was refused because
    /// it isn't. What goes wrong changes nothing of the refusal.
    pub(crate) async fn remind(&self, by: &AccountBy) {
        let reminded = async {
            let loaded = self.store.account(by, self.clock.now()).await?;
            let Some((account, email)) = loaded.account.as_ref().and_then(|account| Some((account, account.email.as_ref()?))) else {
                return Ok(());
            };
            let to = Some(email.shown.as_str());
            let asking = Asking { purpose: Purpose::Verification, account: Some(account), typed: "", kind: MailKind::Verification, to };
            self.ask(&asking, &[], Pace::Reminding).await.map(drop)
        };
        // Who lost against another has been reminded by that one.
        if let Err(error) = reminded.await
            && error != StoreError::Conflict
        {
            tracing::warn!(%error, "the mail with which an address is confirmed could not be asked for");
        }
    }
}
