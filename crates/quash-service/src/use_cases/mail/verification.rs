//! Confirmation of an account's current address.

use std::net::IpAddr;

use quash_core::decide::{FlowOwner, judge_flow, register_by_mail, verify_by_mail};
use quash_core::model::{
    Account, AccountBy, AccountState, FlowId, MailKind, PendingRegistration, Purpose, Refusal, fold,
};

use crate::context::{Context, Service};
use crate::failure::{Failure, Unavailable};
use crate::use_cases::mail::flows::{Finds, MailProof, MailRecipient};

impl Service {
    /// Requests another mail that confirms the address of an account or a registration. The answer doesn't
    /// reveal whether there is anything to confirm. The previous link is replaced.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn request_verification(
        &self,
        recipient: &MailRecipient,
        network: Option<IpAddr>,
    ) -> Result<FlowId, Failure> {
        let is_wanted = |account: &Account| {
            let unverified = account.email.as_ref().is_some_and(|email| email.verified_at.is_none());
            unverified && !matches!(account.state, AccountState::Deactivated { .. })
        };
        self.context
            .ask_for(recipient, network, MailKind::Verification, Finds::AccountsAndRegistrations, is_wanted)
            .await
    }

    /// Confirms the address of an account, or of a registration, which becomes an account. Nothing ends, and
    /// no session is opened.
    ///
    /// # Errors
    /// The proof is wrong, the name or the address of the registration has been taken since, or it can't be
    /// done now.
    pub async fn confirm_verification(&self, proof: &MailProof) -> Result<(), Failure> {
        let context = &*self.context;
        let id = context.flow_of(proof, Purpose::Verification).await?;
        context.check_registration(id).await?;
        // Kept until the account is written, so that no other addition gets the same number.
        let new = context.subject(None, context.clock.now()).await;
        let confirmed = context.use_flow(id, Purpose::Verification, |flow, owner, now| match owner {
            FlowOwner::Account(account) => Ok(verify_by_mail(flow, account, now)?),
            FlowOwner::Registration(pending) => {
                let subject = new.as_ref().map_err(Clone::clone)?.subject.clone();
                Ok(register_by_mail(flow, pending, subject, now)?)
            }
        });
        match confirmed.await {
            // The store refused the account: its name or address was taken after the check, or several
            // accounts share it.
            Err(Failure::Unavailable(Unavailable::Contended)) if context.check_registration(id).await? => {
                Err(Refusal::RegistrationTaken.into())
            }
            confirmed => confirmed,
        }
    }

    /// The name in a link's registration, to be shown before the confirmation; `None` for the link of an
    /// account.
    ///
    /// # Errors
    /// The link is invalid, or the store is unavailable.
    pub async fn pending_name(&self, link: &str) -> Result<Option<String>, Failure> {
        let context = &*self.context;
        let id = context.flow_key.flow_of(link, Purpose::Verification).ok_or(Refusal::LinkInvalid)?;
        let loaded = context.store.flow(id).await?;
        match judge_flow(&loaded, Purpose::Verification, &context.flow_key, context.clock.now())? {
            (_, FlowOwner::Registration(pending)) => Ok(Some(pending.username.shown().to_owned())),
            (_, FlowOwner::Account(_)) => Ok(None),
        }
    }
}

impl Context {
    /// Checks that no account has the name or the address of a flow's registration, and returns whether the
    /// flow has one.
    ///
    /// # Errors
    /// [`Refusal::RegistrationTaken`], the flow is invalid, or the store is unavailable.
    async fn check_registration(&self, id: FlowId) -> Result<bool, Failure> {
        let loaded = self.store.flow(id).await?;
        let now = self.clock.now();
        let (flow, owner) = judge_flow(&loaded, Purpose::Verification, &self.flow_key, now)?;
        let FlowOwner::Registration(PendingRegistration { username, .. }) = owner else { return Ok(false) };
        let taken_by = [
            Some(AccountBy::Name(username.folded().to_owned())),
            flow.address.as_deref().map(|address| AccountBy::Email(fold(address))),
        ];
        for by in taken_by.into_iter().flatten() {
            if self.store.account(&by, now).await?.account.is_some() {
                return Err(Refusal::RegistrationTaken.into());
            }
        }
        if self.is_subject_of_another(username, None, now).await? {
            return Err(Refusal::RegistrationTaken.into());
        }
        Ok(true)
    }
}
