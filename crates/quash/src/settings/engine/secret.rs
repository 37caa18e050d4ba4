//! Secret settings: never printed, and read only from files that other users can't access.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::fault::ValueFault;

/// A secret setting. It is wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub(crate) struct SecretText(Zeroizing<String>);

/// The placeholder for a secret; it reveals neither its length nor a hash.
pub(crate) const HIDDEN: &str = "(secret)";
/// The longest secret with its line end, in bytes.
const BYTES: usize = 64 * 1024;

impl SecretText {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Checks that the text can be a secret.
    ///
    /// # Errors
    /// It is empty, too long, or the placeholder.
    pub(crate) fn check(&self) -> Result<(), ValueFault> {
        match self.0.as_str() {
            "" => Err(ValueFault::new("is empty", "write a text, or leave the key out")),
            // The output of `config show` was used as a settings file.
            HIDDEN => Err(ValueFault::new("is the placeholder for a secret", "write the secret itself")),
            text if text.len() > BYTES => {
                Err(ValueFault::new("is longer than 64 KiB", "write a shorter one"))
            }
            _ => Ok(()),
        }
    }

    /// Reads a secret from a file, without a byte order mark before it and one line end after it.
    ///
    /// # Errors
    /// Other users have access to the file, or it holds no secret.
    pub(crate) fn read(path: &Path) -> Result<Self, ValueFault> {
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let mode = file.metadata().map_err(|error| unreadable(&error))?.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 {
            let remedy = format!(
                "chmod {:03o} {}; if another user may have read it, replace the secret",
                mode & 0o770,
                path.display()
            );
            return Err(ValueFault::new(
                format!("is a file that other users can access (mode {mode:04o})"),
                remedy,
            ));
        }
        let text = text_of(file)?;
        Ok(Self(text))
    }
}

/// Strips the byte order mark that editors on Windows write. The mark is never part of a secret.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// Reads the text of a file, without a byte order mark before it and one line end after it.
///
/// # Errors
/// The file can't be read, or is empty.
pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, ValueFault> {
    text_of(File::open(path).map_err(|error| unreadable(&error))?)
}

fn text_of(file: File) -> Result<Zeroizing<String>, ValueFault> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() > BYTES {
        return Err(ValueFault::new(
            "is a file longer than 64 KiB",
            "name a file that holds the key and nothing else",
        ));
    }
    let text = str::from_utf8(without_mark(&bytes))
        .map_err(|_| ValueFault::new("is a file that isn't UTF-8", "write the key as UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(ValueFault::new("is an empty file", "write the value of the setting into it"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn unreadable(error: &io::Error) -> ValueFault {
    ValueFault::new(format!("can't be read: {error}"), "name a file that quash may read")
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}
