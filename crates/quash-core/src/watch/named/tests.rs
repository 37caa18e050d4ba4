//! One test for each matching rule of a namespace.

use std::time::Duration;

use super::*;
use crate::model::{Actor, Entry, Forgotten, Keep, Namespace, NamespaceClaims, NewEntry, Reason};
use crate::watch::feed;

/// The second of the first entry; each further one is committed a second later.
const AT: i64 = 1_000_000;
const HOUR: i64 = 3600;

fn ours() -> ScopeHasher {
    ScopeHasher::ours([1; 16])
}

fn policy() -> TokenPolicy {
    let shop = |name: &str| Namespace {
        name: name.into(),
        max_lifetime: Duration::from_secs(3600),
        accepted: vec!["access".into()],
        claims: NamespaceClaims::default(),
    };
    TokenPolicy { namespaces: vec![shop("shop"), shop("wiki")], ..TokenPolicy::default() }
}

fn session(name: &str) -> (ScopeKind, ScopeKey) {
    (ScopeKind::Session, ours().key_in("shop", ScopeKind::Session, name))
}

fn token(name: &str) -> (ScopeKind, ScopeKey) {
    (ScopeKind::Token, ours().key_in("shop", ScopeKind::Token, name))
}

fn subject(name: &str) -> (ScopeKind, ScopeKey) {
    (ScopeKind::Subject, ours().user_id_in("shop", name))
}

fn everything() -> (ScopeKind, ScopeKey) {
    (ScopeKind::Client, ours().everything_in("shop"))
}

/// The set after these entries, each with the second of its event if it was reported late.
fn set(revoked: &[((ScopeKind, ScopeKey), Option<i64>)]) -> Revoked {
    let mut set = Revoked::empty(Seq::start_of(1), feed::EMPTY);
    for (n, ((kind, key), until)) in (0..).zip(revoked) {
        let (reason, actor, at) = (Reason::Revoked, Actor::Operator, Timestamp::from_secs(AT + n));
        let (kind, key, until) = (*kind, *key, until.map(Timestamp::from_secs));
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until, actor: actor.clone() };
        let seq = set.cursor().next();
        let chain = feed::chain(&set.chain(), seq, &new, None);
        let entry = Entry { seq, kind, key, drop_after: None, reason, at, until, actor, chain };
        set.follow(&entry).expect("the next entry");
    }
    set
}

/// The number of the nth entry; 0 is the number before the first.
fn nth(n: u64) -> Option<u64> {
    Some(Seq::start_of(1).as_u64() + n)
}

fn shop<'a>() -> Named<'a> {
    Named { namespace: Some("shop"), issued_at: AT + HOUR, expires_at: AT + HOUR + 60, ..Named::default() }
}

/// A token of a user, issued `secs` seconds after the first entry.
fn of_user<'a>(position: Option<u64>, secs: i64) -> Named<'a> {
    let issued_at = AT + secs;
    Named { subject: Some("17"), position, issued_at, expires_at: issued_at + 60, ..shop() }
}

fn ask(named: &Named<'_>, set: &Revoked) -> Result<(), NamedVerdict> {
    admit_named(named, &policy(), &ours(), set, Timestamp::from_secs(AT + HOUR))
}

const REVOKED: Result<(), NamedVerdict> = Err(NamedVerdict::Refused(Refusal::TokenRevoked(None)));

#[test]
fn revocations_cover_one_namespace_and_one_kind() {
    let set = set(&[(session("a"), None), (token("b"), None)]);
    assert_eq!(ask(&Named { session: Some("a"), ..shop() }, &set), REVOKED);
    assert_eq!(ask(&Named { token: Some("b"), ..shop() }, &set), REVOKED);
    for other in [
        Named { session: Some("b"), token: Some("a"), subject: Some("a"), ..shop() },
        Named { session: Some("a"), token: Some("b"), namespace: Some("wiki"), ..shop() },
        Named { token: Some("b"), namespace: None, ..shop() },
    ] {
        assert_eq!(ask(&other, &set), Ok(()), "{other:?}");
    }
    assert_eq!(ask(&Named { namespace: Some("none"), ..shop() }, &set), Err(NamedVerdict::UnknownNamespace));
}

#[test]
fn sessions_and_tokens_are_covered_whenever_they_were_issued() {
    let set = set(&[(session("a"), None), (token("b"), Some(AT - HOUR)), (subject("99"), None)]);
    for position in [None, nth(0), nth(3)] {
        assert_eq!(ask(&Named { session: Some("a"), position, ..shop() }, &set), REVOKED);
        assert_eq!(ask(&Named { token: Some("b"), position, ..shop() }, &set), REVOKED, "also a late one");
    }
}

#[test]
fn watermarks_compare_the_position() {
    let set = set(&[(subject("17"), None)]);
    assert_eq!(ask(&of_user(nth(0), 0), &set), REVOKED, "issued before, in the same second");
    assert_eq!(ask(&of_user(nth(1), 0), &set), Ok(()), "issued after, in the same second");
    let all = super::tests::set(&[(everything(), None)]);
    assert_eq!(ask(&of_user(nth(0), 0), &all), REVOKED);
    assert_eq!(ask(&of_user(nth(1), 0), &all), Ok(()));
    assert_eq!(ask(&Named { namespace: Some("wiki"), ..of_user(nth(0), 0) }, &all), Ok(()));
}

#[test]
fn watermarks_compare_whole_seconds_without_a_position() {
    for revoked in [subject("17"), everything()] {
        let set = set(&[(revoked, None)]);
        assert_eq!(ask(&of_user(None, 0), &set), REVOKED, "of the same second");
        assert_eq!(ask(&of_user(None, 1), &set), Ok(()));
    }
    let late = set(&[(subject("17"), Some(AT - 100))]);
    assert_eq!(ask(&of_user(None, -100), &late), REVOKED);
    assert_eq!(ask(&of_user(None, -99), &late), Ok(()), "issued after the event, before the report");
}

#[test]
fn late_watermarks_spare_tokens_issued_after_the_event() {
    for revoked in [subject("17"), everything()] {
        let set = set(&[(revoked, Some(AT - 100))]);
        assert_eq!(ask(&of_user(nth(0), -100), &set), REVOKED);
        assert_eq!(ask(&of_user(nth(0), -95), &set), REVOKED, "within the leeway for clocks");
        assert_eq!(ask(&of_user(nth(0), -94), &set), Ok(()));
        assert_eq!(ask(&of_user(nth(1), -100), &set), Ok(()), "the issuer knew the entry");
    }
}

#[test]
fn late_watermarks_take_nothing_from_others() {
    let set = set(&[(subject("17"), None), (subject("17"), Some(AT - 100)), (subject("17"), Some(AT - 50))]);
    assert_eq!(ask(&of_user(nth(0), 10), &set), REVOKED, "by the first");
    assert_eq!(ask(&of_user(nth(1), 10), &set), Ok(()));
    assert_eq!(ask(&of_user(nth(2), -50), &set), REVOKED, "by the third");
    assert_eq!(ask(&of_user(nth(2), -44), &set), Ok(()));
}

#[test]
fn many_late_watermarks_never_cover_less() {
    let entries: Vec<_> = (0..20).map(|n| (subject("17"), Some(AT - 100 - n * 10))).collect();
    let set = set(&entries);
    for n in 0..20 {
        assert_eq!(ask(&of_user(nth(n), -100 - 10 * i64::try_from(n).expect("few")), &set), REVOKED, "{n}");
    }
    assert_eq!(ask(&of_user(nth(20), -1000), &set), Ok(()));
    assert_eq!(ask(&of_user(nth(0), 0), &set), Ok(()));
}

#[test]
fn positions_above_the_newest_number_are_behind() {
    let set = set(&[(session("a"), None)]);
    let position = Seq::from_u64(nth(2).expect("a number"));
    assert_eq!(ask(&of_user(nth(2), 0), &set), Err(NamedVerdict::Behind { position }));
    assert_eq!(ask(&of_user(nth(1), 0), &set), Ok(()));
    assert_eq!(ask(&Named { session: Some("a"), ..of_user(nth(2), 0) }, &set), REVOKED, "known already");
    let unvouched = admit_named_without_lease(
        &of_user(nth(2), 0),
        &policy(),
        &ours(),
        &set,
        Timestamp::from_secs(AT + HOUR),
    );
    assert_eq!(unvouched, Ok(()));
}

#[test]
fn tokens_that_no_entry_could_cover_are_refused() {
    let set = set(&[]);
    let refused = |named: Named<'_>| match ask(&named, &set) {
        Err(NamedVerdict::Refused(Refusal::TokenInvalid(fault))) => Some(fault),
        _ => None,
    };
    let lifetime = |secs| Named { issued_at: AT, expires_at: AT + secs, ..shop() };
    assert_eq!(refused(lifetime(HOUR)), None);
    assert_eq!(refused(lifetime(HOUR + 1)), Some(Invalid::Lifetime));
    let issued = |secs| Named { issued_at: AT + HOUR + secs, expires_at: AT + HOUR + secs, ..shop() };
    assert_eq!(refused(issued(300)), None);
    assert_eq!(refused(issued(301)), Some(Invalid::NotYet));
    assert_eq!(refused(Named { subject: Some(&"x".repeat(255)), ..shop() }), None);
    for name in ["", &"x".repeat(256)] {
        assert_eq!(refused(Named { token: Some(name), ..shop() }), Some(Invalid::Claim));
    }
    assert_eq!(refused(Named { namespace: None, session: Some("a"), ..shop() }), Some(Invalid::Claim));
}

#[test]
fn quashs_own_sessions_are_found_by_their_id() {
    let id = SessionId::from_bytes([9; 16]);
    let set = set(&[((ScopeKind::Session, ours().key(&Scope::Session(id))), None)]);
    let (ended, other) = (id.to_string(), SessionId::from_bytes([8; 16]).to_string());
    let own = |session| ask(&Named { namespace: None, session: Some(session), ..shop() }, &set);
    assert_eq!(own(&ended), REVOKED);
    assert_eq!(own(&other), Ok(()));
}

#[test]
fn forgotten_entries_and_new_epochs_cover_named_tokens() {
    let (at, until) = (Timestamp::from_secs(AT), Timestamp::from_secs(AT + 60));
    let forgotten = Forgotten { seq: Seq::from_u64(nth(1).expect("a number")), at, until };
    let set = set(&[(session("x"), None)]).forgetting(forgotten);
    assert_eq!(ask(&of_user(nth(0), 10), &set), REVOKED, "before the forgotten entry");
    assert_eq!(ask(&of_user(nth(1), 0), &set), REVOKED, "may be of a forgotten session");
    assert_eq!(ask(&of_user(nth(1), 1), &set), Ok(()));
    let restored = super::tests::set(&[((ScopeKind::Everything, ours().key(&Scope::Everything)), None)]);
    assert_eq!(ask(&of_user(nth(0), 0), &restored), REVOKED);
    assert_eq!(ask(&of_user(None, 0), &restored), REVOKED);
}
