//! A measured server: starts it, reads its address, and ends it with this process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::program;

const START_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(5);

/// A running server, which ends when this is dropped.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a program that prints the loopback address it listens on, as `http://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// Returns an error if the program doesn't start, ends, or prints no such line in time. The failure has
    /// its output.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let shown = program::command_line(command);
        let (reader, writer) = std::io::pipe().context("making a pipe")?;
        let errors = writer.try_clone().context("making a pipe")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(errors)
            .spawn()
            .context(format!("couldn't start `{shown}`"))?;
        // Close our write ends of the pipe; otherwise the reader below would never see its end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match wait_for_address(&read_lines(reader)) {
            Ok(address) => Ok(Self { child, address }),
            Err(printed) => {
                end(&mut child);
                Err(Failure::new(format!(
                    "`{shown}` printed no address to connect to; it printed:\n{printed}"
                )))
            }
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Reads the output to its end, so that the server never blocks on a full pipe.
fn read_lines(reader: std::io::PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(std::result::Result::ok) {
            // The receiver is gone once the address is known.
            let _ = sender.send(line);
        }
    });
    lines
}

fn wait_for_address(lines: &Receiver<String>) -> std::result::Result<SocketAddr, String> {
    let deadline = Instant::now() + START_WITHIN;
    let mut printed = String::new();
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(address) = address_in(&line) {
            return Ok(address);
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    Err(printed)
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    rest.split(|c: char| !(c.is_ascii_digit() || ".:".contains(c)))
        .next()?
        .trim_end_matches(['.', ':'])
        .parse()
        .ok()
}

/// Terminates the process, so that it can end its children, and kills it if it doesn't end.
fn end(child: &mut Child) {
    program::works(Command::new("kill").arg("-TERM").arg(child.id().to_string()));
    let deadline = Instant::now() + END_WITHIN;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // The process may have ended in between.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_parsed_from_a_log_line() {
        let address = Some("127.0.0.1:4711".parse().unwrap());
        for line in [
            "quash listens on http://127.0.0.1:4711",
            "[INFO] Listening at: http://127.0.0.1:4711 (12)",
            "see http://127.0.0.1:4711/docs.",
        ] {
            assert_eq!(address_in(line), address, "{line}");
        }
        assert_eq!(address_in("http://"), None);
        assert_eq!(address_in("listening"), None);
    }

    #[test]
    fn a_failed_start_includes_the_servers_output() {
        let failure = Server::start(Command::new("sh").args(["-c", "echo no luck >&2"])).err().unwrap();
        assert!(failure.to_string().contains("no luck"), "{failure}");
    }
}
