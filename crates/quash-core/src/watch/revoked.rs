//! The set of revocations in memory, and the one function that decides whether a token is covered.
//!
//! The set is a value: cloning it is cheap, and a clone doesn't see later entries. So a reader keeps one set
//! for the whole check, and a writer copies only the shards that its entries fall into.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;

use super::feed::{self, Gap};
use crate::model::{Chain, Entry, Forgotten, ScopeKey, ScopeKind, Seq, Timestamp};
use crate::token::Minted;

/// Every revocation that still matters, up to a cursor; of forgotten ones, the tokens that they may have
/// covered.
#[derive(Clone)]
pub struct Revoked {
    cursor: Seq,
    chain: Chain,
    everything: Watermark,
    forgotten: Forgotten,
    /// The number below which our own tokens of a scope are covered.
    before: Sharded<Seq>,
    /// The second up to which tokens of other issuers with a scope are covered. It has only watermarks, which
    /// are few.
    until: Sharded<i64>,
    /// The late watermarks of a scope, which cover no token that was issued after their event.
    late: Sharded<Vec<Late>>,
}

/// A watermark of an event that was reported late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Late {
    before: Seq,
    /// The second of the event.
    until: i64,
}

/// The number of a scope's late watermarks that are kept apart. Beyond it, the oldest two become one that
/// covers at least the same tokens.
const LATE: usize = 8;
/// The tolerated difference between the clocks of an issuer's processes, in seconds: a token that was issued
/// shortly after a late event counts as issued before.
const LATE_LEEWAY: i64 = 5;

/// The watermark of everything, in both measures.
#[derive(Clone, Copy)]
struct Watermark {
    before: Seq,
    until: i64,
}

/// The part of an entry that a set keeps.
#[derive(Clone, Copy)]
pub(super) struct Remembered {
    pub(super) seq: Seq,
    pub(super) kind: ScopeKind,
    pub(super) key: ScopeKey,
    /// The second in which the entry was committed.
    pub(super) at: i64,
    /// The second of the event, if it was reported late.
    pub(super) until: Option<i64>,
}

impl From<&Entry> for Remembered {
    fn from(entry: &Entry) -> Self {
        Self {
            seq: entry.seq,
            kind: entry.kind,
            key: entry.key,
            at: entry.at.as_secs(),
            until: entry.until.map(Timestamp::as_secs),
        }
    }
}

/// A map that is cheap to clone and to change: a change copies one shard.
#[derive(Clone)]
struct Sharded<V> {
    entries: usize,
    shards: Arc<[Arc<Shard<V>>]>,
}

type Shard<V> = HashMap<[u8; 16], V, BuildHasherDefault<KeyIsHash>>;

/// So many that adding an entry to a set of a million copies only a few thousand.
const SHARDS: usize = 256;

impl Revoked {
    /// Returns the set of an empty log that begins after `start`.
    pub fn empty(start: Seq, chain: Chain) -> Self {
        let everything = Watermark { before: Seq::ZERO, until: i64::MIN };
        Self {
            cursor: start,
            chain,
            everything,
            forgotten: Forgotten::NOTHING,
            before: Sharded::new(),
            until: Sharded::new(),
            late: Sharded::new(),
        }
    }

    /// Returns the set of a snapshot: all entries still in the log, in any order, as of `cursor` and `chain`.
    pub fn from_snapshot(cursor: Seq, chain: Chain, entries: &[Entry]) -> Self {
        let mut set = Self::empty(cursor, chain);
        for entry in entries {
            set.remember(Remembered::from(entry));
        }
        set
    }

    /// Returns the set with the log's record of forgotten entries.
    #[must_use]
    pub fn forgetting(self, forgotten: Forgotten) -> Self {
        Self { forgotten, ..self }
    }

    /// Adds the next entry of the log.
    ///
    /// # Errors
    /// The entry doesn't follow the ones before. Nothing has changed.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Gap> {
        feed::follows(self.cursor, &self.chain, entry)?;
        self.remember(Remembered::from(entry));
        self.cursor = entry.seq;
        self.chain = entry.chain;
        Ok(())
    }

    /// The number of the set's newest entry.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// The hash over the log up to the cursor.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The number of covered scopes.
    pub fn len(&self) -> usize {
        self.before.entries + self.late.entries
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.everything.before == Seq::ZERO
    }

    /// Returns whether a token minted then, with these scopes, is revoked: the one evaluation function.
    /// Several scopes combine by their latest watermark; a scope that is simply present has a watermark
    /// without end. A token of another issuer carries no number, so it counts as minted before a revocation
    /// of the same second, unless its issuer knew the log: then an event that was reported late covers it if
    /// it was issued before that event. A token that a forgotten entry may have covered is revoked, too.
    pub fn covers(&self, minted: Minted, scopes: &[ScopeKey]) -> bool {
        let may_be_forgotten =
            |iat, exp| self.forgotten.reaches(Timestamp::from_secs(iat), Timestamp::from_secs(exp));
        match minted {
            Minted::At(rsq) => {
                let least = self.everything.before.max(self.forgotten.seq);
                rsq < scopes.iter().filter_map(|scope| self.before.of(scope)).fold(least, Seq::max)
            }
            Minted::Placed { position, iat, exp } => {
                let is_before =
                    |late: &Late| position < late.before && iat <= late.until.saturating_add(LATE_LEEWAY);
                self.covers(Minted::At(position), scopes)
                    || scopes.iter().filter_map(|scope| self.late.get(scope)).flatten().any(is_before)
                    || may_be_forgotten(iat, exp)
            }
            Minted::In { iat, exp } => {
                let is_present = |scope: &ScopeKey| self.before.of(scope) == Some(Seq::MAX);
                let until = scopes
                    .iter()
                    .filter_map(|scope| self.until.of(scope))
                    .fold(self.everything.until, i64::max);
                iat <= until || scopes.iter().any(is_present) || may_be_forgotten(iat, exp)
            }
        }
    }

    pub(super) fn remember(&mut self, entry: Remembered) {
        let before = entry.kind.before(entry.seq);
        let until = entry.until.unwrap_or(entry.at);
        if entry.kind == ScopeKind::Everything {
            let Watermark { before: already_before, until: already_until } = self.everything;
            self.everything =
                Watermark { before: already_before.max(before), until: already_until.max(until) };
            return;
        }
        if entry.kind.is_presence() {
            return self.before.raise(entry.key, before);
        }
        self.until.raise(entry.key, until);
        match entry.until {
            None => self.before.raise(entry.key, before),
            Some(until) => self.late.change(entry.key, |late| add_late(late, Late { before, until })),
        }
    }
}

impl<V: Clone> Sharded<V> {
    fn new() -> Self {
        let shard = Arc::new(Shard::default());
        Self { entries: 0, shards: (0..SHARDS).map(|_| Arc::clone(&shard)).collect() }
    }

    fn get(&self, scope: &ScopeKey) -> Option<&V> {
        self.shards[usize::from(scope.0[0]) % SHARDS].get(&scope.0)
    }

    fn entry(&mut self, scope: ScopeKey, first: impl FnOnce() -> V) -> &mut V {
        let shard = &mut Arc::make_mut(&mut self.shards)[usize::from(scope.0[0]) % SHARDS];
        Arc::make_mut(shard).entry(scope.0).or_insert_with(|| {
            self.entries += 1;
            first()
        })
    }
}

impl<V: Copy + Ord> Sharded<V> {
    fn of(&self, scope: &ScopeKey) -> Option<V> {
        self.get(scope).copied()
    }

    fn raise(&mut self, scope: ScopeKey, value: V) {
        let kept = self.entry(scope, || value);
        *kept = (*kept).max(value);
    }
}

impl<V: Clone + Default> Sharded<V> {
    fn change(&mut self, scope: ScopeKey, change: impl FnOnce(&mut V)) {
        change(self.entry(scope, V::default));
    }
}

/// Adds a late watermark, without those that it makes redundant.
fn add_late(kept: &mut Vec<Late>, new: Late) {
    let is_within = |one: &Late, other: &Late| one.before <= other.before && one.until <= other.until;
    if kept.iter().any(|known| is_within(&new, known)) {
        return;
    }
    kept.retain(|known| !is_within(known, &new));
    if kept.len() == LATE {
        let oldest = kept.remove(0);
        let next = &mut kept[0];
        *next = Late { before: next.before.max(oldest.before), until: next.until.max(oldest.until) };
    }
    kept.push(new);
}

impl std::fmt::Debug for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revoked")
            .field("cursor", &self.cursor)
            .field("entries", &self.before.entries)
            .finish_non_exhaustive()
    }
}

/// Scope keys are keyed hashes already, so hashing them again would only cost time. The first byte selects
/// the shard, so the last eight are used here.
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
            chain = feed::chain(
                &chain,
                seq,
                &NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() },
                None,
            );
            entries.push(Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain });
        }
        entries
    }

    fn minted_in(iat: i64) -> Minted {
        Minted::In { iat, exp: iat + 1000 }
    }

    #[test]
    fn watermarks_cover_earlier_tokens_and_presences_all() {
        let subject = Scope::Subject(Subject::parse("7").expect("a subject"));
        let session = Scope::Session(SessionId::from_bytes([9; 16]));
        let entries = log(&[subject.clone(), session.clone(), Scope::Everything]);
        let hasher = ScopeHasher::ours([1; 16]);
        let mut set = Revoked::empty(Seq::start_of(1), feed::EMPTY);
        assert!(set.is_empty());
        set.follow(&entries[0]).expect("first");
        let of_subject = [hasher.key(&subject)];
        assert!(set.covers(Minted::At(Seq::start_of(1)), &of_subject));
        assert!(!set.covers(Minted::At(entries[0].seq), &of_subject));
        set.follow(&entries[1]).expect("second");
        assert!(set.covers(Minted::At(entries[2].seq), &[hasher.key(&session)]));
        assert!(!set.covers(Minted::At(Seq::start_of(1)), &[]));
        let older = set.clone();
        set.follow(&entries[2]).expect("third");
        assert!(set.covers(Minted::At(entries[1].seq), &[]));
        assert!(!set.covers(Minted::At(entries[2].seq), &[]));
        assert!(!older.covers(Minted::At(entries[1].seq), &[]), "a clone must not see what is added later");
    }

    #[test]
    fn foreign_tokens_are_covered_by_the_second() {
        let subject = Scope::Subject(Subject::parse("7").expect("a subject"));
        let token = Scope::Token("a".into());
        let hasher = ScopeHasher::ours([1; 16]);
        let mut set = Revoked::empty(Seq::start_of(1), feed::EMPTY);
        for entry in log(&[subject.clone(), token.clone()]) {
            set.follow(&entry).expect("in order");
        }
        let of_subject = [hasher.key(&subject)];
        assert!(set.covers(minted_in(1), &of_subject), "of the same second");
        assert!(!set.covers(minted_in(2), &of_subject));
        assert!(
            set.covers(minted_in(9), &[hasher.key(&token)]),
            "a presence covers tokens minted at any time"
        );
        assert!(!set.covers(minted_in(0), &[]));
        set.remember(Remembered::from(&log(&[Scope::Everything])[0]));
        assert!(set.covers(minted_in(1), &[]));
        assert!(!set.covers(minted_in(2), &[]));
    }

    #[test]
    fn forgotten_entries_cover_tokens_they_may_have_revoked() {
        let entries = log(&[Scope::Token("a".into()), Scope::Token("b".into())]);
        let (first, second) = (entries[0].seq, entries[1].seq);
        let forgotten =
            Forgotten { seq: second, at: Timestamp::from_secs(5000), until: Timestamp::from_secs(9000) };
        let set = Revoked::from_snapshot(second, entries[1].chain, &[]);
        assert!(!set.covers(Minted::At(Seq::start_of(1)), &[]));
        let set = set.forgetting(forgotten);
        assert!(set.covers(Minted::At(first), &[]));
        assert!(
            !set.covers(Minted::At(second), &[]),
            "a token minted after the newest forgotten entry is valid"
        );
        let of_another = |iat, exp| set.covers(Minted::In { iat, exp }, &[]);
        assert!(of_another(5000, 9000));
        assert!(of_another(5300, 9000) && !of_another(5301, 9000), "its clock may be ahead");
        assert!(!of_another(5000, 9001), "no entry about it would have been deleted yet");
    }

    #[test]
    fn gaps_and_broken_chains_are_refused() {
        let entries = log(&[Scope::Everything, Scope::Everything]);
        let mut set = Revoked::empty(Seq::start_of(1), feed::EMPTY);
        assert!(matches!(set.follow(&entries[1]), Err(Gap::Missing { .. })));
        let mut forged = entries[0].clone();
        forged.at = Timestamp::from_secs(2);
        assert!(matches!(set.follow(&forged), Err(Gap::Broken { .. })));
        assert_eq!(set.cursor(), Seq::start_of(1));
    }
}
