//! An operator's note on their own action.

use super::limits;

/// An operator's note on their own action. It is personal data: it can be blanked in the audit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// The operator's name, as the operating system knows it.
    pub author: Option<String>,
    /// The operator's reason.
    pub text: Option<String>,
}

/// The error for a text that can't be an operator's reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteFault {
    #[error("is empty")]
    Empty,
    #[error("is longer than {} characters", limits::NOTE_CHARS)]
    TooLong,
    #[error("contains a control character")]
    Control,
}

impl Note {
    /// Checks a reason, and returns it without white space at its ends.
    ///
    /// # Errors
    /// It is empty, too long, or has more than one line.
    pub fn checked(text: &str) -> Result<String, NoteFault> {
        match text.trim() {
            "" => Err(NoteFault::Empty),
            text if text.chars().count() > limits::NOTE_CHARS => Err(NoteFault::TooLong),
            text if text.chars().any(char::is_control) => Err(NoteFault::Control),
            text => Ok(text.to_owned()),
        }
    }
}
