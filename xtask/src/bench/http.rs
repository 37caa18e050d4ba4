//! A minimal HTTP/1.1 client with one kept connection, for JSON over loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::failure::{Context, Failure, Result};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const MOST_BODY: u64 = 1024 * 1024;

/// A client with at most one connection.
pub(super) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    keeps: bool,
}

impl Client {
    /// Creates a client, which connects with its first request.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Closes the connection: a server may close one that has been idle for some seconds.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Posts JSON and returns the JSON of a 200 answer.
    ///
    /// # Errors
    /// Returns an error if no connection or answer comes, or if the answer is malformed or has another
    /// status.
    pub(super) fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let kept = self.connection.take();
        let was_kept = kept.is_some();
        let (answer, connection) = match self.exchange(kept, path, body) {
            // A server may close a kept connection at any time, perhaps after it has read the request. These
            // requests use up a token, so don't repeat one that may have arrived.
            Err(failure) if was_kept => return Err(failure.led_by("on a kept connection")),
            outcome => outcome?,
        };
        self.connection = Some(connection).filter(|_| answer.keeps);
        if answer.status != 200 {
            return Err(Failure::new(format!(
                "{path} answered {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            )));
        }
        serde_json::from_slice(&answer.body).context(format!("{path} answered something that isn't JSON"))
    }

    fn exchange(
        &self,
        kept: Option<BufReader<TcpStream>>,
        path: &str,
        body: &Value,
    ) -> Result<(Answer, BufReader<TcpStream>)> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let body = body.to_string();
        // Write once: a second write would wait for the first one's acknowledgement.
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        connection.get_mut().write_all(request.as_bytes()).context("sending")?;
        let answer = read_answer(&mut connection).context("reading the answer")?;
        Ok((answer, connection))
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWER_WITHIN).context("connecting")?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).context("setting a timeout")?;
        stream.set_nodelay(true).context("setting nodelay")?;
        Ok(BufReader::new(stream))
    }
}

/// Reads one answer (RFC 9112): by length, in chunks, or until the connection ends.
fn read_answer(reader: &mut impl BufRead) -> std::io::Result<Answer> {
    let status_line = read_line(reader)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid("no status line"))?;
    let (mut length, mut chunked, mut keeps) = (None, false, !status_line.starts_with("HTTP/1.0"));
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        match (name.to_ascii_lowercase().as_str(), value.trim().to_ascii_lowercase().as_str()) {
            ("content-length", value) => {
                length = Some(value.parse::<u64>().map_err(|_| invalid("a bad length"))?)
            }
            ("transfer-encoding", value) => chunked = value.contains("chunked"),
            ("connection", "close") => keeps = false,
            _ => {}
        }
    }
    let body = match (chunked, length) {
        (true, _) => read_chunks(reader)?,
        (false, Some(length)) => read_exactly(reader, length)?,
        (false, None) => {
            keeps = false;
            let mut body = Vec::new();
            reader.take(MOST_BODY).read_to_end(&mut body)?;
            body
        }
    };
    Ok(Answer { status, body, keeps })
}

fn read_line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if reader.take(64 * 1024).read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn read_exactly(reader: &mut impl BufRead, length: u64) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(length.min(MOST_BODY)).map_err(|_| invalid("a body that is too long"))?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("a bad chunk"))?;
        body.extend(read_exactly(reader, size)?);
        read_line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn invalid(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::io::Result<(u16, String, bool)> {
        let answer = read_answer(&mut text.as_bytes())?;
        Ok((answer.status, String::from_utf8(answer.body).unwrap(), answer.keeps))
    }

    #[test]
    fn answers_of_each_framing_are_read() {
        let body = || "{}".to_owned();
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP").unwrap(), (200, body(), true));
        assert_eq!(
            read("HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;x\r\n}\r\n0\r\n\r\n")
                .unwrap(),
            (401, body(), true)
        );
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}").unwrap(),
            (200, body(), false)
        );
        assert_eq!(read("HTTP/1.0 200 OK\r\n\r\n{}").unwrap(), (200, body(), false));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        for text in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "nonsense\r\n\r\n"]
        {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
