//! The feed's messages: snapshots, frames, leases and cursors. The first byte chooses the kind. The log is
//! fixed and known here, so all that a verifier accepts must come from it: an attacker who doesn't know the
//! hashes can't move the verifier to another state, and only a lease that it has requested makes it fresh.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quash_core::model::{
    Actor, Chain, Entry, Keep, Kid, Namespace, NamespaceClaims, NewEntry, Reason, ScopeHasher, ScopeKey,
    ScopeKind, Seq, Timestamp, TokenPolicy,
};
use quash_core::token::{Algorithm, Expected, ForeignKey, Issuer, KeyRing, SigningKey};
use quash_core::watch::frame::{
    Cursor, CursorKey, FeedPolicy, Frame, LeaseGrant, LeaseNonce, SnapshotReader, Wanted,
};
use quash_core::watch::{Follower, Freshness, Lease, Revoked, feed};

const TERM: Duration = Duration::from_secs(10);
/// The secret and the private key of a namespace.
const SECRET: [u8; 32] = [7; 32];
/// The time of the lease request.
const ASKED: Duration = Duration::from_secs(5);
/// The nonce of the lease request. The seeds answer other requests.
const NONCE: LeaseNonce = LeaseNonce([0xA5; 16]);
/// The number of entries that the verifier knows.
const KNOWN: usize = 2;

struct World {
    log: Vec<Entry>,
    cursors: CursorKey,
    policy: FeedPolicy,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (mut seq, mut so_far) = (Seq::start_of(1), feed::EMPTY);
    let kinds = [ScopeKind::Session, ScopeKind::Session, ScopeKind::Subject, ScopeKind::Session];
    let log = kinds.into_iter().zip(1..).map(|(kind, number)| {
        seq = seq.next();
        let (key, reason, at, actor) =
            (ScopeKey([number; 16]), Reason::Revoked, Timestamp::from_secs(1_800_000_000), Actor::Operator);
        so_far = feed::chain(
            &so_far,
            seq,
            &NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() },
            None,
        );
        Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain: so_far }
    });
    let shop = Namespace {
        name: "shop".into(),
        max_lifetime: TERM,
        accepted: vec!["access".into()],
        claims: NamespaceClaims::default(),
    };
    let issuer = Arc::new(Issuer {
        name: "django".into(),
        scopes: ScopeHasher::new([1; 16], "shop"),
        max_lifetime: TERM,
        iss: Expected::Anything,
        aud: Expected::Exactly(vec!["shop".into()]),
        namespace: Some(shop.clone()),
        dropped: Vec::new(),
    });
    let kid = Kid::parse("a").ok();
    let secret = SigningKey::new(Algorithm::Hs256, &SECRET, kid.clone()).expect("a secret");
    let public = SigningKey::new(Algorithm::EdDsa, &SECRET, None).expect("a key");
    let of = |key: SigningKey, token_kid| ForeignKey {
        key: key.verifying().clone(),
        token_kid,
        issuer: Arc::clone(&issuer),
    };
    let ring = KeyRing::with_foreign(1, Vec::new(), vec![of(secret, None), of(public, kid)]);
    let tokens = TokenPolicy { namespaces: vec![shop], ..TokenPolicy::default() };
    let policy = FeedPolicy::of(&tokens, [1; 16], TERM, &ring).expect("a policy");
    World { log: log.collect(), cursors: CursorKey::new(&[5; 32], "a"), policy }
});

pub(super) fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 4 {
        0 => snapshot(rest),
        1 => frame(rest),
        2 => lease(rest),
        _ => place(rest),
    }
}

/// Returns a verifier that knows the first entries and has no lease.
fn verifier() -> Follower {
    let known = &WORLD.log[..KNOWN];
    Follower::lease_holder(Revoked::from_snapshot(known[KNOWN - 1].seq, known[KNOWN - 1].chain, known), TERM)
}

/// Checks that the set is a state of the log, and that the verifier isn't fresh.
fn check(follower: &Follower) {
    let (revoked, log) = (follower.revoked(), &WORLD.log);
    let ends_at = |end: usize| {
        (log[end].seq, log[end].chain, end + 1) == (revoked.cursor(), revoked.chain(), revoked.len())
    };
    assert!((KNOWN - 1..log.len()).any(ends_at), "not a state of the issuer's log: {revoked:?}");
    assert_eq!(follower.freshness(), Freshness::Never);
}

fn snapshot(bytes: &[u8]) {
    // Reading in pieces must give the same result.
    let in_pieces = |size: usize| {
        let mut reader = SnapshotReader::default();
        bytes.chunks(size).try_for_each(|piece| reader.push(piece)).and_then(|()| reader.finish())
    };
    let (whole, pieces) = (in_pieces(bytes.len().max(1)), in_pieces(7));
    assert_eq!(whole.is_ok(), pieces.is_ok());
    let Ok(snapshot) = whole else { return };
    let (_, _) = (snapshot.policy.tokens(Vec::new()), snapshot.policy.scopes());
    let _ = snapshot.policy.namespace_keys("shop", &[SECRET], &[]);
    assert!(
        snapshot.policy == WORLD.policy && WORLD.cursors.has_issued(&snapshot.cursor),
        "the issuer hasn't sent this snapshot"
    );
    let mut follower = verifier();
    // A snapshot that knows less changes nothing.
    let _ = follower.replace(snapshot.revoked);
    check(&follower);
}

fn frame(bytes: &[u8]) {
    if let Ok(wanted) = serde_json::from_slice::<Wanted>(bytes) {
        let _ = Seq::from_u64(wanted.seq);
    }
    let Some(entries) = serde_json::from_slice::<Frame>(bytes).ok().and_then(|frame| frame.entries().ok())
    else {
        return;
    };
    let mut follower = verifier();
    // The entries before a gap are applied.
    let _ = follower.follow(&entries);
    check(&follower);
}

fn lease(bytes: &[u8]) {
    let Ok(grant) = serde_json::from_slice::<LeaseGrant>(bytes) else { return };
    assert!(grant.nonce() != NONCE, "the issuer hasn't granted this lease");
    assert!(
        WORLD.cursors.has_issued(grant.cursor()) && grant.term() == TERM,
        "the lease isn't the one that was sent"
    );
    // Even a requested lease counts only if the verifier has reached its head on the same log.
    let mut follower = verifier();
    let (cursor, head, chain): (Seq, Seq, Chain) =
        (follower.revoked().cursor(), grant.cursor().seq(), grant.chain());
    let is_reached = head <= cursor && chain == follower.revoked().chain();
    let granted = follower.grant(Lease { sent_at: ASKED, cursor, head, chain });
    assert!(is_reached || follower.freshness() == Freshness::Never, "{granted:?}");
}

fn place(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(cursor) = Cursor::parse(text) {
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor.clone()));
        let is_one_of_ours =
            WORLD.log.iter().any(|entry| WORLD.cursors.cursor(entry.seq, &entry.chain) == cursor);
        assert!(
            is_one_of_ours || !WORLD.cursors.has_issued(&cursor),
            "the issuer hasn't issued this cursor: {text}"
        );
    }
    if let Ok(nonce) = LeaseNonce::parse(text) {
        assert_eq!(nonce.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_seeds_match_the_current_format() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/feed");
        let mut places = 0;
        for seed in std::fs::read_dir(seeds).expect("the seeds") {
            let text = std::fs::read_to_string(seed.expect("a seed").path()).expect("text");
            run(text.as_bytes());
            // The first line of a snapshot has the cursor.
            let first = text[1..].lines().next().unwrap_or_default();
            let said: serde_json::Value = serde_json::from_str(first).unwrap_or(serde_json::Value::Null);
            let cursor = said["cursor"]
                .as_str()
                .or(text.strip_prefix('3'))
                .and_then(|cursor| Cursor::parse(cursor).ok());
            if let Some(cursor) = cursor {
                assert!(WORLD.cursors.has_issued(&cursor), "a cursor of an older form: {cursor}");
                places += 1;
            }
        }
        assert!(places >= 10);
    }
}
