//! `quash revoke`: what was issued before holds no longer.

use clap::{Args, Subcommand};

use super::place::{Asked, Place, unexpected};
use super::which::WhichArgs;
use crate::control::{EffectiveShown, EndedShown, Reply, Request, StruckKeyShown, VerifierShown};
use crate::data_dir::Absent;
use crate::error::{CommandError, Exit};
use crate::output;

#[derive(Subcommand)]
pub(super) enum RevokeCommand {
    /// All tokens of a session; the session ends
    Session {
        /// Its id, as in the claim sid
        sid: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// All tokens of an account; its sessions end
    Account {
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// All that a key has signed, in an emergency; another one signs at once, and sessions go on with their next refresh
    Key {
        /// Its id, as `key list` shows it
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Sessions of before end, too: everybody must sign in again
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Every token issued before; everybody must sign in again
    Everything {
        /// Yes, everybody
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

#[derive(Args)]
pub(super) struct WaitArgs {
    /// Wait until every verifier knows, or can't vouch for anything any more; exit code 7 unless all know
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(command: RevokeCommand, place: &Place) -> Result<(), CommandError> {
    let (request, WaitArgs { wait }) = match command {
        RevokeCommand::Session { sid, wait } => (Request::RevokeSession { sid }, wait),
        RevokeCommand::Account { which, wait } => {
            (Request::RevokeAccount { which: which.into_which() }, wait)
        }
        RevokeCommand::Key { kid, end_sessions, wait } => (Request::RevokeKey { kid, end_sessions }, wait),
        RevokeCommand::Everything { yes: true, wait } => (Request::RevokeEverything, wait),
        RevokeCommand::Everything { yes: false, .. } => {
            return Err(CommandError::new(Exit::Usage, "this signs everybody out")
                .hint("if that is what you want, add --yes"));
        }
    };
    let asked = place.asked(Absent::Refuse)?;
    let reply = asked.ask(request).await?;
    let (words, seq) = match &reply {
        Reply::Ended(ended) => (ended_in_words(ended, place), ended.seq),
        Reply::StruckKey(struck) => (struck_in_words(struck, place), struck.ended.seq),
        _ => return Err(unexpected()),
    };
    if let (true, Some(seq)) = (wait, seq) {
        // What is done is told first: waiting may be broken off.
        output::note(&words);
        return wait_for(seq, &asked, place).await;
    }
    match reply {
        Reply::StruckKey(struck) => place.print(&struck, || words),
        reply => print_end(reply, place),
    }
}

/// Waits until every verifier knows of an entry, and prints what became of each.
async fn wait_for(seq: u64, asked: &Asked, place: &Place) -> Result<(), CommandError> {
    let Reply::Effective(effective) = asked.ask(Request::Effective { seq }).await? else {
        return Err(unexpected());
    };
    place.print(&effective, || in_words(&effective, place))?;
    let open = effective.verifiers.iter().filter(|verifier| verifier.state != "confirmed").count();
    if open == 0 {
        return Ok(());
    }
    let message = format!("{open} of {} verifiers have not confirmed it", effective.verifiers.len());
    let hint = "one that is stale refuses tokens until it has caught up; one that is not bound may go on accepting them";
    Err(CommandError::new(Exit::NotConfirmed, message).hint(hint))
}

fn in_words(effective: &EffectiveShown, place: &Place) -> String {
    let seq = if place.verbose { format!(", seq {}", effective.seq) } else { String::new() };
    let everywhere = format!("effective everywhere since {}{seq}", effective.effective_at.to_the_second());
    if effective.verifiers.is_empty() {
        return format!("{everywhere}; nobody else follows the feed");
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

fn ended_in_words(ended: &EndedShown, place: &Place) -> String {
    let target = match (&ended.name, &ended.target) {
        (Some(name), Some(subject)) => format!(" {name} ({subject})"),
        (_, Some(target)) => format!(" {target}"),
        (_, None) => String::new(),
    };
    let count = ended.ended_sessions.map(|count| format!("{}, ", in_sessions(count))).unwrap_or_default();
    let seq = ended.seq.filter(|_| place.verbose).map(|seq| format!(", seq {seq}")).unwrap_or_default();
    output::clean(&format!(
        "{}{target}: {count}effective since {}{seq}",
        ended.scope,
        ended.effective_at.to_the_second()
    ))
}

/// How many sessions have ended, in words.
pub(super) fn in_sessions(count: u64) -> String {
    match count {
        0 => "no live session".to_owned(),
        1 => "1 session ended".to_owned(),
        count => format!("{count} sessions ended"),
    }
}

fn struck_in_words(struck: &StruckKeyShown, place: &Place) -> String {
    let sessions = if struck.sessions_ended { "sessions of before have ended" } else { "sessions go on" };
    let signs = struck
        .signs
        .as_deref()
        .map_or("nothing signs until tokens.signing_key names another".into(), |kid| format!("{kid} signs"));
    output::clean(&format!("{}; {sessions}; {signs}", ended_in_words(&struck.ended, place)))
}

/// Prints what was ended, and since when.
pub(super) fn print_end(reply: Reply, place: &Place) -> Result<(), CommandError> {
    let Reply::Ended(ended) = reply else { return Err(unexpected()) };
    place.print(&ended, || ended_in_words(&ended, place))
}
