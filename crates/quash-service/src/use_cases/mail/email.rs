//! Changes of an account's e-mail address: requested with the password, and made once the new address is
//! confirmed.

use quash_core::decide::{MailRequest, MailTarget, PasswordCheck, change_email_by_mail, notice};
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Email, FlowId, MailKind, NameFault, Purpose, Refusal, Timestamp,
};
use quash_core::watch::Live;

use crate::context::{Context, Service};
use crate::failure::{Failure, Unavailable};
use crate::mail::account_address;
use crate::retry::{Uncommitted, retry};
use crate::use_cases::account::own::{Reauthentication, reauthentication_proof};
use crate::use_cases::mail::flows::{MailProof, Pace};
use crate::use_cases::session::prove::Authenticated;

impl Service {
    /// Requests the mail that confirms a new address. The current address is notified; nothing changes until
    /// the new one is confirmed. If another account has the new address, the mail says so, and the answer is
    /// the same. It is also the same past the allowance of the client's network or of the account, when
    /// nothing is written or sent.
    ///
    /// # Errors
    /// The password is wrong, the token's account can't be used or has caused too many entries, or the
    /// request can't be handled now.
    pub async fn request_email_change(
        &self,
        live: &Live,
        email: &str,
        reauthentication: Reauthentication,
    ) -> Result<Result<FlowId, NameFault>, Failure> {
        let context = &*self.context;
        let email = match account_address(email, context.policy.accounts.local_parts) {
            Ok(email) => email,
            Err(fault) => return Ok(Err(fault)),
        };
        let me = self.me(live).await?;
        context.quotas.check(&me.account.subject, context.clock.uptime())?;
        let network = reauthentication.network;
        let mut proof = reauthentication_proof(&me.account, reauthentication);
        let mut is_counted = false;
        retry!({
            let Authenticated { account, .. } = context.prove(&mut proof, judge_reauthentication).await?;
            if !is_counted && !context.lockout.may_change_address(network, &account.subject).await? {
                return Ok(Ok(FlowId::random(&*context.entropy)));
            }
            is_counted = true;
            let owner =
                context.store.account(&AccountBy::Email(email.folded()), context.clock.now()).await?.account;
            let is_taken = owner.as_ref().is_some_and(|owner| owner.subject != account.subject);
            let typed = email.folded();
            let taken = owner.as_ref().filter(|_| is_taken).and_then(|owner| owner.email.as_ref());
            let request = match taken {
                Some(theirs) => MailRequest {
                    purpose: Purpose::EmailChange,
                    about: MailTarget::Decoy,
                    typed: &typed,
                    kind: MailKind::AddressTaken,
                    to: Some(&theirs.shown),
                    recipient: owner.as_ref().map(|owner| &owner.subject),
                    priority: MailKind::AddressTaken.priority(),
                },
                None => MailRequest {
                    purpose: Purpose::EmailChange,
                    about: MailTarget::Account(&account),
                    typed: &typed,
                    kind: MailKind::EmailChange,
                    to: Some(&email.shown),
                    recipient: None,
                    priority: MailKind::EmailChange.priority(),
                },
            };
            let now = context.clock.now();
            let lock_notices = account.email.as_ref().map(|before| {
                notice(
                    MailKind::EmailChangeAsked,
                    &before.shown,
                    &account,
                    &context.flow_key,
                    now,
                    &*context.entropy,
                )
            });
            let id = context
                .ask(&request, lock_notices.as_slice(), Pace::AtOnce)
                .await?
                .ok_or(Uncommitted::Conflict)?;
            Ok(Ok(id))
        })
    }

    /// Gives an account its confirmed address. All its sessions end. If a token is given, it must belong to
    /// the same account.
    ///
    /// # Errors
    /// The proof is invalid or another account's, the address has been taken meanwhile, or the change can't
    /// be made now.
    pub async fn confirm_email_change(
        &self,
        proof: &MailProof,
        bearer: Option<&Live>,
    ) -> Result<(), Failure> {
        let context = &*self.context;
        let bearer = match bearer {
            Some(live) => Some(self.me(live).await?.account.subject),
            None => None,
        };
        let id = context.flow_of(proof, Purpose::EmailChange).await?;
        context.is_still_free(id).await?;
        let scopes = context.guard.scopes();
        let used = context.use_flow(id, Purpose::EmailChange, |flow, owner, now| {
            let account = owner.account()?;
            if bearer.as_ref().is_some_and(|subject| *subject != account.subject) {
                return Err(Refusal::LinkInvalid.into());
            }
            Ok(change_email_by_mail(
                flow,
                account,
                &context.flow_key,
                &context.policy,
                scopes,
                now,
                &*context.entropy,
            )?)
        });
        match used.await {
            // Several imported accounts share the address: it finds none of them, and no other account can
            // have it.
            Err(Failure::Unavailable(Unavailable::Contended)) => Err(Refusal::LinkInvalid.into()),
            used => used,
        }
    }
}

impl Context {
    /// Checks that no other account has the address that a flow is about to set.
    async fn is_still_free(&self, id: FlowId) -> Result<(), Failure> {
        let flow = self.store.flow(id).await?.flow.ok_or(Refusal::LinkInvalid)?;
        let folded = flow
            .address
            .as_deref()
            .and_then(|address| Email::parse(address).ok())
            .ok_or(Refusal::LinkInvalid)?
            .folded();
        let owner = self.store.account(&AccountBy::Email(folded), self.clock.now()).await?.account;
        if owner.is_some_and(|owner| Some(&owner.subject) != flow.subject.as_ref()) {
            return Err(Refusal::LinkInvalid.into());
        }
        Ok(())
    }
}

/// Checks that the bearer of a live token knows the account's password.
fn judge_reauthentication(
    loaded: &AccountLoaded,
    tried: PasswordCheck,
    _: Timestamp,
) -> Result<&Account, Refusal> {
    let account = loaded.account.as_ref().ok_or(Refusal::AccountNotFound)?;
    if tried.is_right() { Ok(account) } else { Err(Refusal::WrongPassword) }
}
