//! `quash doctor`: checks an installation. Gathers the facts, in the other files here and in the process that has
//! opened the store; `quash_service::doctor` judges them.

mod files;
mod local;
mod public;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub(super) use local::LocalFacts;

use clap::Args;
use quash_service::Arena;
use quash_service::doctor::{FactSource, Facts, Finding, Level, StoreFacts, StoreFault, examine};

use super::context::{CommandContext, Executor, unexpected};
use super::password_cost;
use crate::control::{Reply, Request};
use crate::data_dir::IfMissing;
use crate::entropy::SystemEntropy;
use crate::error::{CommandError, Exit};
use crate::mail;
use crate::output;
use crate::settings::Settings;
use quash_server::SystemClock;

/// The longest that a connection to the SMTP server may take.
const SMTP_WITHIN: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Make no request to http.public_url and no connection to the SMTP server
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(args: &DoctorArgs, context: &CommandContext) -> Result<ExitCode, CommandError> {
    let loaded = Arc::new(context.loaded()?);
    // The checks of the files find the other faults of a data directory.
    let executor = match context.executor(IfMissing::Refuse) {
        Ok(executor) => Some(executor),
        Err(error) if error.exit == Exit::NotFound => return Err(error),
        Err(_) => None,
    };
    let local = LocalFacts::new(Arc::clone(&loaded), context.data_dir_path());
    // Before the store, so that it can't be behind what is noted in files.
    let facts = local.facts().await;
    let facts = match &executor {
        Some(executor) => facts.with_store(ask(executor).await?, &local),
        None => facts,
    };
    let settings = &loaded.settings;
    let (public, smtp) =
        if args.offline { (None, None) } else { tokio::join!(public::probe(settings), check_smtp(settings)) };
    let took = password_cost::measure(settings.argon2, &mut Arena::default(), &SystemClock, &SystemEntropy);
    let facts = Facts { hash_time: took.ok(), public, smtp, ..facts };
    let findings = examine(&facts);
    context.print(&findings, || text(&findings))?;
    Ok(match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Problem) => Exit::Problems.code().into(),
        Some(Level::Warning) => Exit::Warnings.code().into(),
        _ => ExitCode::SUCCESS,
    })
}

/// Asks for the facts of the store. The inner error: it can't be read.
async fn ask(executor: &Executor<'_>) -> Result<Result<StoreFacts, StoreFault>, CommandError> {
    match executor.ask(Request::StoreFacts).await {
        Ok(Reply::StoreFacts(facts)) => Ok(Ok(*facts)),
        Ok(_) => Err(unexpected()),
        // There is nothing to check.
        Err(error) if error.exit == Exit::NotFound => Err(error),
        Err(error) => Ok(Err(StoreFault { message: error.message, remedy: error.hint })),
    }
}

async fn check_smtp(settings: &Settings) -> Option<Result<(), String>> {
    let checked = tokio::time::timeout(SMTP_WITHIN, mail::check_smtp(settings)).await;
    checked.unwrap_or_else(|_| Some(Err(format!("no answer within {} seconds", SMTP_WITHIN.as_secs()))))
}

/// Formats the findings for people, the worst first, and counts the others.
fn text(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let mut found: Vec<_> = findings.iter().filter(|finding| finding.level >= Level::Note).collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let mut text = String::new();
    for Finding { check, level, finding, reason, remedy } in found {
        let part = |name: &str, part: Option<&str>| {
            part.map(|part| format!("  {name}: {}\n", output::clean(part))).unwrap_or_default()
        };
        let finding = output::clean(finding.as_deref().unwrap_or_default());
        text.push_str(&format!("{} {check}: {finding}\n", word(*level)));
        text.push_str(&part("reason", *reason));
        text.push_str(&part("remedy", remedy.as_deref()));
    }
    let skipped: Vec<_> = findings
        .iter()
        .filter(|finding| finding.level == Level::Skipped)
        .map(|finding| finding.check)
        .collect();
    if !skipped.is_empty() {
        text.push_str(&format!("skipped: {}\n", skipped.join(", ")));
    }
    let all = [Level::Ok, Level::Skipped, Level::Note, Level::Warning, Level::Problem];
    let counts = all.map(|level| format!("{} {}", word(level), count(level))).join(", ");
    format!("{text}{} checks: {counts}", findings.len())
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Skipped => "skipped",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Problem => "problem",
    }
}
