//! `quash session`: lists an account's sessions, and ends one.

use clap::Subcommand;

use super::account::PageArgs;
use super::account_selector::AccountArgs;
use super::context::{CommandContext, unexpected};
use super::revoke::print_end;
use crate::control::{Reply, Request, SessionPage, SessionShown};
use crate::data_dir::IfMissing;
use crate::error::CommandError;
use crate::output;

#[derive(Subcommand)]
pub(super) enum SessionCommand {
    /// List an account's sessions, oldest first
    List {
        #[command(flatten)]
        which: AccountArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// End a session, and revoke its tokens
    End {
        /// The session's id, as in the claim sid
        sid: String,
    },
}

pub(super) async fn run(command: SessionCommand, context: &CommandContext) -> Result<(), CommandError> {
    match command {
        SessionCommand::List { which, page: PageArgs { limit, after } } => {
            let which = which.into_selector();
            match context.ask(IfMissing::Refuse, Request::Sessions { which, after, limit }).await? {
                Reply::Sessions(page) => context.print(&page, || listed(&page)),
                _ => Err(unexpected()),
            }
        }
        SessionCommand::End { sid } => {
            print_end(context.ask(IfMissing::Refuse, Request::EndSession { sid }).await?, context)
        }
    }
}

fn listed(page: &SessionPage) -> String {
    let row = |session: &SessionShown| {
        let state = match &session.ended_reason {
            Some(reason) => format!("{} ({reason})", session.state),
            None => session.state.clone(),
        };
        let device = session.device.clone().unwrap_or_else(|| "-".into());
        let address = session.address.clone().unwrap_or_else(|| "-".into());
        [
            session.sid.clone(),
            state,
            session.opened_at.to_the_second(),
            session.rotated_at.to_the_second(),
            address,
            device,
        ]
    };
    if page.sessions.is_empty() {
        return "no sessions".into();
    }
    let table = output::table(
        ["sid", "state", "opened", "refreshed", "address", "device"],
        page.sessions.iter().map(row),
    );
    match &page.next {
        Some(next) => format!("{table}\nthere may be more: --after {next}"),
        None => table,
    }
}
