//! The error of a command: a message, an optional hint, and an exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The exit status of the process. `quash --help` documents the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Something went wrong.
    Failure,
    /// The command or a setting is wrong.
    Usage,
    /// Another process uses the data directory or the address.
    InUse,
    /// The requested object doesn't exist.
    NotFound,
    /// The requested name is taken, or the requested change was made already.
    Conflict,
    /// A token was verified and is refused, or the audit isn't what was sealed.
    Refused,
    /// The command succeeded, but not every verifier has confirmed it.
    NotConfirmed,
    /// `doctor` has warnings, and no problems.
    Warnings,
    /// `doctor` has found problems.
    Problems,
    /// The command can't be executed now, but may succeed later.
    Unavailable,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CommandError {
    /// The fault, in one sentence.
    pub(crate) message: String,
    /// The remedy.
    pub(crate) hint: Option<String>,
    pub(crate) exit: Exit,
    /// All faults, for commands that can find several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// One of several faults.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// The location of the fault, such as a file and line.
    pub(crate) place: String,
    /// The fault, in one sentence.
    pub(crate) message: String,
    /// The remedy.
    pub(crate) hint: String,
}

impl Exit {
    /// Returns the exit code of the process.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::InUse => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::Refused => 6,
            Self::NotConfirmed => 7,
            Self::Warnings => 8,
            Self::Problems => 9,
            Self::Unavailable => 75,
        }
    }
}

impl CommandError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit, findings: Vec::new() }
    }

    /// Creates an error with [`Exit::Failure`].
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

/// Formats an error with its causes: the outermost one alone only says that the request failed.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
