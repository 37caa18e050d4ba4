//! A wall clock that a test moves, with libfaketime. Uptimes aren't faked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::quash;

/// The offset of an unchanged clock, in libfaketime's format.
pub(crate) const NOW: &str = "+0";

/// A clock that is off by the offset in a file.
pub(crate) struct FakeClock {
    library: PathBuf,
    dir: tempfile::TempDir,
}

impl FakeClock {
    /// Prints a note and returns `None` if libfaketime is missing.
    #[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
    pub(crate) fn right() -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let library =
            folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
        let Some(library) = library else {
            eprintln!("skipped: this test needs libfaketime");
            return None;
        };
        let clock = Self { library, dir: tempfile::tempdir().expect("a temporary directory") };
        clock.set(NOW);
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Sets the offset, such as `+1.5s`.
    pub(crate) fn set(&self, offset: &str) {
        // The rename keeps libfaketime from reading a partial file.
        let new = self.dir.path().join("new");
        fs::write(&new, offset).expect("it is ours");
        fs::rename(new, self.file()).expect("it is ours");
    }

    /// A command for the binary under test, with this clock.
    pub(crate) fn command(&self) -> Command {
        let mut command = quash();
        let preload: &Path = &self.library;
        command.env("LD_PRELOAD", preload).env("FAKETIME_TIMESTAMP_FILE", self.file());
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }
}
