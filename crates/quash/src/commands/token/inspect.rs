//! `quash token inspect`: shows everything that this quash knows about a token, also about an invalid one.

use quash_core::model::Timestamp;

use super::super::context::{CommandContext, unexpected};
use super::{check_source, part, read_stdin};
use crate::control::{InspectionShown, Reply, Request, RevokedShown};
use crate::data_dir::IfMissing;
use crate::error::CommandError;
use crate::output;

const EXAMPLE: &str = "quash token inspect - < file";

pub(super) async fn run(source: &str, context: &CommandContext) -> Result<(), CommandError> {
    check_source(source, EXAMPLE)?;
    let text = read_stdin(EXAMPLE)?;
    // Tokens are usually pasted, often with white space around them.
    match context.ask(IfMissing::Refuse, Request::InspectToken { token: text.trim().to_owned() }).await? {
        Reply::Inspection(inspection) => {
            context.print(&inspection, || inspection_text(&inspection, context.verbose))
        }
        _ => Err(unexpected()),
    }
}

fn inspection_text(inspection: &InspectionShown, verbose: bool) -> String {
    let now = inspection.inspected_at.0;
    let signature = match &inspection.signature_fault {
        None => "good: a key of this quash made it".to_owned(),
        Some(fault) => format!("NOT good: {fault}"),
    };
    let standing = match (&inspection.refusal, &inspection.revoked) {
        (_, Some(revoked)) => revoked_in_words(revoked, now, verbose),
        (Some(refusal), None) => format!("refused: {refusal}"),
        (None, None) => inspection.standing.clone(),
    };
    let (header, claims) = (inspection.header.as_ref(), inspection.claims.as_ref());
    let verdict = output::pairs(&[("signature", signature), ("standing", standing)]);
    [part("header", header, now), part("claims", claims, now), verdict].join("\n")
}

fn revoked_in_words(revoked: &RevokedShown, now: Timestamp, verbose: bool) -> String {
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
    if let Some(seq) = revoked.seq.filter(|_| verbose) {
        words.push_str(&format!(", seq {seq}"));
    }
    words
}
