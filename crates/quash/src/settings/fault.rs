//! What is wrong with a setting: which key, where it stands, the fault, the remedy. All faults are told at once.

use std::fmt;
use std::path::PathBuf;

use crate::error::{CommandError, Exit, Finding};
use crate::output::clean;

/// Where a value comes from, in the order in which faults are told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
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

/// What is wrong with a value, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wrong {
    /// To be read after the key and its value.
    pub(crate) fault: String,
    pub(crate) remedy: String,
}

/// Shows that a fault has been told. Whoever has nothing else to give back can't go on with a wrong setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told(());

/// All that is wrong with the settings.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Faults {
    told: Vec<Fault>,
    /// How many there were beyond those.
    more: usize,
}

/// Whoever has more faults than this has named the wrong file.
const MOST: usize = 100;

impl Wrong {
    pub(super) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: fault.into(), remedy: remedy.into() }
    }
}

impl Faults {
    /// Keeps a fault. It isn't even made where there are too many.
    pub(super) fn tell(&mut self, fault: impl FnOnce() -> Fault) -> Told {
        if self.told.len() < MOST {
            self.told.push(fault());
        } else {
            self.more += 1;
        }
        Told(())
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// By where they stand: the file's lines, the environment, the flags.
    pub(super) fn in_order(mut self) -> Self {
        self.told.sort_by(|a, b| a.origin.cmp(&b.origin));
        self
    }
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

impl From<Faults> for CommandError {
    /// One fault is told like any other error; of several each gets a line.
    fn from(faults: Faults) -> Self {
        let count = faults.told.len() + faults.more;
        let findings: Vec<Finding> = faults
            .told
            .into_iter()
            .map(|Fault { subject, origin, fault, remedy }| Finding {
                message: clean(&format!("{subject} {fault}")),
                place: clean(&origin.to_string()),
                hint: clean(&remedy),
            })
            .collect();
        let error = match &findings[..] {
            [only] => {
                Self::new(Exit::Usage, format!("{} ({})", only.message, only.place)).hint(only.hint.clone())
            }
            [..] if faults.more == 0 => Self::new(Exit::Usage, format!("the settings have {count} faults")),
            [..] => Self::new(
                Exit::Usage,
                format!("the settings have {count} faults; these are the first {MOST}"),
            ),
        };
        error.findings(findings)
    }
}

/// A name that others have chosen, cut where it is long.
pub(super) fn cut(text: &str) -> String {
    const SHOWN: usize = 100;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
