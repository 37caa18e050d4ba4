//! Counts the forks that led to this process, and runs code with all signals blocked. Both need system calls
//! for which no safe interface exists: this is the only crate with `unsafe`.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of forks between this process and the first one that called [`count_forks`].
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Returns this process's generation. It differs from that of every ancestor.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "pthread_atfork and pthread_sigmask have no safe interface")]
mod unix {
    use super::{AtomicU64, GENERATION, Ordering};
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    /// 1 once the handler is registered; handlers are inherited.
    static REGISTERED: AtomicU64 = AtomicU64::new(0);

    /// Runs in the child of each fork, where only async-signal-safe calls are allowed.
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts counting. Returns whether forks are counted; without memory they aren't.
    #[must_use]
    pub fn count_forks() -> bool {
        // SAFETY: the handler only changes an atomic number, and lives as long as the program.
        REGISTERED.swap(1, Ordering::SeqCst) == 1
            || unsafe { libc::pthread_atfork(None, None, Some(in_child)) } == 0
    }

    /// Runs `start` with every signal of this thread blocked: a thread that it creates blocks them for good.
    pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: sigfillset writes the first set, a successful pthread_sigmask the second; both live here.
        let is_blocked = unsafe {
            libc::sigfillset(all.as_mut_ptr()) == 0
                && libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
        };
        let started = start();
        if is_blocked {
            // SAFETY: the set was written above, and the mask is this thread's own.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut()) };
        }
        started
    }
}

#[cfg(unix)]
pub use unix::{count_forks, with_signals_blocked};

/// Systems without fork have one generation.
#[cfg(not(unix))]
#[must_use]
pub fn count_forks() -> bool {
    true
}

/// Systems without signals to threads have none to block.
#[cfg(not(unix))]
pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    start()
}
