//! `quash account`: adds, lists and shows accounts. Changes of an account are in `changes`.

mod batch;
mod changes;

pub(super) use changes::span;

use std::io::Read;

use clap::{Args, Subcommand};
use quash_core::model::{Clock, Timestamp, limits};
use zeroize::Zeroizing;

use super::account_selector::AccountArgs;
use super::context::{CommandContext, unexpected};
use super::prompt::{self, Quiet};
use crate::control::{
    AccountChange, AccountPage, AccountShown, AddAccount, GivenPassword, Reply, Request, Secret,
};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::output;
use crate::settings::without_mark;
use quash_server::SystemClock;

#[derive(Subcommand)]
pub(super) enum AccountCommand {
    /// Add an account
    Add(AddArgs),
    /// List accounts, sorted by name
    List(PageArgs),
    /// Show one account
    Show {
        #[command(flatten)]
        which: AccountArgs,
    },
    /// Change one account: its name, address, password or claims
    Set(changes::SetArgs),
    /// Deactivate an account: it can't sign in, and all its sessions end
    Deactivate(changes::ChangeArgs),
    /// Let a deactivated account sign in again; ended sessions stay ended
    Reactivate(changes::ChangeArgs),
    /// Lock an account for a while, as failed attempts do
    Lock(changes::LockArgs),
    /// Unlock an account early
    Unlock(changes::ChangeArgs),
    /// Set a temporary password, valid for one day, that must be changed at first use; all its sessions end
    OneTimePassword(changes::ChangeArgs),
    /// Make an account's password unusable until its owner resets it; all its sessions end
    RequireReset(changes::ChangeArgs),
    /// Delete an account with all its sessions
    Delete(changes::DeleteArgs),
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The name to sign in with
    #[arg(required_unless_present = "batch_stdin")]
    name: Option<String>,
    /// Its e-mail address; it can't sign in before the address is confirmed
    #[arg(long)]
    email: Option<String>,
    /// Mark the address as confirmed
    #[arg(long, requires = "email")]
    verified: bool,
    /// Its subject, if it has one already; a new UUID by default
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Add it deactivated: signing in is refused
    #[arg(long)]
    deactivated: bool,
    /// Read the password from the first line of standard input, or prompt for it at a terminal; without this
    /// or a hash, no password is usable
    #[arg(long)]
    password_stdin: bool,
    /// Read the password's hash from the first line of standard input, as Django or quash writes it
    #[arg(long, conflicts_with = "password_stdin")]
    password_hash_stdin: bool,
    /// Read many accounts from standard input, one JSON object on each line; existing accounts are left
    /// unchanged
    #[arg(long, conflicts_with_all = ["name", "email", "subject", "deactivated", "password_stdin", "password_hash_stdin"])]
    batch_stdin: bool,
}

/// A secret that is read from standard input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StdinSecret {
    Password,
    Hash,
    NewPassword,
    NewHash,
}

/// The page of a list to show.
#[derive(Args)]
pub(super) struct PageArgs {
    /// The most entries to list
    #[arg(long, default_value_t = limits::PAGE, value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::PAGE)))]
    pub(super) limit: u32,
    /// List only entries after this one
    #[arg(long)]
    pub(super) after: Option<String>,
}

pub(super) async fn run(command: AccountCommand, context: &CommandContext) -> Result<(), CommandError> {
    match command {
        AccountCommand::Add(args) => add(args, context).await,
        AccountCommand::List(PageArgs { limit, after }) => {
            match context.ask(IfMissing::Refuse, Request::Accounts { after, limit }).await? {
                Reply::Accounts(page) => context.print(&page, || listed(&page)),
                _ => Err(unexpected()),
            }
        }
        AccountCommand::Show { which } => print_one(
            context.ask(IfMissing::Refuse, Request::Account { which: which.into_selector() }).await?,
            context,
        ),
        AccountCommand::Set(args) => changes::set(args, context).await,
        AccountCommand::Deactivate(args) => changes::run(args, AccountChange::Deactivate, context).await,
        AccountCommand::Reactivate(args) => changes::run(args, AccountChange::Reactivate, context).await,
        AccountCommand::Lock(args) => changes::lock(args, context).await,
        AccountCommand::Unlock(args) => changes::run(args, AccountChange::Unlock, context).await,
        AccountCommand::OneTimePassword(args) => {
            changes::run(args, AccountChange::OneTimePassword, context).await
        }
        AccountCommand::RequireReset(args) => changes::run(args, AccountChange::RequireReset, context).await,
        AccountCommand::Delete(args) => changes::delete(args, context).await,
    }
}

async fn add(args: AddArgs, context: &CommandContext) -> Result<(), CommandError> {
    let AddArgs { name: Some(name), .. } = &args else { return batch::add(context).await };
    let name = name.clone();
    let password = match (args.password_stdin, args.password_hash_stdin) {
        (true, _) => Some(GivenPassword::Plain(from_stdin(StdinSecret::Password)?)),
        (false, true) => Some(GivenPassword::Encoded(from_stdin(StdinSecret::Hash)?)),
        (false, false) => None,
    };
    let AddArgs { email, verified, subject, deactivated, .. } = args;
    let is_without = password.is_none();
    let request = Request::AddAccount(AddAccount {
        name,
        email,
        verified,
        subject,
        password,
        deactivated,
        claims: None,
    });
    let reply = context.ask(IfMissing::Create, request).await?;
    if is_without && let Reply::Account(account) = &reply {
        let name = &account.name;
        output::note(&format!(
            "{name} has no password yet: `quash account set --password-stdin -- {name}` sets one, and \
             `quash account one-time-password -- {name}` makes a temporary one"
        ));
    }
    print_one(reply, context)
}

fn print_one(reply: Reply, context: &CommandContext) -> Result<(), CommandError> {
    let Reply::Account(account) = reply else { return Err(unexpected()) };
    context.print(&account, || account_text(&account, SystemClock.now()))
}

impl StdinSecret {
    const fn name(self) -> &'static str {
        match self {
            Self::Password | Self::NewPassword => "password",
            Self::Hash | Self::NewHash => "password hash",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Password => {
                "for example: printf '%s' \"$PASSWORD\" | quash account add dana --password-stdin"
            }
            Self::NewPassword => {
                "for example: printf '%s' \"$PASSWORD\" | quash account set dana --password-stdin"
            }
            Self::Hash => "for example: printf '%s' \"$HASH\" | quash account add dana --password-hash-stdin",
            Self::NewHash => {
                "for example: printf '%s' \"$HASH\" | quash account set dana --password-hash-stdin"
            }
        }
    }
}

/// The most bytes to read: more than any password or hash has.
const BYTES: u64 = 4 * limits::PASSWORD_CHARS as u64 + 2;

/// Reads the first line of standard input. At a terminal, prompts for it without an echo, for a password
/// twice.
fn from_stdin(secret: StdinSecret) -> Result<Secret, CommandError> {
    if prompt::is_typed() {
        return prompt_for(secret);
    }
    let what = secret.name();
    let fault = |message: String| CommandError::new(Exit::Usage, message).hint(secret.example());
    // The buffer never grows, so that no copy of the password is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES as usize + 1));
    let read = std::io::stdin().lock().take(BYTES).read_to_end(&mut bytes);
    read.map_err(|error| fault(format!("the {what} can't be read from standard input: {error}")))?;
    parse_first_line(&bytes, secret)
}

fn prompt_for(secret: StdinSecret) -> Result<Secret, CommandError> {
    let what = secret.name();
    let unread = |error| CommandError::failure(format!("the {what} can't be read: {error}"));
    let quiet = Quiet::new().map_err(unread)?;
    let ask = |text: &str| parse_first_line(&quiet.line(text, BYTES).map_err(unread)?, secret);
    let first = ask(what)?;
    if matches!(secret, StdinSecret::Password | StdinSecret::NewPassword)
        && ask(&format!("the same {what} again"))? != first
    {
        return Err(
            CommandError::new(Exit::Usage, "the two passwords differ: nothing was done").hint("try again")
        );
    }
    Ok(first)
}

/// Returns the first line, which must be UTF-8 and not empty.
fn parse_first_line(bytes: &[u8], secret: StdinSecret) -> Result<Secret, CommandError> {
    let what = secret.name();
    let fault = |message: String| CommandError::new(Exit::Usage, message).hint(secret.example());
    let text = std::str::from_utf8(first_line(bytes))
        .map_err(|_| fault(format!("the {what} on standard input isn't UTF-8")))?;
    if text.is_empty() {
        return Err(fault(format!("there is no {what} on standard input")));
    }
    Ok(Secret::new(Zeroizing::new(text.to_owned())))
}

/// Returns the first line without a byte order mark and its line end. Blanks are kept.
fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = without_mark(bytes);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").filter(|_| bytes.len() > line.len()).unwrap_or(line)
}

fn listed(page: &AccountPage) -> String {
    let row = |account: &AccountShown| {
        let email = account.email.clone().unwrap_or_else(|| "-".into());
        [
            account.name.clone(),
            account.subject.clone(),
            account.state.clone(),
            email,
            account.created_at.to_the_second(),
        ]
    };
    if page.accounts.is_empty() {
        return "no accounts".into();
    }
    let table =
        output::table(["name", "subject", "state", "email", "created"], page.accounts.iter().map(row));
    match &page.next {
        Some(next) => format!("{table}\nthere may be more: --after {}", output::clean(next)),
        None => table,
    }
}

fn account_text(account: &AccountShown, now: Timestamp) -> String {
    output::pairs(&pairs_of(account, now))
}

fn pairs_of(account: &AccountShown, now: Timestamp) -> Vec<(&'static str, String)> {
    let email = account.email.as_ref().map_or_else(
        || "none".into(),
        |email| match account.email_verified_at {
            Some(at) => format!("{email}, confirmed {}", at.seen_from(now)),
            None => format!("{email}, not confirmed"),
        },
    );
    let state = match account.locked_until {
        Some(until) => format!("{} until {}", account.state, until.seen_from(now)),
        None => account.state.clone(),
    };
    let password = match (account.password_usable, account.must_change_until) {
        (true, Some(until)) => {
            format!("temporary until {}, must be changed at first use", until.seen_from(now))
        }
        (true, None) => "usable".into(),
        (false, _) => "none: it can't sign in with a password".into(),
    };
    let mut pairs = vec![
        ("name", account.name.clone()),
        ("subject", account.subject.clone()),
        ("state", state),
        ("email", email),
        ("password", password),
        ("created", account.created_at.seen_from(now)),
    ];
    pairs.extend(account.last_login_at.map(|at| ("last sign-in", at.seen_from(now))));
    if !account.claims.is_empty() {
        pairs.push(("claims", serde_json::Value::from(account.claims.clone()).to_string()));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn the_first_line_is_read_without_its_mark() {
        for (typed, password) in [
            ("s", "s"),
            ("s\r\nx", "s"),
            (" s \n", " s "),
            ("s\r", "s\r"),
            ("\u{feff}s\n", "s"),
            ("\u{feff}\n", ""),
            ("s\u{feff}", "s\u{feff}"),
        ] {
            assert_eq!(first_line(typed.as_bytes()), password.as_bytes(), "{typed:?}");
        }
    }
}
