//! Secrets that are typed at a terminal: asked for without an echo, and twice where a slip would lock somebody out.

use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

/// Returns whether standard input is a terminal, where a user types.
pub(super) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a line on stderr and reads it from the terminal, at most so many bytes, with its line end.
///
/// # Errors
/// The terminal can't be read.
pub(super) fn line(prompt: &str, bytes: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let stdin = io::stdin();
    let _quiet = Quiet::new(&stdin)?;
    let mut stderr = io::stderr().lock();
    write!(stderr, "{prompt}: ").and_then(|()| stderr.flush())?;
    // The buffer never grows, so that no copy of the secret is left behind.
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes).unwrap_or(0) + 1));
    stdin.lock().take(bytes).read_until(b'\n', &mut line)?;
    Ok(line)
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // The line end alone is shown, so that the next prompt has a line of its own.
        quiet.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // A terminal that has gone away needs no echo.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
