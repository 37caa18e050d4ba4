//! The way of an answer from the follower to the caller that waits for it: a channel for a thread, a queue
//! and a socket pair for an event loop.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use quash_verify::{Accepted, Receipt, TokenGuard, VerifyError};

use crate::errors::Failure;
use crate::follower::Follower;
use crate::live::Live;
use crate::watch::Watch;

/// The result of a task on the follower.
pub(crate) enum Answer {
    Live(Accepted),
    Watched(Arc<Follower>, TokenGuard),
    Ended(VerifyError),
    Flag(bool),
    Revoked(Receipt),
    Done,
    Failed(Failure),
}

/// The queue of one event loop. The follower adds answers and makes the descriptor readable; the loop takes
/// them. A child process must not use its parent's.
#[pyclass(frozen, weakref, module = "quash_verify._native")]
pub(crate) struct Answers {
    generation: u64,
    inbox: Arc<Inbox>,
    receiver: UnixStream,
}

struct Inbox {
    queue: Mutex<Vec<(u64, Answer)>>,
    sender: UnixStream,
}

/// Where an answer goes. Dropped without an answer, it tells the caller that none will come.
pub(crate) struct Reply(Option<To>);

enum To {
    Thread(mpsc::Sender<Answer>),
    Loop(Arc<Inbox>, u64),
}

/// The generation of this process, and below it in 32 bits the number of its threads in a counted call. A child
/// doesn't have its parent's threads.
static COUNTED: AtomicU64 = AtomicU64::new(0);
/// Whether the process exits, so that no thread may wait.
static IS_EXITING: AtomicBool = AtomicBool::new(false);

/// How often a waiting thread lets Python handle signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(20);
/// The most that an exit waits for other threads. They need 20 ms, unless the machine is overloaded.
const END_WITHIN: Duration = Duration::from_secs(1);

impl Answer {
    /// Makes the value that Python gets.
    ///
    /// # Errors
    /// Returns an error if the answer is one, or if Python has no memory.
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Live(accepted) => Live::new(accepted).into_py_any(py),
            Self::Watched(follower, guard) => Watch::new(follower, guard).into_py_any(py),
            Self::Ended(denied) => Failure::Denied(denied).into_exception(py).map(Bound::unbind),
            Self::Flag(is) => is.into_py_any(py),
            Self::Revoked(Receipt { seq, written, confirmed, stale, not_bound, ms, .. }) => {
                (seq, written, confirmed, stale, not_bound, ms).into_py_any(py)
            }
            Self::Done => Ok(py.None()),
            Self::Failed(failure) => Err(failure.into_error(py)),
        }
    }
}

impl Reply {
    pub(crate) fn send(mut self, answer: Answer) {
        self.pass(answer);
    }

    fn pass(&mut self, answer: Answer) {
        match self.0.take() {
            // A caller that was interrupted waits no longer.
            Some(To::Thread(sender)) => drop(sender.send(answer)),
            Some(To::Loop(inbox, number)) => inbox.push(number, answer),
            None => {}
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.pass(Answer::Failed(Failure::Closed));
    }
}

/// Waits in a thread, without the GIL, for the answer to a task that `begin` starts.
///
/// # Errors
/// Returns an error if the answer is one, or if a signal's handler raises one.
pub(crate) fn wait(py: Python<'_>, begin: impl FnOnce(Reply)) -> PyResult<Answer> {
    let (sender, mut receiver) = mpsc::channel();
    begin(Reply(Some(To::Thread(sender))));
    loop {
        let received;
        // The closure must own the receiver, which can't be shared between threads.
        (receiver, received) = detached(py, move || {
            let received = receiver.recv_timeout(SIGNALS_EVERY);
            (receiver, received)
        });
        match received {
            Ok(answer) => return Ok(answer),
            Err(mpsc::RecvTimeoutError::Timeout) if is_exiting() => {
                return Ok(Answer::Failed(Failure::Closed));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Answer::Failed(Failure::Closed)),
        }
    }
}

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

impl Inbox {
    fn push(&self, number: u64, answer: Answer) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push((number, answer));
        if queue.len() == 1 {
            // A full pair is readable already; a closed one has no reader.
            let _ = (&self.sender).write(&[1]);
        }
    }
}

impl Answers {
    /// Returns a reply that arrives here under this number.
    pub(crate) fn reply(&self, number: u64) -> Reply {
        Reply(Some(To::Loop(Arc::clone(&self.inbox), number)))
    }
}

#[pymethods]
impl Answers {
    #[new]
    fn create() -> PyResult<Self> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let inbox = Arc::new(Inbox { queue: Mutex::default(), sender });
        Ok(Self { generation: quash_fork::generation(), inbox, receiver })
    }

    /// Returns the descriptor that becomes readable with each answer.
    pub(crate) fn fileno(&self) -> i32 {
        self.receiver.as_raw_fd()
    }

    /// Returns whether this process made it.
    fn is_current(&self) -> bool {
        self.generation == quash_fork::generation()
    }

    /// Takes the answers that have arrived: the number of each, and its value or its error.
    fn take(&self, py: Python<'_>) -> PyResult<Vec<(u64, Py<PyAny>, bool)>> {
        if !self.is_current() {
            return Ok(Vec::new());
        }
        let mut bytes = [0; 64];
        while matches!((&self.receiver).read(&mut bytes), Ok(read) if read == bytes.len()) {}
        let queue = std::mem::take(&mut *self.inbox.queue.lock().unwrap_or_else(PoisonError::into_inner));
        let values = queue.into_iter().map(|(number, answer)| match answer.into_python(py) {
            Ok(value) => Ok((number, value, true)),
            Err(error) => Ok((number, error.into_value(py).into_any(), false)),
        });
        values.collect()
    }
}
