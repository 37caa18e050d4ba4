//! Password resets by mail.

use std::net::IpAddr;

use quash_core::decide::{judge_flow, reset_by_mail};
use quash_core::model::{Account, AccountState, FlowId, MailKind, Purpose, Refusal};
use zeroize::Zeroizing;

use crate::context::Service;
use crate::failure::Failure;
use crate::passwords::{Requester, Reserve};
use crate::use_cases::account::own::own_words;
use crate::use_cases::mail::flows::{Finds, MailProof, MailRecipient};

impl Service {
    /// Requests the mail that resets a password. The answer doesn't reveal whether the account exists, is
    /// deactivated or has an address.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn request_reset(
        &self,
        recipient: &MailRecipient,
        network: Option<IpAddr>,
    ) -> Result<FlowId, Failure> {
        let is_wanted = |account: &Account| !matches!(account.state, AccountState::Deactivated { .. });
        self.context.ask_for(recipient, network, MailKind::Reset, Finds::Accounts, is_wanted).await
    }

    /// Sets a new password. All sessions end, and the user isn't signed in by this.
    ///
    /// # Errors
    /// The proof is invalid, the password is refused, or the reset can't be made now.
    pub async fn confirm_reset(
        &self,
        proof: &MailProof,
        password: Zeroizing<String>,
        network: Option<IpAddr>,
    ) -> Result<(), Failure> {
        let context = &*self.context;
        let id = context.flow_of(proof, Purpose::Reset).await?;
        let loaded = context.store.flow(id).await?;
        let (_, owner) = judge_flow(&loaded, Purpose::Reset, &context.flow_key, context.clock.now())?;
        let account = owner.account()?;
        let requester = Requester { address: network, queue: Reserve::With };
        let hash =
            context.passwords.hash_new(password, &own_words(account), requester, &*context.entropy).await?;
        let hash = hash.map_err(Refusal::PasswordRefused)?;
        let scopes = context.guard.scopes();
        let used = context.use_flow(id, Purpose::Reset, |flow, owner, now| {
            let account = owner.account()?;
            Ok(reset_by_mail(
                flow,
                account,
                hash.clone(),
                &context.flow_key,
                &context.policy,
                scopes,
                now,
                &*context.entropy,
            ))
        });
        used.await?;
        context.lockout.clear(&account.subject).await;
        Ok(())
    }
}
