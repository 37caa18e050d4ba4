//! The file `audit.seal` next to the database: the newest seal of the audit, signed under the master key. It
//! proves how far the audit was sealed, so that an attacker with access to the database alone can't remove
//! the seal or replace it with an older one. A seal is written here after it is durable in the database,
//! never before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{AuditPlace, AuditSeal, Timestamp};
use tokio::sync::watch;

use crate::control::{from_hex, hex};
use crate::error::CommandError;

const NAME: &str = "audit.seal";
/// Longer than any seal.
const BYTES: u64 = 2048;
/// The shortest time between two writes.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct AuditFile {
    path: PathBuf,
}

/// Keeps the file up to date.
#[derive(Clone, Debug)]
pub(crate) struct SealRecorder {
    file: AuditFile,
    newest: watch::Receiver<Option<AuditSeal>>,
    /// The seal in the file. Locked while it is written.
    written: Arc<Mutex<Option<AuditSeal>>>,
}

impl AuditFile {
    /// The file of a data directory.
    pub(crate) fn in_directory(data_dir: &Path) -> Self {
        Self { path: data_dir.join(NAME) }
    }

    /// Returns the newest seal in the file; `None`: no seal was written yet.
    ///
    /// # Errors
    /// The file can't be read, or doesn't hold a seal.
    pub(crate) fn read(&self) -> Result<Option<AuditSeal>, CommandError> {
        let shown = self.path.display();
        let mut text = String::new();
        match File::open(&self.path).and_then(|file| file.take(BYTES).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CommandError::failure(format!("{shown} cannot be read: {error}"))),
        }
        parse(&text).map(Some).ok_or_else(|| {
            CommandError::failure(format!("{shown} holds no seal of the audit")).hint(
                "put the file back; if that can't be done, remove it: then a seal missing from the database goes unnoticed this once",
            )
        })
    }

    /// Writes a seal. It is durable once this returns; a crash leaves the previous seal.
    ///
    /// # Errors
    /// Writing to the disk fails.
    pub(crate) fn write(&self, seal: &AuditSeal) -> io::Result<()> {
        let new = self.path.with_extension("seal.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        writeln!(file, "{}", to_text(seal))?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl SealRecorder {
    /// Keeps `file`, which holds `written`, up to date with the audit's newest seal in `newest`.
    pub(crate) fn new(
        file: AuditFile,
        written: Option<AuditSeal>,
        newest: watch::Receiver<Option<AuditSeal>>,
    ) -> Self {
        Self { file, newest, written: Arc::new(Mutex::new(written)) }
    }

    /// Brings the file up to date. A failed write is tried again with the next seal.
    pub(crate) fn note(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(newest) = self.newest.borrow().clone().filter(|newest| written.as_ref() != Some(newest))
        else {
            return;
        };
        match self.file.write(&newest) {
            Ok(()) => *written = Some(newest),
            Err(error) => {
                tracing::warn!(%error, path = %self.file.path.display(), "failed to write the seal of the audit; trying again with the next seal")
            }
        }
    }

    /// Keeps the file up to date for as long as the audit is sealed.
    pub(crate) async fn follow(mut self) {
        while self.newest.changed().await.is_ok() {
            let notes = self.clone();
            // A write that has begun is finished even if the server ends meanwhile.
            let _ = tokio::task::spawn_blocking(move || notes.note()).await;
            tokio::time::sleep(EVERY).await;
        }
    }
}

fn to_text(seal: &AuditSeal) -> String {
    let AuditSeal { first, last, at, signed } = seal;
    format!("{} {} {} {} {} {signed}", first.id, hex(&first.chain), last.id, hex(&last.chain), at.as_millis())
}

fn parse(text: &str) -> Option<AuditSeal> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [first_id, first_chain, last_id, last_chain, at, signed] = fields.as_slice() else { return None };
    let place = |id: &str, chain: &str| Some(AuditPlace { id: id.parse().ok()?, chain: from_hex(chain)? });
    Some(AuditSeal {
        first: place(first_id, first_chain)?,
        last: place(last_id, last_chain)?,
        at: Timestamp::from_millis(at.parse().ok()?),
        signed: (*signed).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(last: u64) -> AuditSeal {
        let place = |id| AuditPlace { id, chain: [7; 32] };
        AuditSeal { first: place(0), last: place(last), at: Timestamp::from_secs(9), signed: "a.b.c".into() }
    }

    #[test]
    fn noted_seals_are_read_back_and_private() {
        let room = tempfile::tempdir().expect("a temporary directory");
        let file = AuditFile::in_directory(room.path());
        assert_eq!(file.read().expect("no fault"), None);
        let newest = watch::Sender::new(None);
        let notes = SealRecorder::new(file.clone(), None, newest.subscribe());
        notes.note();
        assert_eq!(file.read().expect("no fault"), None);
        for last in [1, 7] {
            newest.send_replace(Some(seal(last)));
            notes.note();
            assert_eq!(file.read().expect("no fault"), Some(seal(last)));
        }
        let path = room.path().join("audit.seal");
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(room.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn files_without_a_seal_are_refused() {
        let room = tempfile::tempdir().expect("a temporary directory");
        let file = AuditFile::in_directory(room.path());
        let short = to_text(&seal(1)).replacen('7', "", 1);
        for text in ["", "1 2 3", &short, &format!("{} more", to_text(&seal(1))), &"x".repeat(4096)] {
            fs::write(room.path().join("audit.seal"), text).expect("it is ours");
            assert!(file.read().expect_err("no seal").hint.is_some(), "{text:?}");
        }
    }
}
