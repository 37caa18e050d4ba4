//! Input at a terminal: prompts for secrets, without an echo, and notes about awaited input.

use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

use crate::output;

/// The length from which a terminal truncates a line, with its line end (`N_TTY_BUF_SIZE` of Linux).
const LINE_BYTES: usize = 4096;

/// A terminal without an echo, until this is dropped or a signal ends the process.
pub(super) struct Quiet {
    terminal: Stdin,
    before: Termios,
}

/// The signals that end the process while a prompt waits. Destructors don't run then.
struct Endings {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

/// Returns whether standard input is a terminal.
pub(super) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// At a terminal, notes what is awaited until the end of the input.
pub(super) fn note_awaited(what: &str) {
    if is_typed() {
        output::note(&format!("reading {what} from the terminal: end it with Ctrl-D on a new line"));
    }
}

impl Quiet {
    /// Turns off the terminal's echo.
    ///
    /// # Errors
    /// Standard input is no terminal, or signals can't be handled.
    pub(super) fn new() -> io::Result<Self> {
        let terminal = io::stdin();
        let before = tcgetattr(&terminal)?;
        Endings::handle()?.restore(before.clone())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // Only the line end is echoed, so that the next prompt has a line of its own.
        quiet.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }

    /// Prompts on stderr, and reads a line with its line end, at most `bytes` long.
    ///
    /// # Errors
    /// The terminal can't be read, or has truncated the line.
    pub(super) fn line(&self, prompt: &str, bytes: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut stderr = io::stderr().lock();
        write!(stderr, "{prompt}: ").and_then(|()| stderr.flush())?;
        // The buffer never grows, so that no copy of the secret is left behind.
        let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes).unwrap_or(0) + 1));
        self.terminal.lock().take(bytes).read_until(b'\n', &mut line)?;
        if line.len() >= LINE_BYTES && line.len() as u64 <= bytes {
            let message = "a terminal passes on only the first 4,095 bytes of a line: read it from a file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(line)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that was closed needs no echo.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

impl Endings {
    fn handle() -> io::Result<Self> {
        // The read of the terminal blocks a thread of the command's own runtime.
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let inside = runtime.enter();
        let [interrupt, terminate, hangup, quit] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
                .map(signal);
        let (interrupt, terminate, hangup, quit) = (interrupt?, terminate?, hangup?, quit?);
        drop(inside);
        Ok(Self { runtime, interrupt, terminate, hangup, quit })
    }

    /// Waits in a thread of its own until a signal arrives, also after the prompt: a handled signal no longer
    /// ends the process by itself. Then restores the terminal and ends the process.
    fn restore(self, before: Termios) -> io::Result<()> {
        let Self { runtime, mut interrupt, mut terminate, mut hangup, mut quit } = self;
        let wait = move || {
            let kind = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = hangup.recv() => SignalKind::hangup(),
                    _ = quit.recv() => SignalKind::quit(),
                }
            });
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            // As a shell reports a process that a signal has ended.
            std::process::exit(128 + kind.as_raw_value());
        };
        std::thread::Builder::new().name("quash-signals".into()).spawn(wait).map(drop)
    }
}
