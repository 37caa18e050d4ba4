//! Faults of settings: the key, its location, the fault and the remedy. All faults are reported at once.

use std::fmt;
use std::path::PathBuf;

use crate::error::{CommandError, Exit, Finding};
use crate::output::clean;

/// The origin of a value, in the order in which faults are reported.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Origin {
    /// A line of the settings file.
    File {
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
    /// The key isn't set.
    Default,
}

/// A fault of a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SettingError {
    /// The key, such as `tokens.issuer`, and its value if it has one.
    pub(crate) subject: String,
    pub(crate) origin: Origin,
    /// The fault, worded to follow the subject.
    pub(crate) fault: String,
    pub(crate) remedy: String,
}

/// The fault of a value, and its remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ValueFault {
    /// The fault, worded to follow the key and its value.
    pub(crate) fault: String,
    pub(crate) remedy: String,
}

/// The proof that a fault was reported. A reader can return it instead of a value, so that no invalid setting
/// is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reported(());

/// All faults of the settings.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Faults {
    reported: Vec<SettingError>,
    /// The number of further faults, which aren't kept.
    more: usize,
}

/// The most faults to keep. More of them suggest that the wrong file was named.
const MOST: usize = 100;

impl ValueFault {
    pub(crate) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: fault.into(), remedy: remedy.into() }
    }
}

impl Faults {
    /// Reports a fault. Beyond the limit, it is only counted.
    pub(crate) fn report(&mut self, fault: impl FnOnce() -> SettingError) -> Reported {
        if self.reported.len() < MOST {
            self.reported.push(fault());
        } else {
            self.more += 1;
        }
        Reported(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reported.is_empty()
    }

    /// Sorts by origin: the file's lines, the environment, the flags.
    pub(crate) fn in_order(mut self) -> Self {
        self.reported.sort_by(|a, b| a.origin.cmp(&b.origin));
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
    /// A single fault becomes an ordinary error; several faults get a line each.
    fn from(faults: Faults) -> Self {
        let count = faults.reported.len() + faults.more;
        let findings: Vec<Finding> = faults
            .reported
            .into_iter()
            .map(|SettingError { subject, origin, fault, remedy }| Finding {
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

/// Truncates a name from untrusted input.
pub(crate) fn cut(text: &str) -> String {
    const SHOWN: usize = 100;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
