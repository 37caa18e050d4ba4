//! Snapshots on the wire: everything that the log remembers, in lines of JSON, so that neither side holds all of it as text.
//! The first line is the head, each further one has some rows, and the last one has a hash over all of it: a snapshot that
//! ends early, or that was damaged on its way, is not taken.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::told::{Bytes, digest_of};
use super::{Cursor, FeedPolicy, FrameFault};
use crate::model::{Chain, Entry, Forgotten, ScopeKey, ScopeKind, Seq};
use crate::watch::revoked::{Remembered, Revoked};

/// The longest line that is read, in bytes. A line of [`SNAPSHOT_ROWS`] rows has less than half of it.
const LINE_BYTES: usize = 128 * 1024;
/// The most entries in one line.
pub const SNAPSHOT_ROWS: u32 = 1024;

/// Everything that the log still remembers, as a verifier has read it.
#[derive(Clone)]
pub struct Snapshot {
    /// What the issuer's tokens say.
    pub policy: FeedPolicy,
    /// Where the log ended.
    pub cursor: Cursor,
    /// What is revoked.
    pub revoked: Revoked,
}

/// Writes a snapshot, line by line.
pub struct SnapshotWriter {
    hash: digest::Context,
}

/// Reads a snapshot as it arrives.
#[derive(Default)]
pub struct SnapshotReader {
    /// The beginning of a line whose end hasn't arrived.
    line: Vec<u8>,
    progress: Progress,
}

#[derive(Default)]
enum Progress {
    #[default]
    Nothing,
    Rows(Box<Rows>),
    Whole(Box<Snapshot>),
}

struct Rows {
    snapshot: Snapshot,
    hash: digest::Context,
}

#[derive(Serialize, Deserialize)]
struct Head {
    policy: FeedPolicy,
    cursor: Cursor,
    /// The hash over the log up to the cursor.
    chain: Bytes<32>,
}

/// The last line. The log's own chain doesn't tell whether a snapshot is whole: it covers entries that were forgotten, too.
#[derive(Serialize, Deserialize)]
struct Tail {
    digest: Bytes<32>,
}

/// Number, kind, scope, and the second in which an entry was committed.
type Row = (u64, u8, Bytes<16>, i64);

impl SnapshotWriter {
    /// Begins a snapshot of a log that ends at `cursor` with the hash `chain`, and returns its first line.
    pub fn begin(policy: &FeedPolicy, cursor: &Cursor, chain: &Chain) -> (Self, String) {
        let head = Head { policy: policy.clone(), cursor: cursor.clone(), chain: Bytes(*chain) };
        (Self { hash: hash_of(&head) }, line(&head))
    }

    /// Returns the line with these entries.
    pub fn rows(&mut self, entries: &[Entry]) -> String {
        let row =
            |entry: &Entry| (entry.seq.as_u64(), entry.kind.as_u8(), Bytes(entry.key.0), entry.at.as_secs());
        self.write(&entries.iter().map(row).collect::<Vec<Row>>())
    }

    /// Ends the snapshot of a log that has forgotten so much: for a verifier, which takes no tokens of other issuers, that is
    /// an end of everything before. Returns the last lines.
    pub fn finish(mut self, forgotten: Forgotten) -> String {
        let mut lines = String::new();
        if forgotten.seq > Forgotten::NOTHING.seq {
            // The key over everything isn't looked at.
            let row = (
                forgotten.seq.as_u64(),
                ScopeKind::Everything.as_u8(),
                Bytes([0; 16]),
                forgotten.at.as_secs(),
            );
            lines = self.write(&[row]);
        }
        lines.push_str(&line(&Tail { digest: Bytes(finished(self.hash)) }));
        lines
    }

    fn write(&mut self, rows: &[Row]) -> String {
        rows.iter().for_each(|row| add(&mut self.hash, row));
        line(&rows)
    }
}

impl SnapshotReader {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// They aren't what was sent, or an entry is of a kind that isn't known here.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FrameFault> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            if self.line.is_empty() {
                self.progress.take(line)?;
            } else {
                self.keep(line)?;
                self.progress.take(&self.line)?;
                self.line.clear();
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.keep(bytes)
    }

    /// Returns the snapshot, after the last bytes.
    ///
    /// # Errors
    /// It isn't whole.
    pub fn finish(self) -> Result<Snapshot, FrameFault> {
        match self.progress {
            Progress::Whole(snapshot) if self.line.is_empty() => Ok(*snapshot),
            Progress::Nothing | Progress::Rows(_) | Progress::Whole(_) => Err(FrameFault::Malformed),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), FrameFault> {
        if self.line.len() + bytes.len() > LINE_BYTES {
            return Err(FrameFault::Malformed);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

impl Progress {
    fn take(&mut self, line: &[u8]) -> Result<(), FrameFault> {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::Rows(Box::new(Rows::begin(parse(line)?))),
            Self::Rows(mut rows) if line.first() == Some(&b'[') => {
                rows.take(parse(line)?)?;
                Self::Rows(rows)
            }
            Self::Rows(rows) => Self::Whole(Box::new(rows.finish(&parse(line)?)?)),
            Self::Whole(_) => return Err(FrameFault::Malformed),
        };
        Ok(())
    }
}

impl Rows {
    fn begin(head: Head) -> Self {
        let hash = hash_of(&head);
        let Head { policy, cursor, chain } = head;
        let revoked = Revoked::empty(cursor.seq(), chain.0);
        Self { snapshot: Snapshot { policy, cursor, revoked }, hash }
    }

    fn take(&mut self, rows: Vec<Row>) -> Result<(), FrameFault> {
        for row in rows {
            add(&mut self.hash, &row);
            let (seq, kind, key, at) = row;
            let kind = ScopeKind::from_u8(kind).ok_or(FrameFault::UnknownKind(kind))?;
            let seq = Seq::from_u64(seq);
            if seq > self.snapshot.cursor.seq() {
                return Err(FrameFault::Malformed);
            }
            self.snapshot.revoked.remember(Remembered { seq, kind, key: ScopeKey(key.0), at });
        }
        Ok(())
    }

    fn finish(self, tail: &Tail) -> Result<Snapshot, FrameFault> {
        if finished(self.hash) == tail.digest.0 { Ok(self.snapshot) } else { Err(FrameFault::Malformed) }
    }
}

/// The hash over what the policy says, and up to where the log goes; what is revoked is added row by row.
fn hash_of(head: &Head) -> digest::Context {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&digest_of(&head.policy.said).0);
    hash.update(head.cursor.to_string().as_bytes());
    hash.update(&head.chain.0);
    hash
}

fn add(hash: &mut digest::Context, (seq, kind, key, at): &Row) {
    hash.update(&seq.to_be_bytes());
    hash.update(&[*kind]);
    hash.update(&key.0);
    hash.update(&at.to_be_bytes());
}

fn finished(hash: digest::Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

fn line(value: &impl Serialize) -> String {
    // Texts, numbers and lists of them: writing them as JSON doesn't fail, and a line end in a text is escaped.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, FrameFault> {
    serde_json::from_slice(line).map_err(|_| FrameFault::Malformed)
}
