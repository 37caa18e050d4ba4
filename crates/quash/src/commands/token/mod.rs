//! `quash token`: inspects and verifies tokens. A token is read from standard input, never from the command
//! line.

mod inspect;

mod verify;

mod keys;

mod offline;

use std::io::Read;
use std::process::ExitCode;

use clap::Subcommand;
use quash_core::model::{Timestamp, limits};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::context::CommandContext;
use super::prompt::{self, Quiet};
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::output;
use crate::settings::without_mark;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Show the contents of a token from standard input, whether it is genuine, and what revoked it
    Inspect {
        /// `-`: the token is read from standard input, never from the command line
        #[arg(value_name = "-")]
        source: String,
    },
    Verify(Box<verify::VerifyArgs>),
}

pub(super) async fn run(command: TokenCommand, context: &CommandContext) -> Result<ExitCode, CommandError> {
    match command {
        TokenCommand::Inspect { source } => inspect::run(&source, context).await.map(|()| ExitCode::SUCCESS),
        TokenCommand::Verify(args) => verify::run(&args, context),
    }
}

/// Refuses a token on the command line, where only `-` is allowed.
fn check_source(source: &str, example: &str) -> Result<(), CommandError> {
    if source == "-" {
        return Ok(());
    }
    Err(CommandError::new(
        Exit::Usage,
        "a token on the command line is visible to other users and kept in the shell's history",
    )
    .hint(format!("give it on standard input: {example}")))
}

/// Reads a token from standard input, without a byte order mark. At a terminal, prompts for it without an echo:
/// a token may be as good as a password. Invalid UTF-8 is replaced: such a text is no
/// token anyway.
fn read_stdin(example: &str) -> Result<Zeroizing<String>, CommandError> {
    /// Leaves space for white space; a longer token is still recognised as too long.
    const BYTES: u64 = limits::TOKEN_BYTES as u64 + 1024;
    let mut bytes = Zeroizing::new(Vec::new());
    let fault = |message: String| {
        CommandError::new(Exit::Usage, message).hint(format!("give the token on standard input: {example}"))
    };
    let read = if prompt::is_typed() {
        Quiet::new().and_then(|quiet| quiet.line("token", BYTES)).map(|line| bytes = line)
    } else {
        std::io::stdin().lock().take(BYTES).read_to_end(&mut bytes).map(drop)
    };
    read.map_err(|error| fault(format!("the token can't be read from standard input: {error}")))?;
    let text = Zeroizing::new(String::from_utf8_lossy(without_mark(&bytes)).into_owned());
    if text.trim().is_empty() { Err(fault("there is no token on standard input".into())) } else { Ok(text) }
}

/// Formats a part of a token, its members below its name; times are shown in words, too.
fn part(title: &str, members: Option<&Map<String, Value>>, now: Timestamp) -> String {
    let Some(members) = members else { return format!("{title}\n  can't be read") };
    let members: Vec<(&str, String)> =
        members.iter().map(|(name, value)| (name.as_str(), member(name, value, now))).collect();
    let indented = output::pairs(&members).lines().map(|line| format!("\n  {line}")).collect::<String>();
    format!("{title}{indented}")
}

fn member(name: &str, value: &Value, now: Timestamp) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if matches!(name, "exp" | "iat" | "nbf") => {
            let moment = number.as_i64().map(|secs| Moment(Timestamp::from_secs(secs)).seen_from(now));
            moment.map_or_else(|| number.to_string(), |moment| format!("{number}  {moment}"))
        }
        other => other.to_string(),
    }
}
