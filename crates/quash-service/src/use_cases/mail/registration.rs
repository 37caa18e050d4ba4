//! Registering: users add an account for themselves. It is added once its address is confirmed (`verification.rs`).

use std::net::IpAddr;

use quash_core::decide::{About, Asking};
use quash_core::model::{
    Account, AccountBy, Digest, FlowId, MailKind, Name, NameFault, PasswordFault, PendingRegistration,
    Purpose, draw,
};
use zeroize::Zeroizing;

use crate::context::{Desk, Service};
use crate::failure::Failure;
use crate::mail::own_address;
use crate::passwords::{Requester, check_length};
use crate::retry::{Uncommitted, retry};
use crate::use_cases::mail::flows::Pace;

/// What somebody wants to register.
pub struct NewRegistration {
    /// The name, as typed.
    pub name: String,
    /// The address, as typed.
    pub email: String,
    /// The password, as typed.
    pub password: Zeroizing<String>,
    /// The network it comes from, if its mails are to be counted.
    pub network: Option<IpAddr>,
}

/// Why nobody is registered. That a name or an address is somebody's is no fault: only a mail says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegisterFault {
    /// Name, address or both can't be one.
    Fields {
        /// What is wrong with the name.
        name: Option<NameFault>,
        /// What is wrong with the address.
        email: Option<NameFault>,
    },
    /// The password isn't taken.
    Password(PasswordFault),
    /// Ours.
    Failed(Failure),
}

/// The outcome of a registration, which its answer doesn't tell.
enum Outcome {
    /// It waits for its address to be confirmed.
    Pending,
    /// An account has the address: its owner is told.
    AddressTaken(Box<Account>),
    /// An account has the name: the address that was typed is told.
    NameTaken,
}

impl Service {
    /// Starts a registration and mails the link that completes it. No account is added before that, and neither the name nor
    /// the address is reserved. Where an account has one of them, the answer and its cost are the same, and a mail says so.
    ///
    /// # Errors
    /// What it is given can't be an account, or it can't be done now.
    pub async fn register(&self, new: NewRegistration) -> Result<FlowId, RegisterFault> {
        let desk = &*self.desk;
        let (name, email) =
            match (desk.new_name(&new.name, None), own_address(&new.email, desk.policy.accounts.local_parts))
            {
                (Ok(name), Ok(email)) => (name, email),
                (name, email) => return Err(RegisterFault::Fields { name: name.err(), email: email.err() }),
            };
        check_length(&new.password).map_err(RegisterFault::Password)?;
        if !desk.outbox.networks.may_ask(new.network, desk.clock.uptime()) {
            return Ok(FlowId::random(&*desk.entropy));
        }
        let failed = RegisterFault::Failed;
        let requester = Requester::new(new.network, false);
        let hash = desk
            .passwords
            .hash_new(new.password, &[name.shown(), &email.shown], requester, &*desk.entropy)
            .await;
        let password = hash.map_err(failed)?.map_err(RegisterFault::Password)?;
        let pending = PendingRegistration { username: name, password };
        // A matter of its own: another registration, perhaps another person's, never invalidates its link.
        let matter = Digest(draw(&*desk.entropy));
        let typed = email.folded();
        retry!({
            let outcome = desk.outcome(&pending.username, &typed).await?;
            let (about, kind, to, recipient) = match &outcome {
                Outcome::Pending => {
                    let lifetime = desk.policy.registration.link_lifetime;
                    (
                        About::Registration { pending: &pending, matter, lifetime },
                        MailKind::Verification,
                        email.shown.as_str(),
                        None,
                    )
                }
                Outcome::AddressTaken(owner) => {
                    let to = owner.email.as_ref().map_or(email.shown.as_str(), |email| email.shown.as_str());
                    (About::Nobody, MailKind::AddressTaken, to, Some(&owner.subject))
                }
                Outcome::NameTaken => (About::Nobody, MailKind::NameTaken, email.shown.as_str(), None),
            };
            let purpose = Purpose::Verification;
            let asking = Asking {
                purpose,
                about,
                typed: &typed,
                kind,
                to: Some(to),
                recipient,
                priority: kind.priority(),
            };
            desk.ask(&asking, &[], Pace::AtOnce).await?.ok_or(Uncommitted::Conflict)
        })
    }
}

impl Desk {
    /// Looks up both the name and the address, whatever the first look finds.
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
