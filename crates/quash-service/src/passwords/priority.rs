//! The priority of threads that hash.

use std::io;

/// How much nicer a thread that hashes is than the process. A niced thread still gets about a tenth of a core that others
/// would use up.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Lowers the priority of the calling thread, so that requests which hash nothing don't wait for those that do.
///
/// # Errors
/// The system refuses, or has no priority of a single thread.
#[cfg(target_os = "linux")]
pub(super) fn lower() -> io::Result<()> {
    use rustix::process::{getpriority_process, setpriority_process};
    // On Linux, "this process" is the calling thread (setpriority(2), "C library/kernel differences").
    let nice = getpriority_process(None)?;
    Ok(setpriority_process(None, nice + NICER)?)
}

/// As on Linux.
///
/// # Errors
/// Elsewhere a priority is that of the whole process.
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
