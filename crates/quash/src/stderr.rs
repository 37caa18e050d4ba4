//! Standard error of a server: a bounded queue and one thread that writes. A reader that stops reading (a
//! pager, Ctrl-S, a log collector that hangs) blocks only that thread, never a worker, the start or the
//! shutdown.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_server::DroppedLines;
use tracing_subscriber::fmt::MakeWriter;

/// The capacity of the queue, in bytes. Further lines are dropped and counted.
const QUEUE_BYTES: usize = 1024 * 1024;
/// The overhead of a queued line beyond its text, in bytes.
const LINE_BYTES: usize = 64;
/// The longest that a process that ends waits for queued lines.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// Standard error behind a queue. Clones share the queue.
#[derive(Clone)]
pub(crate) struct Stderr(Arc<Queue>);

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    dropped: DroppedLines,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines dropped since the last report.
    unreported: u64,
    is_writing: bool,
}

impl Stderr {
    /// Starts the thread that writes. Dropped lines are counted in `dropped`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(dropped: DroppedLines) -> io::Result<Self> {
        Self::start_on(io::stderr(), dropped, |lines| {
            tracing::error!("{lines} log lines were dropped: standard error did not take them in time");
        })
    }

    fn start_on(
        out: impl Write + Send + 'static,
        dropped: DroppedLines,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let stderr = Self(Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), dropped }));
        let queue = Arc::clone(&stderr.0);
        std::thread::Builder::new().name("quash-stderr".into()).spawn(move || queue.write_to(out, report))?;
        Ok(stderr)
    }

    /// Queues a line.
    pub(crate) fn line(&self, text: &str) {
        self.0.push(format!("{text}\n").into_bytes());
    }

    /// Waits until all queued lines are written, for a second at most.
    pub(crate) fn drain(&self) {
        self.drain_within(DRAIN_WITHIN);
    }

    fn drain_within(&self, span: Duration) -> bool {
        let waiting = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), span, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Vec<u8>) {
        let mut state = self.lock();
        let bytes = line.len() + LINE_BYTES;
        if state.bytes + bytes > QUEUE_BYTES {
            state.unreported += 1;
            drop(state);
            self.dropped.count();
            return;
        }
        state.bytes += bytes;
        state.lines.push_back(line);
        drop(state);
        self.changed.notify_all();
    }

    /// Writes lines as they come, until the process ends.
    fn write_to(&self, mut out: impl Write, report: impl Fn(u64)) {
        loop {
            let line = self.next();
            // A closed pipe must not stop the server.
            let _gone = out.write_all(&line).and_then(|()| out.flush());
            let unreported = self.take_unreported();
            if unreported > 0 {
                report(unreported);
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Vec<u8> {
        let nothing = |state: &mut State| state.lines.is_empty();
        let mut state = self.changed.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        let line = state.lines.pop_front().unwrap_or_default();
        state.bytes = state.bytes.saturating_sub(line.len() + LINE_BYTES);
        state.is_writing = true;
        line
    }

    /// Returns the number of dropped lines to report, but 0 until the queue is half empty: the report goes
    /// through the same queue.
    fn take_unreported(&self) -> u64 {
        let mut state = self.lock();
        if state.bytes > QUEUE_BYTES / 2 { 0 } else { std::mem::take(&mut state.unreported) }
    }
}

/// A writer for the log that takes each line in one write.
pub(crate) struct Line<'a>(&'a Queue);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A stream that writes nothing until the test says so.
    struct Blocked {
        may_write: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may_write.recv().map_err(io::Error::other)?;
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_to_blocked_streams_are_dropped_and_reported() {
        let ((allow, may_write), (written, lines)) = (mpsc::channel(), mpsc::channel());
        let (report, reports) = mpsc::channel();
        let dropped = DroppedLines::default();
        let reporting = move |lines| report.send(lines).expect("the test waits");
        let stderr =
            Stderr::start_on(Blocked { may_write, written }, dropped.clone(), reporting).expect("a thread");
        stderr.line("first");
        while !stderr.0.lock().is_writing {}
        let line = "x".repeat(1023 - LINE_BYTES);
        (0..QUEUE_BYTES / 1024).for_each(|_| stderr.line(&line));
        assert_eq!(dropped.get(), 0);
        stderr.line("one past the edge");
        stderr.line("");
        assert_eq!(dropped.get(), 2);
        assert!(!stderr.drain_within(Duration::from_millis(1)), "a blocked stream is not waited for");

        (0..=QUEUE_BYTES / 1024).for_each(|_| allow.send(()).expect("it writes"));
        assert_eq!(reports.recv(), Ok(2));
        assert!(stderr.drain_within(Duration::from_secs(60)));
        let first = lines.recv().expect("a line");
        assert_eq!((first.as_slice(), lines.try_iter().count()), (&b"first\n"[..], QUEUE_BYTES / 1024));
        assert!(reports.try_recv().is_err(), "once");
    }
}
