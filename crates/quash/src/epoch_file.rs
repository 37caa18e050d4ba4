//! The file `epoch` next to the database: the newest sequence number of the log. It reveals, when the
//! database is opened, that the database was replaced by an older copy of itself. `quash-service` handles
//! that case.
//!
//! The number is written after its entry is durable, never before, so a crash can't leave a number that is
//! too high. It is written at each opening, at shutdown, and between them at most once a second. An older
//! copy therefore goes unnoticed only if it lacks no more than the entries of the last second before a crash.

use quash_core::model::{Epoch, Seq};

use crate::noted_file::{Noted, NotedFile, Recorder};

pub(crate) type EpochFile = NotedFile<Seq>;
pub(crate) type EpochRecorder = Recorder<Seq>;

impl Noted for Seq {
    const NAME: &'static str = "epoch";
    const BYTES: u64 = 32;
    const FAULT: &'static str = "does not hold a sequence number of the log";
    const HINT: &'static str = "put the file back; if that can't be done, remove it: then an older copy of the database goes unnoticed this once";
    const WRITE_FAILED: &'static str =
        "failed to write the newest sequence number; trying again with the next entry";
    type Announced = Self;

    fn announced(announced: &Self) -> Option<Self> {
        Some(*announced)
    }

    fn replaces(&self, written: &Self) -> bool {
        self > written
    }

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self::from_u64).filter(|seq| Epoch::of(*seq).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tokio::sync::watch;

    use super::*;

    fn seq(n: u64) -> Seq {
        Seq::from_u64(Seq::start_of(3).as_u64() + n)
    }

    #[test]
    fn written_numbers_are_read_back_and_private() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(dir.path());
        assert_eq!(file.read().expect("no fault"), None);
        for n in [1, 7] {
            file.write(&seq(n)).expect("it is ours");
            assert_eq!(file.read().expect("no fault"), Some(seq(n)));
        }
        let path = dir.path().join("epoch");
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2770)).expect("it is ours");
        file.write(&seq(8)).expect("it is ours");
        let mode = fs::metadata(dir.path().join("epoch")).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o660, "another member of the group can read it");
    }

    #[test]
    fn files_without_a_number_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(dir.path());
        let beyond = (1_u64 << 53).to_string();
        for text in ["", "1 2", "-1", "one", "99999999999999999999", "18446744073709551615", beyond.as_str()]
        {
            fs::write(dir.path().join("epoch"), text).expect("it is ours");
            assert!(file.read().expect_err("no number of a log").hint.is_some(), "{text:?}");
        }
    }

    #[test]
    fn only_newer_numbers_are_written() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(dir.path());
        let newest = watch::Sender::new(seq(2));
        let recorder = EpochRecorder::new(file.clone(), Some(seq(2)), newest.subscribe());
        recorder.record();
        assert_eq!(file.read().expect("no fault"), None, "the number counts as written already");
        newest.send_replace(seq(5));
        recorder.record();
        assert_eq!(file.read().expect("no fault"), Some(seq(5)));
    }
}
