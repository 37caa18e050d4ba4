//! `quash account add --batch-stdin`: adds many accounts from JSON lines. Accounts are sent in groups, and
//! the store writes a group at once: 100,000 accounts take minutes.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use quash_core::model::fold;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::super::context::{CommandContext, Executor, unexpected};
use super::super::prompt;
use crate::control::{AddAccount, AddedShown, GivenPassword, Reply, Request, Secret};
use crate::data_dir::IfMissing;
use crate::error::{CommandError, Exit};
use crate::output;
use crate::settings::without_mark;

/// The longest line, in bytes: more than an account whose values all have the greatest length.
const LINE_BYTES: u64 = 16 * 1024;
/// The most accounts in one group.
const GROUP: usize = 64;
/// The most bytes of lines in one group, so that its request stays within the server's limit.
const GROUP_BYTES: usize = 24 * 1024;

/// A line of the input, as the command's help describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    subject: Option<String>,
    email: Option<String>,
    #[serde(default)]
    verified: bool,
    password_hash: Option<String>,
    #[serde(default)]
    deactivated: bool,
    claims: Option<Map<String, Value>>,
}

/// An account in a group, with its line.
struct Waiting {
    line: u64,
    account: AddAccount,
}

/// Accounts that are added at once. No two of them share a name, an address or a subject, so their order
/// doesn't matter.
#[derive(Default)]
struct Group {
    waiting: Vec<Waiting>,
    /// The length of the accounts' lines.
    bytes: usize,
    /// The keys of the accounts: see [`keys`].
    taken: BTreeSet<(&'static str, String)>,
}

/// The result of all lines.
#[derive(Default, Serialize)]
struct Outcome {
    /// Accounts that were added.
    added: u64,
    /// Accounts that existed already, with the same subject and name.
    present: u64,
    /// Lines that were skipped.
    skipped: Vec<LineNote>,
    /// Lines whose accounts were added with a restriction.
    warnings: Vec<LineNote>,
}

#[derive(Serialize)]
struct LineNote {
    line: u64,
    name: Option<String>,
    reason: String,
}

pub(super) async fn add(context: &CommandContext) -> Result<(), CommandError> {
    let executor = context.executor(IfMissing::Create)?;
    let (mut outcome, mut group) = (Outcome::default(), Group::default());
    prompt::note_awaited("accounts, one JSON object on each line,");
    let mut input = std::io::stdin().lock();
    for line in 1_u64.. {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = input.by_ref().take(LINE_BYTES + 1).read_until(b'\n', &mut bytes);
        read.map_err(|error| {
            CommandError::new(Exit::Usage, format!("line {line} can't be read from standard input: {error}"))
        })?;
        if bytes.is_empty() {
            break;
        }
        if bytes.len() as u64 > LINE_BYTES {
            return Err(CommandError::new(
                Exit::Usage,
                format!("line {line} is longer than {LINE_BYTES} bytes"),
            )
            .hint("write one JSON object on each line; earlier lines are done, and can be given again"));
        }
        let text = if line == 1 { without_mark(&bytes) } else { &bytes[..] };
        if text.trim_ascii().is_empty() {
            continue;
        }
        let account = match parsed(text) {
            Ok(account) => account,
            Err(reason) => {
                outcome.skip(line, None, reason);
                continue;
            }
        };
        if !group.has_room(&account, bytes.len()) {
            group.send(&executor, &mut outcome).await?;
        }
        group.push(line, account, bytes.len());
    }
    group.send(&executor, &mut outcome).await?;
    let total = outcome.added + outcome.present + outcome.skipped.len() as u64;
    context.print(&outcome, || {
        format!(
            "{} accounts added, {} existed already, {} skipped",
            outcome.added,
            outcome.present,
            outcome.skipped.len()
        )
    })?;
    if outcome.skipped.is_empty() {
        return Ok(());
    }
    Err(CommandError::failure(format!(
        "{} of {total} accounts were skipped; each is named above with its reason",
        outcome.skipped.len()
    )))
}

/// Parses a line. The error never quotes the line, which may contain a hash.
fn parsed(bytes: &[u8]) -> Result<AddAccount, String> {
    let line: Line = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            "it isn't an account: name is required; subject, email, verified, password_hash, deactivated and claims are optional".to_owned()
        }
        _ => format!("it isn't JSON: column {}", error.column()),
    })?;
    let Line { name, subject, email, verified, password_hash, deactivated, claims } = line;
    let hash = password_hash.filter(|hash| !hash.is_empty());
    Ok(AddAccount {
        name,
        email: email.filter(|email| !email.is_empty()),
        verified,
        subject,
        password: hash.map(|hash| GivenPassword::Encoded(Secret::new(Zeroizing::new(hash)))),
        deactivated,
        claims: claims.filter(|claims| !claims.is_empty()).map(|claims| Value::Object(claims).to_string()),
    })
}

impl Group {
    fn has_room(&self, account: &AddAccount, bytes: usize) -> bool {
        let is_free = keys(account).iter().all(|key| !self.taken.contains(key));
        is_free && self.waiting.len() < GROUP && self.bytes + bytes <= GROUP_BYTES
    }

    fn push(&mut self, line: u64, account: AddAccount, bytes: usize) {
        self.taken.extend(keys(&account));
        self.bytes += bytes;
        self.waiting.push(Waiting { line, account });
    }

    async fn send(&mut self, executor: &Executor<'_>, outcome: &mut Outcome) -> Result<(), CommandError> {
        let Self { waiting, .. } = std::mem::take(self);
        let Some(first) = waiting.first() else { return Ok(()) };
        let from = first.line;
        let accounts: Vec<_> = waiting.iter().map(|waiting| waiting.account.clone()).collect();
        let reply = executor.ask(Request::AddAccounts { accounts }).await;
        let Reply::AddedAccounts(added) = reply.map_err(|error| {
            let message = format!("stopped at line {from}: {}", error.message);
            CommandError { message, ..error }
                .hint("give all lines again: existing accounts are left unchanged")
        })?
        else {
            return Err(unexpected());
        };
        for (Waiting { line, account }, added) in waiting.into_iter().zip(added) {
            match added {
                AddedShown::Added => outcome.added += 1,
                AddedShown::AddedBut(reason) => outcome.warn(line, account.name, reason),
                AddedShown::Present => outcome.present += 1,
                AddedShown::Refused(reason) => outcome.skip(line, Some(account.name), reason),
            }
        }
        Ok(())
    }
}

impl Outcome {
    fn skip(&mut self, line: u64, name: Option<String>, reason: String) {
        let named = name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        output::note(&format!("skipped line {line}{named}: {reason}"));
        self.skipped.push(LineNote { line, name, reason });
    }

    fn warn(&mut self, line: u64, name: String, reason: String) {
        self.added += 1;
        output::note(&format!("line {line} ({name}): {reason}"));
        self.warnings.push(LineNote { line, name: Some(name), reason });
    }
}

/// Returns the keys that no two accounts of a group may share.
fn keys(account: &AddAccount) -> Vec<(&'static str, String)> {
    let email = account.email.as_ref().map(|email| ("email", fold(email)));
    // A name must not be another account's subject, so both are of one kind.
    let subject = account.subject.as_ref().map(|subject| ("name", fold(subject)));
    [Some(("name", fold(&account.name))), email, subject].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_account_and_nothing_else() {
        let line =
            br#"{"name":"-d","subject":"17","email":"","verified":true,"password_hash":"","deactivated":true,"claims":{"role":"x"}}"#;
        let account = parsed(line).expect("an account");
        assert_eq!(
            (account.name.as_str(), account.email.as_deref(), account.password.is_some()),
            ("-d", None, false)
        );
        assert_eq!((account.deactivated, account.claims.as_deref()), (true, Some("{\"role\":\"x\"}")));
        for (wrong, says) in [
            ("{}", "isn't an account"),
            ("{\"name\":\"d\",\"hash\":\"secret\"}", "isn't an account"),
            ("name", "isn't JSON"),
        ] {
            let reason = parsed(wrong.as_bytes()).err().expect("it is refused");
            assert!(reason.contains(says) && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn accounts_that_conflict_go_into_separate_groups() {
        let account = |json: &str| parsed(json.as_bytes()).expect("an account");
        let mut group = Group::default();
        group.push(1, account(r#"{"name":"dana","subject":"17","email":"d@example.org"}"#), 50);
        for other in [
            r#"{"name":"DANA"}"#,
            r#"{"name":"17"}"#,
            r#"{"name":"kim","email":"D@example.org"}"#,
            r#"{"name":"kim","subject":"dana"}"#,
        ] {
            assert!(!group.has_room(&account(other), 50), "{other}");
        }
        assert!(group.has_room(&account(r#"{"name":"kim"}"#), GROUP_BYTES - 50));
        assert!(!group.has_room(&account(r#"{"name":"kim"}"#), GROUP_BYTES - 49));
        for n in 1..GROUP {
            assert!(group.has_room(&account(&format!("{{\"name\":\"user{n}\"}}")), 50));
            group.push(2, account(&format!("{{\"name\":\"user{n}\"}}")), 50);
        }
        assert!(!group.has_room(&account(r#"{"name":"kim"}"#), 50));
    }
}
