//! `quash token`: what a token says, and whether it would be taken.

use std::io::Read;

use clap::Subcommand;
use quash_core::model::{Timestamp, limits};
use serde_json::Value;
use zeroize::Zeroizing;

use super::place::{Place, unexpected};
use crate::control::{InspectionShown, Reply, Request, RevokedShown};
use crate::data_dir::Absent;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::output;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Show what a token on standard input says, whether it is genuine, and what revoked it
    Inspect {
        /// `-`: the token is read from standard input, and never from the command line
        #[arg(value_name = "-")]
        source: String,
    },
}

pub(super) async fn run(command: TokenCommand, place: &Place) -> Result<(), CommandError> {
    let TokenCommand::Inspect { source } = command;
    if source != "-" {
        return Err(CommandError::new(Exit::Usage, "a token on the command line is kept by the shell's history and seen by other users")
            .hint("give it on standard input: quash token inspect - < file"));
    }
    let token = token_from_stdin()?;
    match place.ask(Absent::Refuse, Request::InspectToken { token: token.to_string() }).await? {
        Reply::Inspection(inspection) => {
            place.print(&inspection, || shown(&inspection));
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

/// What stands on standard input, without the white space around it.
fn token_from_stdin() -> Result<Zeroizing<String>, CommandError> {
    /// Room for white space; a longer token is recognised as too long all the same.
    const BYTES: u64 = limits::TOKEN_BYTES as u64 + 1024;
    let mut text = Zeroizing::new(String::new());
    let fault =
        |message: String| CommandError::new(Exit::Usage, message).hint("give the token on standard input: quash token inspect - < file");
    let read = std::io::stdin().lock().take(BYTES).read_to_string(&mut text);
    read.map_err(|error| fault(format!("the token can't be read from standard input: {error}")))?;
    match text.trim() {
        "" => Err(fault("there is no token on standard input".into())),
        token => Ok(Zeroizing::new(token.to_owned())),
    }
}

fn shown(inspection: &InspectionShown) -> String {
    let now = inspection.inspected_at.0;
    let mut lines = Vec::new();
    for (title, members) in [("header", &inspection.header), ("claims", &inspection.claims)] {
        lines.push(title.to_owned());
        match members {
            Some(members) => {
                let members: Vec<(&str, String)> = members.iter().map(|(name, value)| (name.as_str(), member(name, value, now))).collect();
                lines.extend(output::pairs(&members).lines().map(|line| format!("  {line}")));
            }
            None => lines.push("  can't be read".into()),
        }
    }
    let signature = match &inspection.signature_fault {
        None => "good: a key of this quash made it".to_owned(),
        Some(fault) => format!("NOT good: {fault}"),
    };
    let standing = match (&inspection.refusal, &inspection.revoked) {
        (_, Some(revoked)) => revoked_in_words(revoked, now),
        (Some(refusal), None) => format!("refused: {refusal}"),
        (None, None) => inspection.standing.clone(),
    };
    lines.push(output::pairs(&[("signature", signature), ("standing", standing)]));
    lines.join("\n")
}

/// A member's value; moments are told in words too.
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

fn revoked_in_words(revoked: &RevokedShown, now: Timestamp) -> String {
    let mut words = String::from("revoked");
    if let Some(scope) = &revoked.scope {
        words.push_str(&format!(" with its {scope}").replace("its everything", "everything issued before"));
    }
    if let Some(reason) = &revoked.reason {
        words.push_str(&format!(", reason {reason}"));
    }
    if let Some(by) = &revoked.by {
        words.push_str(&format!(", by {by}"));
    }
    if let Some(at) = revoked.at {
        words.push_str(&format!(", at {}", at.seen_from(now)));
    }
    if let Some(seq) = revoked.seq {
        words.push_str(&format!(", seq {seq}"));
    }
    words
}
