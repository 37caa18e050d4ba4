//! Output of commands: tables and pairs for people, JSON for programs. Results go to stdout, everything else
//! to stderr. A result that can't be written fails the command. Untrusted text can't control the terminal.

use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use crate::error::{CommandError, Finding};

/// The longest that a server waits until a stream takes its output.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// The format of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one JSON value.
    Json,
}

/// The state of the reader of the results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// The result was written.
    Reading,
    /// The reader closed the pipe, as in `quash ... | head -1`: further output is useless.
    Gone,
}

/// Prints a result: `value` for programs, `text` for people.
///
/// # Errors
/// Standard output can't be written. A closed pipe is no error.
pub(crate) fn result(
    form: OutputFormat,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<Reader, CommandError> {
    match form {
        OutputFormat::Text => line(&text()),
        OutputFormat::Json => {
            line(&serde_json::to_string(value).map_err(|error| CommandError::failure(error.to_string()))?)
        }
    }
}

/// Prints a line of the result and flushes it.
///
/// # Errors
/// As with [`result`].
pub(crate) fn line(text: &str) -> Result<Reader, CommandError> {
    written(write_to(io::stdout().lock(), text))
}

/// Prints clap's own output: help and version as results, everything else as errors.
///
/// # Errors
/// As with [`result`].
pub(crate) fn of_clap(answer: &clap::Error) -> Result<Reader, CommandError> {
    let printed = answer.print().and_then(|()| io::stdout().flush());
    if answer.use_stderr() { Ok(Reader::Reading) } else { written(printed) }
}

/// Prints a note to stderr. A write error is ignored: no other stream is left to report it.
pub(crate) fn note(text: &str) {
    let _ = write_to(io::stderr().lock(), &clean(text));
}

/// Prints the error that ended the command.
pub(crate) fn error(form: OutputFormat, error: &CommandError) {
    let text = match form {
        OutputFormat::Json => {
            let mut told = serde_json::json!({
                "message": error.message, "hint": error.hint, "kind": error.exit, "exit_code": error.exit.code()
            });
            if !error.findings.is_empty() {
                told["findings"] = serde_json::json!(error.findings);
            }
            serde_json::json!({ "error": told }).to_string()
        }
        OutputFormat::Text => {
            let hint =
                error.hint.as_deref().map(|hint| format!("\n hint: {}", clean(hint))).unwrap_or_default();
            // A single finding is the message itself.
            let findings = error.findings.iter().filter(|_| error.findings.len() > 1);
            let lines = findings
                .map(|Finding { place, message, hint }| clean(&format!("{place}: {message}; {hint}")));
            let lines: String = lines.map(|line| format!("\n {line}")).collect();
            format!("error: {}{hint}{lines}", clean(&error.message))
        }
    };
    let _ = write_to(io::stderr().lock(), &text);
}

/// Writes in a thread of its own, for a server: a stream without a reader must not block it. Returns `None`
/// if the stream takes longer than a second.
pub(crate) fn without_waiting<T: Send + 'static>(write: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, written) = mpsc::channel();
    let writer = std::thread::Builder::new().name("quash-output".into()).spawn(move || done.send(write()));
    writer.ok().and_then(|_| written.recv_timeout(WRITTEN_WITHIN).ok())
}

/// Formats a table without lines, its head row in capitals. On a terminal, it is no wider than the terminal.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    // A file or a pipe has no width.
    let columns = tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0);
    table_within(columns, head, rows)
}

/// Formats a table of at most `columns` columns: long cells take several lines, ids are never wrapped.
fn table_within<const N: usize>(
    columns: Option<u16>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    const WHOLE: [&str; 4] = ["sid", "subject", "kid", "id"];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(columns) = columns {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    table.set_header(head.map(str::to_uppercase));
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    for (at, _) in head.iter().enumerate().filter(|(_, name)| columns.is_some() && WHOLE.contains(name)) {
        if let Some(column) = table.column_mut(at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let indented = table.trim_fmt();
    indented
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Formats names and values, one pair a line, with aligned values.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (clean(name), clean(value))).collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    pairs
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Escapes characters that move the cursor, change a colour or reverse the writing direction.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|c| if is_control(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// Returns whether a character moves the cursor, changes a colour or reverses the writing direction.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn write_to(mut stream: impl Write, text: &str) -> io::Result<()> {
    writeln!(stream, "{text}").and_then(|()| stream.flush())
}

fn written(outcome: io::Result<()>) -> Result<Reader, CommandError> {
    match outcome {
        Ok(()) => Ok(Reader::Reading),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CommandError::failure(format!("standard output can't be written: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(clean("a\u{1b}[31mb\r\n\u{202e}c"), "a\\u{1b}[31mb\\r\\n\\u{202e}c");
        assert_eq!(clean("Zoë ✓"), "Zoë ✓");
        assert_eq!(pairs(&[("a", "1".into()), ("long", "\u{7}".into())]), "a     1\nlong  \\u{7}");
        assert_eq!(pairs(&[("a\n\u{1b}", "1".into())]), "a\\n\\u{1b}  1");
    }

    #[test]
    fn closed_pipes_succeed_and_full_disks_fail() {
        assert_eq!(written(Ok(())), Ok(Reader::Reading));
        assert_eq!(written(Err(io::ErrorKind::BrokenPipe.into())), Ok(Reader::Gone));
        let full = written(Err(io::ErrorKind::StorageFull.into())).expect_err("the output is lost");
        assert_eq!((full.exit.code(), full.message.contains("standard output")), (1, true));
    }

    #[test]
    fn tables_fit_the_terminal_without_wrapping_ids() {
        let id = "01a20af0-6b5c-7a69-b6b4-905ed54a13a4";
        let row = || {
            std::iter::once([
                "dana".to_owned(),
                id.to_owned(),
                "a cell that is much too long for one line ".repeat(3),
            ])
        };
        let table = table_within(Some(80), ["name", "subject", "details"], row());
        assert!(table.lines().all(|line| line.chars().count() <= 80) && table.contains(id), "{table}");
        assert!(table.lines().count() > 2, "{table}");
        assert_eq!(
            table_within(None, ["name", "subject", "details"], row()).lines().count(),
            2,
            "a pipe has no width"
        );
    }

    #[test]
    fn tables_are_aligned_without_borders() {
        let rows = [["dana", "active"], ["eve\n", "locked"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["name", "state"], rows.into_iter()), "NAME   STATE\ndana   active\neve\\n  locked");
    }
}
