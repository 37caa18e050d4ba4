//! `POST /admin/v1/accounts/batch`: another system, such as a Django site, adds its users' accounts, or changes
//! those that exist. `PATCH /admin/v1/accounts/{subject}`: it changes one. Both require a credential with the
//! right `accounts`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{Account, AccountState, Client, PasswordHash};
use quash_service::{
    Accepted, AccountRecord, AddressWarning, Changed, NewState, Outcome, ProvisionFault, Run, UniqueField,
    ValueFault,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::account_tag;
use crate::request::body::WholeRequest;
use crate::request::items::{ITEM_BYTES, ItemError, Items, Member, parse};
use crate::response::json;
use crate::state::AppState;

/// The most accounts in one request.
const ACCOUNTS: usize = 1_000;

/// Accounts to add or change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountBatch)]
struct Batch<'a> {
    /// Whether the outcomes are told without writing anything.
    #[serde(default)]
    dry_run: bool,
    #[schema(value_type = Vec<Item<'static>>, min_items = 1, max_items = 1000)]
    #[serde(borrow)]
    accounts: Items<'a, ACCOUNTS>,
}

/// The values of an account.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountValues)]
struct Item<'a> {
    /// Required in a batch, and refused in a change.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    subject: Member<'a>,
    /// Required in a batch.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    username: Member<'a>,
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    email: Member<'a>,
    #[schema(value_type = Option<bool>)]
    #[serde(borrow, default)]
    email_verified: Member<'a>,
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    password_hash: Member<'a>,
    /// The MD5 of another hash of the same password. Refused in a batch.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{32}$")]
    #[serde(borrow, default)]
    password_mark: Member<'a>,
    /// The MD5 of the hash before. Refused in a batch.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{32}$")]
    #[serde(borrow, default)]
    password_mark_before: Member<'a>,
    /// `active` or `deactivated`.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    state: Member<'a>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    #[serde(borrow, default)]
    claims: Member<'a>,
}

/// The outcomes, in the order of the request.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountBatchResult)]
struct BatchAnswered<'a> {
    accounts: Vec<AccountAnswered<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccountOutcome)]
struct AccountAnswered<'a> {
    subject: &'a str,
    /// `created`, `changed`, `unchanged` or `refused`.
    outcome: &'static str,
    /// For one that is refused: `taken`, `deleted`, `hash_not_supported` or `invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WarningShown, required = false)]
    warning: Option<WarningShown>,
}

/// A note on an account that is accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountWarning)]
struct WarningShown {
    /// `not_mailable` or `left_out`.
    code: &'static str,
    field: &'static str,
    detail: String,
}

/// The reason why an account is refused.
struct RefusalShown {
    code: &'static str,
    field: &'static str,
    detail: String,
}

/// An account as another system sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountShown<'a> {
    subject: &'a str,
    username: &'a str,
    #[schema(required = true)]
    email: Option<&'a str>,
    email_verified: bool,
    password_usable: bool,
    /// `active`, `locked` or `deactivated`.
    state: &'static str,
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    claims: Map<String, Value>,
    /// The number of the log entry, if the change ended anything.
    #[schema(required = true)]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WarningShown, required = false)]
    warning: Option<WarningShown>,
}

pub(crate) async fn batch(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, HttpError> {
    let body = WholeRequest::read_up_to(request, ITEM_BYTES).await?.into_json_text()?;
    let Batch { dry_run, accounts } = parse(&body, "`accounts`")?;
    let records = accounts.checked("accounts", Item::into_record)?;
    let subjects: Vec<_> = records.iter().map(|(subject, _)| subject.clone()).collect();
    let run = if dry_run { Run::Dry } else { Run::Write };
    let outcomes = state.service.provision(&client, records, run).await?;
    let accounts =
        subjects.iter().zip(&outcomes).map(|(subject, outcome)| AccountAnswered::of(subject, outcome));
    Ok(json(StatusCode::OK, &BatchAnswered { accounts: accounts.collect() }))
}

pub(crate) async fn change(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    subject: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let versions = account_tag::versions(request.headers());
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let item: Item<'_> = parse(&body, "an object with the values to change")?;
    let record = item.into_changes().map_err(|error| HttpError::of_field(error.member, &error.text))?;
    let Path(subject) = subject.map_err(|_| unknown())?;
    let changed = state.service.provision_changes(&client, &subject, record, versions.as_deref()).await;
    let (Changed { account, seq }, warning) = changed.map_err(|fault| match fault {
        ProvisionFault::Failed(failure) => failure.into(),
        ProvisionFault::Gone => unknown(),
        ProvisionFault::MarkDiffers => HttpError::new(
            Code::PasswordMarkDiffers,
            "The password may be another one: `password_mark_before` isn't the mark of the system's last known hash, or quash can't compare a password with that hash. Nothing was changed: send the new hash itself as `password_hash`.",
        ),
        ProvisionFault::VersionDiffers => version_differs(),
        fault => {
            let RefusalShown { field, detail, .. } = RefusalShown::of(&fault);
            HttpError::of_field(field, &detail)
        }
    })?;
    let (seq, warning) = (seq.map(|seq| seq.as_u64()), warning.map(WarningShown::of));
    let shown = json(StatusCode::OK, &AccountShown { seq, warning, ..AccountShown::of(&account) });
    Ok(account_tag::tagged(shown, &account))
}

/// Changes the account whose subject is `batch`.
pub(crate) async fn change_batch(
    state: State<Arc<AppState>>,
    client: Extension<Client>,
    request: Request,
) -> Result<Response, HttpError> {
    change(state, client, Ok(Path("batch".to_owned())), request).await
}

pub(super) fn version_differs() -> HttpError {
    HttpError::new(
        Code::VersionDiffers,
        "The account has changed since it was read. Nothing was changed: read it again.",
    )
}

pub(super) fn unknown() -> HttpError {
    HttpError::new(Code::NotFound, "There is no account with this subject.")
}

impl Item<'_> {
    /// Returns the whole account: a field that is left out is empty, except that absent claims don't change.
    fn into_record(self) -> Result<(String, AccountRecord), ItemError> {
        let subject = text("subject", self.subject)?.ok_or_else(|| required("subject"))?;
        if !self.username.is_given() {
            return Err(required("username"));
        }
        for (member, sent) in
            [("password_mark", self.password_mark), ("password_mark_before", self.password_mark_before)]
        {
            if sent.is_given() {
                let text =
                    "Only one account can be changed with it: send the hash, or `!mark$` and the mark.";
                return Err(ItemError { member, text: text.to_owned() });
            }
        }
        let record = self.record()?;
        let record = AccountRecord {
            email: Some(record.email.flatten()),
            password_hash: Some(record.password_hash.flatten()),
            state: Some(record.state.unwrap_or_default()),
            ..record
        };
        Ok((subject, record))
    }

    /// Returns the values to change.
    fn into_changes(self) -> Result<AccountRecord, ItemError> {
        if self.subject.is_given() {
            let text = "An account's subject never changes: it is a part of the address.".to_owned();
            return Err(ItemError { member: "subject", text });
        }
        self.record()
    }

    /// An empty address or hash is none, as in a line of `quash account add --batch-stdin`.
    fn record(self) -> Result<AccountRecord, ItemError> {
        const STATE: &str = "`active` or `deactivated`";
        const BEFORE: &str = "password_mark_before";
        let state = self.state.read::<&str>("state", STATE)?.map(|word| match word {
            "active" => Ok(NewState::Active),
            "deactivated" => Ok(NewState::Deactivated),
            _ => Err(ItemError { member: "state", text: format!("Must be {STATE}.") }),
        });
        let hash = text("password_hash", self.password_hash)?.map(Zeroizing::new);
        let password_mark = mark("password_mark", self.password_mark)?;
        let password_mark_before = mark(BEFORE, self.password_mark_before)?;
        if self.password_mark_before.is_null() && password_mark.is_some() {
            // A client that has lost the mark mustn't skip the comparison.
            let text =
                "Must not be `null`: send the mark of the former hash, or the new hash as `password_hash`.";
            return Err(ItemError { member: BEFORE, text: text.to_owned() });
        }
        if password_mark_before.is_some() {
            if password_mark.is_none() {
                let text = "Send it together with `password_mark`, the mark of the new hash.".to_owned();
                return Err(ItemError { member: BEFORE, text });
            }
            if self.password_hash.is_given() || self.password_hash.is_null() {
                let text = "Send it without `password_hash`, which is another password.".to_owned();
                return Err(ItemError { member: BEFORE, text });
            }
        }
        Ok(AccountRecord {
            username: text("username", self.username)?,
            email: text("email", self.email)?
                .map(|text| (!text.is_empty()).then_some(text))
                .or(self.email.is_null().then_some(None)),
            email_verified: self.email_verified.read("email_verified", "`true` or `false`")?,
            password_hash: hash
                .map(|hash| (!hash.is_empty()).then_some(hash))
                .or(self.password_hash.is_null().then_some(None)),
            password_mark,
            password_mark_before,
            state: state.transpose()?,
            claims: self.claims.given().map(str::to_owned),
            last_login_at: None,
        })
    }
}

pub(super) fn text(member: &'static str, sent: Member<'_>) -> Result<Option<String>, ItemError> {
    sent.read(member, "a text")
}

fn mark(member: &'static str, sent: Member<'_>) -> Result<Option<String>, ItemError> {
    let mark = text(member, sent)?;
    if mark.as_deref().is_some_and(|mark| !PasswordHash::is_mark(mark)) {
        return Err(ItemError { member, text: "Must be an MD5 in 32 hexadecimal digits.".to_owned() });
    }
    Ok(mark)
}

fn required(member: &'static str) -> ItemError {
    ItemError { member, text: "This field is required.".to_owned() }
}

impl<'a> AccountAnswered<'a> {
    fn of(subject: &'a str, outcome: &Result<Accepted, ProvisionFault>) -> Self {
        let (accepted, refusal) = match outcome {
            Ok(accepted) => (Some(accepted), None),
            Err(fault) => (None, Some(RefusalShown::of(fault))),
        };
        let (code, field) = refusal.as_ref().map(|refusal| (refusal.code, refusal.field)).unzip();
        Self {
            subject,
            outcome: match accepted.map(|accepted| accepted.outcome) {
                Some(Outcome::Created) => "created",
                Some(Outcome::Unchanged) => "unchanged",
                Some(Outcome::Changed) => "changed",
                None => "refused",
            },
            code,
            field,
            detail: refusal.map(|refusal| refusal.detail),
            warning: accepted.and_then(|accepted| accepted.warning).map(WarningShown::of),
        }
    }
}

impl RefusalShown {
    /// Describes a refusal, without the refused value: it may be a hash.
    fn of(fault: &ProvisionFault) -> Self {
        let (code, field) = match fault {
            ProvisionFault::Value(value @ ValueFault::PasswordHash(_)) => {
                ("hash_not_supported", field_of(value))
            }
            ProvisionFault::Value(value) => ("invalid", field_of(value)),
            ProvisionFault::NoEmail => ("invalid", "email_verified"),
            ProvisionFault::MarkDiffers => ("invalid", "password_mark_before"),
            ProvisionFault::Taken(field) | ProvisionFault::Repeated(field) => {
                let field = match field {
                    UniqueField::Subject => "subject",
                    UniqueField::Username => "username",
                    UniqueField::Email => "email",
                };
                ("taken", field)
            }
            ProvisionFault::Deleted
            | ProvisionFault::Gone
            | ProvisionFault::VersionDiffers
            | ProvisionFault::Failed(_) => ("deleted", "subject"),
        };
        Self { code, field, detail: sentence(fault.to_string()) }
    }
}

impl WarningShown {
    fn of(warning: AddressWarning) -> Self {
        let code = match warning {
            AddressWarning::Unmailable => "not_mailable",
            AddressWarning::LeftOut => "left_out",
        };
        Self { code, field: "email", detail: sentence(warning.to_string()) }
    }
}

/// Returns the field with a value that an account can't have.
pub(super) const fn field_of(fault: &ValueFault) -> &'static str {
    match fault {
        ValueFault::Subject | ValueFault::SubjectNotANumber => "subject",
        ValueFault::Name(_) => "username",
        ValueFault::Email(_) => "email",
        ValueFault::Password(_) => "password",
        ValueFault::PasswordHash(_) => "password_hash",
        ValueFault::Claims(_) => "claims",
    }
}

pub(super) fn sentence(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text.push('.');
    text
}

impl<'a> AccountShown<'a> {
    fn of(account: &'a Account) -> Self {
        let email = account.email.as_ref();
        Self {
            subject: account.subject.as_str(),
            username: account.username.shown(),
            email: email.map(|email| email.shown.as_str()),
            email_verified: email.is_some_and(|email| email.verified_at.is_some()),
            password_usable: account.has_usable_password(),
            state: match account.state {
                AccountState::Active => "active",
                AccountState::Locked { .. } => "locked",
                AccountState::Deactivated { .. } => "deactivated",
            },
            claims: account.claims.as_slice().iter().cloned().collect(),
            seq: None,
            warning: None,
        }
    }
}

pub(crate) fn describe_batch() -> Operation {
    Operation::new(Tag::Accounts, "provisionAccounts", "Adds and changes accounts that another system keeps")
        .json_body::<Batch<'_>>()
        .answers::<BatchAnswered<'_>>(StatusCode::OK, "The outcome for each account.")
}

pub(crate) fn describe_change() -> Operation {
    changed("changeAccount").in_path("subject", "The account's subject.")
}

pub(crate) fn describe_change_batch() -> Operation {
    changed("changeAccountNamedBatch")
}

fn changed(id: &'static str) -> Operation {
    let operation = Operation::new(Tag::Accounts, id, "Changes an account that another system keeps")
        .json_body::<Item<'_>>()
        .answers::<AccountShown<'_>>(StatusCode::OK, "The account with its new values.")
        .refuses(&[Code::NotFound, Code::PasswordMarkDiffers]);
    account_tag::describe_condition(account_tag::describe_tag(operation, StatusCode::OK))
}
