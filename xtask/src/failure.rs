//! The failure of a command: a message for the reader, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// The result of every fallible function in xtask.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The reason why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    code: u8,
}

/// Adds the failed operation to an error.
pub(crate) trait Context<T> {
    /// Converts the error into a failure whose message begins with the failed operation.
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl Failure {
    /// Creates a failure with exit code 1.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 1 }
    }

    /// Creates a failure for wrong usage, with exit code 2.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 2 }
    }

    /// Creates a failure with the exit code of the failed program, or 1 if that code can't be passed on.
    pub(crate) fn with_code(sentence: impl Into<String>, code: Option<i32>) -> Self {
        let code = code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1);
        Self { sentence: sentence.into(), code }
    }

    /// Removes the message, because the failed program has already printed it.
    pub(crate) fn without_message(self) -> Self {
        Self { sentence: String::new(), code: self.code }
    }

    /// Returns whether the message has already been printed.
    pub(crate) fn is_printed(&self) -> bool {
        self.sentence.is_empty()
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Puts more words in front of the message.
    pub(crate) fn led_by(self, lead: impl fmt::Display) -> Self {
        Self { sentence: format!("{lead}: {}", self.sentence), code: self.code }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::new(format!("{doing}: {error}")))
    }
}
