//! `quash policy`: shows which events end which sessions and tokens.

use clap::Subcommand;

use super::context::{CommandContext, unexpected};
use crate::control::{EndCauseShown, PolicyShown, Reply, Request, ask_running};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::output;

#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Show which events end which tokens, by the settings of the running server or, if none runs, by the
    /// local ones
    Show,
}

pub(super) async fn run(command: PolicyCommand, context: &CommandContext) -> Result<(), CommandError> {
    let PolicyCommand::Show = command;
    let settings = context.settings()?;
    let running = match context.data_dir(IfMissing::Refuse, &settings) {
        Ok((data_dir, _)) => ask_running(&Request::Policy, &data_dir).await?,
        Err(error) if error.exit == Exit::NotFound => None,
        Err(error) => return Err(error),
    };
    let policy = match running {
        Some(Reply::Policy(policy)) => policy,
        Some(_) => return Err(unexpected()),
        None => PolicyShown::new(&settings.policy),
    };
    context.print(&policy, || {
        let row = |cause: &EndCauseShown| {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            [
                cause.when.clone(),
                cause.ends.clone(),
                or_dash(&cause.entry),
                cause.reason.clone(),
                or_dash(&cause.setting),
            ]
        };
        output::table(["when", "ends", "entry", "reason", "setting"], policy.causes.iter().map(row))
    })
}
