//! Many writers in two processes: the numbers of the log have no gap, a reader that follows the log misses no
//! entry, and each receipt names the entry that was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quash_core::model::{Change, Followed, Generation, NewEntry, ScopeKey, ScopeKind, Seq, SessionId};
use quash_store::{Store, StoreError};

use crate::support::postgres::database;
use crate::support::*;

/// Half of them in each process.
const WRITERS: u32 = 32;

fn id(writer: u32, n: u32) -> SessionId {
    let mut bytes = [1; 16];
    bytes[..4].copy_from_slice(&writer.to_be_bytes());
    bytes[4..8].copy_from_slice(&n.to_be_bytes());
    SessionId::from_bytes(bytes)
}

fn duration() -> Duration {
    Duration::from_secs(if is_soak() { 60 } else { 3 })
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_many_writers_leave_no_gap_and_followers_miss_nothing() {
    let Some(database) = database().await else { return };
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let third = database.open().await;
    for writer in 0..WRITERS {
        commit(&third, add(account(&format!("dana{writer}")))).await;
    }
    let is_over = Arc::new(AtomicBool::new(false));

    // Follows the log as a guard does, from a process that writes nothing.
    let follower = {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut cursor = Seq::start_of(1);
            loop {
                let last = is_over.load(Ordering::Relaxed);
                let Followed { head, entries } = third.follow(cursor, 100).await.expect("a read");
                cursor = entries.last().map_or(cursor, |entry| entry.seq);
                seen.extend(entries);
                if last && cursor == head.seq {
                    return (seen, third);
                }
            }
        })
    };

    #[expect(clippy::disallowed_methods, reason = "the duration of a test")]
    let begun = Instant::now();
    let (rotations, endings) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&stores[writer as usize % 2]);
            let (rotations, endings) = (Arc::clone(&rotations), Arc::clone(&endings));
            tokio::spawn(async move {
                let mut appended = Vec::new();
                let name = format!("dana{writer}");
                for n in 0.. {
                    if begun.elapsed() > duration() {
                        break;
                    }
                    let opened_seq = store.head().await.expect("a head").seq;
                    let opened =
                        quash_core::model::Session { id: id(writer, n), ..session(1, &name, opened_seq) };
                    store.commit(open(opened, 1)).await.expect("a session");
                    for generation in 0..3 {
                        let rotate = Change::Rotate {
                            session: id(writer, n),
                            from: Generation(generation),
                            rotated_at: at(1000),
                            idle_until: at(90_000),
                        };
                        store.commit(rotate).await.expect("a rotation");
                        rotations.fetch_add(1, Ordering::Relaxed);
                    }
                    let key = ScopeKey(*id(writer, n).as_bytes());
                    let entry = NewEntry { key, ..entry(ScopeKind::Session, 1) };
                    let ended = quash_core::model::SessionEnd {
                        session: id(writer, n),
                        subject: subject(&name),
                        entry,
                        ..end(1)
                    };
                    let receipt = store.commit(ends(vec![ended.clone()])).await.expect("an end");
                    appended.push((receipt.seq.expect("a number"), key));
                    endings.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(store.commit(ends(vec![ended])).await, Err(StoreError::Conflict));
                    if n % 7 == 0 {
                        let key = ScopeKey([n as u8; 16]);
                        let revoke = Change::Revoke { entry: NewEntry { key, ..entry_of(writer) } };
                        appended.push((
                            store.commit(revoke).await.expect("an entry").seq.expect("a number"),
                            key,
                        ));
                    }
                }
                appended
            })
        })
        .collect();
    let mut appended = Vec::new();
    for writer in writers {
        appended.extend(writer.await.expect("no panic"));
    }
    let took = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let (seen, third) = follower.await.expect("no panic");
    let seen: Vec<_> = seen.into_iter().map(|entry| (entry.seq, entry.key)).collect();
    appended.sort_unstable_by_key(|(seq, _)| *seq);
    assert_eq!(seen, appended, "a follower sees each entry once, in order");
    whole_log(&third).await;
    whole_audit(&third).await;
    drop((stores, third));
    assert_eq!(database.deadlocks().await, 0, "deadlocks");
    println_figures(rotations.load(Ordering::Relaxed), endings.load(Ordering::Relaxed), took);
}

fn entry_of(writer: u32) -> NewEntry {
    entry(ScopeKind::Token, u8::try_from(writer).expect("small"))
}

#[expect(clippy::print_stderr, reason = "figures for whoever runs the test with --no-capture")]
fn println_figures(rotations: u32, endings: u32, took: Duration) {
    let each = |count: u32| f64::from(count) / took.as_secs_f64();
    eprintln!("{:.0} rotations/s and {:.0} ends/s, each after the other", each(rotations), each(endings));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_moves_the_newest_number() {
    let Some(database) = database().await else { return };
    let (one, other) = (database.open().await, database.open().await);
    let mut newest = other.newest();
    newest.mark_unchanged();
    let receipt = commit(&one, Change::Revoke { entry: entry(ScopeKind::Token, 1) }).await;
    tokio::time::timeout(Duration::from_secs(2), newest.changed()).await.expect("soon").expect("open");
    assert_eq!(Some(*newest.borrow_and_update()), receipt.seq);
}
