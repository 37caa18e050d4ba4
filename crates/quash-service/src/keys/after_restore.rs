//! Revokes keys again after a restore: the restored backup doesn't know keys that were revoked since, but the
//! replaced store does. `use_cases/keys/rotation.rs` revokes keys in a running process.

use quash_core::decide::{Successor, repeat_revocations, start_successor, successor};
use quash_core::model::{Actor, Clock, Entropy, KeyRecord, KeySource, KeyState, Kid, ScopeHasher, Seq};
use quash_store::Store;

use super::opened::{kept_after_revocation, unrevoked, verifying};
use super::{current, make};
use crate::failure::StartError;
use crate::vault::MasterKey;

/// The result of revoking keys again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeysRevokedAgain {
    /// The sequence number of the last entry in the log. `None` if there was nothing to revoke.
    pub seq: Option<Seq>,
    /// The keys that weren't revoked or weren't known here, and are revoked now.
    pub kids: Vec<Kid>,
    /// The revoked keys of the replaced store that are unknown here and can't be added, because this master
    /// key doesn't open them.
    pub unread: Vec<Kid>,
}

/// The keys to be revoked.
#[derive(Default)]
struct Due<'a> {
    /// Keys that are in this store.
    here: Vec<&'a KeyRecord>,
    /// Keys that aren't in this store. Their addition prevents the settings from using them.
    unknown: Vec<KeyRecord>,
    unread: Vec<Kid>,
}

/// Revokes in a store restored from a backup the keys that were revoked in the store that it replaces.
/// `replaced` are the replaced store's keys. Must be called after the new epoch was begun, so that the lost
/// part of the log isn't written again.
///
/// # Errors
/// The store or a key in it can't be used.
pub async fn revoke_after_restore(
    replaced: &[KeyRecord],
    store: &dyn Store,
    master: &MasterKey,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<KeysRevokedAgain, StartError> {
    let records = store.keys().await?;
    let Due { here, unknown, unread } = due(replaced, &records, master)?;
    let mut kids: Vec<Kid> = here.iter().map(|record| record.kid.clone()).collect();
    // If none of the keys is in this store, the signing key stays.
    let heir = successor(&records, &kids).unwrap_or(Successor::Same);
    kids.extend(unknown.iter().map(|record| record.kid.clone()));
    if kids.is_empty() {
        return Ok(KeysRevokedAgain { seq: None, kids, unread });
    }
    let now = clock.now();
    let made = match (&heir, current(&records)) {
        (Successor::Make, Some(KeyRecord { algorithm, .. })) => {
            let secret = make::secret(*algorithm, entropy).ok_or(StartError::NoSigningKey)?;
            let made =
                make::record(*algorithm, &secret, KeySource::Made, KeyState::Current, master, entropy, now);
            Some(made.map_err(StartError::SigningKey)?)
        }
        _ => None,
    };
    let signs = start_successor(heir, made, Actor::Operator, now);
    let scopes = ScopeHasher::ours(master.derive("scopes"));
    let revoked = kept_after_revocation(&here, master, entropy)?;
    let receipt =
        store.commit(repeat_revocations(unknown, revoked, signs, Actor::Operator, &scopes, now)).await?;
    Ok(KeysRevokedAgain { seq: receipt.seq, kids, unread })
}

/// Keys are compared by their material. A key that can't be opened is still compared by its id.
fn due<'a>(
    replaced: &[KeyRecord],
    records: &'a [KeyRecord],
    master: &MasterKey,
) -> Result<Due<'a>, StartError> {
    let mut due = Due::default();
    for revoked in replaced.iter().filter(|record| record.state.is_revoked()) {
        let known = records.iter().find(|record| record.kid == revoked.kid);
        let material = verifying(revoked, master).ok();
        let same = material
            .as_ref()
            .map(|material| unrevoked(material, records, master))
            .transpose()?
            .unwrap_or_default();
        for record in same.into_iter().chain(known.filter(|record| !record.state.is_revoked())) {
            if due.here.iter().all(|other| other.kid != record.kid) {
                due.here.push(record);
            }
        }
        match (known, material) {
            (Some(_), _) => {}
            (None, Some(_)) => due.unknown.push(revoked.clone()),
            (None, None) => due.unread.push(revoked.kid.clone()),
        }
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use quash_core::model::{Change, Event, ScopeKind, Seeded, Timestamp};
    use quash_core::token::Algorithm;
    use quash_store::MemoryStore;
    use zeroize::Zeroizing;

    use super::super::{CurrentKey, KeySetup, open};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);
    const SECRET: &[u8] = b"fifty characters that stand in a settings file, say";
    const REVOKED: KeyState = KeyState::Revoked { at: Timestamp::from_secs(900) };

    struct Now;

    impl Clock for Now {
        fn now(&self) -> Timestamp {
            NOW
        }

        fn uptime(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }

    /// A restored copy, and the master key of its keys.
    struct RestoredStore {
        store: MemoryStore,
        master: MasterKey,
        chance: Seeded,
    }

    impl RestoredStore {
        fn new() -> Self {
            let chance = Seeded::new(1);
            Self { store: MemoryStore::new(), master: MasterKey::new(&chance), chance }
        }

        fn key(&self, algorithm: Algorithm, source: KeySource) -> KeyRecord {
            let secret = match source {
                KeySource::Made => make::secret(algorithm, &self.chance).expect("a key"),
                KeySource::Settings => Zeroizing::new(SECRET.to_vec()),
            };
            let state = KeyState::Current;
            make::record(algorithm, &secret, source, state, &self.master, &self.chance, Timestamp::default())
                .expect("a key")
        }

        async fn add(&self, key: &KeyRecord) {
            let change = Change::AddKey { key: key.clone(), replaces: None, actor: Actor::Rule };
            self.store.commit(change).await.expect("it is written");
        }

        /// A key as the store in which it was revoked has it.
        fn revoked(&self, key: &KeyRecord) -> KeyRecord {
            let (_, secret) =
                kept_after_revocation(&[key], &self.master, &self.chance).expect("a key").remove(0);
            KeyRecord { state: REVOKED, secret, ..key.clone() }
        }

        async fn revoke(&self, replaced: &[KeyRecord]) -> KeysRevokedAgain {
            revoke_after_restore(replaced, &self.store, &self.master, &Now, &self.chance)
                .await
                .expect("it can be used")
        }

        async fn states(&self) -> Vec<(Kid, KeyState)> {
            self.store.keys().await.expect("keys").into_iter().map(|key| (key.kid, key.state)).collect()
        }
    }

    #[tokio::test]
    async fn restored_revoked_signing_keys_are_replaced() {
        let copy = RestoredStore::new();
        let stolen = copy.key(Algorithm::EdDsa, KeySource::Made);
        copy.add(&stolen).await;
        let newer = copy.key(Algorithm::EdDsa, KeySource::Made);
        let again = copy.revoke(&[copy.revoked(&stolen), newer]).await;
        assert_eq!((again.kids, again.unread), (vec![stolen.kid.clone()], vec![]));
        let keys = copy.store.keys().await.expect("keys");
        let [revoked, signs] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!((&revoked.kid, revoked.state), (&stolen.kid, KeyState::Revoked { at: NOW }));
        assert_ne!(revoked.secret, stolen.secret, "of a pair the public half alone is kept");
        assert_eq!(
            (signs.state, signs.algorithm, signs.source),
            (KeyState::Current, Algorithm::EdDsa, KeySource::Made)
        );
        let entries = copy.store.entries_after(Seq::ZERO, 9).await.expect("entries");
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.kind, entry.drop_after, Some(entry.seq)), (ScopeKind::Key, None, again.seq));
        let events = copy.store.audit(0, None, 9).await.expect("entries");
        let events: Vec<_> = events.iter().map(|audit| (audit.new.event, audit.new.kid.as_deref())).collect();
        assert_eq!(
            events[1..],
            [(Event::KeyRevoked, Some(stolen.kid.as_str())), (Event::KeyAdded, Some(signs.kid.as_str()))]
        );
        // A second call has no effect, nor does one after the next restore.
        assert_eq!(copy.revoke(&keys).await, KeysRevokedAgain { seq: None, kids: vec![], unread: vec![] });
    }

    #[tokio::test]
    async fn unrevoked_next_keys_sign_after_a_restore() {
        for both in [false, true] {
            let copy = RestoredStore::new();
            let stolen = copy.key(Algorithm::EdDsa, KeySource::Made);
            copy.add(&stolen).await;
            let next = KeyRecord {
                state: KeyState::Next { since: NOW },
                ..copy.key(Algorithm::EdDsa, KeySource::Made)
            };
            copy.add(&next).await;
            let replaced: Vec<_> = [&stolen, &next]
                .into_iter()
                .take(if both { 2 } else { 1 })
                .map(|key| copy.revoked(key))
                .collect();
            assert_eq!(copy.revoke(&replaced).await.kids.len(), replaced.len());
            let keys = copy.states().await;
            let signs: Vec<_> =
                keys.iter().filter(|(_, state)| *state == KeyState::Current).map(|(kid, _)| kid).collect();
            assert_eq!((signs.len(), signs.first() == Some(&&next.kid)), (1, !both), "{keys:?}");
        }
    }

    #[tokio::test]
    async fn revoked_keys_unknown_to_the_backup_are_added() {
        let copy = RestoredStore::new();
        let old = copy.key(Algorithm::EdDsa, KeySource::Made);
        copy.add(&old).await;
        let stolen = copy.revoked(&copy.key(Algorithm::Hs256, KeySource::Settings));
        let again = copy.revoke(std::slice::from_ref(&stolen)).await;
        assert_eq!((again.seq.is_some(), again.kids), (true, vec![stolen.kid.clone()]));
        let known = copy.states().await;
        assert!(
            known.contains(&(stolen.kid, REVOKED)) && known.contains(&(old.kid, KeyState::Current)),
            "{known:?}"
        );
        let setup =
            KeySetup { signing: Some(Zeroizing::new(SECRET.to_vec())), ..KeySetup::of(Algorithm::Hs512) };
        let refused =
            open(&setup, CurrentKey::BySettings, &copy.store, &copy.master, &Now, &copy.chance).await;
        assert!(matches!(refused, Err(StartError::RevokedKey)));
    }

    #[tokio::test]
    async fn secrets_are_revoked_under_all_their_kids() {
        let copy = RestoredStore::new();
        let here = copy.key(Algorithm::Hs384, KeySource::Settings);
        copy.add(&here).await;
        let there = copy.revoked(&copy.key(Algorithm::Hs256, KeySource::Settings));
        assert_ne!(here.kid, there.kid);
        let again = copy.revoke(std::slice::from_ref(&there)).await;
        assert_eq!(again.kids, [here.kid, there.kid]);
        assert!(
            copy.states().await.iter().all(|(_, state)| state.is_revoked()),
            "no key signs until the settings name another"
        );
    }

    #[tokio::test]
    async fn unreadable_keys_are_revoked_by_kid_or_reported() {
        let copy = RestoredStore::new();
        let stolen = copy.key(Algorithm::EdDsa, KeySource::Made);
        copy.add(&stolen).await;
        let other = RestoredStore {
            master: MasterKey::new(&copy.chance),
            store: MemoryStore::new(),
            chance: Seeded::new(2),
        };
        let unread = other.revoked(&other.key(Algorithm::EdDsa, KeySource::Made));
        let sealed_anew = KeyRecord { secret: unread.secret.clone(), ..copy.revoked(&stolen) };
        let again = copy.revoke(&[sealed_anew, unread.clone()]).await;
        assert_eq!((again.kids, again.unread), (vec![stolen.kid.clone()], vec![unread.kid]));
        assert!(copy.states().await.contains(&(stolen.kid, KeyState::Revoked { at: NOW })));
    }

    #[tokio::test]
    async fn restores_without_revoked_keys_write_nothing() {
        let copy = RestoredStore::new();
        let key = copy.key(Algorithm::EdDsa, KeySource::Made);
        copy.add(&key).await;
        let before = (copy.store.head().await, copy.store.audit_head().await, copy.states().await);
        let retired = KeyRecord { state: KeyState::Retiring { until: NOW }, ..key };
        for replaced in [&[][..], &[retired]] {
            assert_eq!(
                copy.revoke(replaced).await,
                KeysRevokedAgain { seq: None, kids: vec![], unread: vec![] }
            );
        }
        assert_eq!((copy.store.head().await, copy.store.audit_head().await, copy.states().await), before);
    }
}
