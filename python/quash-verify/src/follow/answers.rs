//! The way of an answer from the follower to the caller that waits for it: a channel for a thread, a queue
//! and a socket pair for an event loop.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use quash_verify::{Accepted, Receipt, VerifyError};

use crate::errors::Failure;
use crate::exit::{detached, is_exiting};
use crate::live::Live;

/// The result of a task on the follower.
pub(crate) enum Answer {
    Live(Accepted),
    Made(Make),
    Ended(VerifyError),
    Flag(bool),
    Revoked(Receipt),
    Done,
    Failed(Failure),
}

/// Makes the value that Python gets.
type Make = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

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

/// How often a waiting thread lets Python handle signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(20);
impl Answer {
    /// Makes the value that Python gets.
    ///
    /// # Errors
    /// Returns an error if the answer is one, or if Python has no memory.
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Live(accepted) => Live::new(accepted).into_py_any(py),
            Self::Made(make) => make(py),
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
