//! What is wrong with a setting: which key, where it stands, the fault, the remedy.

use std::fmt;
use std::path::PathBuf;

use crate::error::{CommandError, Exit};
use crate::output::clean;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// A line of the settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
    /// Nobody has set it.
    Default,
}

/// What is wrong with a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// The key, such as `tokens.issuer`, and its value where it has one.
    pub(crate) subject: String,
    /// Where it stands.
    pub(crate) origin: Origin,
    /// What is wrong, to be read after the subject.
    pub(crate) fault: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        let Fault { subject, origin, fault, remedy } = fault;
        Self::new(Exit::Usage, clean(&format!("{subject} {fault} ({origin})"))).hint(clean(&remedy))
    }
}
