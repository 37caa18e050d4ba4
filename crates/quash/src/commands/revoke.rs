//! `quash revoke`: what was issued before holds no longer.

use clap::Subcommand;

use super::place::{Place, unexpected};
use crate::control::{Reply, Request};
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
        RevokeCommand::Everything { yes: true } => Request::RevokeEverything,
        RevokeCommand::Everything { yes: false } => {
            return Err(CommandError::new(Exit::Usage, "this signs everybody out").hint("if that is what you want, add --yes"));
        }
    };
    print_end(place.ask(Absent::Refuse, request).await?, place)
}

/// Prints what was ended, and since when.
pub(super) fn print_end(reply: Reply, place: &Place) -> Result<(), CommandError> {
    let Reply::Ended(ended) = reply else { return Err(unexpected()) };
    place.print(&ended, || {
        let target = ended.target.as_deref().map(|target| format!(" {target}")).unwrap_or_default();
        let seq = ended.seq.map(|seq| format!(", seq {seq}")).unwrap_or_default();
        crate::output::clean(&format!("{}{target}: effective since {}{seq}", ended.scope, ended.effective_at.to_the_second()))
    });
    Ok(())
}
