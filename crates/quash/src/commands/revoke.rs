//! `quash revoke`: revokes tokens that were issued before now.

use clap::{Args, Subcommand};

use super::account_selector::AccountArgs;
use super::context::{CommandContext, Executor, unexpected};
use crate::control::{
    EffectiveShown, EndedShown, NameSelector, Reply, Request, RevokedKeyShown, VerifierShown,
};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::output;

#[derive(Subcommand)]
pub(super) enum RevokeCommand {
    /// Revoke all tokens of a session, and end it
    Session {
        /// The session's id, as in the claim sid
        sid: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Revoke all tokens of an account, and end its sessions
    Account {
        #[command(flatten)]
        which: AccountArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Revoke a key and all tokens it has signed, in an emergency; another key signs at once, and sessions
    /// continue with their next refresh
    Key {
        /// The key's id, as `key list` shows it
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Also end all existing sessions: all users must sign in again
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Revoke what another issuer has issued, in its namespace
    Namespace {
        /// The namespace, as in the settings
        #[arg(value_name = "NAMESPACE")]
        namespace: String,
        #[command(flatten)]
        what: NameArgs,
        /// Confirm that all users of the namespace are signed out
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Revoke every token issued before now; all users must sign in again
    Everything {
        /// Confirm that all users are signed out
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct NameArgs {
    /// All tokens of this session
    #[arg(long, value_name = "SID", allow_hyphen_values = true)]
    session: Option<String>,
    /// The token with this id, as in its claim jti
    #[arg(long, value_name = "JTI", allow_hyphen_values = true)]
    token_id: Option<String>,
    /// All tokens of this user issued before now
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Every token of the namespace issued before now
    #[arg(long)]
    everything: bool,
}

#[derive(Args)]
pub(super) struct WaitArgs {
    /// Wait until every verifier has confirmed it or has lost its lease; exit code 7 unless all have
    /// confirmed
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(command: RevokeCommand, context: &CommandContext) -> Result<(), CommandError> {
    let (request, WaitArgs { wait }) = match command {
        RevokeCommand::Session { sid, wait } => (Request::RevokeSession { sid }, wait),
        RevokeCommand::Account { which, wait } => {
            (Request::RevokeAccount { which: which.into_selector() }, wait)
        }
        RevokeCommand::Key { kid, end_sessions, wait } => (Request::RevokeKey { kid, end_sessions }, wait),
        RevokeCommand::Namespace { what: NameArgs { everything: true, .. }, yes: false, .. }
        | RevokeCommand::Everything { yes: false, .. } => {
            return Err(CommandError::new(Exit::Usage, "this signs all users out")
                .hint("if that is what you want, add --yes"));
        }
        RevokeCommand::Namespace { namespace, what, wait, .. } => {
            (Request::RevokeName { namespace, name: what.into_selector() }, wait)
        }
        RevokeCommand::Everything { yes: true, wait } => (Request::RevokeEverything, wait),
    };
    let executor = context.executor(IfMissing::Refuse)?;
    let reply = executor.ask(request).await?;
    let (words, seq) = match &reply {
        Reply::Ended(ended) => (ended_in_words(ended, context), ended.seq),
        Reply::RevokedKey(revoked) => (revoked_key_in_words(revoked, context), revoked.ended.seq),
        _ => return Err(unexpected()),
    };
    if let (true, Some(seq)) = (wait, seq) {
        // The result is printed before waiting, which may be interrupted.
        output::note(&words);
        return wait_for(seq, &executor, context).await;
    }
    match reply {
        Reply::RevokedKey(revoked) => context.print(&revoked, || words),
        reply => print_end(reply, context),
    }
}

impl NameArgs {
    fn into_selector(self) -> NameSelector {
        let Self { session, token_id, subject, everything: _ } = self;
        let one = session.map(NameSelector::Session).or(token_id.map(NameSelector::Token));
        one.or(subject.map(NameSelector::Subject)).unwrap_or(NameSelector::Everything)
    }
}

/// Waits until every verifier has confirmed an entry or lost its lease, and prints the state of each.
async fn wait_for(seq: u64, executor: &Executor<'_>, context: &CommandContext) -> Result<(), CommandError> {
    let Reply::Effective(effective) = executor.ask(Request::Effective { seq }).await? else {
        return Err(unexpected());
    };
    context.print(&effective, || in_words(&effective, context))?;
    let open = effective.verifiers.iter().filter(|verifier| verifier.state != "confirmed").count();
    if open == 0 {
        return Ok(());
    }
    let message = format!("{open} of {} verifiers have not confirmed it", effective.verifiers.len());
    let hint = "a stale verifier refuses tokens until it has caught up; one that is not bound may still accept revoked tokens";
    Err(CommandError::new(Exit::NotConfirmed, message).hint(hint))
}

fn in_words(effective: &EffectiveShown, context: &CommandContext) -> String {
    let seq = if context.verbose { format!(", seq {}", effective.seq) } else { String::new() };
    let everywhere = format!("effective everywhere since {}{seq}", effective.effective_at.to_the_second());
    if effective.verifiers.is_empty() {
        return format!("{everywhere}; no verifier follows the feed");
    }
    let row = |verifier: &VerifierShown| {
        [
            verifier.name.clone(),
            verifier.instance.clone(),
            verifier.state.replace('_', " "),
            format!("{} ms", verifier.ms),
        ]
    };
    let table =
        output::table(["verifier", "instance", "state", "after"], effective.verifiers.iter().map(row));
    format!("{everywhere}\n{table}")
}

fn ended_in_words(ended: &EndedShown, context: &CommandContext) -> String {
    let target = match (&ended.name, &ended.target) {
        (Some(name), Some(subject)) => format!(" {name} ({subject})"),
        (_, Some(target)) => format!(" {target}"),
        (_, None) => String::new(),
    };
    let count = ended.ended_sessions.map(|count| format!("{}, ", in_sessions(count))).unwrap_or_default();
    let seq = ended.seq.filter(|_| context.verbose).map(|seq| format!(", seq {seq}")).unwrap_or_default();
    output::clean(&format!(
        "{}{target}: {count}effective since {}{seq}",
        ended.scope,
        ended.effective_at.to_the_second()
    ))
}

/// Formats the number of sessions that have ended.
pub(super) fn in_sessions(count: u64) -> String {
    match count {
        0 => "no live session".to_owned(),
        1 => "1 session ended".to_owned(),
        count => format!("{count} sessions ended"),
    }
}

fn revoked_key_in_words(revoked: &RevokedKeyShown, context: &CommandContext) -> String {
    let sessions = if revoked.sessions_ended { "existing sessions have ended" } else { "sessions continue" };
    let signs = revoked
        .signs
        .as_deref()
        .map_or("no key signs until tokens.signing_key names another".into(), |kid| format!("{kid} signs"));
    output::clean(&format!("{}; {sessions}; {signs}", ended_in_words(&revoked.ended, context)))
}

/// Prints what was revoked, and since when.
pub(super) fn print_end(reply: Reply, context: &CommandContext) -> Result<(), CommandError> {
    let Reply::Ended(ended) = reply else { return Err(unexpected()) };
    context.print(&ended, || ended_in_words(&ended, context))
}
