//! Secrets among the settings: kept out of every output, and read from files that only their owner and group may read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::fault::Wrong;

/// A secret that a setting holds. It is wiped from memory, and never printed.
#[derive(Clone)]
pub(crate) struct SecretText(Zeroizing<String>);

/// What is printed in place of a secret; neither its length nor a hash of it.
pub(super) const HIDDEN: &str = "(secret)";
/// The longest secret, in bytes, with its line end.
const BYTES: usize = 64 * 1024;

impl SecretText {
    /// Hides a text.
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for whoever must use it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it can be a secret.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        match self.0.as_str() {
            "" => Err(Wrong::new("is empty", "write a text, or leave the key out")),
            // Somebody has taken the output of `config show` for a settings file.
            HIDDEN => Err(Wrong::new("is what stands for a secret, and not one", "write the secret itself")),
            text if text.len() > BYTES => Err(Wrong::new("is longer than 64 KiB", "write a shorter one")),
            _ => Ok(()),
        }
    }

    /// The secret in a file, without a byte order mark before it and one line end after it.
    ///
    /// # Errors
    /// Others may read the file, or it holds no secret.
    pub(crate) fn read(path: &Path) -> Result<Self, Wrong> {
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let mode = file.metadata().map_err(|error| unreadable(&error))?.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 {
            let remedy = format!(
                "chmod {:03o} {}; and if others may have read it, take another secret",
                mode & 0o770,
                path.display()
            );
            return Err(Wrong::new(format!("is a file that other users may use (mode {mode:04o})"), remedy));
        }
        let text = text_of(file)?;
        Ok(Self(text))
    }
}

/// Text without the byte order mark that editors on Windows write before it. The mark is never part of a secret.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// The text of a file, without a byte order mark before it and one line end after it.
///
/// # Errors
/// It can't be read, or holds none.
pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, Wrong> {
    text_of(File::open(path).map_err(|error| unreadable(&error))?)
}

fn text_of(file: File) -> Result<Zeroizing<String>, Wrong> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() > BYTES {
        return Err(Wrong::new(
            "is a file longer than 64 KiB",
            "name a file that holds the key and nothing else",
        ));
    }
    let text = str::from_utf8(without_mark(&bytes))
        .map_err(|_| Wrong::new("is a file that isn't UTF-8", "write the key as UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(Wrong::new("is a file with nothing in it", "write the key into it"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn unreadable(error: &io::Error) -> Wrong {
    Wrong::new(format!("can't be read: {error}"), "name a file that quash may read")
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}
