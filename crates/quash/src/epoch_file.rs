//! The file `epoch` in the data directory: the newest sequence number of the log. It reveals, when the
//! database is opened, that the database was replaced by an older copy of itself. `quash-service` handles
//! that case. With PostgreSQL, the hash over the log up to there follows: another process may have appended to the
//! older copy since.
//!
//! The number is written after its entry is durable, never before, so a crash can't leave a number that is
//! too high. It is written at each opening, at shutdown, and between them at most once a second. An older
//! copy therefore goes unnoticed only if it lacks no more than the entries of the last second before a crash.

use quash_core::hex;
use quash_core::model::{Epoch, NotedEnd, Seq};
use tokio::sync::watch;

use crate::noted_file::{Announces, Noted, NotedFile, Recorder};

pub(crate) type EpochFile = NotedFile<NotedEnd>;

/// Keeps the file up to date.
#[derive(Clone, Debug)]
pub(crate) enum EpochRecorder {
    /// With the number.
    Number(Recorder<Seq>),
    /// With the number and the hash.
    End(Recorder<NotedEnd>),
}

/// The end of the log, as the store announces it.
#[derive(Debug)]
pub(crate) enum AnnouncedEnd {
    Number(watch::Receiver<Seq>),
    End(watch::Receiver<NotedEnd>),
}

impl EpochRecorder {
    /// Keeps `file`, which holds `written`, up to date.
    pub(crate) fn new(file: EpochFile, written: Option<NotedEnd>, newest: AnnouncedEnd) -> Self {
        match newest {
            AnnouncedEnd::Number(newest) => Self::Number(Recorder::new(file, written, newest)),
            AnnouncedEnd::End(newest) => Self::End(Recorder::new(file, written, newest)),
        }
    }

    pub(crate) fn record(&self) {
        match self {
            Self::Number(recorder) => recorder.record(),
            Self::End(recorder) => recorder.record(),
        }
    }

    /// Keeps the file up to date for as long as ends are announced.
    pub(crate) async fn follow(self) {
        match self {
            Self::Number(recorder) => recorder.follow().await,
            Self::End(recorder) => recorder.follow().await,
        }
    }
}

impl Noted for NotedEnd {
    const NAME: &'static str = "epoch";
    const BYTES: u64 = 128;
    const FAULT: &'static str = "does not hold a sequence number of the log";
    const HINT: &'static str = "put the file back; if that can't be done, remove it: then an older copy of the database goes unnoticed this once";
    const WRITE_FAILED: &'static str =
        "failed to write the newest sequence number; trying again with the next entry";

    fn replaces(&self, written: &Self) -> bool {
        self.seq > written.seq || (self.seq == written.seq && written.chain.is_none() && self.chain.is_some())
    }

    fn to_text(&self) -> String {
        let chain = self.chain.map(|chain| format!(" {}", hex::encode(&chain)));
        format!("{}{}", self.seq, chain.unwrap_or_default())
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, chain) = text.split_once(' ').map_or((text, None), |(seq, chain)| (seq, Some(chain)));
        let seq = number.parse().ok().map(Seq::from_u64).filter(|seq| Epoch::of(*seq).is_some())?;
        let chain = match chain {
            Some(chain) => Some(hex::decode(chain)?),
            None => None,
        };
        Some(Self { seq, chain })
    }
}

impl Announces for Seq {
    type Value = NotedEnd;

    fn value(&self) -> Option<NotedEnd> {
        Some((*self).into())
    }
}

impl Announces for NotedEnd {
    type Value = Self;

    fn value(&self) -> Option<Self> {
        Some(*self).filter(|end| end.seq > Seq::ZERO)
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
        for end in [seq(1).into(), NotedEnd { seq: seq(7), chain: Some([0xAB; 32]) }] {
            file.write(&end).expect("it is ours");
            assert_eq!(file.read().expect("no fault"), Some(end));
        }
        let path = dir.path().join("epoch");
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2770)).expect("it is ours");
        file.write(&seq(8).into()).expect("it is ours");
        let mode = fs::metadata(dir.path().join("epoch")).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o660, "another member of the group can read it");
    }

    #[test]
    fn files_without_a_number_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(dir.path());
        let beyond = (1_u64 << 53).to_string();
        for text in [
            "",
            "1 2",
            "1 abcd",
            "-1",
            "one",
            "99999999999999999999",
            "18446744073709551615",
            beyond.as_str(),
        ] {
            fs::write(dir.path().join("epoch"), text).expect("it is ours");
            assert!(file.read().expect_err("no number of a log").hint.is_some(), "{text:?}");
        }
    }

    #[test]
    fn only_newer_numbers_are_written() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(dir.path());
        let newest = watch::Sender::new(seq(2));
        let announced = AnnouncedEnd::Number(newest.subscribe());
        let recorder = EpochRecorder::new(file.clone(), Some(seq(2).into()), announced);
        recorder.record();
        assert_eq!(file.read().expect("no fault"), None, "the number counts as written already");
        newest.send_replace(seq(5));
        recorder.record();
        assert_eq!(file.read().expect("no fault"), Some(seq(5).into()));
    }

    #[test]
    fn a_hash_is_added_to_a_number() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = EpochFile::in_directory(dir.path());
        let newest = watch::Sender::new(Seq::ZERO.into());
        let recorder =
            EpochRecorder::new(file.clone(), Some(seq(5).into()), AnnouncedEnd::End(newest.subscribe()));
        recorder.record();
        assert_eq!(file.read().expect("no fault"), None, "nothing was seen yet");
        let seen = NotedEnd { seq: seq(5), chain: Some([7; 32]) };
        newest.send_replace(seen);
        recorder.record();
        assert_eq!(file.read().expect("no fault"), Some(seen));
    }
}
