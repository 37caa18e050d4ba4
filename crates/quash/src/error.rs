//! Why a command ends without success: one message, a hint where one helps, an exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the process ends. The numbers are documented in `quash --help`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Something went wrong.
    Failure,
    /// The command or a setting is wrong.
    Usage,
    /// Another process has the data directory or the address.
    InUse,
    /// What was asked for isn't there.
    NotFound,
    /// What was asked for is taken, or has happened already.
    Conflict,
    /// A token was judged, and is refused.
    Refused,
    /// It is done, and not every verifier has confirmed it.
    NotConfirmed,
    /// It can't be done now; it may be done later.
    Unavailable,
}

/// Why a command ends without success.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CommandError {
    /// What is wrong, in one sentence.
    pub(crate) message: String,
    /// What helps.
    pub(crate) hint: Option<String>,
    /// How the process ends.
    pub(crate) exit: Exit,
    /// All that was found wrong, where that may be more than one thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// One of the things that are wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Where it stands.
    pub(crate) place: String,
    /// What is wrong, in one sentence.
    pub(crate) message: String,
    /// What helps.
    pub(crate) hint: String,
}

impl Exit {
    /// The number that the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::InUse => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::Refused => 6,
            Self::NotConfirmed => 7,
            Self::Unavailable => 75,
        }
    }
}

impl CommandError {
    /// An error that ends the process in this way.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit, findings: Vec::new() }
    }

    /// Something went wrong.
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// Adds what helps.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what was found wrong.
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
