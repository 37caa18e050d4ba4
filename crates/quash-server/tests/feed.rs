//! The feed over HTTP: access, contents, leases and the barrier.

use crate::support;

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use http::header::ACCEPT;
use http::{HeaderName, Method};
use quash_core::model::{Actor, EndCause, Reason, Right, Rights, Scope, ScopeKey, ScopeKind, Seq};
use quash_core::watch::frame::{Cursor, Frame, LeaseGrant, Snapshot, SnapshotReader, Wanted};
use quash_core::watch::{FeedError, Follower, Freshness, Lease, Revoked};
use serde_json::{Value, json};
use tower::ServiceExt;

use support::{Call, Plan, World, subject};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const T: Duration = Duration::from_secs(10);

/// A verifier's credential.
async fn credential(world: &World, name: &str) -> String {
    let (_, secret) = world.service.add_client(name, Rights::VERIFIER, None).await.expect("a verifier");
    secret.into_text().to_string()
}

async fn snapshot(world: &World, secret: &str) -> Snapshot {
    let mut reader = SnapshotReader::default();
    reader.push(snapshot_text(world, secret).await.as_bytes()).expect("a snapshot");
    reader.finish().expect("a whole snapshot")
}

async fn snapshot_text(world: &World, secret: &str) -> String {
    let answer = world.send(Call::get("/v1/feed/snapshot?v=2").bearer(secret)).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/x-ndjson")),
        "{answer}"
    );
    answer.text().to_owned()
}

pub(crate) fn lease_path(cursor: &Cursor, instance: u8, policy: &str) -> String {
    format!(
        "/v1/feed/lease?v=2&cursor={cursor}&instance={}&nonce={NONCE}&policy={policy}",
        format!("{instance:02x}").repeat(16)
    )
}

async fn lease(world: &World, secret: &str, cursor: &Cursor, instance: u8) -> LeaseGrant {
    let answer = world.send(Call::get(&lease_path(cursor, instance, "deny")).bearer(secret)).await;
    assert_eq!(answer.status, 200, "{answer}");
    serde_json::from_value(answer.json()).expect("a lease")
}

/// A stream of server-sent events, read as it arrives.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(world: &World, secret: &str, after: &Cursor) -> Self {
        let request = Call::get(&format!("/v1/feed?v=2&after={after}"))
            .bearer(secret)
            .header(ACCEPT, "text/event-stream")
            .into_request();
        let answer = world.router().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: Body::into_data_stream(answer.into_body()), text: String::new() }
    }

    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let Some((name, data)) = event.split_once('\n') else { continue };
                let name = name.strip_prefix("event: ").expect("a name").to_owned();
                return Some((
                    name,
                    serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON"),
                ));
            }
            self.text
                .push_str(std::str::from_utf8(&self.body.next().await?.expect("a chunk")).expect("text"));
        }
    }

    async fn frame(&mut self) -> Frame {
        let (name, data) = self.next().await.expect("an event");
        assert_eq!(name, "entries");
        serde_json::from_value(data).expect("a frame")
    }
}

#[tokio::test]
async fn a99_the_feed_requires_a_verifier_credential() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let (_, other) = world
        .service
        .add_client("reports", [Right::Introspect].into_iter().collect(), None)
        .await
        .expect("a client");
    let other = other.into_text();
    let secret = credential(&world, "api").await;
    let after = world_cursor(&world, &secret).await;
    let paths = [
        "/v1/feed/snapshot?v=2".to_owned(),
        format!("/v1/feed?v=2&after={after}"),
        lease_path(&after, 1, "deny"),
    ];
    for path in &paths {
        let wrong = [
            pair.access.as_str(),
            pair.refresh.as_str(),
            "qv_",
            &format!("qv_{}", "A".repeat(43)),
            &secret[..secret.len() - 1],
        ];
        let wrong = wrong.into_iter().map(|wrong| Call::get(path).bearer(wrong));
        for call in wrong.chain([Call::get(path)]) {
            let refused = world.send(call).await;
            assert_eq!(
                (refused.status, refused.json()["code"].as_str()),
                (401, Some("credential_not_valid")),
                "{path}"
            );
        }
        let no_right = world.send(Call::get(path).bearer(&other)).await;
        assert_eq!((no_right.status, no_right.json()["code"].as_str()), (403, Some("right_required")));
    }
    world.service.remove_client("api", |client| client.is_verifier(), None).await.expect("it is there");
    for path in &paths {
        assert_eq!(
            world.send(Call::get(path).bearer(&secret)).await.status,
            401,
            "a credential that was removed"
        );
    }
}

pub(crate) async fn world_cursor(world: &World, secret: &str) -> Cursor {
    snapshot(world, secret).await.cursor
}

#[tokio::test]
async fn a99_the_feed_contains_no_tokens_or_personal_data() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let mut events = Events::open(&world, &secret, &world_cursor(&world, &secret).await).await;
    let pair = world.sign_in("dana").await;
    world
        .service
        .end_account(&subject("dana"), EndCause::AccountRevoked, Actor::Operator)
        .await
        .expect("an end");
    events.next().await.expect("the policy");
    let frame = serde_json::to_string(&events.frame().await).expect("text");
    let whole = snapshot_text(&world, &secret).await;
    for text in [&frame, &whole] {
        for personal in ["dana", "example.org", pair.access.split('.').next().expect("a header"), &secret] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
}

#[tokio::test]
async fn verifiers_follow_snapshots_and_refuse_ended_tokens() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let first = snapshot(&world, &secret).await;
    let mut events = Events::open(&world, &secret, &first.cursor).await;
    let (name, policy) = events.next().await.expect("the policy");
    assert_eq!((name.as_str(), policy["term_ms"].as_u64()), ("policy", Some(10_000)));
    let scopes = first.policy.scopes().expect("words that are known");
    let mut follower = Follower::lease_holder(first.revoked, first.policy.term());
    assert_eq!(world.log_out(&dana.access, &dana.refresh).await.status, 200);
    let frame = events.frame().await;
    follower.follow(&frame.entries().expect("entries")).expect("in order");
    let covers = |follower: &Follower, token: &str| {
        let sid = support::claims(token)["sid"].as_str().expect("a session").parse().expect("an id");
        let rsq = Seq::from_u64(support::claims(token)["rsq"].as_u64().expect("a number"));
        follower.revoked().covers(quash_core::token::Minted::At(rsq), &[scopes.key(&Scope::Session(sid))])
    };
    assert!(covers(&follower, &dana.access));
    assert!(!covers(&follower, &noor.access));
    // A lease's term begins with its request.
    let grant = lease(&world, &secret, &frame.cursor, 1).await;
    let asked =
        Lease { sent_at: T, cursor: frame.cursor.seq(), head: grant.cursor().seq(), chain: grant.chain() };
    follower.grant(asked).expect("of this log");
    assert_eq!(follower.freshness(), Freshness::Until(T + T));
    // A snapshot contains the same information as the entries.
    let again = snapshot(&world, &secret).await.revoked;
    assert_eq!(
        (again.cursor(), again.chain(), again.len()),
        (follower.revoked().cursor(), follower.revoked().chain(), 1)
    );
}

#[tokio::test]
async fn concurrent_entries_share_ordered_frames() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let first = snapshot(&world, &secret).await;
    let mut events = Events::open(&world, &secret, &first.cursor).await;
    events.next().await.expect("the policy");
    for _ in 0..700 {
        world.end_all("noor").await;
    }
    let mut follower = Follower::lease_holder(first.revoked, T);
    let mut frames = 0;
    while follower.revoked().cursor() < world.head().await {
        follower.follow(&events.frame().await.entries().expect("entries")).expect("in order");
        frames += 1;
    }
    assert_eq!(frames, 2, "512 at the most, and the rest");
}

#[tokio::test]
async fn the_feed_supports_polling() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let after = world_cursor(&world, &secret).await;
    world.end_all("dana").await;
    let poll = |after: &Cursor| {
        Call::get(&format!("/v1/feed?v=2&after={after}")).bearer(&secret).header(ACCEPT, "application/json")
    };
    let answer = world.send(poll(&after)).await.json();
    let frame: Frame = serde_json::from_value(answer["frame"].clone()).expect("a frame");
    assert_eq!((frame.entries.len(), frame.cursor.seq()), (1, world.head().await));
    assert_eq!(answer["policy"]["version"], 2);
}

#[tokio::test]
async fn idle_polls_time_out() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let after = world_cursor(&world, &secret).await;
    let true = support::time_is_paused() else { return };
    let call =
        Call::get(&format!("/v1/feed?v=2&after={after}")).bearer(&secret).header(ACCEPT, "application/json");
    let answer = world.send(call).await.json();
    assert_eq!((&answer["frame"], &answer["wanted"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn invalid_cursors_require_a_snapshot() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    let forged = here.to_string().replace(&here.seq().to_string(), &here.seq().next().to_string());
    for cursor in [forged.as_str(), "0.AAAAAAAAAAAAAAAAAAAAAA", "9007199254740991.AAAAAAAAAAAAAAAAAAAAAA"] {
        for path in [
            format!("/v1/feed?v=2&after={cursor}"),
            lease_path(&Cursor::parse(cursor).expect("of the form"), 1, "deny"),
        ] {
            let refused = world.send(Call::get(&path).bearer(&secret)).await;
            assert_eq!(
                (refused.status, refused.json()["code"].as_str()),
                (409, Some("snapshot_required")),
                "{path}"
            );
        }
    }
    for path in [
        "/v1/feed?v=2",
        "/v1/feed?v=2&after=",
        "/v1/feed?v=2&after=x",
        &format!("/v1/feed?v=2&after={here}&after={here}"),
    ] {
        let wrong = world.send(Call::get(path).bearer(&secret)).await;
        assert_eq!(
            (wrong.status, wrong.json()["errors"]["after"].is_array()),
            (400, true),
            "{path}: {wrong}"
        );
    }
    for instance in
        ["", "0", &"0".repeat(31), &"0".repeat(33), &"G".repeat(32), &"A".repeat(32), &"\u{e9}".repeat(16)]
    {
        let path = format!(
            "/v1/feed/lease?v=2&cursor={here}&nonce={NONCE}&policy=deny&instance={}",
            form_urlencoded(instance)
        );
        assert_eq!(world.send(Call::get(&path).bearer(&secret)).await.status, 400, "{instance}");
    }
    let path = lease_path(&here, 1, "perhaps");
    assert!(world.send(Call::get(&path).bearer(&secret)).await.json()["errors"]["policy"].is_array());
}

#[tokio::test]
async fn requests_name_a_version_that_the_server_speaks() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    let paths = [
        "/v1/feed/snapshot?v=2".to_owned(),
        format!("/v1/feed?v=2&after={here}"),
        lease_path(&here, 1, "deny"),
    ];
    for (path, version) in
        paths.iter().flat_map(|path| ["", "v=1&", "v=3&", "v=", "v=02&"].map(|version| (path, version)))
    {
        let path = path.replace("v=2", version.trim_end_matches('&'));
        let refused = world.send(Call::get(&path).bearer(&secret)).await;
        let problem = refused.json();
        assert_eq!(
            (refused.status, &problem["code"], &problem["versions"]),
            (400, &json!("feed_version"), &json!([2])),
            "{path}: {refused}"
        );
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("version 2")), "{refused}");
        // The version isn't told to clients without a credential.
        assert_eq!(world.send(Call::get(&path)).await.status, 401, "{path}");
    }
    let twice = world.send(Call::get("/v1/feed/snapshot?v=2&v=2").bearer(&secret)).await;
    assert_eq!((twice.status, twice.json()["errors"]["v"].is_array()), (400, true), "{twice}");
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn barriers_wait_for_lease_holders_until_expiry() {
    let world = World::open().await;
    world.wait(Duration::from_secs(60));
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    lease(&world, &secret, &here, 1).await;
    lease(&world, &secret, &here, 2).await;
    let pair = world.sign_in("dana").await;
    // Passwords are hashed in other threads. From here on everything happens in this thread, and time
    // advances when it is idle.
    let true = support::time_is_paused() else { return };
    let mut events = Events::open(&world, &secret, &here).await;
    events.next().await.expect("the policy");
    let call = Call::post("/api/logout/")
        .bearer(&pair.access)
        .header(PREFER, "wait=effective")
        .json(&json!({ "refresh": pair.refresh }));
    let verifiers = async {
        let frame = events.frame().await;
        let (name, wanted) = events.next().await.expect("an event");
        let wanted: Wanted = serde_json::from_value(wanted).expect("a number");
        assert_eq!(
            (name.as_str(), wanted.seq),
            ("wanted", frame.cursor.seq().as_u64()),
            "a verifier that receives it renews its lease at once"
        );
        // One verifier confirms the entry; the other is disconnected until its lease has expired.
        lease(&world, &secret, &frame.cursor, 1).await;
        tokio::task::yield_now().await;
        world.wait(T + Duration::from_millis(6));
    };
    let (answer, ()) = tokio::join!(world.send(call), verifiers);
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("preference-applied"), Some("wait=effective"));
    let effective = answer.json()["effective"].clone();
    assert_eq!(effective["verifiers"], json!({ "confirmed": 1, "stale": 1, "not_bound": 0 }));
    assert_eq!(effective["seq"].as_u64(), Some(world.head().await.as_u64()));
}

#[tokio::test]
async fn leases_may_be_labelled() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    let ask = async |label: &str| {
        world.send(Call::get(&format!("{}{label}", lease_path(&here, 1, "deny"))).bearer(&secret)).await
    };
    let seen = async || {
        let label = world.service.verifiers().await.expect("verifiers").remove(0).label;
        (label.host().map(str::to_owned), label.pid())
    };
    assert_eq!(ask("&host=web-1&pid=4711").await.status, 200);
    assert_eq!(seen().await, (Some("web-1".into()), Some(4711)));
    for (label, field) in [
        ("&host=a%20b&pid=1", "host"),
        ("&host=", "host"),
        (&*format!("&host={}", "a".repeat(65)), "host"),
        ("&pid=x", "pid"),
        ("&pid=1&pid=2", "pid"),
    ] {
        let wrong = ask(label).await;
        assert_eq!((wrong.status, wrong.json()["errors"][field].is_array()), (400, true), "{label}: {wrong}");
    }
    assert_eq!(ask("").await.status, 200);
    assert_eq!(seen().await, (None, None));
}

fn give_back(instance: u8) -> Call {
    Call::of(Method::DELETE, &format!("/v1/feed/lease?instance={}", format!("{instance:02x}").repeat(16)))
}

#[tokio::test]
async fn leases_are_given_back_by_their_own_credential_alone() {
    let world = World::open().await;
    let (secret, other) = (credential(&world, "api").await, credential(&world, "chat").await);
    let here = world_cursor(&world, &secret).await;
    lease(&world, &secret, &here, 1).await;
    lease(&world, &secret, &here, 2).await;
    assert_eq!(world.send(give_back(1).bearer(&other)).await.status, 204);
    assert_eq!(world.service.verifiers().await.expect("verifiers").len(), 2, "of another credential");
    for _ in 0..2 {
        let given_back = world.send(give_back(1).bearer(&secret)).await;
        assert_eq!((given_back.status, given_back.text()), (204, ""), "{given_back}");
    }
    assert_eq!(world.service.verifiers().await.expect("verifiers").len(), 1);
    let late = world.send(Call::get(&lease_path(&here, 1, "deny")).bearer(&secret)).await;
    assert_eq!((late.status, late.json()["errors"]["instance"].is_array()), (400, true), "{late}");
    let seen = world.service.verifiers().await.expect("verifiers");
    assert_eq!(seen.len(), 1, "a late request revives nothing");
    assert_eq!(world.send(give_back(9).bearer(&secret)).await.status, 204, "without a lease");
    for query in ["", "?instance=", "?instance=0", "?instance=GG"] {
        let wrong = Call::of(Method::DELETE, &format!("/v1/feed/lease{query}"));
        let wrong = world.send(wrong.bearer(&secret)).await;
        assert_eq!((wrong.status, wrong.json()["errors"]["instance"].is_array()), (400, true), "{query}");
    }
    assert_eq!(world.send(give_back(2)).await.status, 401);
    let put = world.send(Call::of(Method::PUT, "/v1/feed/lease").bearer(&secret)).await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, DELETE")));
}

#[tokio::test]
async fn the_barrier_does_not_wait_for_verifiers_that_leave() {
    let world = World::open().await;
    world.wait(Duration::from_secs(60));
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    lease(&world, &secret, &here, 1).await;
    let ended = world.service.end_everything(Reason::Revoked, Actor::Operator).await.expect("an end");
    let true = support::time_is_paused() else { return };
    let waiting = world.service.effective(ended.seq.expect("an entry"));
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(early.is_err(), "the verifier has a lease and hasn't confirmed");
    let (given_back, effective) = tokio::join!(world.send(give_back(1).bearer(&secret)), &mut waiting);
    assert_eq!((given_back.status, effective.expect("a barrier").verifiers), (204, vec![]));
}

#[tokio::test]
async fn barriers_need_verifiers_and_the_preference() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let call = Call::of(Method::POST, "/v1/me/sessions/end-all").bearer(&pair.access);
    let answer = world.send(call.clone().header(PREFER, "respond-async, wait=effective")).await;
    assert_eq!(
        (answer.status, answer.json()["effective"]["verifiers"]["confirmed"].as_u64()),
        (200, Some(0)),
        "{answer}"
    );
    let pair = world.sign_in("dana").await;
    let plain = world.send(Call::of(Method::POST, "/v1/me/sessions/end-all").bearer(&pair.access)).await;
    assert_eq!((plain.status, plain.text()), (204, ""));
    let refused = world.send(call.header(PREFER, "wait=effective")).await;
    assert_eq!((refused.status, refused.json().get("effective")), (401, None));
}

#[tokio::test]
async fn unbound_verifiers_are_listed_but_not_awaited() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    assert_eq!(world.send(Call::get(&lease_path(&here, 3, "allow")).bearer(&secret)).await.status, 200);
    let ended = world.service.end_everything(Reason::Revoked, Actor::Operator).await.expect("an end");
    let effective = world.service.effective(ended.seq.expect("an entry")).await.expect("a barrier");
    let states: Vec<_> = effective
        .verifiers
        .iter()
        .map(|verifier| (verifier.id.name.as_str(), verifier.state.as_str()))
        .collect();
    assert_eq!(states, [("api", "not_bound")]);
    assert!(!effective.is_confirmed_by_all());
}

#[tokio::test]
async fn barriers_wait_for_leases_from_before_a_restart() {
    let world = World::open().await;
    world.wait(Duration::from_secs(60));
    let world = world.reopened(Plan::default()).await;
    let ended = world.service.end_everything(Reason::Revoked, Actor::Operator).await.expect("an end");
    let seq = ended.seq.expect("an entry");
    let true = support::time_is_paused() else { return };
    let waiting = world.service.effective(seq);
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(early.is_err(), "a verifier may hold a lease that this process does not know");
    world.wait(T + Duration::from_millis(6));
    assert_eq!(waiting.await.expect("a barrier").verifiers, []);
}

#[tokio::test]
async fn snapshots_contain_only_the_newest_watermarks() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let pair = world.sign_in("dana").await;
    let key = world.service.guard().scopes().key(&Scope::Subject(subject("noor")));
    world.append(std::iter::repeat_n((ScopeKind::Subject, key), 1100)).await;
    world.end_all("dana").await;
    let text = snapshot_text(&world, &secret).await;
    let rows: usize =
        text.lines().filter(|line| line.starts_with('[')).map(|line| line.matches(",\"").count()).sum();
    assert_eq!(rows, 2, "of 1101 entries");
    let snapshot = snapshot(&world, &secret).await;
    let rsq = Seq::from_u64(support::claims(&pair.access)["rsq"].as_u64().expect("a number"));
    for name in ["dana", "noor"] {
        let scope = snapshot.policy.scopes().expect("known words").key(&Scope::Subject(subject(name)));
        assert!(snapshot.revoked.covers(quash_core::token::Minted::At(rsq), &[scope]), "{name}");
    }
}

#[tokio::test]
async fn snapshots_are_sent_in_bounded_parts() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let token = |number: u128| (ScopeKind::Token, ScopeKey(number.to_be_bytes()));
    world.append((0..2500).map(token)).await;
    let answer = world
        .router()
        .oneshot(Call::get("/v1/feed/snapshot?v=2").bearer(&secret).into_request())
        .await
        .expect("an answer");
    let mut body = Body::into_data_stream(answer.into_body());
    let (mut reader, mut parts) = (SnapshotReader::default(), 0);
    while let Some(part) = body.next().await {
        let part = part.expect("a part");
        assert!(part.len() < 128 * 1024, "{}", part.len());
        reader.push(&part).expect("as it was sent");
        parts += 1;
    }
    assert_eq!((reader.finish().expect("whole").revoked.len(), parts), (2500, 4));
}

#[tokio::test]
async fn removed_credentials_end_their_open_streams() {
    let world = World::open().await;
    let (secret, other) = (credential(&world, "api").await, credential(&world, "chat").await);
    let after = world_cursor(&world, &secret).await;
    let (mut events, mut others) =
        (Events::open(&world, &secret, &after).await, Events::open(&world, &other, &after).await);
    events.next().await.expect("the policy");
    others.next().await.expect("the policy");
    let poll =
        Call::get(&format!("/v1/feed?v=2&after={after}")).bearer(&secret).header(ACCEPT, "application/json");
    let remove = async {
        world.settle().await;
        world.service.remove_client("api", |client| client.is_verifier(), None).await.expect("it is there");
    };
    let (polled, (), ended) = tokio::join!(world.send(poll), remove, events.next());
    assert_eq!((polled.status, polled.json()["code"].as_str()), (401, Some("credential_not_valid")));
    assert!(ended.is_none());
    world.end_all("dana").await;
    others.frame().await;
}

#[tokio::test]
async fn closed_readers_end() {
    let world = World::open().await;
    let secret = credential(&world, "api").await;
    let mut events = Events::open(&world, &secret, &world_cursor(&world, &secret).await).await;
    events.next().await.expect("the policy");
    world.service.close_feed();
    assert!(events.next().await.is_none());
}

#[test]
fn issuers_behind_a_cursor_grant_no_lease() {
    let mut follower = Follower::lease_holder(Revoked::empty(Seq::start_of(2), [1; 32]), T);
    let lease = Lease { sent_at: T, cursor: Seq::start_of(2), head: Seq::start_of(1), chain: [0; 32] };
    assert!(matches!(follower.grant(lease), Err(FeedError::WentBack { .. })));
    assert_eq!(follower.freshness(), Freshness::Never);
}

#[tokio::test]
async fn a90_metrics_need_credentials_and_use_fixed_labels() {
    let world = World::open().await;
    assert_eq!(world.send(Call::get("/metrics")).await.status, 401);
    let pair = world.sign_in("dana").await;
    assert_eq!(world.send(Call::get("/metrics").bearer(&pair.access)).await.status, 401);
    let secret = credential(&world, "api").await;
    let here = world_cursor(&world, &secret).await;
    lease(&world, &secret, &here, 1).await;
    let spent = pair.refresh.clone();
    world.refresh(&spent).await.pair();
    world.refresh(&spent).await.pair();
    world.send(Call::get("/v1/evil\"}label?x=1")).await;
    world.send(Call::of("EVIL".parse().expect("a method"), "/v1/me/sessions/evil")).await;
    assert_eq!(world.attempt("evil", "evil").await.status, 401);
    let answer = world.send(Call::get("/metrics").bearer(&secret)).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answer.text();
    for line in [
        "quash_sign_ins_total{outcome=\"good\"} 1",
        "quash_sign_ins_total{outcome=\"refused\"} 1",
        "quash_exchanges_total{outcome=\"rotated\"} 1",
        "quash_exchanges_total{outcome=\"answered\"} 1",
        "quash_verifiers{state=\"leased\"} 1",
        "quash_verifier_lag 0",
        "quash_propagation_seconds_count 0",
        "quash_requests_total{route=\"-\",status=\"404\"} 1",
        "quash_requests_total{route=\"/v1/feed/lease\",status=\"200\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("evil") && !text.contains("EVIL") && !text.contains("dana"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn newer_cursors_prove_a_store_reset() {
    let (world, other) = (World::open().await, World::open().await);
    let (secret, of_the_other) = (credential(&world, "api").await, credential(&other, "api").await);
    let pair = world.sign_in("dana").await;
    // Both have the same master key, and an entry with the same number.
    world.end_all("noor").await;
    other.end_all("dana").await;
    let (here, there) = (world_cursor(&world, &secret).await, world_cursor(&other, &of_the_other).await);
    assert_eq!(here.seq(), there.seq());
    world.end_all("noor").await;
    let status = async |cursor: &Cursor| {
        world.send(Call::get(&lease_path(cursor, 1, "deny")).bearer(&secret)).await.status
    };
    assert_eq!((status(&here).await, world.head().await.epoch()), (200, here.seq().epoch()));
    assert_eq!(status(&there).await, 409);
    let begun = world.head().await;
    assert!(begun.epoch() > here.seq().epoch());
    assert_eq!(world.me(&pair.access).await.status, 401);
    assert_eq!((status(&there).await, status(&here).await), (409, 409));
    assert_eq!(world.head().await, begun, "it is begun once");
}
