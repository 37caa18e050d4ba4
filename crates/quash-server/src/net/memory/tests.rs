//! Accounts: charges, refunds, and the order in which connections are closed.

use super::*;

const ROOM: usize = 16 * CONNECTION_BYTES;

#[test]
fn memory_accounts_return_everything() {
    let memory = Memory::new(ROOM);
    let account = memory.open(true);
    account.read(100).expect("room");
    account.handshake_done();
    let rest = CONNECTION_BYTES + TLS_BYTES + HTTP_BYTES;
    assert_eq!(memory.used(), rest - HTTP_BYTES);
    account.read(100).expect("room");
    assert!(account.is_in_a_head());
    let mut request = account.begin(100, Version::HTTP_11).expect("room");
    let mut body = account.charge(1000).expect("room");
    body.grow_to(2000).expect("room");
    assert_eq!(memory.used(), rest + REQUEST_BYTES + 100 + 2000);
    drop(body);
    request.answered(Some(500));
    drop(request);
    assert_eq!(memory.used(), rest + 500, "what the client has not taken");
    account.wrote(10_000);
    assert_eq!(memory.used(), rest);
    drop(account);
    assert_eq!(memory.used(), 0);
}

#[test]
fn the_oldest_unfinished_connection_is_closed_first() {
    let memory = Memory::new(ROOM);
    let [idle, busy, old, young] = [(); 4].map(|()| memory.open(false));
    let request = busy.begin(0, Version::HTTP_11).expect("room");
    let bodies = [&old, &young].map(|account| {
        let mut body = account.body();
        body.grow_to(2 * CONNECTION_BYTES).expect("room");
        body
    });
    // Further events on an unfinished connection don't make it younger.
    drop(old.begin(0, Version::HTTP_11).expect("room"));
    let newest = memory.open(false);
    let body = newest.charge(6 * CONNECTION_BYTES).expect("room for the newest");
    assert_eq!(
        [&idle, &busy, &old, &young, &newest].map(MemoryAccount::is_closed),
        [false, false, true, false, false]
    );
    assert_eq!(old.charge(1).err(), Some(Full));
    drop((request, bodies, body));
    drop([idle, busy, old, young, newest]);
    assert_eq!(memory.used(), 0, "nothing is given back twice");
}

#[test]
fn large_connections_wait_for_closing_ones() {
    let memory = Memory::new(ROOM);
    let [old, small, large] = [(); 3].map(|()| memory.open(false));
    let mut request = old.body();
    request.grow_to(5 * CONNECTION_BYTES).expect("room");
    let body = large.charge(10 * CONNECTION_BYTES).expect("room");
    assert!(
        old.is_closed()
            && large.must_wait_for_memory()
            && !small.must_wait_for_memory()
            && !old.must_wait_for_memory()
    );
    drop((request, old));
    assert!(!large.must_wait_for_memory());
    drop(body);
}

#[test]
fn idle_connections_close_before_requests_and_never_streams() {
    let memory = Memory::new(ROOM);
    let (stream, busy, idle) = (memory.open(false), memory.open(false), memory.open(false));
    let mut streaming = stream.begin(0, Version::HTTP_11).expect("room");
    streaming.answered(None);
    let request = busy.begin(0, Version::HTTP_11).expect("room");
    let others: Vec<_> = (0..24).map(|_| memory.open(false)).collect();
    assert_eq!([&stream, &busy, &idle].map(MemoryAccount::is_closed), [false, false, true]);
    assert!(
        memory.used() <= ROOM
            && others[0].is_closed()
            && others.last().is_some_and(|newest| !newest.is_closed())
    );
    drop((idle, busy, others, request));
    assert_eq!(memory.used(), 0, "a stream is outside the budget");
    drop(streaming);
    assert_eq!(memory.used(), CONNECTION_BYTES);
}

#[test]
fn connection_memory_is_limited() {
    let memory = Memory::new(10 * SHARE_BYTES);
    let account = memory.open(false);
    let all = account.charge(SHARE_BYTES - CONNECTION_BYTES).expect("all of it");
    assert_eq!(account.charge(1).err(), Some(Full), "one past the edge");
    assert!(!account.is_closed());
    drop(all);
    assert!(account.charge(1).is_ok());
}

#[test]
fn handshake_size_is_limited() {
    let account = Memory::new(ROOM).open(true);
    assert!(account.read(HANDSHAKE_BYTES).is_ok());
    assert!(account.read(1).is_err());
}

#[tokio::test]
async fn closing_wakes_waiting_tasks() {
    let memory = Memory::new(2 * CONNECTION_BYTES);
    let first = memory.open(false);
    let waiting = first.clone();
    let waiting = tokio::spawn(async move { waiting.closing().await });
    let _others = [memory.open(false), memory.open(false)];
    waiting.await.expect("it ends");
    first.closing().await;
}
