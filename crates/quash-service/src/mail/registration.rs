//! Registering: an account that somebody adds for themselves. Its address must be confirmed before it is of any use.

use std::net::IpAddr;

use quash_core::decide::Asking;
use quash_core::model::{
    Account, AccountBy, Actor, Change, Email, FlowId, MailKind, Name, NameFault, PasswordFault, Purpose, Subject, Timestamp,
};
use zeroize::Zeroizing;

use super::flows::Pace;
use crate::desk::Service;
use crate::failure::{Conflicts, Failure};
use crate::passwords::check_new_password;

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

/// What becomes of a registration, which its answer doesn't tell.
enum Fate {
    /// An account.
    Account(Box<Account>),
    /// The address is somebody's, who is told at this address.
    AddressTaken(String),
    /// The name is somebody's, of which whoever registers is told.
    NameTaken,
    /// Nothing, and nobody is told: the network has caused enough mails.
    Nothing,
}

impl Service {
    /// Registers, and mails what the address is confirmed with. Where name or address are somebody's, the answer is the same
    /// and costs the same, and the mail says so.
    ///
    /// # Errors
    /// What it is given can't be an account, or it can't be done now.
    pub async fn register(&self, new: NewRegistration) -> Result<FlowId, RegisterFault> {
        let desk = &*self.desk;
        let (name, email) = match (desk.new_name(&new.name, None), Email::parse_own(&new.email)) {
            (Ok(name), Ok(email)) => (name, email),
            (name, email) => return Err(RegisterFault::Fields { name: name.err(), email: email.err() }),
        };
        check_new_password(&new.password, &[name.shown(), &email.shown]).map_err(RegisterFault::Password)?;
        let failed = RegisterFault::Failed;
        let hash = desk.passwords.hash(new.password, &*desk.entropy).await.map_err(failed)?;
        let mut conflicts = Conflicts::default();
        let mut was_taken = false;
        let may = desk.outbox.networks.may_cause(new.network, desk.clock.uptime());
        loop {
            let now = desk.clock.now();
            let fate = match self.fate(&name, &email, now).await.map_err(failed)? {
                _ if !may => Fate::Nothing,
                // Several accounts that were imported share the address: none is found by it, and none can be added.
                Fate::Account(_) if was_taken => Fate::AddressTaken(email.shown.clone()),
                fate => fate,
            };
            let account = match &fate {
                Fate::Account(account) => Some(Account { password: Some(hash.clone()), ..(**account).clone() }),
                Fate::AddressTaken(_) | Fate::NameTaken | Fate::Nothing => None,
            };
            let (kind, to) = match &fate {
                Fate::Account(_) => (MailKind::Verification, Some(email.shown.as_str())),
                Fate::AddressTaken(owner) => (MailKind::AddressTaken, Some(owner.as_str())),
                Fate::NameTaken => (MailKind::NameTaken, Some(email.shown.as_str())),
                Fate::Nothing => (MailKind::Verification, None),
            };
            let typed = email.folded();
            let asking = Asking { purpose: Purpose::Verification, account: account.as_ref(), typed: &typed, kind, to };
            let beside: Vec<Change> = account.iter().map(|account| Change::AddAccount(account.clone(), Actor::Owner)).collect();
            match desk.ask(&asking, &beside, Pace::AtOnce).await {
                Ok(Some(id)) => return Ok(id),
                Ok(None) => {}
                Err(error) => {
                    conflicts.again(error).map_err(failed)?;
                    was_taken = account.is_some();
                }
            }
        }
    }

    /// Looks at both, whatever the first look says.
    async fn fate(&self, name: &Name, email: &Email, now: Timestamp) -> Result<Fate, Failure> {
        let desk = &*self.desk;
        let named = desk.store.account(&AccountBy::Name(name.folded().to_owned()), now).await?.account;
        let is_subject = desk.is_subject_of_another(name, None, now).await?;
        let addressed = desk.store.account(&AccountBy::Email(email.folded()), now).await?.account;
        Ok(match (named, addressed) {
            (_, Some(owner)) => Fate::AddressTaken(owner.email.map_or_else(|| email.shown.clone(), |email| email.shown)),
            (Some(_), None) => Fate::NameTaken,
            (None, None) if is_subject => Fate::NameTaken,
            (None, None) => {
                let new = Account::new(Subject::new(now, &*desk.entropy), name.clone(), now);
                Fate::Account(Box::new(Account { email: Some(email.clone()), ..new }))
            }
        })
    }
}
