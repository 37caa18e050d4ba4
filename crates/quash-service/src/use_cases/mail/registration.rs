//! Registration: users add accounts for themselves. An account is added once its address is confirmed
//! (`verification.rs`).

use std::net::IpAddr;

use quash_core::decide::{MailRequest, MailTarget};
use quash_core::model::{
    Account, AccountBy, Digest, FlowId, MailKind, Name, NameFault, PasswordFault, PendingRegistration,
    Purpose, draw,
};
use zeroize::Zeroizing;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::mail::account_address;
use crate::passwords::{Requester, check_length};
use crate::retry::{Uncommitted, retry};
use crate::use_cases::mail::flows::Pace;

/// A user's request to register.
pub struct NewRegistration {
    /// The name, as typed.
    pub name: String,
    /// The address, as typed.
    pub email: String,
    /// The password, as typed.
    pub password: Zeroizing<String>,
    /// The client's network, if its requests are to be counted.
    pub network: Option<IpAddr>,
}

/// A reason to refuse a registration. A taken name or address is no reason: only a mail reveals it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegisterFault {
    /// The name, the address or both are invalid.
    Fields { name: Option<NameFault>, email: Option<NameFault> },
    /// The password is refused.
    Password(PasswordFault),
    /// A failure on our side.
    Failed(Failure),
}

/// The outcome of a registration, which its answer doesn't reveal.
enum Outcome {
    /// The address must be confirmed.
    Pending,
    /// An account has the address: its owner is notified.
    AddressTaken(Box<Account>),
    /// An account has the name: the mail goes to the address that was typed.
    NameTaken,
}

impl Service {
    /// Starts a registration and mails the link that completes it. Until then no account is added, and
    /// neither the name nor the address is reserved. If an account has one of them, the answer and its cost
    /// are the same, and a mail says so.
    ///
    /// # Errors
    /// A field or the password is refused, or the registration can't be made now.
    pub async fn register(&self, new: NewRegistration) -> Result<FlowId, RegisterFault> {
        let context = &*self.context;
        let (name, email) = match (
            context.new_name(&new.name, None),
            account_address(&new.email, context.policy.accounts.local_parts),
        ) {
            (Ok(name), Ok(email)) => (name, email),
            (name, email) => return Err(RegisterFault::Fields { name: name.err(), email: email.err() }),
        };
        check_length(&new.password).map_err(RegisterFault::Password)?;
        if !context.lockout.may_ask_for_mail(new.network).await.map_err(RegisterFault::Failed)? {
            return Ok(FlowId::random(&*context.entropy));
        }
        let failed = RegisterFault::Failed;
        let requester = Requester::new(new.network, false);
        let hash = context
            .passwords
            .hash_new(new.password, &[name.shown(), &email.shown], requester, &*context.entropy)
            .await;
        let password = hash.map_err(failed)?.map_err(RegisterFault::Password)?;
        let pending = PendingRegistration { username: name, password };
        // A separate matter, so that another registration, perhaps of another person, never invalidates this
        // link.
        let subject_hash = Digest(draw(&*context.entropy));
        let typed = email.folded();
        retry!({
            let outcome = context.outcome(&pending.username, &typed).await?;
            let (about, kind, to, recipient) = match &outcome {
                Outcome::Pending => {
                    let lifetime = context.policy.registration.link_lifetime;
                    (
                        MailTarget::Registration { pending: &pending, subject_hash, lifetime },
                        MailKind::Verification,
                        email.shown.as_str(),
                        None,
                    )
                }
                Outcome::AddressTaken(owner) => {
                    let to = owner.email.as_ref().map_or(email.shown.as_str(), |email| email.shown.as_str());
                    (MailTarget::Decoy, MailKind::AddressTaken, to, Some(&owner.subject))
                }
                Outcome::NameTaken => (MailTarget::Decoy, MailKind::NameTaken, email.shown.as_str(), None),
            };
            let purpose = Purpose::Verification;
            let request = MailRequest {
                purpose,
                about,
                typed: &typed,
                kind,
                to: Some(to),
                recipient,
                priority: kind.priority(),
            };
            context.ask(&request, &[], Pace::AtOnce).await?.ok_or(Uncommitted::Conflict)
        })
    }
}

impl Context {
    /// Looks up both the name and the address, even if the first lookup decides.
    async fn outcome(&self, name: &Name, email: &str) -> Result<Outcome, Failure> {
        let now = self.clock.now();
        let named = self.store.account(&AccountBy::Name(name.folded().to_owned()), now).await?.account;
        let is_subject = self.is_subject_of_another(name, None, now).await?;
        let addressed = self.store.account(&AccountBy::Email(email.to_owned()), now).await?.account;
        Ok(match (named, addressed) {
            (_, Some(owner)) => Outcome::AddressTaken(Box::new(owner)),
            (Some(_), None) => Outcome::NameTaken,
            (None, None) if is_subject => Outcome::NameTaken,
            (None, None) => Outcome::Pending,
        })
    }
}

impl From<Failure> for RegisterFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
