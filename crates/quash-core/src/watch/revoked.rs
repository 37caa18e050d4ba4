//! The set of revocations in memory, and the one function that says whether a token is covered.
//!
//! The set is a value: cloning it is cheap, and a clone doesn't see what is added later. So a reader holds one set
//! for as long as it looks, and whoever adds entries copies only the shards that they fall into.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;

use super::feed::{self, Gap};
use crate::model::{Chain, Entry, ScopeKey, ScopeKind, Seq};

/// Every revocation that still matters, up to a cursor.
#[derive(Clone)]
pub struct Revoked {
    cursor: Seq,
    chain: Chain,
    everything: Seq,
    entries: usize,
    shards: Arc<[Arc<Shard>]>,
}

type Shard = HashMap<[u8; 16], Seq, BuildHasherDefault<KeyIsHash>>;

/// Enough that adding an entry to a set of a million copies a few thousand.
const SHARDS: usize = 256;

impl Revoked {
    /// The set of an empty log that begins after `start`.
    pub fn empty(start: Seq, chain: Chain) -> Self {
        let shard = Arc::new(Shard::default());
        Self { cursor: start, chain, everything: Seq::ZERO, entries: 0, shards: (0..SHARDS).map(|_| Arc::clone(&shard)).collect() }
    }

    /// The set of a snapshot: everything the log still remembers, in any order, as of `cursor` and `chain`.
    pub fn from_snapshot(cursor: Seq, chain: Chain, entries: &[Entry]) -> Self {
        let mut set = Self::empty(cursor, chain);
        for entry in entries {
            set.add(entry);
        }
        set
    }

    /// Adds the next entry of the log.
    ///
    /// # Errors
    /// It doesn't follow what is there; nothing has changed.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Gap> {
        feed::follows(self.cursor, &self.chain, entry)?;
        self.add(entry);
        self.cursor = entry.seq;
        self.chain = entry.chain;
        Ok(())
    }

    /// The number of the newest entry in it.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// How many scopes it covers.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.entries == 0 && self.everything == Seq::ZERO
    }

    /// Whether a token with this `rsq` and these scopes is revoked: the one evaluation function. Several scopes
    /// combine by the latest of their watermarks; a scope that is present or not has a watermark without end.
    pub fn covers(&self, rsq: Seq, scopes: &[ScopeKey]) -> bool {
        let before = scopes.iter().map(|scope| self.before(scope)).fold(self.everything, Seq::max);
        rsq < before
    }

    fn before(&self, scope: &ScopeKey) -> Seq {
        self.shards[usize::from(scope.0[0]) % SHARDS].get(&scope.0).copied().unwrap_or(Seq::ZERO)
    }

    fn add(&mut self, entry: &Entry) {
        if entry.kind == ScopeKind::Everything {
            self.everything = self.everything.max(entry.before());
            return;
        }
        let shard = &mut Arc::make_mut(&mut self.shards)[usize::from(entry.key.0[0]) % SHARDS];
        let before = Arc::make_mut(shard).entry(entry.key.0).or_insert_with(|| {
            self.entries += 1;
            Seq::ZERO
        });
        *before = (*before).max(entry.before());
    }
}

impl std::fmt::Debug for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revoked").field("cursor", &self.cursor).field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// Scope keys are keyed hashes already: hashing them again would only cost time. The first byte picks the shard, so
/// the last eight are used here.
#[derive(Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Keep, NewEntry, Reason, Scope, ScopeHasher, SessionId, Subject, Timestamp};

    fn log(scopes: &[Scope]) -> Vec<Entry> {
        let hasher = ScopeHasher::ours([1; 16]);
        let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
        let mut entries = Vec::new();
        for scope in scopes {
            seq = seq.next();
            let (kind, key) = (scope.kind(), hasher.key(scope));
            let (reason, at, actor) = (Reason::Revoked, Timestamp::from_secs(1), Actor::Operator);
            chain = feed::chain(&chain, seq, &NewEntry { kind, key, keep: Keep::Forever, reason, at, actor: actor.clone() }, None);
            entries.push(Entry { seq, kind, key, drop_after: None, reason, at, actor, chain });
        }
        entries
    }

    #[test]
    fn watermarks_cover_what_was_before_and_presences_cover_all() {
        let subject = Scope::Subject(Subject::parse("7").expect("a subject"));
        let session = Scope::Session(SessionId::from_bytes([9; 16]));
        let entries = log(&[subject.clone(), session.clone(), Scope::Everything]);
        let hasher = ScopeHasher::ours([1; 16]);
        let mut set = Revoked::empty(Seq::start_of(1), feed::EMPTY);
        assert!(set.is_empty());
        set.follow(&entries[0]).expect("first");
        let of_subject = [hasher.key(&subject)];
        assert!(set.covers(Seq::start_of(1), &of_subject));
        assert!(!set.covers(entries[0].seq, &of_subject));
        set.follow(&entries[1]).expect("second");
        assert!(set.covers(entries[2].seq, &[hasher.key(&session)]));
        assert!(!set.covers(Seq::start_of(1), &[]));
        let older = set.clone();
        set.follow(&entries[2]).expect("third");
        assert!(set.covers(entries[1].seq, &[]));
        assert!(!set.covers(entries[2].seq, &[]));
        assert!(!older.covers(entries[1].seq, &[]), "a clone must not see what is added later");
    }

    #[test]
    fn a_gap_and_a_broken_chain_are_noticed() {
        let entries = log(&[Scope::Everything, Scope::Everything]);
        let mut set = Revoked::empty(Seq::start_of(1), feed::EMPTY);
        assert!(matches!(set.follow(&entries[1]), Err(Gap::Missing { .. })));
        let mut forged = entries[0].clone();
        forged.at = Timestamp::from_secs(2);
        assert!(matches!(set.follow(&forged), Err(Gap::Broken { .. })));
        assert_eq!(set.cursor(), Seq::start_of(1));
    }
}
