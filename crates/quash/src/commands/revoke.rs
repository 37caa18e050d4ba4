//! `quash revoke`: what was issued before holds no longer.

use clap::Subcommand;

use super::place::{Place, unexpected};
use crate::control::{EndedShown, Reply, Request};
use crate::data_dir::Absent;
use crate::error::{CommandError, Exit};

#[derive(Subcommand)]
pub(super) enum RevokeCommand {
    /// All tokens of a session; the session ends
    Session {
        /// Its id, as in the claim sid
        sid: String,
    },
    /// All tokens of an account; its sessions end
    Account {
        /// Its name or subject
        name: String,
    },
    /// All that a key has signed, in an emergency; another one signs at once, and sessions go on with their next refresh
    Key {
        /// Its id, as `key list` shows it
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Sessions of before end, too: everybody must sign in again
        #[arg(long)]
        end_sessions: bool,
    },
    /// Every token issued before; everybody must sign in again
    Everything {
        /// Yes, everybody
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: RevokeCommand, place: &Place) -> Result<(), CommandError> {
    let request = match command {
        RevokeCommand::Session { sid } => Request::RevokeSession { sid },
        RevokeCommand::Account { name } => Request::RevokeAccount { name },
        RevokeCommand::Key { kid, end_sessions } => Request::RevokeKey { kid, end_sessions },
        RevokeCommand::Everything { yes: true } => Request::RevokeEverything,
        RevokeCommand::Everything { yes: false } => {
            return Err(CommandError::new(Exit::Usage, "this signs everybody out").hint("if that is what you want, add --yes"));
        }
    };
    match place.ask(Absent::Refuse, request).await? {
        Reply::StruckKey(struck) => {
            place.print(&struck, || {
                let sessions = if struck.sessions_ended { "sessions of before have ended" } else { "sessions go on" };
                let signs = struck
                    .signs
                    .as_deref()
                    .map_or("nothing signs until tokens.signing_key names another".into(), |kid| format!("{kid} signs"));
                crate::output::clean(&format!("{}; {sessions}; {signs}", ended_in_words(&struck.ended)))
            });
            Ok(())
        }
        reply => print_end(reply, place),
    }
}

/// Prints what was ended, and since when.
pub(super) fn print_end(reply: Reply, place: &Place) -> Result<(), CommandError> {
    let Reply::Ended(ended) = reply else { return Err(unexpected()) };
    place.print(&ended, || crate::output::clean(&ended_in_words(&ended)));
    Ok(())
}

fn ended_in_words(ended: &EndedShown) -> String {
    let target = ended.target.as_deref().map(|target| format!(" {target}")).unwrap_or_default();
    let seq = ended.seq.map(|seq| format!(", seq {seq}")).unwrap_or_default();
    format!("{}{target}: effective since {}{seq}", ended.scope, ended.effective_at.to_the_second())
}
