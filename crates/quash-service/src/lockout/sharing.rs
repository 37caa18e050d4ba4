//! Tests of what changes where several processes share the counters.

use std::sync::atomic::{AtomicU64, Ordering};

use quash_store::MemoryCounters;

use super::*;

#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

fn two_processes(clock: &Arc<ManualClock>) -> (Lockout, Lockout) {
    let policy = LockoutPolicy::default();
    let counters = Arc::new(MemoryCounters::shared(policy));
    let process = || {
        let (lockout, _) = Lockout::new(policy, Arc::clone(&counters) as _, &[7; 32], Arc::clone(clock) as _);
        lockout
    };
    (process(), process())
}

#[tokio::test(start_paused = true)]
async fn places_freed_by_another_process_are_found() {
    let (a, b) = two_processes(&Arc::default());
    let counted = a.counted(None, "dana");
    let held = Mutex::new(Vec::new());
    for _ in 0..5 {
        let (slot, acquired) = a.turn(counted).await.expect("a place");
        assert_eq!(acquired, Acquired::AtOnce);
        held.lock().expect("no panic").push(slot);
    }
    let free = async {
        tokio::time::timeout(ASK_AGAIN * 3, std::future::pending::<()>())
            .await
            .expect_err("it only passes time");
        held.lock().expect("no panic").pop();
    };
    let (waited, ()) = tokio::join!(b.turn(counted), free);
    let (_, acquired) = waited.expect("a place");
    assert_eq!(acquired, Acquired::AfterWaiting);
}

#[tokio::test]
async fn attempts_that_took_too_long_have_no_outcome() {
    let clock = Arc::<ManualClock>::default();
    let (a, _) = two_processes(&clock);
    let (slot, _) = a.turn(a.counted(None, "dana")).await.expect("a place");
    clock.0.store(EVALUATED_WITHIN.as_secs(), Ordering::SeqCst);
    assert!(slot.in_time().is_ok());
    clock.0.store(EVALUATED_WITHIN.as_secs() + 1, Ordering::SeqCst);
    let refused = slot.in_time().expect_err("its place may have expired");
    assert_eq!(refused, Failure::from(Unavailable::AccountQueueFull { retry_after: AGAIN_AFTER }));
}
