//! Accounts, as an operator sees them: adding them and looking at them. What becomes of them is next door.

use std::time::Duration;

use quash_core::model::{
    Account, AccountBy, AccountClaims, AccountState, Actor, Change, CustomClaims, CustomClaimsFault, Jti,
    NameFault, PasswordFault, PasswordHash, Subject, Subjects, Timestamp, fold, limits,
};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::{Desk, Service};
use crate::failure::Failure;
use crate::mail::operators_address;
use crate::passwords::{FormatFault, Requester};
use crate::retry::{Uncommitted, retry};
use crate::use_cases::account::subjects::NewSubject;

/// An account to be added.
pub struct NewAccount {
    /// Its name, as typed.
    pub name: String,
    /// Its address, as typed.
    pub email: Option<String>,
    /// The address needn't be confirmed any more.
    pub verified: bool,
    /// Its subject; a new one is made where none is given.
    pub subject: Option<String>,
    /// Its password; `None`: none is usable.
    pub password: Option<NewPassword>,
    /// Whether it may sign in.
    pub state: NewState,
    /// What its tokens say besides quash's own claims, as a JSON object.
    pub claims: Option<String>,
}

/// Whether an account to be added may sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NewState {
    /// Nothing stands against it.
    #[default]
    Active,
    /// It is deactivated from the start.
    Deactivated,
}

/// The password of an account to be added.
pub enum NewPassword {
    /// The password itself, as typed.
    Plain(Zeroizing<String>),
    /// Its hash, as Django or we write it. One that says that no password is usable is as good as none.
    Encoded(Zeroizing<String>),
}

/// Why an account isn't added.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddFault {
    /// The name can't be one.
    #[error("the name {0}")]
    Name(NameFault),
    /// The address can't be one.
    #[error("the e-mail address {0}")]
    Email(NameFault),
    /// The subject can't be one.
    #[error("the subject is empty, longer than {} bytes or holds control characters", Subject::MAX)]
    Subject,
    /// The subject isn't a number, and all are to be.
    #[error(
        "the subject isn't a positive whole number of at most 15 digits, and accounts.subjects is \"integer\""
    )]
    SubjectNotANumber,
    /// The password isn't taken.
    #[error("the password {0}")]
    Password(PasswordFault),
    /// The password's hash can't be compared with.
    #[error("the password hash {0}; {KNOWN_FORMATS}")]
    PasswordHash(FormatFault),
    /// The claims can't be any.
    #[error("{0}")]
    Claims(ClaimsFault),
    /// Another account has the name, the address or the subject.
    #[error("an account with this name, e-mail address or subject exists already")]
    Taken,
    /// Ours.
    #[error("the account could not be added now")]
    Failed(Failure),
}

/// Why claims can't be an account's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimsFault {
    /// They can't be any.
    #[error("the claims are {0}")]
    Form(#[from] CustomClaimsFault),
    /// A claim of this name says something of quash's own.
    #[error("the claim \"{0}\" says something of quash's own")]
    Reserved(String),
}

/// The formats of hashes that can be compared with, in words.
pub(crate) const KNOWN_FORMATS: &str = "known formats are pbkdf2_sha256, pbkdf2_sha1, argon2, bcrypt_sha256, bcrypt and scrypt as \
                                        Django writes them, and Argon2id in PHC format";

impl Service {
    /// Adds an account.
    ///
    /// # Errors
    /// What it is given can't be an account, or is taken.
    pub async fn add_account(&self, new: NewAccount) -> Result<Account, AddFault> {
        let desk = &*self.desk;
        let now = desk.clock.now();
        let username = desk.new_name(&new.name, None).map_err(AddFault::Name)?;
        let address = |text| operators_address(text, desk.policy.accounts.local_parts);
        let mut email = new.email.as_deref().map(address).transpose().map_err(AddFault::Email)?;
        if let Some(email) = email.as_mut().filter(|_| new.verified) {
            email.verified_at = Some(now);
        }
        let given = new.subject.as_deref().map(Subject::parse).transpose().map_err(|_| AddFault::Subject)?;
        if let Some(subject) = &given {
            if desk.policy.accounts.subjects == Subjects::Integer && subject.number().is_none() {
                return Err(AddFault::SubjectNotANumber);
            }
            if desk.is_name(subject, now).await.map_err(AddFault::Failed)? {
                return Err(AddFault::Taken);
            }
        }
        // A name that is another account's subject would stand for that account in a command.
        if desk.is_subject_of_another(&username, given.as_ref(), now).await.map_err(AddFault::Failed)? {
            return Err(AddFault::Taken);
        }
        let own: Vec<&str> = [Some(username.shown()), email.as_ref().map(|email| email.shown.as_str())]
            .into_iter()
            .flatten()
            .collect();
        let password = self.hash_of(new.password, &own).await?;
        let claims = match new.claims.as_deref() {
            Some(json) => AccountClaims::Set(desk.custom_claims(json).map_err(AddFault::Claims)?),
            None => AccountClaims::Unset,
        };
        let state = match new.state {
            NewState::Active => AccountState::Active,
            NewState::Deactivated => AccountState::Deactivated { at: now },
        };
        retry!({
            let NewSubject { subject, _turn } = desk.subject(given.as_ref(), now).await?;
            let account = Account {
                email: email.clone(),
                password: password.clone(),
                state,
                claims: claims.clone(),
                ..Account::new(subject, username.clone(), now)
            };
            match desk.store.commit(Change::AddAccount(account.clone(), Actor::Operator)).await {
                Ok(_) => {
                    let class = account
                        .password
                        .as_ref()
                        .and_then(|hash| desk.passwords.class_of(hash).ok().flatten());
                    class.into_iter().for_each(|class| desk.passwords.know(class));
                    Ok(account)
                }
                Err(StoreError::Conflict)
                    if given.is_none() && desk.was_given_out(&account.subject).await? =>
                {
                    Err(Uncommitted::Conflict)
                }
                Err(StoreError::Conflict) => Err(Uncommitted::Failed(AddFault::Taken)),
                Err(error) => Err(error.into()),
            }
        })
    }

    async fn hash_of(
        &self,
        password: Option<NewPassword>,
        own: &[&str],
    ) -> Result<Option<PasswordHash>, AddFault> {
        let desk = &*self.desk;
        match password {
            None => Ok(None),
            Some(NewPassword::Plain(password)) => {
                let hash = desk
                    .passwords
                    .hash_new(password, own, Requester::OPERATOR, &*desk.entropy)
                    .await
                    .map_err(AddFault::Failed)?;
                hash.map(Some).map_err(AddFault::Password)
            }
            Some(NewPassword::Encoded(text)) => desk.encoded(text).map_err(AddFault::PasswordHash),
        }
    }

    /// The account of a name or, if no account has the name, of a subject.
    ///
    /// # Errors
    /// The store is away.
    pub async fn account(&self, name_or_subject: &str) -> Result<Option<Account>, Failure> {
        let desk = &*self.desk;
        let now = desk.clock.now();
        let by_name = desk.store.account(&AccountBy::Name(fold(name_or_subject)), now).await?.account;
        match (by_name, Subject::parse(name_or_subject)) {
            (None, Ok(subject)) => Ok(desk.store.account(&AccountBy::Subject(subject), now).await?.account),
            (found, _) => Ok(found),
        }
    }

    /// The account that is looked for.
    ///
    /// # Errors
    /// The store is away.
    pub async fn account_by(&self, by: &AccountBy) -> Result<Option<Account>, Failure> {
        Ok(self.desk.store.account(by, self.desk.clock.now()).await?.account)
    }

    /// A page of accounts in the order of their names, after the folded name `after`.
    ///
    /// # Errors
    /// The store is away.
    pub async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, Failure> {
        Ok(self.desk.store.accounts(after, limit.min(limits::PAGE)).await?)
    }

    /// An id for a request: random, so that it tells nothing about the ones before.
    pub fn new_request_id(&self) -> String {
        Jti::random(&*self.desk.entropy).to_string()
    }

    /// How long it is since some fixed moment, to measure what takes time.
    pub fn uptime(&self) -> Duration {
        self.desk.clock.uptime()
    }

    /// The time as this service sees it.
    pub fn now(&self) -> Timestamp {
        self.desk.clock.now()
    }
}

impl Desk {
    /// The hash that a text is; `None`: it says that no password is usable.
    ///
    /// # Errors
    /// It can't be compared with.
    pub(crate) fn encoded(&self, mut text: Zeroizing<String>) -> Result<Option<PasswordHash>, FormatFault> {
        let hash = PasswordHash::new(std::mem::take(&mut text));
        let class = self.passwords.class_of(&hash)?;
        Ok(class.map(|_| self.passwords.classed(hash)))
    }

    /// Claims of an account from JSON.
    ///
    /// # Errors
    /// They are too long, or one of them has a name of quash's own.
    pub(crate) fn custom_claims(&self, json: &str) -> Result<CustomClaims, ClaimsFault> {
        let claims = CustomClaims::read(json)?;
        let names = &self.policy.tokens.names;
        match claims.as_slice().iter().find(|(name, _)| names.reserves(name)) {
            Some((name, _)) => Err(ClaimsFault::Reserved(name.clone())),
            None => Ok(claims),
        }
    }
}

impl From<Failure> for AddFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
