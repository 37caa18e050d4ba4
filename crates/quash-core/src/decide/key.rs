//! Decides when the next signing key is made, when it signs, and when keys are retired, revoked and dropped.
//! `quash-service` makes and seals the keys.

use std::time::Duration;

use crate::model::{
    Actor, Change, KeyRecord, KeySource, KeyState, Kid, Reason, ScopeHasher, Sealed, Timestamp, limits,
};

use super::cause::{Cause, everything_entry, key_entry};

/// The next step of the key rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyDue {
    /// This key has expired, or will never sign.
    Drop(Kid),
    /// The next key must be made and published.
    Make,
    /// The next key must become the signing key.
    Promote(Kid),
}

/// The step needed for another key to sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// No next key exists: make one.
    Make,
    /// The next key exists and is published.
    IsNext {
        kid: Kid,
        /// The start of its publication.
        since: Timestamp,
    },
}

/// The key that signs in place of revoked keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Successor {
    /// The current signing key, which isn't revoked.
    Same,
    /// The next key.
    Next(Kid),
    /// A new key.
    Make,
    /// None, until the settings name another key.
    None,
}

/// The rule for the sessions that were opened before a key was revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RevokedKeySessions {
    /// They continue: their next refresh brings tokens signed with another key.
    Continue,
    /// They end.
    End,
}

/// The reason for refusing a change of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyRefusal {
    /// No key has this id.
    #[error("there is no such key")]
    Unknown,
    /// The signing key comes from the settings.
    #[error("the signing key comes from the settings")]
    NamedBySettings,
    /// The JWK set has as many keys as its clients are sure to accept.
    #[error("the limit of {} verification keys is reached", limits::KEYS)]
    TooMany,
    /// The key is the signing key.
    #[error("the key is the current signing key")]
    Signs,
    /// Tokens signed with the key may still be valid.
    #[error("tokens signed with the key may still be valid")]
    StillVerifies { until: Timestamp },
    /// The key was revoked.
    #[error("the key was revoked in an emergency")]
    Revoked { at: Timestamp },
}

/// Returns the next step that is due with the keys. Each step is one change, so an interrupted caller can
/// continue. `published_for` is how long this process has published the next key: verifiers haven't seen a
/// key that was only in the store. A key whose time lies after `now` was made before the clock was set back:
/// it counts as old, so that the rotation doesn't wait until the clock catches up.
pub fn key_due(
    keys: &[KeyRecord],
    rotate_every: Option<Duration>,
    published_for: Duration,
    now: Timestamp,
) -> Option<KeyDue> {
    // A leeway setting can make tokens valid for that much longer.
    let expired =
        |key: &&KeyRecord| matches!(key.state, KeyState::Retiring { until } if until + limits::LEEWAY < now);
    if let Some(key) = keys.iter().find(expired) {
        return Some(KeyDue::Drop(key.kid.clone()));
    }
    // A key of the settings isn't rotated automatically.
    let current = current(keys).filter(|key| key.source == KeySource::Made);
    match (next(keys), current) {
        (Some((next, since)), Some(current)) if next.algorithm == current.algorithm => {
            let is_known =
                published_for >= limits::KEY_PUBLISHED && !now.is_within(limits::KEY_PUBLISHED, since);
            is_known.then(|| KeyDue::Promote(next.kid.clone()))
        }
        (Some((next, _)), _) => Some(KeyDue::Drop(next.kid.clone())),
        (None, Some(current)) => {
            let is_old = rotate_every.is_some_and(|every| {
                !now.is_within(every.saturating_sub(limits::KEY_PUBLISHED), current.created_at)
            });
            (is_old && verifying(keys) < limits::KEYS).then_some(KeyDue::Make)
        }
        (None, None) => None,
    }
}

/// Returns the step needed for another key to sign.
///
/// # Errors
/// The signing key comes from the settings, or there are too many keys.
pub fn rotate_keys(keys: &[KeyRecord]) -> Result<Rotation, KeyRefusal> {
    match current(keys) {
        Some(current) if current.source == KeySource::Made => {}
        Some(_) | None => return Err(KeyRefusal::NamedBySettings),
    }
    match next(keys) {
        Some((next, since)) => Ok(Rotation::IsNext { kid: next.kid.clone(), since }),
        None if verifying(keys) < limits::KEYS => Ok(Rotation::Make),
        None => Err(KeyRefusal::TooMany),
    }
}

/// Promotes the next key to the signing key. The previous one verifies for as long as one of its tokens can
/// be valid.
pub fn promote_key(keys: &[KeyRecord], kid: Kid, longest: Duration, actor: Actor, now: Timestamp) -> Change {
    Change::PromoteKey { kid, at: now, replaces: replaced(keys, longest, now), actor }
}

/// Like [`promote_key`], with a key that wasn't published before.
pub fn replace_key(
    keys: &[KeyRecord],
    key: KeyRecord,
    longest: Duration,
    actor: Actor,
    now: Timestamp,
) -> Change {
    Change::AddKey { key, replaces: replaced(keys, longest, now), actor }
}

/// Ends a key that isn't in use.
///
/// # Errors
/// The key is unknown, signs, still verifies valid tokens, or was revoked.
pub fn retire_key(keys: &[KeyRecord], kid: &Kid, actor: Actor, now: Timestamp) -> Result<Change, KeyRefusal> {
    match known(keys, kid)?.state {
        KeyState::Next { .. } => {}
        KeyState::Current => return Err(KeyRefusal::Signs),
        KeyState::Retiring { until } if now <= until + limits::LEEWAY => {
            return Err(KeyRefusal::StillVerifies { until });
        }
        KeyState::Retiring { .. } => {}
        KeyState::Revoked { at } => return Err(KeyRefusal::Revoked { at }),
    }
    Ok(Change::DropKey { kid: kid.clone(), at: now, actor })
}

/// Returns the key that signs once these keys are revoked.
///
/// # Errors
/// The first of these keys is unknown, or was revoked before.
pub fn successor(keys: &[KeyRecord], revoked: &[Kid]) -> Result<Successor, KeyRefusal> {
    let first = revoked.first().ok_or(KeyRefusal::Unknown)?;
    if let KeyState::Revoked { at } = known(keys, first)?.state {
        return Err(KeyRefusal::Revoked { at });
    }
    let Some(current) = current(keys).filter(|current| revoked.contains(&current.kid)) else {
        return Ok(Successor::Same);
    };
    let usable_next =
        next(keys).filter(|(next, _)| next.algorithm == current.algorithm && !revoked.contains(&next.kid));
    Ok(match (current.source, usable_next) {
        (KeySource::Settings, _) => Successor::None,
        (KeySource::Made, Some((next, _))) => Successor::Next(next.kid.clone()),
        (KeySource::Made, None) => Successor::Make,
    })
}

/// Returns the change that lets the successor sign once no key is current. `made` is the new key, if one had
/// to be made.
pub fn start_successor(
    successor: Successor,
    made: Option<KeyRecord>,
    actor: Actor,
    now: Timestamp,
) -> Option<Change> {
    match (successor, made) {
        (Successor::Next(kid), _) => Some(Change::PromoteKey { kid, at: now, replaces: None, actor }),
        (Successor::Make, Some(key)) => Some(Change::AddKey { key, replaces: None, actor }),
        (Successor::Make, None) | (Successor::Same | Successor::None, _) => None,
    }
}

/// Revokes keys. Each comes with the sealed secret that is stored in place of its own. `signs` is the change of
/// [`start_successor`], which lets another key sign if one of these did.
pub fn revoke_keys(
    revoked: Vec<(Kid, Sealed)>,
    signs: Option<Change>,
    sessions: RevokedKeySessions,
    actor: Actor,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Change {
    let cause = Cause { reason: Reason::KeyRemoved, actor };
    let revoke = |(kid, secret)| {
        let entry = key_entry(&kid, &cause, scopes, now);
        Change::RevokeKey { kid, secret, entry }
    };
    let mut changes: Vec<Change> = revoked.into_iter().map(revoke).collect();
    changes.extend(signs);
    if sessions == RevokedKeySessions::End {
        changes.push(Change::EndEverything { entry: everything_entry(&cause, scopes, now) });
    }
    Change::Together(changes)
}

/// Repeats the revocations of a store in the one that replaces it: keys known here are revoked as in
/// [`revoke_keys`], and `unknown` ones are added as revoked, so that no start loads them. The sessions are
/// decided by the change that begins the new epoch.
pub fn repeat_revocations(
    unknown: Vec<KeyRecord>,
    revoked: Vec<(Kid, Sealed)>,
    signs: Option<Change>,
    actor: Actor,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Change {
    let cause = Cause { reason: Reason::KeyRemoved, actor: actor.clone() };
    let know =
        |key: KeyRecord| Change::AddRevokedKey { entry: key_entry(&key.kid, &cause, scopes, now), key };
    let mut changes: Vec<Change> = unknown.into_iter().map(know).collect();
    changes.push(revoke_keys(revoked, signs, RevokedKeySessions::Continue, actor, scopes, now));
    Change::Together(changes)
}

fn replaced(keys: &[KeyRecord], longest: Duration, now: Timestamp) -> Option<(Kid, KeyState)> {
    current(keys).map(|current| (current.kid.clone(), KeyState::Retiring { until: now + longest }))
}

fn known<'a>(keys: &'a [KeyRecord], kid: &Kid) -> Result<&'a KeyRecord, KeyRefusal> {
    keys.iter().find(|key| key.kid == *kid).ok_or(KeyRefusal::Unknown)
}

/// Returns the number of keys whose signatures are accepted.
fn verifying(keys: &[KeyRecord]) -> usize {
    keys.iter().filter(|key| !key.state.is_revoked()).count()
}

fn current(keys: &[KeyRecord]) -> Option<&KeyRecord> {
    keys.iter().find(|key| key.state == KeyState::Current)
}

fn next(keys: &[KeyRecord]) -> Option<(&KeyRecord, Timestamp)> {
    keys.iter().find_map(|key| match key.state {
        KeyState::Next { since } => Some((key, since)),
        KeyState::Current | KeyState::Retiring { .. } | KeyState::Revoked { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Algorithm;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const EVERY: Option<Duration> = Some(DAY);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn kid(text: &str) -> Kid {
        Kid::parse(text).expect("a key id")
    }

    /// A key made at time zero.
    fn key(name: &str, state: KeyState) -> KeyRecord {
        let (secret, source) = (Sealed(Vec::new()), KeySource::Made);
        KeyRecord { kid: kid(name), algorithm: Algorithm::EdDsa, state, secret, created_at: at(0), source }
    }

    fn of_the_settings(name: &str) -> KeyRecord {
        KeyRecord { source: KeySource::Settings, ..key(name, KeyState::Current) }
    }

    #[test]
    fn next_keys_are_made_ten_minutes_before_rotation() {
        let keys = [key("now", KeyState::Current)];
        let due = |now| key_due(&keys, EVERY, Duration::ZERO, at(now));
        assert_eq!(due(86_400 - 601), None);
        assert_eq!(due(86_400 - 600), Some(KeyDue::Make));
        assert_eq!(key_due(&keys, None, Duration::ZERO, at(86_400_000)), None, "off");
        assert_eq!(
            key_due(&[of_the_settings("now")], EVERY, Duration::ZERO, at(86_400_000)),
            None,
            "a key of the settings"
        );
        assert_eq!(key_due(&[], EVERY, Duration::ZERO, at(86_400_000)), None);
    }

    #[test]
    fn the_number_of_keys_is_limited() {
        let old = |n| key(&format!("old{n}"), KeyState::Retiring { until: at(86_400_000) });
        let with =
            |count: usize| (1..count).map(old).chain([key("now", KeyState::Current)]).collect::<Vec<_>>();
        let due = |keys: &[KeyRecord]| key_due(keys, EVERY, Duration::ZERO, at(86_400));
        assert_eq!((due(&with(49)), rotate_keys(&with(49))), (Some(KeyDue::Make), Ok(Rotation::Make)));
        assert_eq!((due(&with(50)), rotate_keys(&with(50))), (None, Err(KeyRefusal::TooMany)));
        assert_eq!(successor(&with(50), &[kid("now")]), Ok(Successor::Make), "an emergency has no limit");
        let revoked = with(50).into_iter().map(|key| match key.state {
            KeyState::Retiring { .. } => KeyRecord { state: KeyState::Revoked { at: at(0) }, ..key },
            _ => key,
        });
        assert_eq!(
            rotate_keys(&revoked.collect::<Vec<_>>()),
            Ok(Rotation::Make),
            "revoked keys aren't published"
        );
    }

    #[test]
    fn next_keys_sign_after_ten_minutes_of_publication() {
        let keys = [key("now", KeyState::Current), key("then", KeyState::Next { since: at(1000) })];
        let due = |published, now| key_due(&keys, None, Duration::from_secs(published), at(now));
        assert_eq!(due(600, 1600), Some(KeyDue::Promote(kid("then"))));
        assert_eq!(due(599, 1600), None);
        assert_eq!(due(0, 86_400), None, "it was only in the store");
        assert_eq!(due(600, 1599), None, "less by the wall clock");
        assert_eq!(due(600, 1000), None, "published now");
    }

    #[test]
    fn rotation_does_not_wait_for_a_clock_that_was_set_back() {
        let made_later = [KeyRecord { created_at: at(604_800), ..key("now", KeyState::Current) }];
        let due = |now| key_due(&made_later, EVERY, Duration::ZERO, at(now));
        assert_eq!([due(604_799), due(0)], [Some(KeyDue::Make), Some(KeyDue::Make)]);
        assert_eq!(due(604_800), None, "made now");
        assert_eq!(key_due(&made_later, None, Duration::ZERO, at(0)), None, "off");
        let published_later =
            [key("now", KeyState::Current), key("then", KeyState::Next { since: at(604_800) })];
        let due = |published| key_due(&published_later, EVERY, Duration::from_secs(published), at(0));
        assert_eq!((due(599), due(600)), (None, Some(KeyDue::Promote(kid("then")))));
    }

    #[test]
    fn next_keys_that_never_sign_are_dropped() {
        let next = key("then", KeyState::Next { since: at(0) });
        let due = |keys: &[KeyRecord]| key_due(keys, EVERY, DAY, at(0));
        assert_eq!(due(&[of_the_settings("now"), next.clone()]), Some(KeyDue::Drop(kid("then"))));
        assert_eq!(due(std::slice::from_ref(&next)), Some(KeyDue::Drop(kid("then"))));
        let other = KeyRecord { algorithm: Algorithm::Es256, ..key("now", KeyState::Current) };
        assert_eq!(due(&[other, next]), Some(KeyDue::Drop(kid("then"))));
    }

    #[test]
    fn retiring_keys_are_dropped_after_their_last_token() {
        let keys = [key("now", KeyState::Current), key("old", KeyState::Retiring { until: at(1000) })];
        let due = |now| key_due(&keys, None, Duration::ZERO, at(now));
        assert_eq!(due(1300), None, "the widest leeway");
        assert_eq!(due(1301), Some(KeyDue::Drop(kid("old"))));
        let revoked = [key("now", KeyState::Current), key("bad", KeyState::Revoked { at: at(0) })];
        assert_eq!(
            key_due(&revoked, None, Duration::ZERO, at(86_400_000)),
            None,
            "a revoked key is kept forever"
        );
    }

    #[test]
    fn only_unused_keys_can_be_retired() {
        let keys = [
            key("next", KeyState::Next { since: at(0) }),
            key("now", KeyState::Current),
            key("old", KeyState::Retiring { until: at(1000) }),
            key("bad", KeyState::Revoked { at: at(5) }),
        ];
        let retired = |name, now| retire_key(&keys, &kid(name), Actor::Operator, at(now));
        let dropped = |name, now| Ok(Change::DropKey { kid: kid(name), at: at(now), actor: Actor::Operator });
        assert_eq!(retired("next", 1), dropped("next", 1));
        assert_eq!(retired("now", 1), Err(KeyRefusal::Signs));
        assert_eq!(retired("old", 1300), Err(KeyRefusal::StillVerifies { until: at(1000) }));
        assert_eq!(retired("old", 1301), dropped("old", 1301));
        assert_eq!(retired("bad", 1), Err(KeyRefusal::Revoked { at: at(5) }));
        assert_eq!(retired("none", 1), Err(KeyRefusal::Unknown));
    }

    #[test]
    fn repeated_key_revocations_last_and_end_no_session() {
        let (now, scopes) = (at(9), ScopeHasher::ours([7; 16]));
        let entry = |name| {
            key_entry(&kid(name), &Cause { reason: Reason::KeyRemoved, actor: Actor::Operator }, &scopes, now)
        };
        let (unknown, half) = (key("other", KeyState::Revoked { at: at(5) }), Sealed(vec![1]));
        let signs = start_successor(Successor::Next(kid("next")), None, Actor::Operator, now);
        let promoted =
            Change::PromoteKey { kid: kid("next"), at: now, replaces: None, actor: Actor::Operator };
        assert_eq!(
            repeat_revocations(
                vec![unknown.clone()],
                vec![(kid("now"), half.clone())],
                signs,
                Actor::Operator,
                &scopes,
                now
            ),
            Change::Together(vec![
                Change::AddRevokedKey { key: unknown, entry: entry("other") },
                Change::Together(vec![
                    Change::RevokeKey { kid: kid("now"), secret: half, entry: entry("now") },
                    promoted
                ]),
            ])
        );
        assert_eq!(entry("now").keep, crate::model::Keep::Forever);
        let made = key("made", KeyState::Current);
        let add = Change::AddKey { key: made.clone(), replaces: None, actor: Actor::Operator };
        assert_eq!(start_successor(Successor::Make, Some(made), Actor::Operator, now), Some(add));
        assert_eq!(
            [Successor::Same, Successor::None].map(|successor| start_successor(
                successor,
                None,
                Actor::Operator,
                now
            )),
            [None, None]
        );
    }

    #[test]
    fn revoked_signing_keys_have_a_successor_unless_configured() {
        let next = key("next", KeyState::Next { since: at(0) });
        let old = key("old", KeyState::Retiring { until: at(1000) });
        let successor = |keys: &[KeyRecord], revoked: &[&str]| {
            successor(keys, &revoked.iter().map(|name| kid(name)).collect::<Vec<_>>())
        };
        let now = key("now", KeyState::Current);
        assert_eq!(
            successor(&[now.clone(), next.clone(), old.clone()], &["now"]),
            Ok(Successor::Next(kid("next")))
        );
        assert_eq!(
            successor(&[now.clone(), old.clone()], &["now"]),
            Ok(Successor::Make),
            "never a retired key"
        );
        assert_eq!(successor(&[now.clone(), old.clone()], &["old"]), Ok(Successor::Same));
        assert_eq!(successor(&[now.clone(), next.clone()], &["next"]), Ok(Successor::Same));
        assert_eq!(successor(&[of_the_settings("now"), old.clone()], &["old", "now"]), Ok(Successor::None));
        assert_eq!(successor(std::slice::from_ref(&now), &["none"]), Err(KeyRefusal::Unknown));
        assert_eq!(
            successor(&[now, key("bad", KeyState::Revoked { at: at(5) })], &["bad"]),
            Err(KeyRefusal::Revoked { at: at(5) })
        );
    }
}
