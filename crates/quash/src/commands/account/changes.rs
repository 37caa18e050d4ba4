//! The subcommands of `quash account` that change an existing account.

use std::io::Read;
use std::time::Duration;

use clap::{ArgGroup, Args};
use quash_core::model::Clock;

use super::super::account_selector::{AccountArgs, AccountIdArgs};
use super::super::context::{CommandContext, unexpected};
use super::super::prompt;
use super::super::revoke::{in_sessions, print_end};
use super::{StdinSecret, from_stdin, pairs_of};
use crate::control::{
    AccountChange, AccountSelector, ChangedShown, GivenPassword, Reply, Request, TemporaryPasswordShown,
    reason_of,
};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::output;
use crate::settings::{Span, Zero};
use quash_server::SystemClock;

/// The account to change, and the reason.
#[derive(Args)]
pub(in crate::commands) struct ChangeArgs {
    #[command(flatten)]
    which: AccountArgs,
    /// The reason, in one line; recorded in the audit with the system user that runs the command
    #[arg(long, value_name = "TEXT", value_parser = reason_of)]
    reason: Option<String>,
}

#[derive(Args)]
pub(in crate::commands) struct LockArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// The duration, such as 30m or 2d
    #[arg(long = "for", value_name = "SPAN", default_value = "1h", value_parser = span)]
    span: Duration,
}

#[derive(Args)]
pub(in crate::commands) struct DeleteArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Confirm that the account is deleted for good
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(in crate::commands) struct SetArgs {
    #[command(flatten)]
    which: AccountIdArgs,
    /// The reason, in one line; recorded in the audit with the system user that runs the command
    #[arg(long, value_name = "TEXT", value_parser = reason_of)]
    reason: Option<String>,
    /// A new name to sign in with
    #[arg(long, group = "what", value_name = "N", allow_hyphen_values = true)]
    username: Option<String>,
    /// A new address; the account can't sign in before it is confirmed. All sessions end
    #[arg(long, group = "what", value_name = "E")]
    email: Option<String>,
    /// Mark the address as confirmed
    #[arg(long, requires = "email")]
    verified: bool,
    /// Read a new password from the first line of standard input, or prompt for it at a terminal. All
    /// sessions end
    #[arg(long, group = "what")]
    password_stdin: bool,
    /// Read a new password's hash from the first line of standard input, as Django or quash writes it. All
    /// sessions end
    #[arg(long, group = "what")]
    password_hash_stdin: bool,
    /// Read further claims for its tokens as a JSON object from standard input, replacing the current ones;
    /// {} removes all
    #[arg(long, group = "what")]
    claims_stdin: bool,
}

/// The longest JSON text of claims, with its white space, in bytes.
const CLAIMS_BYTES: u64 = 16 * 1024;

pub(super) async fn run(
    args: ChangeArgs,
    change: AccountChange,
    context: &CommandContext,
) -> Result<(), CommandError> {
    change_one(args.which.into_selector(), args.reason, change, context).await
}

async fn change_one(
    which: AccountSelector,
    reason: Option<String>,
    change: AccountChange,
    context: &CommandContext,
) -> Result<(), CommandError> {
    match context.ask(IfMissing::Refuse, Request::ChangeAccount { which, change, reason }).await? {
        Reply::Changed(changed) => context.print(&changed, || changed_in_words(&changed, context)),
        Reply::OneTimePassword(given) => {
            let lost = "the temporary password was set, but is lost: run the command again to set another";
            context.print(&given, || given_in_words(&given)).map_err(|error| error.hint(lost))
        }
        ended @ Reply::Ended(_) => print_end(ended, context),
        _ => Err(unexpected()),
    }
}

pub(super) async fn lock(args: LockArgs, context: &CommandContext) -> Result<(), CommandError> {
    let for_ms = u64::try_from(args.span.as_millis()).unwrap_or(u64::MAX);
    run(args.change, AccountChange::Lock { for_ms }, context).await
}

pub(super) async fn delete(args: DeleteArgs, context: &CommandContext) -> Result<(), CommandError> {
    if !args.yes {
        return Err(CommandError::new(
            Exit::Usage,
            "a deleted account can't be restored, and its subject is never used again",
        )
        .hint("if that is what you want, add --yes; `quash account deactivate` can be undone"));
    }
    run(args.change, AccountChange::Delete, context).await
}

pub(super) async fn set(args: SetArgs, context: &CommandContext) -> Result<(), CommandError> {
    let SetArgs {
        which,
        reason,
        username,
        email,
        verified,
        password_stdin,
        password_hash_stdin,
        claims_stdin: _,
    } = args;
    let change = match (username, email, password_stdin, password_hash_stdin) {
        (Some(name), ..) => AccountChange::Rename { name },
        (_, Some(email), ..) => AccountChange::Email { email, verified },
        (_, _, true, _) => {
            AccountChange::Password { password: GivenPassword::Plain(from_stdin(StdinSecret::NewPassword)?) }
        }
        (.., true) => {
            AccountChange::Password { password: GivenPassword::Encoded(from_stdin(StdinSecret::NewHash)?) }
        }
        // clap requires one of them.
        (None, None, false, false) => AccountChange::Claims { claims: claims_from_stdin()? },
    };
    change_one(which.into_selector(), reason, change, context).await
}

fn claims_from_stdin() -> Result<String, CommandError> {
    let fault = |message: String| {
        CommandError::new(Exit::Usage, message)
            .hint("for example: printf '{\"role\":\"editor\"}' | quash account set dana --claims-stdin")
    };
    prompt::note_awaited("a JSON object");
    let mut text = String::new();
    let read = std::io::stdin().lock().take(CLAIMS_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| fault(format!("the claims can't be read from standard input: {error}")))?;
    if text.len() as u64 > CLAIMS_BYTES {
        return Err(fault(format!("the claims on standard input are longer than {CLAIMS_BYTES} bytes")));
    }
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

pub(in crate::commands) fn span(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(3653 * 24 * 3600);
    Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused }.of_flag(text)
}

fn changed_in_words(changed: &ChangedShown, context: &CommandContext) -> String {
    let mut pairs = pairs_of(&changed.account, SystemClock.now());
    let seq = changed.seq.filter(|_| context.verbose).map(|seq| format!(", seq {seq}")).unwrap_or_default();
    let ended = in_sessions(changed.ended_sessions);
    pairs.extend(
        changed
            .effective_at
            .map(|at| ("ended", format!("{ended}, effective since {}{seq}", at.to_the_second()))),
    );
    output::pairs(&pairs)
}

fn given_in_words(given: &TemporaryPasswordShown) -> String {
    output::pairs(&[
        ("name", given.changed.account.name.clone()),
        ("password", given.password.expose().to_owned()),
        ("good until", format!("{}, must be changed at first use", given.until.seen_from(SystemClock.now()))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_spans_are_parsed_and_bounded() {
        assert_eq!(span("30m"), Ok(Duration::from_secs(1800)));
        for none in ["", "0s", "30", "5 m", "3654d", "-1m"] {
            assert!(span(none).is_err(), "{none}");
        }
    }
}
