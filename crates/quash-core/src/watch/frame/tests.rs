//! Written frames are read back, and unknown ones are rejected.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::model::{Forgotten, Keep, NamespaceClaims, NewEntry};
use crate::token::{Expected, ForeignKey, Issuer, Minted};
use crate::watch::{Revoked, feed};

fn entry() -> Entry {
    let seq = Seq::start_of(1).next();
    let (kind, key, reason, at, actor) =
        (ScopeKind::Session, ScopeKey([3; 16]), Reason::LogOut, Timestamp::from_millis(1_500), Actor::Owner);
    let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() };
    let chain = feed::chain(&feed::EMPTY, seq, &new, None);
    Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain }
}

fn policy() -> FeedPolicy {
    let secret =
        VerifyingKey::hmac(Algorithm::Hs256, &[7; 32], Kid::parse("one").expect("a kid")).expect("a secret");
    let ring = KeyRing::new(1, vec![secret]);
    FeedPolicy::of(&TokenPolicy::default(), [1; 16], Duration::from_secs(10), &ring).expect("a policy")
}

/// The text of a snapshot of the log that has these entries.
fn text_of(entries: &[Entry], forgotten: Forgotten) -> String {
    let (seq, chain) = entries
        .last()
        .map_or((Seq::from_u64(Seq::start_of(1).as_u64() + 9), feed::EMPTY), |last| (last.seq, last.chain));
    let cursor = CursorKey::new(&[5; 32], "a").cursor(seq, &chain);
    let (mut writer, mut text) = SnapshotWriter::begin(&policy(), &cursor, &chain).expect("a head");
    for entry in entries {
        text.push_str(&writer.rows(std::slice::from_ref(entry)));
    }
    text.push_str(&writer.finish(forgotten));
    text
}

fn read(text: &[u8]) -> Result<Snapshot, FrameFault> {
    let mut reader = SnapshotReader::default();
    reader.push(text)?;
    reader.finish()
}

#[test]
fn late_events_round_trip() {
    let (kind, key) = (ScopeKind::Subject, ScopeKey([4; 16]));
    let (reason, at, actor) = (Reason::Revoked, Timestamp::from_secs(100), Actor::Owner);
    let until = Some(Timestamp::from_millis(50_250));
    let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until, actor: actor.clone() };
    let seq = Seq::start_of(1).next();
    let chain = feed::chain(&feed::EMPTY, seq, &new, None);
    assert_ne!(chain, feed::chain(&feed::EMPTY, seq, &NewEntry { until: None, ..new }, None), "in the chain");
    let entry = Entry { seq, kind, key, drop_after: None, reason, at, until, actor, chain };
    let text = serde_json::to_string(&FrameEntry::from(&entry)).expect("text");
    let frame: FrameEntry = serde_json::from_str(&text).expect("its own text");
    assert_eq!(Entry::try_from(&frame), Ok(entry.clone()));
    let snapshot = text_of(std::slice::from_ref(&entry), Forgotten::NOTHING);
    let set = read(snapshot.as_bytes()).expect("its own text").revoked;
    let covers = |iat| set.covers(Minted::In { iat, exp: iat }, &[key]);
    assert!(covers(50) && !covers(51));
    let forged = snapshot.replace(",100,50]", ",100]");
    assert_ne!(forged, snapshot);
    assert!(read(forged.as_bytes()).is_err(), "the digest covers it");
}

#[test]
fn namespaces_reach_verifiers() {
    let namespace = Namespace {
        name: "shop".into(),
        max_lifetime: Duration::from_secs(86_400),
        accepted: vec!["access".into()],
        claims: NamespaceClaims {
            session: Some("qsid".into()),
            position: Some("qsq".into()),
            subject: "user_id".into(),
            token: None,
        },
    };
    let tokens = TokenPolicy { namespaces: vec![namespace.clone()], ..TokenPolicy::default() };
    let term = Duration::from_secs(10);
    let issuer = std::sync::Arc::new(Issuer {
        name: "django".into(),
        scopes: ScopeHasher::new([1; 16], "shop"),
        max_lifetime: namespace.max_lifetime,
        iss: Expected::Exactly("https://shop.example".into()),
        aud: Expected::Anything,
        namespace: Some(namespace.clone()),
        dropped: Vec::new(),
    });
    let kid = |text: &str| Kid::parse(text).expect("a kid");
    let secret = VerifyingKey::hmac(Algorithm::Hs256, &[7; 32], kid("a")).expect("a secret");
    let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
    let public = VerifyingKey::ed25519(&public).expect("a key").renamed(Some(kid("b")));
    let keys = [(secret, None), (public, Some(kid("c")))];
    let of = |(key, token_kid)| ForeignKey { key, token_kid, issuer: std::sync::Arc::clone(&issuer) };
    let ring = KeyRing::with_foreign(1, Vec::new(), keys.into_iter().map(of).collect());
    let policy = FeedPolicy::of(&tokens, [1; 16], term, &ring).expect("a policy");
    let text = serde_json::to_string(&policy).expect("text");
    assert!(text.contains(
        r#""namespaces":[{"name":"shop","longest_lifetime_ms":86400000,"accepted":["access"],"claims":{"session":"qsid","position":"qsq","subject":"user_id","token":null,"type":"token_type"},"keys":[{"id":"a","iss":"https://shop.example","aud":null,"secret":{"kid":null,"alg":"HS256","check":"8UuSeAp5XVu-kUGK2nsVB8_hS3N9_gVUugLTo9hNIdg"}},{"id":"b","iss":"https://shop.example","aud":null,"jwk":{"kty":"OKP","use":"sig","alg":"EdDSA","kid":"c","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}]"#
    ), "{text}");
    let read: FeedPolicy = serde_json::from_str(&text).expect("its own text");
    assert_eq!(read.tokens(Vec::new()).map(|policy| policy.namespaces), Ok(vec![namespace]));
}

#[test]
fn frames_and_snapshots_round_trip() {
    let (entry, key) = (entry(), CursorKey::new(&[5; 32], "a"));
    let frame =
        Frame { cursor: key.cursor(entry.seq, &entry.chain), entries: vec![FrameEntry::from(&entry)] };
    let text = serde_json::to_string(&frame).expect("text");
    let read: Frame = serde_json::from_str(&text).expect("its own text");
    assert_eq!(read.entries(), Ok(vec![entry.clone()]));
    let read = super::tests::read(text_of(std::slice::from_ref(&entry), Forgotten::NOTHING).as_bytes())
        .expect("its own text");
    let set = &read.revoked;
    assert_eq!((set.cursor(), set.chain(), set.len()), (entry.seq, entry.chain, 1));
    assert!(key.has_issued(&read.cursor));
    assert!(read.policy == policy());
}

#[test]
fn snapshots_cover_forgotten_entries() {
    let newest = Seq::from_u64(Seq::start_of(1).as_u64() + 9);
    let covers = |forgotten: Forgotten, rsq| {
        read(text_of(&[], forgotten).as_bytes()).expect("its own text").revoked.covers(Minted::At(rsq), &[])
    };
    let (before, forgotten) = (Seq::from_u64(newest.as_u64() - 3), Seq::from_u64(newest.as_u64() - 2));
    assert!(!covers(Forgotten::NOTHING, Seq::start_of(1)));
    let forgotten_until = Forgotten { seq: forgotten, ..Forgotten::NOTHING };
    assert!(covers(forgotten_until, before));
    assert!(!covers(forgotten_until, forgotten));
}

/// A verifier must refuse what the issuer refuses: also tokens without a number, and those whose issuer's clock
/// is ahead.
#[test]
fn snapshots_keep_the_times_of_forgotten_entries() {
    let (at, until) = (Timestamp::from_secs(5000), Timestamp::from_secs(9000));
    let forgotten = Forgotten { seq: entry().seq, at, until };
    let issuers = Revoked::empty(entry().seq, entry().chain).forgetting(forgotten);
    let read = read(text_of(&[], forgotten).as_bytes()).expect("its own text").revoked;
    for (iat, exp) in [(5000, 9000), (5300, 9000), (5301, 9000), (5000, 9001), (0, 1)] {
        for set in [&issuers, &read] {
            let position = entry().seq;
            let expected = iat <= 5300 && exp <= 9000;
            assert_eq!(set.covers(Minted::In { iat, exp }, &[]), expected, "{iat} to {exp}");
            assert_eq!(set.covers(Minted::Placed { position, iat, exp }, &[]), expected, "{iat} to {exp}");
        }
    }
}

#[test]
fn snapshots_are_read_in_pieces_of_any_size() {
    let text = text_of(&[entry()], Forgotten { seq: entry().seq, ..Forgotten::NOTHING });
    for size in [1, 2, 7, 64, text.len()] {
        let mut reader = SnapshotReader::default();
        for piece in text.as_bytes().chunks(size) {
            assert_eq!(reader.push(piece), Ok(()), "pieces of {size}");
        }
        assert_eq!(reader.finish().map(|snapshot| snapshot.revoked.len()), Ok(1), "pieces of {size}");
    }
}

#[test]
fn damaged_snapshots_are_refused_at_every_byte() {
    let text = text_of(&[entry()], Forgotten { seq: entry().seq, ..Forgotten::NOTHING });
    for place in 0..text.len() {
        assert!(read(&text.as_bytes()[..place]).is_err(), "cut at {place}");
        let mut bent = text.clone().into_bytes();
        bent[place] ^= 1;
        let is_as_sent = |read: Snapshot| read.policy == policy() && read.revoked.len() == 1;
        assert!(read(&bent).map_or(true, is_as_sent), "bent at {place}");
    }
    let without_a_line: Vec<_> = text
        .lines()
        .enumerate()
        .filter(|(line, _)| *line != 1)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    assert!(read(without_a_line.concat().as_bytes()).is_err());
    assert!(read(format!("{text}{text}").as_bytes()).is_err());
    assert!(read(text.as_bytes()).is_ok());
}

#[test]
fn overlong_snapshot_lines_are_refused() {
    let mut reader = SnapshotReader::default();
    let half = [b' '; 64 * 1024];
    assert_eq!((reader.push(&half), reader.push(&half)), (Ok(()), Ok(())));
    assert_eq!(reader.push(b" "), Err(FrameFault::Malformed), "one byte past the edge");
}

#[test]
fn policies_recognise_the_published_key_set() {
    let published = serde_json::to_vec(&KeyRing::default().jwks()).expect("text");
    assert!(policy().publishes(&published));
    assert!(!policy().publishes(b"") && !policy().publishes(b"{\"keys\":[{}]}"));
}

#[test]
fn cursors_of_another_store_prove_nothing() {
    let (one, other) = (CursorKey::new(&[5; 32], "a"), CursorKey::new(&[5; 32], "b"));
    let cursor = one.cursor(Seq::start_of(1).next(), &[1; 32]);
    assert!(one.has_issued(&cursor) && !other.has_issued(&cursor));
}

#[test]
fn damaged_policies_and_leases_are_refused() {
    let grant = LeaseGrant::new(
        LeaseNonce([2; 16]),
        CursorKey::new(&[5; 32], "a").cursor(Seq::from_u64(90), &[1; 32]),
        &[1; 32],
        Duration::from_secs(10),
        Timestamp::from_secs(1),
    );
    for text in
        [serde_json::to_string(&grant).expect("text"), serde_json::to_string(&policy()).expect("text")]
    {
        for place in 0..text.len() {
            let mut bent = text.clone().into_bytes();
            bent[place] ^= 1;
            let is_as_sent = serde_json::from_slice::<LeaseGrant>(&bent).is_ok_and(|read| read == grant)
                || serde_json::from_slice::<FeedPolicy>(&bent).is_ok_and(|read| read == policy());
            let is_taken = serde_json::from_slice::<LeaseGrant>(&bent).is_ok()
                || serde_json::from_slice::<FeedPolicy>(&bent).is_ok();
            assert!(is_as_sent || !is_taken, "{place} of {text}");
        }
    }
    let read: LeaseGrant =
        serde_json::from_str(&serde_json::to_string(&grant).expect("text")).expect("its own text");
    assert_eq!(
        (read.nonce(), read.cursor().seq(), read.chain(), read.term()),
        (LeaseNonce([2; 16]), Seq::from_u64(90), [1; 32], Duration::from_secs(10))
    );
    assert_eq!(LeaseNonce::parse(&read.nonce().to_string()), Ok(read.nonce()));
}

#[test]
fn policies_recognise_a_secret_without_revealing_it() {
    let policy = policy();
    let key = policy.secret(&[7; 32]).expect("usable").expect("it is the one");
    assert_eq!(key.kid().as_str(), "one");
    assert!(policy.secret(&[8; 32]).expect("usable").is_none());
    assert!(policy.secret(&[]).is_err());
    assert_eq!(policy.tokens(Vec::new()).expect("known words").accepted, [TokenType::Access]);
}

#[test]
fn unknown_words_of_newer_issuers_are_refused() {
    let mut newer = FrameEntry::from(&entry());
    for unknown in [3, 7, 8] {
        newer.kind = unknown;
        assert_eq!(Entry::try_from(&newer), Err(FrameFault::UnknownKind(unknown)));
    }
    newer.kind = 5;
    newer.reason = "because".into();
    assert_eq!(Entry::try_from(&newer), Err(FrameFault::UnknownWord));
    let mut policy = policy();
    policy.fields.version = VERSION + 1;
    assert_eq!(policy.tokens(Vec::new()), Err(FrameFault::Version(VERSION + 1)));
}

/// The text of a JSON object with members that this program doesn't know, and with its digest.
fn with_unknown_members(text: &str) -> String {
    let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).expect("JSON");
    members.remove("digest");
    members.insert("tenants".into(), serde_json::json!([{ "name": "shop", "keys": [], "iss": null }]));
    if let Some(secret) = members.get_mut("secrets").and_then(|secrets| secrets.get_mut(0)) {
        secret["newer"] = serde_json::json!(1);
    }
    let digest = digest_of_members(&members).expect("a digest").to_string();
    members.insert("digest".into(), digest.into());
    serde_json::to_string(&members).expect("text")
}

#[test]
fn unknown_members_are_covered_and_ignored() {
    let text = with_unknown_members(&serde_json::to_string(&policy()).expect("text"));
    let read: FeedPolicy = serde_json::from_str(&text).expect("a newer policy");
    assert!(read.fields == policy().fields && read != policy());
    for (from, to) in [("shop", "ship"), ("\"newer\":1", "\"newer\":2"), ("\"iss\"", "\"isa\"")] {
        let bent = text.replace(from, to);
        assert_ne!(bent, text);
        assert!(serde_json::from_str::<FeedPolicy>(&bent).is_err(), "{from}");
    }
    // The order of members has no meaning.
    let turned: std::collections::BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&text).expect("JSON");
    assert!(serde_json::from_str::<FeedPolicy>(&serde_json::to_string(&turned).expect("text")).is_ok());
}

#[test]
fn snapshots_with_unknown_policy_members_are_read() {
    let whole = text_of(&[entry()], Forgotten::NOTHING);
    let (head, rest) = whole.split_once('\n').expect("lines");
    let mut head: serde_json::Value = serde_json::from_str(head).expect("JSON");
    head["policy"] = serde_json::from_str(&with_unknown_members(&head["policy"].to_string())).expect("JSON");
    // The snapshot's digest covers that of the policy, so the older one doesn't match.
    assert!(read(format!("{head}\n{rest}").as_bytes()).is_err());
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let policy: FeedPolicy = serde_json::from_value(head["policy"].clone()).expect("a policy");
    hash.update(&policy.digest.0);
    hash.update(head["cursor"].as_str().expect("a cursor").as_bytes());
    hash.update(&entry().chain);
    hash.update(&entry().seq.as_u64().to_be_bytes());
    hash.update(&[entry().kind.as_u8()]);
    hash.update(&entry().key.0);
    hash.update(&entry().at.as_secs().to_be_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    let row = rest.split_once('\n').expect("a row").0;
    let text = format!("{head}\n{row}\n{{\"digest\":\"{}\"}}\n", Bytes(digest));
    assert_eq!(read(text.as_bytes()).map(|snapshot| snapshot.revoked.len()), Ok(1));
}

#[test]
fn only_cursors_made_by_the_issuer_are_accepted() {
    let key = CursorKey::new(&[5; 32], "a");
    let text = key.cursor(Seq::start_of(1).next(), &[1; 32]).to_string();
    assert!(key.has_issued(&Cursor::parse(&text).expect("its own text")));
    assert!(!CursorKey::new(&[6; 32], "a").has_issued(&Cursor::parse(&text).expect("its own text")));
    let further = text.replacen("17179869185", "17179869186", 1);
    assert_ne!(text, further);
    let here = Cursor::parse(&text).expect("its own text");
    assert!(here.is_of(&[1; 32]) && !here.is_of(&[2; 32]));
    // The tag of its log can't be changed either.
    let bent = text.replace(".AQEB", ".AQIB");
    assert_ne!(text, bent);
    assert!(!key.has_issued(&Cursor::parse(&bent).expect("of the form")));
    assert!(!key.has_issued(&Cursor::parse(&further).expect("of the form")));
    for odd in [
        "",
        ".",
        "1",
        "1.",
        "01.AAAAAAAAAAAAAAAAAAAAAA",
        "-1.AAAAAAAAAAAAAAAAAAAAAA",
        "9007199254740992.AAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(Cursor::parse(odd), Err(FrameFault::Malformed), "{odd}");
    }
    assert!(Cursor::parse("0.AAAAAAAAAAAAAAAAAAAAAA").is_ok());
}
