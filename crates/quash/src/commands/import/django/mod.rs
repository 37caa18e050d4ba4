//! `quash import django`: reads the users of a Django site, and adds or changes their accounts by their subjects, as
//! `manage.py quash_import` does. A repetition changes nothing, so an import that was interrupted is run again.

mod claims;
mod database;
mod duplicates;
mod lines;
mod report;
mod source;
mod user;

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use quash_core::model::Clock;
use quash_server::SystemClock;

use self::claims::ClaimMapping;
use self::duplicates::{Duplicates, Survey};
use self::report::{Report, Summary};
use self::source::{Fields, Item, OptionalField, Source, SourceUser};
use self::user::EmailVerified;
use super::super::context::{CommandContext, Executor, unexpected};
use super::super::progress::Progress;
use crate::control::{ProvisionAccount, ProvisionedShown, Reply, Request};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::settings::Settings;

#[derive(Args)]
pub(in crate::commands) struct DjangoArgs {
    /// A postgres:// URL without a password, an SQLite file, or the output of `manage.py dumpdata --format jsonl`
    /// [environment: QUASH_IMPORT_SOURCE]
    source: Option<String>,
    /// Read the URL of the PostgreSQL database from this file, which other users can't access
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    source_file: Option<PathBuf>,
    /// The table of the user model or, in JSON lines, the model [default: auth_user, auth.user]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The column of a field, such as username=email; fields: key, username, email, password, active, last_login
    #[arg(long = "column", value_name = "FIELD=COLUMN")]
    columns: Vec<String>,
    /// The column with the subjects of the accounts, as USER_ID_FIELD names it [default: the primary key]
    #[arg(long, value_name = "COLUMN")]
    subject_column: Option<String>,
    /// Which addresses count as confirmed: all, none or column:NAME
    #[arg(long, value_name = "WHICH", default_value = "all")]
    email_verified: EmailVerified,
    /// A TOML or JSON file that maps rights to claims
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// A claim and its source: staff, superuser, groups, permissions or column:NAME
    #[arg(long = "claim", value_name = "NAME=SOURCE")]
    claim: Vec<String>,
    /// Import users whose hash quash doesn't support without a password, instead of skipping them
    #[arg(long)]
    without_unknown_hashes: bool,
    /// The namespace in which blacklisted tokens are revoked [default: the only one in the settings]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Write nothing, and report what would be written
    #[arg(long)]
    dry_run: bool,
    /// Write the lines of the report to this new file, as JSON lines, instead of standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The most accounts in one request.
const GROUP: usize = 64;
/// The most bytes of accounts in one request, so that it stays within the server's limit.
const GROUP_BYTES: usize = 24 * 1024;
/// The most tokens in one request.
const TOKENS: usize = 200;

/// An import that runs.
struct Import<'a> {
    executor: Executor<'a>,
    report: Report,
    duplicates: Duplicates,
    waiting: Vec<Waiting>,
    /// The bytes of the waiting accounts.
    bytes: usize,
    verified: EmailVerified,
    mapping: ClaimMapping,
    is_lenient: bool,
    is_dry: bool,
}

/// An account that waits until a request is full.
struct Waiting {
    place: String,
    account: ProvisionAccount,
}

pub(super) async fn run(args: DjangoArgs, context: &CommandContext) -> Result<(), CommandError> {
    let settings = context.settings()?;
    let namespace = namespace(args.namespace.as_deref(), &settings)?;
    let mapping = ClaimMapping::read(args.claims.as_deref(), &args.claim)?;
    mapping.check(&settings.policy.tokens.names)?;
    let fields = fields(&args)?;
    let source = source::named(args.source, args.source_file.as_deref(), context.import_source())?;
    let source = Source::open(&source, args.table.as_deref(), fields, &mapping).await?;
    let if_missing = if args.dry_run { IfMissing::Refuse } else { IfMissing::Create };
    let executor = context.executor(if_missing)?;
    let summary = Summary {
        source: source.name(),
        dry_run: args.dry_run,
        notes: source.missing().to_vec(),
        ..Summary::default()
    };
    let mut import = Import {
        executor,
        report: Report::start(args.report.as_deref(), context.form, summary)?,
        duplicates: Duplicates::default(),
        waiting: Vec::new(),
        bytes: 0,
        verified: args.email_verified,
        mapping,
        is_lenient: args.without_unknown_hashes,
        is_dry: args.dry_run,
    };
    let progress = Progress::start("users");
    let imported = import.users(&source, &progress).await;
    let imported = match imported {
        Ok(()) => import.tokens(&source, namespace.as_deref(), &settings).await,
        Err(error) => Err(error),
    };
    progress.end();
    let summary = import.report.finish()?;
    imported.map_err(|error| {
        let hint = error.hint.as_deref().map(|hint| format!("{hint}; ")).unwrap_or_default();
        CommandError { message: format!("stopped: {}", error.message), ..error }
            .hint(format!("{hint}run the command again: users who were imported stay as they are"))
    })?;
    context.print(&summary, || summary.text())?;
    if summary.skipped == 0 {
        return Ok(());
    }
    let Summary { skipped, users, .. } = summary;
    Err(CommandError::failure(format!(
        "{skipped} of {users} users were skipped; the report names each with its reason"
    )))
}

/// Returns the namespace of the blacklisted tokens, if there is one.
fn namespace(named: Option<&str>, settings: &Settings) -> Result<Option<String>, CommandError> {
    let known = &settings.policy.tokens.namespaces;
    match (named, known.as_slice()) {
        (Some(name), _) if known.iter().any(|one| one.name == name) => Ok(Some(name.to_owned())),
        (Some(name), _) => {
            Err(CommandError::new(Exit::NotFound, format!("the settings have no namespace \"{name}\""))
                .hint("write it into a section [foreign.<name>]: `namespace = \"…\"`"))
        }
        (None, [only]) => Ok(Some(only.name.clone())),
        (None, _) => Ok(None),
    }
}

fn fields(args: &DjangoArgs) -> Result<Fields, CommandError> {
    let optional = |name: &str, effect| OptionalField { name: name.into(), effect, is_required: false };
    let mut fields = Fields {
        key: "id".into(),
        subject: args.subject_column.clone(),
        username: "username".into(),
        password: "password".into(),
        email: optional("email", "no account gets an address"),
        active: optional("is_active", "every user counts as active"),
        last_login: optional("last_login", "no account gets a last sign-in"),
        verified: match &args.email_verified {
            EmailVerified::Column(name) => Some(name.clone()),
            EmailVerified::All | EmailVerified::None => None,
        },
    };
    for option in &args.columns {
        let (field, column) = option.split_once('=').unwrap_or((option, ""));
        let given = |field: &mut OptionalField| {
            column.clone_into(&mut field.name);
            field.is_required = true;
        };
        match field {
            _ if column.is_empty() => return Err(no_column(option)),
            "key" => fields.key = column.into(),
            "username" => fields.username = column.into(),
            "password" => fields.password = column.into(),
            "email" => given(&mut fields.email),
            "active" => given(&mut fields.active),
            "last_login" => given(&mut fields.last_login),
            _ => return Err(no_column(option)),
        }
    }
    Ok(fields)
}

fn no_column(option: &str) -> CommandError {
    CommandError::new(Exit::Usage, format!("--column {option:?} isn't a field and a column"))
        .hint("write FIELD=COLUMN; fields are key, username, email, password, active and last_login")
}

impl Import<'_> {
    async fn users(&mut self, source: &Source, progress: &Progress) -> Result<(), CommandError> {
        let of = source.count().await?;
        let (mut survey, mut done) = (Survey::default(), 0);
        let mut users = source.users().await?;
        loop {
            progress.reached("comparing names and addresses".into(), done, of);
            let page = users.next().await?;
            if page.is_empty() {
                break;
            }
            done += page.len() as u64;
            for item in page {
                if let Item::User(user) = item
                    && let Ok(identity) = user.identity()
                {
                    survey.add(&identity.subject, &identity.username, identity.email.as_deref());
                }
            }
        }
        drop(users);
        self.duplicates = survey.finish();
        let (mut users, mut done) = (source.users().await?, 0);
        let step = if self.is_dry { "checking users" } else { "importing users" };
        loop {
            progress.reached(step.into(), done, of.max(done));
            let page = users.next().await?;
            if page.is_empty() {
                return self.send().await;
            }
            done += page.len() as u64;
            for item in page {
                match item {
                    Item::User(user) => self.take(*user).await?,
                    Item::Broken { place, reason } => self.report.skip(&place, None, &reason)?,
                }
            }
        }
    }

    /// Puts a user into the next request, or reports why not.
    async fn take(&mut self, user: SourceUser) -> Result<(), CommandError> {
        let account = user.identity().and_then(|mut identity| {
            self.duplicates.take(&user.place, &identity.subject, &identity.username)?;
            let is_shared = identity.email.as_deref().is_some_and(|email| self.duplicates.is_shared(email));
            identity.email = identity.email.filter(|_| !is_shared);
            Ok((user.account(identity, &self.verified, &self.mapping)?, is_shared))
        });
        let (account, is_shared) = match account {
            Ok(account) => account,
            Err(reason) => return self.report.skip(&user.place, user.shown_name(), &reason),
        };
        if is_shared {
            let reason = "several users have this address: it is left out";
            self.report.warn(&user.place, &account.username, reason)?;
        }
        let bytes = user::size(&account);
        if self.waiting.len() >= GROUP || self.bytes + bytes > GROUP_BYTES {
            self.send().await?;
        }
        self.bytes += bytes;
        self.waiting.push(Waiting { place: user.place, account });
        Ok(())
    }

    /// Sends the waiting accounts, and those again whose hash isn't supported.
    async fn send(&mut self) -> Result<(), CommandError> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let refused = self.request(waiting, self.is_lenient).await?;
        if !refused.is_empty() {
            self.request(refused, false).await?;
        }
        Ok(())
    }

    /// Sends accounts. Returns those whose hash isn't supported, without it, if they shall be sent `again`.
    async fn request(&mut self, waiting: Vec<Waiting>, again: bool) -> Result<Vec<Waiting>, CommandError> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let accounts = waiting.iter().map(|waiting| waiting.account.clone()).collect();
        let request = Request::ProvisionAccounts { accounts, dry_run: self.is_dry };
        let Reply::ProvisionedAccounts(outcomes) = self.executor.ask(request).await? else {
            return Err(unexpected());
        };
        let mut refused = Vec::new();
        for (Waiting { place, account }, outcome) in waiting.into_iter().zip(outcomes) {
            let summary = &mut self.report.summary;
            let (count, warning) = match outcome {
                ProvisionedShown::Created { warning } => (&mut summary.created, warning),
                ProvisionedShown::Changed { warning } => (&mut summary.changed, warning),
                ProvisionedShown::Unchanged { warning } => (&mut summary.unchanged, warning),
                ProvisionedShown::Refused { reason, is_hash: true } if again => {
                    let reason = format!("imported without a password: {reason}");
                    self.report.warn(&place, &account.username, &reason)?;
                    refused.push(Waiting { place, account: user::with_mark_alone(account) });
                    continue;
                }
                ProvisionedShown::Refused { reason, .. } => {
                    self.report.skip(&place, Some(&account.username), &reason)?;
                    continue;
                }
            };
            *count += 1;
            summary.users += 1;
            if let Some(warning) = warning {
                self.report.warn(&place, &account.username, &warning)?;
            }
        }
        Ok(refused)
    }

    /// Revokes the tokens of the site's blacklist, or says why not.
    async fn tokens(
        &mut self,
        source: &Source,
        namespace: Option<&str>,
        settings: &Settings,
    ) -> Result<(), CommandError> {
        let Self { executor, report, is_dry, .. } = self;
        let (mut found, mut revoked) = (0, 0);
        source
            .blacklisted(SystemClock.now(), async |tokens| {
                found += tokens.len() as u64;
                let Some(namespace) = namespace else { return Ok(()) };
                for tokens in tokens.chunks(TOKENS) {
                    let (namespace, tokens) = (namespace.to_owned(), tokens.to_vec());
                    revoked += tokens.len() as u64;
                    if !*is_dry {
                        executor.ask(Request::RevokeTokens { namespace, tokens }).await?;
                    }
                }
                Ok(())
            })
            .await?;
        report.summary.blacklisted = found;
        report.summary.revoked = revoked;
        if found > 0 && namespace.is_none() {
            report.summary.notes.push(not_revoked(settings));
        }
        Ok(())
    }
}

/// Says why blacklisted tokens aren't revoked.
fn not_revoked(settings: &Settings) -> String {
    if settings.policy.tokens.namespaces.len() > 1 {
        return "the blacklisted tokens aren't revoked: name their namespace with --namespace".into();
    }
    if settings.keys.foreign.is_empty() {
        return "the blacklisted tokens have no effect: quash doesn't accept the site's tokens".into();
    }
    "the blacklisted tokens aren't revoked: post them to /api/token/blacklist/, as docs/guides/simple-jwt.md shows".into()
}

impl FromStr for EmailVerified {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("column:")) {
            ("all", _) => Ok(Self::All),
            ("none", _) => Ok(Self::None),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Column(name.to_owned())),
            _ => Err("use all, none or column:NAME".into()),
        }
    }
}
