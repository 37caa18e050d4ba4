//! This process as its issuer knows it: a random id, and a label for operators.

use std::fmt;

use quash_core::hex;
use quash_core::model::ProcessLabel;

/// The id of a verifier's process, and where it runs.
pub(crate) struct Process {
    id: String,
    label: ProcessLabel,
}

impl Process {
    /// Describes this process, with an id chosen at random.
    pub(crate) fn new(id: [u8; 16]) -> Self {
        Self::on(&host(), std::process::id(), id)
    }

    fn on(host: &str, pid: u32, id: [u8; 16]) -> Self {
        Self { id: hex::encode(&id), label: ProcessLabel::of(host, pid) }
    }

    /// The random id, in hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Process {
    /// Formats as parameters of a query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instance={}", self.id)?;
        if let Some(host) = self.label.host() {
            write!(f, "&host={host}")?;
        }
        if let Some(pid) = self.label.pid() {
            write!(f, "&pid={pid}")?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cleaned_and_fit() {
        let said = |host: &str, pid| Process::on(host, pid, [0xA5; 16]).to_string();
        let id = "instance=a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";
        assert_eq!(said("web-1.example_a", 12), format!("{id}&host=web-1.example_a&pid=12"));
        assert_eq!(said("a&b=c \u{e9}", 1), format!("{id}&host=a-b-c--&pid=1"));
        assert_eq!(said("", 1), format!("{id}&pid=1"));
        let (long, most) = ("a".repeat(100), "a".repeat(54));
        assert_eq!(said(&long, u32::MAX), format!("{id}&host={most}&pid=4294967295"));
    }
}
