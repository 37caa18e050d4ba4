//! Snapshots on the wire: all entries still in the log, as lines of JSON, so that neither side holds all of
//! it as text. The first line is the head, each further one has some rows, and the last one has a hash over
//! all of it. A truncated or damaged snapshot is rejected.

use std::fmt;

use aws_lc_rs::digest;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::digested::Bytes;
use super::{Cursor, FeedPolicy, FrameFault};
use crate::model::{Chain, Entry, Forgotten, ScopeKey, ScopeKind, Seq, Timestamp};
use crate::watch::revoked::{Remembered, Revoked};

/// The longest accepted line, in bytes. A line of [`SNAPSHOT_ROWS`] rows has less than half of it.
const LINE_BYTES: usize = 128 * 1024;
/// The most entries in one line.
pub const SNAPSHOT_ROWS: u32 = 1024;

/// All entries still in the log, as read by a verifier.
#[derive(Clone)]
pub struct Snapshot {
    pub policy: FeedPolicy,
    /// The end of the log.
    pub cursor: Cursor,
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

/// The last line. The log's own chain can't prove that a snapshot is complete: it also covers forgotten
/// entries.
#[derive(Deserialize)]
struct Tail {
    digest: Bytes<32>,
}

/// An entry, as a list: number, kind, scope, the second in which it was committed, and the second of the
/// event if it was reported late. Also the record of forgotten entries.
struct Row {
    seq: u64,
    kind: u8,
    key: Bytes<16>,
    at: i64,
    until: Option<i64>,
}

impl SnapshotWriter {
    /// Begins a snapshot of a log that ends at `cursor` with the hash `chain`, and returns its first line.
    ///
    /// # Errors
    /// The policy can't be serialized.
    pub fn begin(policy: &FeedPolicy, cursor: &Cursor, chain: &Chain) -> Result<(Self, String), FrameFault> {
        let head = Head { policy: policy.clone(), cursor: cursor.clone(), chain: Bytes(*chain) };
        // Line ends in strings are escaped.
        let line = serde_json::to_string(&head).map_err(|_| FrameFault::Unwritable)? + "\n";
        Ok((Self { hash: hash_of(&policy.sent_digest()?, &head) }, line))
    }

    /// Returns the line with these entries.
    pub fn rows(&mut self, entries: &[Entry]) -> String {
        let row = |entry: &Entry| Row {
            seq: entry.seq.as_u64(),
            kind: entry.kind.as_u8(),
            key: Bytes(entry.key.0),
            at: entry.at.as_secs(),
            until: entry.until.map(Timestamp::as_secs),
        };
        self.write(&entries.iter().map(row).collect::<Vec<Row>>())
    }

    /// Ends the snapshot with the log's record of forgotten entries, and returns the last lines.
    pub fn finish(mut self, forgotten: Forgotten) -> String {
        let mut lines = String::new();
        if forgotten.seq > Forgotten::NOTHING.seq {
            // No entry over everything is reported late, so `until` tells this row from one. Its key isn't
            // read.
            let row = Row {
                seq: forgotten.seq.as_u64(),
                kind: ScopeKind::Everything.as_u8(),
                key: Bytes([0; 16]),
                at: forgotten.at.as_secs(),
                until: Some(forgotten.until.as_secs()),
            };
            lines = self.write(&[row]);
        }
        lines + &format!("{{\"digest\":\"{}\"}}\n", Bytes(finished(self.hash)))
    }

    fn write(&mut self, rows: &[Row]) -> String {
        let mut line = String::from("[");
        for (place, row) in rows.iter().enumerate() {
            add(&mut self.hash, row);
            line.push_str(if place > 0 { "," } else { "" });
            line.push_str(&row.to_string());
        }
        line + "]\n"
    }
}

impl SnapshotReader {
    /// Reads the next bytes.
    ///
    /// # Errors
    /// The bytes are damaged, or an entry is of an unknown kind.
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
    /// The snapshot isn't complete.
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
        let hash = hash_of(&head.policy.digest, &head);
        let Head { policy, cursor, chain } = head;
        let revoked = Revoked::empty(cursor.seq(), chain.0);
        Self { snapshot: Snapshot { policy, cursor, revoked }, hash }
    }

    fn take(&mut self, rows: Vec<Row>) -> Result<(), FrameFault> {
        for row in rows {
            add(&mut self.hash, &row);
            let Row { seq, kind, key, at, until } = row;
            let kind = ScopeKind::from_u8(kind).ok_or(FrameFault::UnknownKind(kind))?;
            let seq = Seq::from_u64(seq);
            if seq > self.snapshot.cursor.seq() {
                return Err(FrameFault::Malformed);
            }
            let revoked = &mut self.snapshot.revoked;
            match (kind, until) {
                (ScopeKind::Everything, Some(until)) => {
                    let [at, until] = [at, until].map(Timestamp::from_secs);
                    *revoked = revoked.clone().forgetting(Forgotten { seq, at, until });
                }
                _ => revoked.remember(Remembered { seq, kind, key: ScopeKey(key.0), at, until }),
            }
        }
        Ok(())
    }

    fn finish(self, tail: &Tail) -> Result<Snapshot, FrameFault> {
        if finished(self.hash) == tail.digest.0 { Ok(self.snapshot) } else { Err(FrameFault::Malformed) }
    }
}

/// Begins the hash with the policy and the end of the log; rows are added one by one.
fn hash_of(policy: &Bytes<32>, head: &Head) -> digest::Context {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&policy.0);
    hash.update(head.cursor.to_string().as_bytes());
    hash.update(&head.chain.0);
    hash
}

fn add(hash: &mut digest::Context, row: &Row) {
    hash.update(&row.seq.to_be_bytes());
    // The bit keeps rows with and without `until` apart.
    hash.update(&[row.kind | if row.until.is_some() { 0x80 } else { 0 }]);
    hash.update(&row.key.0);
    hash.update(&row.at.to_be_bytes());
    if let Some(until) = row.until {
        hash.update(&until.to_be_bytes());
    }
}

/// Formats a row as JSON. Its numbers and its base64url need no escapes.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, kind, key, at, until } = self;
        write!(f, "[{seq},{kind},\"{key}\",{at}")?;
        if let Some(until) = until {
            write!(f, ",{until}")?;
        }
        f.write_str("]")
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Row;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of 4 or 5 values")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Row, A::Error> {
                let short = || A::Error::custom(FrameFault::Malformed);
                Ok(Row {
                    seq: list.next_element()?.ok_or_else(short)?,
                    kind: list.next_element()?.ok_or_else(short)?,
                    key: list.next_element()?.ok_or_else(short)?,
                    at: list.next_element()?.ok_or_else(short)?,
                    until: list.next_element()?,
                })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

fn finished(hash: digest::Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, FrameFault> {
    serde_json::from_slice(line).map_err(|_| FrameFault::Malformed)
}
