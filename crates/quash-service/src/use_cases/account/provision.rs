//! Provisioning: a client with the right `accounts`, such as a Django site, sends its users, or an operator imports
//! them. Each account is added or changed in one transaction, or not at all.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::stream;
use quash_core::decide::{ChangeAuthor, MarkDiffers, Provisioning, SiteMark, provision, provisioned};
use quash_core::model::{
    Account, AccountBy, AccountEdit, Actor, Change, Client, Email, LastLogin, NewState, Seq, Subject,
    Timestamp, fold,
};
use zeroize::Zeroizing;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::mail::{AddressWarning, imported_address};
use crate::retry::{Uncommitted, retry};
use crate::use_cases::account::add::ValueFault;
use crate::use_cases::account::change::Changed;

/// An account as another system has it. `None`: unchanged.
#[derive(Default)]
pub struct AccountRecord {
    pub username: Option<String>,
    /// The address; `Some(None)`: none.
    pub email: Option<Option<String>>,
    /// Marks the address as confirmed. `false` doesn't undo a confirmation.
    pub email_verified: Option<bool>,
    /// The hash in Django's or our encoding; `Some(None)`: no password is usable.
    pub password_hash: Option<Option<Zeroizing<String>>>,
    /// The mark of the system's hash, if that is another one of the same password.
    pub password_mark: Option<String>,
    /// The mark of the system's former hash of that password.
    pub password_mark_before: Option<String>,
    pub state: Option<NewState>,
    /// The custom claims, as a JSON object.
    pub claims: Option<String>,
    /// The last sign-in before the account is added, if the settings record sign-ins. An existing account keeps its own.
    pub last_login_at: Option<Timestamp>,
}

/// Whether a request writes anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run {
    Write,
    /// Only says what it would write.
    Dry,
}

/// The outcome for one account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Created,
    /// The account has these values.
    Unchanged,
    Changed,
}

/// An account that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    pub outcome: Outcome,
    /// How its address differs from what was sent, or what it can't be used for.
    pub warning: Option<AddressWarning>,
}

/// A value that no two accounts share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UniqueField {
    Subject,
    Username,
    Email,
}

/// A reason why an account isn't added or changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProvisionFault {
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// Another account has the value. A subject must not be another account's name, nor a name its subject.
    #[error("another account has this {}", .0.as_str())]
    Taken(UniqueField),
    /// An earlier record of the same request has the value.
    #[error("an earlier account of this request has this {}", .0.as_str())]
    Repeated(UniqueField),
    /// A subject is never used again.
    #[error("the account with this subject was deleted")]
    Deleted,
    /// An address can only be confirmed if there is one.
    #[error("the account has no e-mail address")]
    NoEmail,
    #[error("there is no account with this subject")]
    Gone,
    /// The mark may be one of another password than the account's.
    #[error("the password may be another one: send its hash as `password_hash`")]
    MarkDiffers,
    /// The account has changed since the client read it.
    #[error("the account has another version")]
    VersionDiffers,
    /// A failure on our side.
    #[error("the account can't be written now")]
    Failed(Failure),
}

/// A record whose values have been parsed, as far as they don't depend on the account.
struct Wanted {
    subject: Subject,
    username: Option<String>,
    email_verified: Option<bool>,
    values: Provisioning,
    last_login_at: Option<Timestamp>,
    warning: Option<AddressWarning>,
}

/// The number of records that are written at once.
const AT_ONCE: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum IfMissing<'a> {
    Add,
    /// The account must exist and, if versions are given, have one of them.
    Refuse(Option<&'a [u64]>),
}

impl Service {
    /// Adds accounts, and changes those that exist, by their subjects. Returns the outcomes in the order of the
    /// records. Repeating a request changes nothing.
    ///
    /// # Errors
    /// The store is unavailable. Some accounts may have been written.
    pub async fn provision(
        &self,
        client: &Client,
        records: Vec<(String, AccountRecord)>,
        run: Run,
    ) -> Result<Vec<Result<Accepted, ProvisionFault>>, Failure> {
        self.provision_by(&ChangeAuthor::from(Actor::Client(client.name.clone())), records, run).await
    }

    /// Like [`Service::provision`], for any author.
    ///
    /// # Errors
    /// The store is unavailable. Some accounts may have been written.
    pub async fn provision_by(
        &self,
        by: &ChangeAuthor,
        records: Vec<(String, AccountRecord)>,
        run: Run,
    ) -> Result<Vec<Result<Accepted, ProvisionFault>>, Failure> {
        let repeated = repeated(&records);
        // Many at once, so that the store writes them in few transactions; not all at once, because other requests
        // share its connections.
        let outcomes = records.into_iter().zip(repeated).map(|((subject, record), repeated)| async move {
            if let Some(field) = repeated {
                return Err(ProvisionFault::Repeated(field));
            }
            let wanted = self.context.wanted(&subject, record)?;
            let (outcome, _) = self.context.provision(&wanted, IfMissing::Add, by, run).await?;
            Ok(Accepted { outcome, warning: wanted.warning })
        });
        let outcomes: Vec<_> = outcomes.collect();
        let outcomes: Vec<_> = stream::iter(outcomes).buffered(AT_ONCE).collect().await;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            Err(ProvisionFault::Failed(failure)) => Err(failure),
            outcome => Ok(outcome),
        });
        outcomes.collect()
    }

    /// Changes an account. Values that it has change and end nothing. With `versions`, only if the account has one
    /// of them.
    ///
    /// # Errors
    /// A value is refused, there is no such account, or the store is unavailable.
    pub async fn provision_changes(
        &self,
        client: &Client,
        subject: &str,
        record: AccountRecord,
        versions: Option<&[u64]>,
    ) -> Result<(Changed, Option<AddressWarning>), ProvisionFault> {
        let by = ChangeAuthor::from(Actor::Client(client.name.clone()));
        // A text that can't be a subject is no account's.
        let subject = Subject::parse(subject).map_err(|_| ProvisionFault::Gone)?;
        let wanted = self.context.wanted(subject.as_str(), record)?;
        let (_, seq) = self.context.provision(&wanted, IfMissing::Refuse(versions), &by, Run::Write).await?;
        let account = self.account_by(&AccountBy::Subject(subject)).await?;
        Ok((Changed { account: account.ok_or(ProvisionFault::Gone)?, seq }, wanted.warning))
    }
}

impl Context {
    fn wanted(&self, subject: &str, record: AccountRecord) -> Result<Wanted, ValueFault> {
        let AccountRecord {
            username,
            email,
            email_verified,
            password_hash,
            password_mark,
            password_mark_before,
            state,
            claims,
            last_login_at,
        } = record;
        let mark = password_mark.map(|mark| SiteMark {
            mark: mark.to_ascii_uppercase(),
            before: password_mark_before.map(|mark| mark.to_ascii_uppercase()),
        });
        let is_confirmed = email_verified == Some(true);
        let address = |text: String| imported_address(&text, self.policy.accounts.local_parts, is_confirmed);
        let email = email.map(|email| email.map_or(Ok((None, None)), address)).transpose();
        let (email, warning) = email.map_err(ValueFault::Email)?.unzip();
        let password = password_hash.map(|hash| hash.map(|hash| self.encoded(hash)).transpose()).transpose();
        let claims = claims.map(|json| self.custom_claims(&json)).transpose();
        Ok(Wanted {
            subject: Subject::parse(subject).map_err(|_| ValueFault::Subject)?,
            username,
            email_verified,
            values: Provisioning {
                username: None,
                email,
                password: password.map_err(ValueFault::PasswordHash)?,
                mark,
                state,
                claims: claims.map_err(ValueFault::Claims)?,
            },
            last_login_at: last_login_at.filter(|_| self.policy.accounts.last_login == LastLogin::Recorded),
            warning: warning.flatten(),
        })
    }

    /// Adds or changes one account. Returns the number of the log entry too, if the change ended anything.
    async fn provision(
        &self,
        wanted: &Wanted,
        if_missing: IfMissing<'_>,
        by: &ChangeAuthor,
        run: Run,
    ) -> Result<(Outcome, Option<Seq>), ProvisionFault> {
        let mut tried = None;
        retry!({
            let now = self.clock.now();
            let of = AccountBy::Subject(wanted.subject.clone());
            let loaded = self.store.account(&of, now).await?;
            let (found, head) = (loaded.account, loaded.head.seq);
            if let IfMissing::Refuse(versions) = if_missing {
                let account = found.as_ref().ok_or(Uncommitted::Failed(ProvisionFault::Gone))?;
                if versions.is_some_and(|versions| !versions.contains(&account.version)) {
                    return Err(Uncommitted::Failed(ProvisionFault::VersionDiffers));
                }
            }
            let values = self.values(wanted, found.as_ref(), now).map_err(Uncommitted::Failed)?;
            let version = found.as_ref().map(|account| account.version);
            let mut ends_lock = false;
            // The store refuses a value of another account. If the row hasn't changed since, that is the reason.
            if run == Run::Dry || tried == Some(version) {
                self.check_unique(&wanted.subject, found.as_ref(), &values, now)
                    .await
                    .map_err(Uncommitted::Failed)?;
            }
            tried = Some(version);
            let (outcome, change) = match (found, values.username.clone()) {
                (Some(account), _) => {
                    let edits = provision(&account, &values, by, &self.policy, self.guard.scopes(), now)
                        .map_err(|MarkDiffers| Uncommitted::Failed(ProvisionFault::MarkDiffers))?;
                    if edits.is_empty() {
                        self.announce(head).await?;
                        return Ok((Outcome::Unchanged, None));
                    }
                    let is_password = |edit: &AccountEdit| matches!(&edit.fields.password, Some(Some(hash)) if hash.is_usable());
                    ends_lock = edits.iter().any(is_password);
                    let edits = edits.into_iter().map(|edit| Change::EditAccount(Box::new(edit)));
                    (Outcome::Changed, Change::Together(edits.collect()))
                }
                (None, Some(username)) => {
                    let account = provisioned(wanted.subject.clone(), username, &values, now);
                    let account = Account { last_login_at: wanted.last_login_at, ..account };
                    (Outcome::Created, Change::AddAccount(account, by.actor.clone()))
                }
                (None, None) => return Err(Uncommitted::Failed(ProvisionFault::Gone)),
            };
            if run == Run::Dry {
                return Ok((outcome, None));
            }
            let ended = self.end(change).await?;
            self.passwords.add_class_of(values.password.as_ref().and_then(Option::as_ref));
            if ends_lock {
                self.lockout.clear(&wanted.subject).await;
            }
            Ok((outcome, ended.seq))
        })
    }

    /// Completes the values with those that depend on the account.
    fn values(
        &self,
        wanted: &Wanted,
        found: Option<&Account>,
        now: Timestamp,
    ) -> Result<Provisioning, ProvisionFault> {
        if found.is_none() {
            self.check_kind(&wanted.subject)?;
        }
        let name = wanted.username.as_deref().map(|name| self.new_name(name, found)).transpose();
        let verified = |email: Email| Email { verified_at: Some(now), ..email };
        let email = match (wanted.values.email.clone(), wanted.email_verified) {
            (Some(email), Some(true)) => Some(email.map(verified)),
            (None, Some(true)) => {
                let own = found.and_then(|account| account.email.clone());
                Some(Some(verified(own.ok_or(ProvisionFault::NoEmail)?)))
            }
            (email, _) => email,
        };
        Ok(Provisioning { username: name.map_err(ValueFault::Name)?, email, ..wanted.values.clone() })
    }

    /// Checks that no other account has the values that the store allows only once.
    async fn check_unique(
        &self,
        subject: &Subject,
        found: Option<&Account>,
        values: &Provisioning,
        now: Timestamp,
    ) -> Result<(), ProvisionFault> {
        if let Some(name) = &values.username
            && self.is_taken(name, subject, now).await?
        {
            return Err(ProvisionFault::Taken(UniqueField::Username));
        }
        if let Some(Some(email)) = &values.email {
            let with_email = AccountBy::Email(email.folded());
            let other = self.store.account(&with_email, now).await.map_err(Failure::from)?.account;
            if other.is_some_and(|other| other.subject != *subject) {
                return Err(ProvisionFault::Taken(UniqueField::Email));
            }
        }
        if found.is_some() {
            return Ok(());
        }
        if self.is_name(subject, now).await? {
            return Err(ProvisionFault::Taken(UniqueField::Subject));
        }
        match self.store.is_gone(subject).await.map_err(Failure::from)? {
            true => Err(ProvisionFault::Deleted),
            false => Ok(()),
        }
    }
}

/// Returns the field of each record whose value an earlier record has, if there is one.
fn repeated(records: &[(String, AccountRecord)]) -> Vec<Option<UniqueField>> {
    let mut seen = HashSet::new();
    let of = |(subject, record): &(String, AccountRecord)| {
        let email = record.email.iter().flatten().filter_map(|email| Email::parse(email).ok());
        let email = email.map(|email| (UniqueField::Email, email.folded()));
        let name = record.username.iter().map(|name| (UniqueField::Username, fold(name)));
        let values = std::iter::once((UniqueField::Subject, subject.clone())).chain(name).chain(email);
        let mut repeated = None;
        for value in values {
            let field = value.0;
            if !seen.insert(value) {
                repeated = repeated.or(Some(field));
            }
        }
        repeated
    };
    records.iter().map(of).collect()
}

impl UniqueField {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Username => "name",
            Self::Email => "e-mail address",
        }
    }
}

impl From<Failure> for ProvisionFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
