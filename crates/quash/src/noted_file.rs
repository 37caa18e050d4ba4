//! A value that is noted in a file next to the database, to detect a database that was replaced or changed. A
//! value is written after it is durable in the database, never before. Its format is in `epoch_file.rs` and
//! `audit_file.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quash_store::share_with_group;
use tokio::sync::watch;

use crate::error::CommandError;

/// The shortest time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// A value with a file of its own.
pub(crate) trait Noted: Clone + Send + Sync + 'static {
    /// The name of the file.
    const NAME: &'static str;
    /// A size in bytes that no text of a value reaches.
    const BYTES: u64;
    /// The fault of an invalid file; follows "PATH " in the error.
    const FAULT: &'static str;
    /// The remedy for an invalid file.
    const HINT: &'static str;
    /// The log message after a failed write.
    const WRITE_FAILED: &'static str;

    /// Returns whether this value must be written over `written`.
    fn replaces(&self, written: &Self) -> bool;

    fn to_text(&self) -> String;

    /// Parses the text of a file, which ends with a newline.
    fn parse(text: &str) -> Option<Self>;
}

/// The contents of a channel that announces values.
pub(crate) trait Announces: Send + Sync + 'static {
    type Value: Noted;

    /// Returns the announced value, if there is one.
    fn value(&self) -> Option<Self::Value>;
}

#[derive(Debug)]
pub(crate) struct NotedFile<V> {
    path: PathBuf,
    value: PhantomData<fn() -> V>,
}

/// Keeps the file up to date.
#[derive(Debug)]
pub(crate) struct Recorder<A: Announces> {
    file: NotedFile<A::Value>,
    newest: watch::Receiver<A>,
    /// The value in the file. Locked while it is written.
    written: Arc<Mutex<Option<A::Value>>>,
}

impl<V: Noted> NotedFile<V> {
    /// The file of a data directory.
    pub(crate) fn in_directory(data_dir: &Path) -> Self {
        Self { path: data_dir.join(V::NAME), value: PhantomData }
    }

    /// Returns the newest value that was written; `None`: no value was written yet.
    ///
    /// # Errors
    /// The file can't be read, or doesn't hold a value.
    pub(crate) fn read(&self) -> Result<Option<V>, CommandError> {
        let shown = self.path.display();
        let mut text = String::new();
        match File::open(&self.path).and_then(|file| file.take(V::BYTES).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CommandError::failure(format!("{shown} cannot be read: {error}"))),
        }
        let invalid = || CommandError::failure(format!("{shown} {}", V::FAULT)).hint(V::HINT);
        V::parse(&text).map(Some).ok_or_else(invalid)
    }

    /// Writes a value. It is durable once this returns; a crash leaves the previous value.
    ///
    /// # Errors
    /// Writing to the disk fails.
    pub(crate) fn write(&self, value: &V) -> io::Result<()> {
        let new = self.path.with_file_name(format!("{}.new", V::NAME));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        share_with_group(&file, directory)?;
        writeln!(file, "{}", value.to_text())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

impl<A: Announces> Recorder<A> {
    /// Keeps `file`, which holds `written`, up to date with the value announced in `newest`.
    pub(crate) fn new(
        file: NotedFile<A::Value>,
        written: Option<A::Value>,
        newest: watch::Receiver<A>,
    ) -> Self {
        Self { file, newest, written: Arc::new(Mutex::new(written)) }
    }

    /// Brings the file up to date. A failed write is tried again with the next value.
    pub(crate) fn record(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(newest) = self.newest.borrow().value() else { return };
        if written.as_ref().is_some_and(|written| !newest.replaces(written)) {
            return;
        }
        match self.file.write(&newest) {
            Ok(()) => *written = Some(newest),
            Err(error) => {
                tracing::warn!(%error, path = %self.file.path.display(), "{}", A::Value::WRITE_FAILED)
            }
        }
    }

    /// Keeps the file up to date for as long as values are announced.
    pub(crate) async fn follow(mut self) {
        while self.newest.changed().await.is_ok() {
            let recorder = self.clone();
            // A write that has begun is finished even if the server ends meanwhile.
            let _ = tokio::task::spawn_blocking(move || recorder.record()).await;
            tokio::time::sleep(WRITE_INTERVAL).await;
        }
    }
}

impl<V> Clone for NotedFile<V> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), value: PhantomData }
    }
}

impl<A: Announces> Clone for Recorder<A> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), newest: self.newest.clone(), written: Arc::clone(&self.written) }
    }
}
