//! `quash audit`: shows the audit, and checks that it is intact.

use std::time::Duration;

use clap::Subcommand;

use super::account_selector::AccountFilter;
use super::context::{CommandContext, Executor, unexpected};
use crate::control::{
    AccountSelector, AuditHeadShown, AuditPage, AuditReply, AuditRequest, AuditShown, AuditVerifiedShown,
    NotedPlace, Reply, Request, reason_of,
};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::output::{self, OutputFormat, Reader};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// List entries, oldest first
    List {
        #[command(flatten)]
        which: AccountFilter,
        /// The most entries to list
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// List only entries after this number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
    },
    /// Show the newest entries
    Tail {
        /// The number of entries
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        entries: u32,
        /// Keep printing new entries until interrupted
        #[arg(long, short)]
        follow: bool,
    },
    /// Compare every entry with what was sealed; exit code 6 if one was changed, added, moved or removed
    Verify {
        /// A head that an earlier `verify` printed: the audit must still go through it
        #[arg(long, value_name = "ID:CHAIN", value_parser = noted)]
        head: Option<NotedPlace>,
    },
    /// Accept the audit after a fault: existing entries stay but are no longer vouched for, and sealing
    /// begins anew
    Accept {
        /// The reason, in one line; recorded in the audit with the system user that runs the command
        #[arg(long, value_name = "TEXT", value_parser = reason_of)]
        reason: Option<String>,
    },
    /// Print all entries as JSON, one on each line, and the seal on the last
    Export {
        /// Print only entries after this number
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
    },
}

/// The interval at which `--follow` looks for new entries.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The entries of one request, for commands that don't show pages.
const PAGE: u32 = 200;

pub(super) async fn run(command: AuditCommand, context: &CommandContext) -> Result<(), CommandError> {
    let executor = context.executor(IfMissing::Refuse)?;
    match command {
        AuditCommand::List { which, limit, after } => {
            let page = entries(&executor, after, which.into_selector(), limit).await?;
            context.print(&page, || listed(&page))
        }
        AuditCommand::Tail { entries, follow } => {
            tail(&executor, u64::from(entries), follow, context.form).await
        }
        AuditCommand::Verify { head } => {
            let AuditReply::Verified(verified) = ask(&executor, AuditRequest::Verify { noted: head }).await?
            else {
                return Err(unexpected());
            };
            context.print(&verified, || verified_in_words(&verified))
        }
        AuditCommand::Accept { reason } => {
            let AuditReply::Accepted(accepted) = ask(&executor, AuditRequest::Accept { reason }).await?
            else {
                return Err(unexpected());
            };
            context.print(&accepted, || {
                format!("the audit begins anew; entries up to {} are not vouched for", accepted.accepted)
            })
        }
        AuditCommand::Export { after } => export(&executor, after).await,
    }
}

async fn tail(
    executor: &Executor<'_>,
    count: u64,
    follow: bool,
    form: OutputFormat,
) -> Result<(), CommandError> {
    let mut after = head(executor).await?.newest.saturating_sub(count);
    loop {
        let page = entries(executor, after, None, PAGE).await?;
        for entry in &page.entries {
            if output::result(form, entry, || line(entry))? == Reader::Gone {
                return Ok(());
            }
            after = entry.id;
        }
        if page.next.is_some() {
            continue;
        }
        if !follow {
            return Ok(());
        }
        // The store must not stay open while nothing happens: a server that starts needs it.
        if executor.ask_running(&Request::Audit(AuditRequest::Head)).await?.is_none() {
            return Err(CommandError::new(
                Exit::Unavailable,
                "no server runs on this data directory, so no new entries follow",
            )
            .hint("start `quash serve`, then follow the audit"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn export(executor: &Executor<'_>, mut after: u64) -> Result<(), CommandError> {
    loop {
        let page = entries(executor, after, None, PAGE).await?;
        for entry in &page.entries {
            if output::result(OutputFormat::Json, entry, String::new)? == Reader::Gone {
                return Ok(());
            }
            after = entry.id;
        }
        if page.next.is_none() {
            let seal = serde_json::json!({ "seal": head(executor).await? });
            return output::result(OutputFormat::Json, &seal, String::new).map(drop);
        }
    }
}

async fn entries(
    executor: &Executor<'_>,
    after: u64,
    of: Option<AccountSelector>,
    limit: u32,
) -> Result<AuditPage, CommandError> {
    match ask(executor, AuditRequest::Entries { after, of, limit }).await? {
        AuditReply::Entries(page) => Ok(page),
        _ => Err(unexpected()),
    }
}

async fn head(executor: &Executor<'_>) -> Result<AuditHeadShown, CommandError> {
    match ask(executor, AuditRequest::Head).await? {
        AuditReply::Head(head) => Ok(head),
        _ => Err(unexpected()),
    }
}

async fn ask(executor: &Executor<'_>, request: AuditRequest) -> Result<AuditReply, CommandError> {
    match executor.ask(Request::Audit(request)).await? {
        Reply::Audit(reply) => Ok(reply),
        _ => Err(unexpected()),
    }
}

fn noted(text: &str) -> Result<NotedPlace, String> {
    let place = text
        .split_once(':')
        .and_then(|(id, chain)| Some(NotedPlace { id: id.parse().ok()?, chain: chain.to_owned() }));
    place.ok_or_else(|| {
        "write the number of an entry, a colon and its hash, as `quash audit verify` shows them".to_owned()
    })
}

fn listed(page: &AuditPage) -> String {
    if page.entries.is_empty() {
        return "no entries".into();
    }
    let rows = page.entries.iter().map(|entry| {
        [
            entry.id.to_string(),
            entry.at.to_the_second(),
            what(entry),
            entry.actor.clone(),
            entry.username.clone().unwrap_or_else(|| "-".into()),
            entry.subject.clone().unwrap_or_else(|| "-".into()),
            details(entry),
        ]
    });
    let table = output::table(["id", "at", "event", "by", "account", "subject", "details"], rows);
    match page.next {
        Some(next) => format!("{table}\nthere may be more: --after {next}"),
        None => table,
    }
}

/// Formats an entry as one line.
fn line(entry: &AuditShown) -> String {
    let subject = entry.subject.as_deref().unwrap_or("-");
    let account =
        entry.username.as_ref().map_or_else(|| subject.to_owned(), |name| format!("{name} ({subject})"));
    output::clean(
        format!(
            "{}  {}  {}  {}  {account}  {}",
            entry.id,
            entry.at.to_the_second(),
            what(entry),
            entry.actor,
            details(entry)
        )
        .trim_end(),
    )
}

fn what(entry: &AuditShown) -> String {
    match &entry.reason {
        Some(reason) if *reason != entry.event => format!("{} ({reason})", entry.event),
        _ => entry.event.clone(),
    }
}

fn details(entry: &AuditShown) -> String {
    let named = [
        ("session", &entry.sid),
        ("key", &entry.kid),
        ("name", &entry.name),
        ("from", &entry.address),
        ("with", &entry.device),
        ("author", &entry.author),
        ("note", &entry.note),
    ];
    named
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")))
        .collect::<Vec<_>>()
        .join(" ")
}

fn verified_in_words(verified: &AuditVerifiedShown) -> String {
    let AuditVerifiedShown { entries, blanked, unsealed, head, sealed_at, accepted } = verified;
    let mut pairs = vec![
        ("entries as sealed", entries.to_string()),
        ("blanked", blanked.to_string()),
        ("not sealed yet", unsealed.to_string()),
        ("sealed at", sealed_at.to_the_second()),
        ("head", format!("{}:{}", head.id, head.chain)),
    ];
    pairs.extend(
        accepted.map(|id| ("not vouched for", format!("entries up to {id}, accepted by an operator"))),
    );
    output::pairs(&pairs)
}
