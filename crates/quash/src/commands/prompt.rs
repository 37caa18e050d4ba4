//! Prompts for secrets at a terminal, without an echo.

use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// A terminal without an echo, until this is dropped.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

/// Returns whether standard input is a terminal.
pub(super) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// Prompts on stderr, and reads a line with its line end from the terminal, at most `bytes` long.
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
        // Only the line end is echoed, so that the next prompt has a line of its own.
        quiet.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // A terminal that was closed needs no echo.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
