//! Confirming the address that an account has.

use std::net::IpAddr;

use quash_core::decide::verify_by_mail;
use quash_core::model::{Account, AccountState, FlowId, MailKind, Purpose};

use super::flows::{MailProof, Whom};
use crate::desk::Service;
use crate::failure::Failure;

impl Service {
    /// Asks again for the mail with which an address is confirmed. The answer doesn't tell whether there is anything to
    /// confirm.
    ///
    /// # Errors
    /// The store is away.
    pub async fn request_verification(&self, whom: &Whom, network: Option<IpAddr>) -> Result<FlowId, Failure> {
        let is_wanted = |account: &Account| {
            let unverified = account.email.as_ref().is_some_and(|email| email.verified_at.is_none());
            unverified && !matches!(account.state, AccountState::Deactivated { .. })
        };
        self.desk.ask_for(whom, network, Purpose::Verification, MailKind::Verification, is_wanted).await
    }

    /// Confirms an address. Nothing ends, and nobody is signed in by that.
    ///
    /// # Errors
    /// The proof is none, or it can't be done now.
    pub async fn confirm_verification(&self, proof: &MailProof) -> Result<(), Failure> {
        let desk = &*self.desk;
        let id = desk.flow_of(proof, Purpose::Verification).await?;
        desk.use_flow(id, Purpose::Verification, |flow, account, now| Ok(verify_by_mail(flow, account, now)?)).await
    }
}
