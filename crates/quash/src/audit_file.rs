//! The file `audit.seal` next to the database: the newest seal of the audit, signed under the master key. It
//! proves how far the audit was sealed, so that an attacker with access to the database alone can't remove
//! the seal or replace it with an older one. A seal is written here after it is durable in the database,
//! never before.

use quash_core::hex;
use quash_core::model::{AuditPlace, AuditSeal, Timestamp};

use crate::noted_file::{Announces, Noted, NotedFile, Recorder};

pub(crate) type AuditFile = NotedFile<AuditSeal>;
pub(crate) type SealRecorder = Recorder<Option<AuditSeal>>;

impl Noted for AuditSeal {
    const NAME: &'static str = "audit.seal";
    const BYTES: u64 = 2048;
    const FAULT: &'static str = "holds no seal of the audit";
    const HINT: &'static str = "put the file back; if that can't be done, remove it: then a seal missing from the database goes unnoticed this once";
    const WRITE_FAILED: &'static str =
        "failed to write the seal of the audit; trying again with the next seal";

    fn replaces(&self, written: &Self) -> bool {
        self != written
    }

    fn to_text(&self) -> String {
        let Self { first, last, at, signed } = self;
        let (first_chain, last_chain) = (hex::encode(&first.chain), hex::encode(&last.chain));
        format!("{} {first_chain} {} {last_chain} {} {signed}", first.id, last.id, at.as_millis())
    }

    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [first_id, first_chain, last_id, last_chain, at, signed] = fields.as_slice() else { return None };
        let place =
            |id: &str, chain: &str| Some(AuditPlace { id: id.parse().ok()?, chain: hex::decode(chain)? });
        Some(Self {
            first: place(first_id, first_chain)?,
            last: place(last_id, last_chain)?,
            at: Timestamp::from_millis(at.parse().ok()?),
            signed: (*signed).to_owned(),
        })
    }
}

impl Announces for Option<AuditSeal> {
    type Value = AuditSeal;

    fn value(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tokio::sync::watch;

    use super::*;

    fn seal(last: u64) -> AuditSeal {
        let place = |id| AuditPlace { id, chain: [7; 32] };
        AuditSeal { first: place(0), last: place(last), at: Timestamp::from_secs(9), signed: "a.b.c".into() }
    }

    #[test]
    fn noted_seals_are_read_back_and_private() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = AuditFile::in_directory(dir.path());
        assert_eq!(file.read().expect("no fault"), None);
        let newest = watch::Sender::new(None);
        let recorder = SealRecorder::new(file.clone(), None, newest.subscribe());
        recorder.record();
        assert_eq!(file.read().expect("no fault"), None);
        for last in [1, 7] {
            newest.send_replace(Some(seal(last)));
            recorder.record();
            assert_eq!(file.read().expect("no fault"), Some(seal(last)));
        }
        let path = dir.path().join("audit.seal");
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn files_without_a_seal_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = AuditFile::in_directory(dir.path());
        let short = seal(1).to_text().replacen('7', "", 1);
        for text in ["", "1 2 3", &short, &format!("{} more", seal(1).to_text()), &"x".repeat(4096)] {
            fs::write(dir.path().join("audit.seal"), text).expect("it is ours");
            assert!(file.read().expect_err("no seal").hint.is_some(), "{text:?}");
        }
    }
}
