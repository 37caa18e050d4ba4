//! Operators' additions and lookups of accounts. Changes are in `change.rs`.

use std::time::Duration;

use quash_core::model::{
    Account, AccountBy, AccountClaims, Actor, Change, CustomClaims, CustomClaimsFault, Email, Jti, NameFault,
    NewState, PasswordFault, PasswordHash, Subject, Subjects, Timestamp, fold, limits,
};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::mail::{AddressWarning, account_address, imported_address};
use crate::passwords::{FormatFault, Requester};
use crate::retry::{Uncommitted, retry};
use crate::use_cases::account::subjects::NewSubject;

/// An account to be added.
pub struct NewAccount {
    /// The name, as typed.
    pub name: String,
    /// The address, as typed.
    pub email: Option<String>,
    /// Marks the address as confirmed.
    pub verified: bool,
    /// The subject. `None` generates one.
    pub subject: Option<String>,
    /// The password. `None` adds an account without a usable password.
    pub password: Option<NewPassword>,
    pub state: NewState,
    /// The custom claims, as a JSON object.
    pub claims: Option<String>,
}

/// The password of an account to be added.
pub enum NewPassword {
    /// The password itself, as typed.
    Plain(Zeroizing<String>),
    /// Its hash, in Django's or our encoding. An unusable one matches no password.
    Encoded(Zeroizing<String>),
}

/// A value that an account can't have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueFault {
    /// The name is invalid.
    #[error("the name {0}")]
    Name(NameFault),
    /// The address is invalid.
    #[error("the e-mail address {0}")]
    Email(NameFault),
    /// The subject is invalid.
    #[error("the subject is empty, longer than {} bytes or holds control characters", Subject::MAX)]
    Subject,
    /// The subject isn't a number, as `accounts.subjects` requires.
    #[error(
        "the subject isn't a positive whole number of at most 15 digits, and accounts.subjects is \"integer\""
    )]
    SubjectNotANumber,
    /// The password is refused.
    #[error("the password {0}")]
    Password(PasswordFault),
    /// The password's hash has an unsupported format.
    #[error("the password hash {0}; {KNOWN_FORMATS}")]
    PasswordHash(FormatFault),
    /// The claims are invalid.
    #[error("{0}")]
    Claims(ClaimsFault),
}

/// A reason why an account isn't added.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddFault {
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// Another account has the name, the address or the subject.
    #[error("an account with this name, e-mail address or subject exists already")]
    Taken,
    /// A failure on our side.
    #[error("the account could not be added now")]
    Failed(Failure),
}

/// A reason why claims are refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimsFault {
    /// They have an invalid form.
    #[error("the claims are {0}")]
    Form(#[from] CustomClaimsFault),
    /// The claim's name is reserved by quash.
    #[error("the claim name \"{0}\" is reserved")]
    Reserved(String),
}

/// The supported formats of hashes, as a text for users.
pub(crate) const KNOWN_FORMATS: &str = "known formats are pbkdf2_sha256, pbkdf2_sha1, argon2, bcrypt_sha256, bcrypt and scrypt as \
                                        Django writes them, and Argon2id in PHC format";

impl Service {
    /// Adds an account.
    ///
    /// # Errors
    /// A field is invalid, or the name, the address or the subject is taken.
    pub async fn add_account(&self, new: NewAccount) -> Result<Account, AddFault> {
        self.add_account_by(new, Actor::Operator).await
    }

    /// Like [`Service::add_account`], on behalf of an actor.
    ///
    /// # Errors
    /// Like [`Service::add_account`].
    pub async fn add_account_by(&self, new: NewAccount, actor: Actor) -> Result<Account, AddFault> {
        let address = |text| account_address(text, self.context.policy.accounts.local_parts);
        let email = new.email.as_deref().map(address).transpose().map_err(ValueFault::Email)?;
        self.add_with_address(new, email, &actor).await
    }

    /// Adds an account of another system. An address that can't be mailed to is no reason to refuse it.
    ///
    /// # Errors
    /// Like [`Service::add_account`].
    pub async fn import_account(
        &self,
        new: NewAccount,
    ) -> Result<(Account, Option<AddressWarning>), AddFault> {
        let local_parts = self.context.policy.accounts.local_parts;
        let address = |text| imported_address(text, local_parts, new.verified);
        let email = new.email.as_deref().map(address).transpose().map_err(ValueFault::Email)?;
        let (email, warning) = email.unwrap_or_default();
        Ok((self.add_with_address(new, email, &Actor::Operator).await?, warning))
    }

    async fn add_with_address(
        &self,
        new: NewAccount,
        mut email: Option<Email>,
        actor: &Actor,
    ) -> Result<Account, AddFault> {
        let context = &*self.context;
        let now = context.clock.now();
        let username = context.new_name(&new.name, None).map_err(ValueFault::Name)?;
        if let Some(email) = email.as_mut().filter(|_| new.verified) {
            email.verified_at = Some(now);
        }
        let given =
            new.subject.as_deref().map(Subject::parse).transpose().map_err(|_| ValueFault::Subject)?;
        if let Some(subject) = &given {
            context.check_kind(subject)?;
            if context.is_name(subject, now).await.map_err(AddFault::Failed)? {
                return Err(AddFault::Taken);
            }
        }
        // A name equal to another account's subject would denote that account in a command.
        if context.is_subject_of_another(&username, given.as_ref(), now).await.map_err(AddFault::Failed)? {
            return Err(AddFault::Taken);
        }
        let own: Vec<&str> = [Some(username.shown()), email.as_ref().map(|email| email.shown.as_str())]
            .into_iter()
            .flatten()
            .collect();
        let is_own = matches!(new.password, Some(NewPassword::Plain(_)));
        let password = self.hash_of(new.password, &own).await?;
        let claims = match new.claims.as_deref() {
            Some(json) => AccountClaims::Set(context.custom_claims(json).map_err(ValueFault::Claims)?),
            None => AccountClaims::Unset,
        };
        retry!({
            let NewSubject { subject, _turn } = context.subject(given.as_ref(), now).await?;
            let added = Account::new(subject, username.clone(), now);
            let added = match password.clone() {
                Some(hash) if is_own => added.with_own_password(hash),
                password => Account { password, ..added },
            };
            let account = Account {
                email: email.clone(),
                state: new.state.since(now),
                claims: claims.clone(),
                ..added
            };
            match context.store.commit(Change::AddAccount(account.clone(), actor.clone())).await {
                Ok(_) => {
                    context.passwords.add_class_of(account.password.as_ref());
                    Ok(account)
                }
                Err(StoreError::Conflict)
                    if given.is_none() && context.was_given_out(&account.subject).await? =>
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
        let context = &*self.context;
        match password {
            None => Ok(None),
            Some(NewPassword::Plain(password)) => {
                let hash = context
                    .passwords
                    .hash_new(password, own, Requester::OPERATOR, &*context.entropy)
                    .await
                    .map_err(AddFault::Failed)?;
                Ok(hash.map(Some).map_err(ValueFault::Password)?)
            }
            Some(NewPassword::Encoded(text)) => {
                Ok(Some(context.encoded(text).map_err(ValueFault::PasswordHash)?))
            }
        }
    }

    /// The account of a name or, if no account has the name, of a subject.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn account(&self, name_or_subject: &str) -> Result<Option<Account>, Failure> {
        let context = &*self.context;
        let now = context.clock.now();
        let by_name = context.store.account(&AccountBy::Name(fold(name_or_subject)), now).await?.account;
        match (by_name, Subject::parse(name_or_subject)) {
            (None, Ok(subject)) => {
                Ok(context.store.account(&AccountBy::Subject(subject), now).await?.account)
            }
            (found, _) => Ok(found),
        }
    }

    /// The account found by `by`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn account_by(&self, by: &AccountBy) -> Result<Option<Account>, Failure> {
        Ok(self.context.store.account(by, self.context.clock.now()).await?.account)
    }

    /// Returns a page of accounts, ordered by name, after the folded name `after`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, Failure> {
        Ok(self.context.store.accounts(after, limit.min(limits::PAGE)).await?)
    }

    /// Draws an id for a request. It is random, so it reveals nothing about other requests.
    pub fn new_request_id(&self) -> String {
        Jti::random(&*self.context.entropy).to_string()
    }

    /// The time since a fixed moment, to measure durations.
    pub fn uptime(&self) -> Duration {
        self.context.clock.uptime()
    }

    /// The time by this service's clock.
    pub fn now(&self) -> Timestamp {
        self.context.clock.now()
    }
}

impl Context {
    /// Checks that a given subject is of the kind that the settings choose.
    ///
    /// # Errors
    /// It isn't a number.
    pub(crate) fn check_kind(&self, given: &Subject) -> Result<(), ValueFault> {
        match self.policy.accounts.subjects {
            Subjects::Integer if given.number().is_none() => Err(ValueFault::SubjectNotANumber),
            Subjects::Integer | Subjects::Uuid => Ok(()),
        }
    }

    /// Parses an encoded hash. An unusable one is kept, because Django nodes have its mark.
    ///
    /// # Errors
    /// The format is unsupported.
    pub(crate) fn encoded(&self, mut text: Zeroizing<String>) -> Result<PasswordHash, FormatFault> {
        let hash = PasswordHash::new(std::mem::take(&mut text));
        let class = self.passwords.class_of(&hash)?;
        Ok(match class {
            Some(class) => hash.of_class(class.to_string()),
            None => hash,
        })
    }

    /// Parses an account's claims from JSON.
    ///
    /// # Errors
    /// The claims are too long, or one has a name that quash reserves.
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
