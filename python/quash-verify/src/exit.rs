//! The exit of the process: it waits until no thread is in a call that may give the GIL away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pyo3::prelude::*;

/// The generation of this process, and below it in 32 bits the number of its threads in a counted call. A child
/// doesn't have its parent's threads.
static COUNTED: AtomicU64 = AtomicU64::new(0);
/// Whether the process exits, so that no thread may wait.
static IS_EXITING: AtomicBool = AtomicBool::new(false);

/// The most that an exit waits for other threads. They need 20 ms, unless the machine is overloaded.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Runs `wait` without the GIL.
pub(crate) fn detached<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    counted(|| py.detach(wait))
}

/// Runs what may give the GIL away. Every such call must be counted: when Python finalizes, it ends each thread
/// that takes the GIL, and Rust aborts if that happens in a call from Rust.
pub(crate) fn counted<T>(call: impl FnOnce() -> T) -> T {
    let generation = quash_fork::generation() << 32;
    let of_this_process = |counted: u64| if counted >> 32 << 32 == generation { counted } else { generation };
    let add = |counted| Some(of_this_process(counted) + 1);
    let subtract = |counted| (of_this_process(counted) > generation).then(|| counted - 1);
    // The first can't fail; the second does in a child that was forked in the call.
    let _ = COUNTED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    let called = call();
    let _ = COUNTED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, subtract);
    called
}

/// Returns whether a thread of this process is in a counted call.
fn is_any_counted() -> bool {
    COUNTED.load(Ordering::SeqCst) > quash_fork::generation() << 32
}

/// Returns whether the process exits.
pub(crate) fn is_exiting() -> bool {
    IS_EXITING.load(Ordering::SeqCst)
}

/// Makes all waits of this process end, and no new one begin: it exits.
#[pyfunction]
pub(crate) fn begin_exit() {
    IS_EXITING.store(true, Ordering::SeqCst);
}

/// Returns once no thread waits, or after a moment.
#[pyfunction]
pub(crate) fn end_waits(py: Python<'_>) {
    py.detach(|| {
        let mut left = END_WITHIN.as_millis();
        while is_any_counted() && left > 0 {
            std::thread::sleep(Duration::from_millis(1));
            left -= 1;
        }
    });
}
