//! The errors of request bodies. `error/body_error.rs` converts them into answers.

use std::fmt;

use crate::net::memory::Full;
use crate::request::charset::NotText;

/// An error in a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BodyError {
    /// The body is larger than this number of bytes.
    TooLarge(usize),
    Timeout,
    NoMemory,
    Incomplete,
    MediaType(String),
    Json(String),
    /// The JSON isn't what the path expects.
    Members {
        line: usize,
        column: usize,
        /// The names of the required members.
        needed: &'static str,
    },
    Multipart,
    /// The body isn't text in the charset that it declares.
    Charset(NotText),
    NotAnObject(&'static str),
    Nothing,
    Fields(Vec<(String, FieldError)>),
    /// Fields that don't exist here, by their names, shortened.
    Unknown(Vec<String>),
    /// A form parameter that occurs twice.
    Duplicated(&'static str),
}

/// An error in a field, in the words of Django REST framework.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldError {
    Required,
    Null,
    Blank,
    NotText,
    NulCharacter,
    Surrogate(u16),
    /// The maximum length, in characters.
    TooLong(usize),
}

impl From<NotText> for BodyError {
    fn from(fault: NotText) -> Self {
        Self::Charset(fault)
    }
}

impl From<Full> for BodyError {
    fn from(Full: Full) -> Self {
        Self::NoMemory
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("This field is required."),
            Self::Null => f.write_str("This field may not be null."),
            Self::Blank => f.write_str("This field may not be blank."),
            Self::NotText => f.write_str("Not a valid string."),
            Self::NulCharacter => f.write_str("Null characters are not allowed."),
            Self::Surrogate(unit) => write!(f, "Surrogate characters are not allowed: U+{unit:04X}."),
            Self::TooLong(longest) => write!(f, "Ensure this field has no more than {longest} characters."),
        }
    }
}
