//! The file `epoch` next to the database: the newest sequence number of the log. It reveals, when the
//! database is opened, that the database was replaced by an older copy of itself. `quash-service` handles
//! that case.
//!
//! The number is written after its entry is durable, never before, so a crash can't leave a number that is
//! too high. It is written at each opening, at shutdown, and between them at most once a second. An older
//! copy therefore goes unnoticed only if it lacks no more than the entries of the last second before a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Epoch, Seq};
use tokio::sync::watch;

use crate::error::CommandError;

const NAME: &str = "epoch";
/// Longer than any number.
const BYTES: u64 = 32;
/// The shortest time between two writes.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct EpochFile {
    path: PathBuf,
}

/// Keeps the file up to date.
#[derive(Clone, Debug)]
pub(crate) struct EpochRecorder {
    file: EpochFile,
    newest: watch::Receiver<Seq>,
    /// The number in the file. Locked while it is written.
    written: Arc<Mutex<Option<Seq>>>,
}

impl EpochFile {
    /// The file of a data directory.
    pub(crate) fn in_directory(data_dir: &Path) -> Self {
        Self { path: data_dir.join(NAME) }
    }

    /// Returns the newest number that was written; `None`: no number was written yet.
    ///
    /// # Errors
    /// The file can't be read, or doesn't hold a sequence number.
    pub(crate) fn read(&self) -> Result<Option<Seq>, CommandError> {
        let shown = self.path.display();
        let mut text = String::new();
        match File::open(&self.path).and_then(|file| file.take(BYTES).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CommandError::failure(format!("{shown} cannot be read: {error}"))),
        }
        let seq = text.trim().parse().ok().map(Seq::from_u64).filter(|seq| Epoch::of(*seq).is_some());
        seq.map(Some).ok_or_else(|| {
            CommandError::failure(format!("{shown} does not hold a sequence number of the log"))
                .hint("put the file back; if that can't be done, remove it: then an older copy of the database goes unnoticed this once")
        })
    }

    /// Writes a number. It is durable once this returns; a crash leaves the previous number.
    ///
    /// # Errors
    /// Writing to the disk fails.
    pub(crate) fn write(&self, seq: Seq) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        writeln!(file, "{seq}")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl EpochRecorder {
    /// Keeps `file`, which holds `written`, up to date with the log's durable end in `newest`.
    pub(crate) fn new(file: EpochFile, written: Option<Seq>, newest: watch::Receiver<Seq>) -> Self {
        Self { file, newest, written: Arc::new(Mutex::new(written)) }
    }

    /// Brings the file up to date. A failed write is tried again with the next entry.
    pub(crate) fn note(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = *self.newest.borrow();
        if *written >= Some(newest) {
            return;
        }
        match self.file.write(newest) {
            Ok(()) => *written = Some(newest),
            Err(error) => {
                tracing::warn!(%error, path = %self.file.path.display(), "failed to write the newest sequence number; trying again with the next entry")
            }
        }
    }

    /// Keeps the file up to date for as long as the store is open.
    pub(crate) async fn follow(mut self) {
        while self.newest.changed().await.is_ok() {
            let notes = self.clone();
            // A write that has begun is finished even if the server ends meanwhile.
            let _ = tokio::task::spawn_blocking(move || notes.note()).await;
            tokio::time::sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(n: u64) -> Seq {
        Seq::from_u64(Seq::start_of(3).as_u64() + n)
    }

    #[test]
    fn written_numbers_are_read_back_and_private() {
        let room = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(room.path());
        assert_eq!(file.read().expect("no fault"), None);
        for n in [1, 7] {
            file.write(seq(n)).expect("it is ours");
            assert_eq!(file.read().expect("no fault"), Some(seq(n)));
        }
        let path = room.path().join("epoch");
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(room.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn files_without_a_number_are_refused() {
        let room = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(room.path());
        let beyond = (1_u64 << 53).to_string();
        for text in ["", "1 2", "-1", "one", "99999999999999999999", "18446744073709551615", beyond.as_str()]
        {
            fs::write(room.path().join("epoch"), text).expect("it is ours");
            assert!(file.read().expect_err("no number of a log").hint.is_some(), "{text:?}");
        }
    }

    #[test]
    fn only_newer_numbers_are_written() {
        let room = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(room.path());
        let newest = watch::Sender::new(seq(2));
        let notes = EpochRecorder::new(file.clone(), Some(seq(2)), newest.subscribe());
        notes.note();
        assert_eq!(file.read().expect("no fault"), None, "the number counts as written already");
        newest.send_replace(seq(5));
        notes.note();
        assert_eq!(file.read().expect("no fault"), Some(seq(5)));
    }
}
