//! A map of bounded size that forgets its oldest entries, at the same small cost for each insertion.

use std::collections::HashMap;
use std::hash::Hash;

/// Forgets the entries changed least recently. It has two halves; when the younger one is full, the older one
/// is dropped. So the last changed half is always remembered.
pub(crate) struct BoundedMap<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> BoundedMap<K, V> {
    /// Creates a map of at most `most` entries.
    pub(crate) fn new(most: usize) -> Self {
        Self { half: (most / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn of(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (young, old) = (self.young.remove(key), self.old.remove(key));
        young.or(old)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changed_half_is_remembered() {
        let mut map = BoundedMap::new(8);
        for n in 0..100 {
            map.put(n, n);
            map.put(-1, n);
            assert!(map.len() <= 8);
            assert_eq!(map.of(&-1), Some(n), "changed just now");
            assert!((0..=n).rev().take(3).all(|late| map.of(&late) == Some(late)));
        }
        assert_eq!(map.of(&0), None);
        assert_eq!((map.remove(&-1), map.remove(&-1), map.of(&-1)), (Some(99), None, None));
    }
}
