//! The priority of hashing threads.

use std::io;

/// The amount by which a hashing thread is nicer than the process. On a busy core it still gets about a tenth
/// of the time.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Lowers the calling thread's priority, so that requests without a hash don't wait for hashes.
///
/// # Errors
/// The system refuses, or doesn't support priorities of single threads.
#[cfg(target_os = "linux")]
pub(super) fn lower() -> io::Result<()> {
    use rustix::process::{getpriority_process, setpriority_process};
    // On Linux, "this process" is the calling thread (setpriority(2), "C library/kernel differences").
    let nice = getpriority_process(None)?;
    Ok(setpriority_process(None, nice + NICER)?)
}

/// Unsupported: on other systems, a priority applies to the whole process.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(super) fn lower() -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_calling_thread_is_lowered() {
        let nice = || getpriority_process(None).expect("a priority");
        let before = nice();
        let lowered = std::thread::spawn(move || {
            lower().expect("a lower priority");
            nice()
        });
        assert_eq!(lowered.join().expect("a thread"), (before + NICER).min(19));
        assert_eq!(nice(), before);
    }
}
