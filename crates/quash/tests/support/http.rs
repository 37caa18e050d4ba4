//! A minimal HTTP/1.1 client for tests: single requests, or many on one connection, with arbitrary bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Headers, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as JSON; null if it is none.
    pub(crate) body: Value,
    /// The body as text.
    pub(crate) text: String,
}

/// Sends a request on a connection of its own and reads the answer.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    request_in_bytes(to, method, path, &headers, body)
}

/// Like [`request`], with headers that needn't be text.
pub(crate) fn request_in_bytes(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> io::Result<Answer> {
    let mut sent = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for (name, value) in headers {
        sent.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    sent.extend([b"\r\n", body].concat());
    let mut stream = connect(to)?;
    stream.write_all(&sent)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer, method)
        .ok_or_else(|| io::Error::other(format!("not an answer: {:?}", String::from_utf8_lossy(&answer))))
}

impl Answer {
    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    /// Returns the value of a header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A persistent connection. An unannounced close is an error.
pub(crate) struct Connection {
    to: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self { to, stream: connect(to).expect("it listens") }
    }

    /// Sends a request and reads its answer. If the answer announces a close, the next request opens a new
    /// connection.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.to, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.stream.write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
        let mut read = Vec::new();
        let head_end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more(&mut read)?;
        };
        let no_body = |answer: &Answer| method == "HEAD" || matches!(answer.status, 204 | 304);
        let head =
            parse_head(&read[..head_end]).ok_or_else(|| io::Error::other("not the head of an answer"))?;
        let length =
            head.header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
        let length = if no_body(&head) { 0 } else { length };
        while read.len() < head_end + length {
            self.read_more(&mut read)?;
        }
        if head.is_chunked() && !no_body(&head) {
            let (body, length) = loop {
                match dechunked(&read[head_end..]) {
                    Some(whole) => break whole,
                    None => self.read_more(&mut read)?,
                }
            };
            if read.len() > head_end + length {
                return Err(io::Error::other("more than one answer"));
            }
            return Ok(Answer { text: String::from_utf8_lossy(&body).into_owned(), ..head });
        }
        if head.header("connection") == Some("close") {
            self.stream = connect(self.to)?;
        } else if read.len() > head_end + length {
            return Err(io::Error::other("more than one answer"));
        }
        let text = String::from_utf8_lossy(&read[head_end..]).into_owned();
        Ok(Answer { body: serde_json::from_str(&text).unwrap_or(Value::Null), text, ..head })
    }

    fn read_more(&mut self, read: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; 8192];
        match self.stream.read(&mut chunk)? {
            0 => {
                Err(io::Error::other(format!("the connection ended after {} bytes of an answer", read.len())))
            }
            count => {
                read.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

fn parse_head(head: &[u8]) -> Option<Answer> {
    let mut lines = std::str::from_utf8(head).ok()?.trim_end().split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    Some(Answer { status, headers: headers.collect(), body: Value::Null, text: String::new() })
}

/// Decodes a chunked body, and returns it with its encoded length; `None`: it isn't complete yet.
fn dechunked(mut chunks: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut taken) = (Vec::new(), 0);
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).ok()?, 16).ok()?;
        let whole = end + 2 + length + 2;
        body.extend_from_slice(chunks.get(end + 2..end + 2 + length)?);
        chunks = chunks.get(whole..)?;
        taken += whole;
        if length == 0 {
            return Some((body, taken));
        }
    }
}

fn parse(answer: &[u8], method: &str) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = parse_head(&answer[..end])?;
    let length = head.header("content-length").and_then(|value| value.parse::<usize>().ok());
    let body = &answer[end + 4..];
    if head.is_chunked() && method != "HEAD" {
        let (body, _) = dechunked(body)?;
        return Some(Answer { text: String::from_utf8_lossy(&body).into_owned(), ..head });
    }
    // A truncated answer must not pass for a complete one. An answer to HEAD has a length but no body.
    if method != "HEAD" && length.is_some_and(|length| body.len() < length) {
        return None;
    }
    let text = String::from_utf8_lossy(body).into_owned();
    Some(Answer { body: serde_json::from_str(&text).unwrap_or(Value::Null), text, ..head })
}
