//! What ends a command: one sentence for the reader, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// The result of everything here that can fail.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    code: u8,
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// The failure, led by what was being done.
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 1 }
    }

    /// The command was called wrongly: exit code 2.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 2 }
    }

    /// A failure with the exit code of the program that failed; 1 for a code that can't be handed on.
    pub(crate) fn with_code(sentence: impl Into<String>, code: Option<i32>) -> Self {
        let code = code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1);
        Self { sentence: sentence.into(), code }
    }

    /// The same failure without its sentence: who failed has told it already.
    pub(crate) fn told(self) -> Self {
        Self { sentence: String::new(), code: self.code }
    }

    /// Whether there is nothing left to say.
    pub(crate) fn is_told(&self) -> bool {
        self.sentence.is_empty()
    }

    /// The code that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// The same failure, led by more words.
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
