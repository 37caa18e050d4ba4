//! A parser for server-sent events, as far as the feed uses them (WHATWG HTML 9.2.6): bytes in, events out,
//! however the bytes are split. `stream.rs` interprets the events.

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
}

/// An event, or a line of one, exceeds the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooLong;

/// An incremental parser.
pub(crate) struct Parser {
    /// The most bytes of a line, and of an event.
    limit: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was a CR: an LF right after it doesn't end another line.
    after_cr: bool,
    begun: bool,
}

/// The most bytes of an event, and so of a frame.
pub(crate) const EVENT_BYTES: usize = 1024 * 1024;

impl Default for Parser {
    fn default() -> Self {
        Self::limited(EVENT_BYTES)
    }
}

impl Parser {
    /// Creates a parser with this limit, in bytes.
    pub(crate) fn limited(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            after_cr: false,
            begun: false,
        }
    }

    /// Returns the number of buffered bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn kept(&self) -> usize {
        self.line.len() + self.event.name.len() + self.event.data.len()
    }

    /// Parses the next bytes, and passes each event that they complete to `take`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Event)) -> Result<(), TooLong> {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    if let Some(event) = self.end_line()? {
                        take(event);
                    }
                }
                _ if self.line.len() >= self.limit => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// Returns the event that a blank line completes.
    fn end_line(&mut self) -> Result<Option<Event>, TooLong> {
        let line = std::mem::take(&mut self.line);
        let begun = std::mem::replace(&mut self.begun, true);
        let line = line.strip_prefix("\u{feff}".as_bytes()).filter(|_| !begun).unwrap_or(&line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(std::mem::take(&mut self.has_data).then_some(event));
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => {
                // Each invalid byte becomes three, so the limit applies to the result.
                let name = String::from_utf8_lossy(value);
                if self.event.data.len() + name.len() > self.limit {
                    return Err(TooLong);
                }
                self.event.name = name.into_owned();
            }
            b"data" => {
                let end_of_line = usize::from(std::mem::replace(&mut self.has_data, true));
                if self.event.name.len() + self.event.data.len() + end_of_line + value.len() > self.limit {
                    return Err(TooLong);
                }
                self.event.data.extend_from_slice(&b"\n"[..end_of_line]);
                self.event.data.extend_from_slice(value);
            }
            // Comments only keep the connection alive; ids and delays aren't used.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, |event| events.push(event)).expect("short enough");
        }
        events
    }

    #[test]
    fn events_survive_every_split_and_line_ending() {
        let expected = [event("policy", "{\"a\":1}"), event("", "one\ntwo"), event("entries", "")];
        let text = "\u{feff}: hello\nevent: policy\ndata: {\"a\":1}\nid: 7\nretry: 9\n\n:\n\ndata: one\ndata:two\n\nevent:entries\ndata\n\nevent: wanted\n";
        for text in [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
            for first in 0..text.len() {
                for second in first..text.len().min(first + 8) {
                    let bytes = text.as_bytes();
                    assert_eq!(
                        read(&[&bytes[..first], &bytes[first..second], &bytes[second..]]),
                        expected,
                        "cut at {first} and {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn events_without_data_are_dropped_with_their_name() {
        assert_eq!(read(&[b"event: resync\n\ndata: x\n\n"]), [event("", "x")]);
        assert_eq!(read(&[b"nothing\n\n:data: x\n\n"]), []);
    }

    #[test]
    fn event_and_line_sizes_are_limited() {
        let line = |length: usize| format!("data:{}\n\n", "x".repeat(length));
        let push = |text: &str| Parser::default().push(text.as_bytes(), |_| {});
        assert_eq!(push(&line(EVENT_BYTES - 5)), Ok(()));
        assert_eq!(push(&line(EVENT_BYTES - 4)), Err(TooLong));
        let half = "x".repeat(EVENT_BYTES / 2);
        let (rest, more) = (&half[1..], &half);
        assert_eq!(push(&format!("data:{half}\ndata:{rest}\n\n")), Ok(()));
        assert_eq!(push(&format!("data:{half}\ndata:{more}\n\n")), Err(TooLong));
        assert_eq!(push(&"x".repeat(EVENT_BYTES + 1)), Err(TooLong), "a line that doesn't end");
        let named = |name: &str, data: &str| push(&format!("event:{name}\ndata:{data}\n\n"));
        assert_eq!(named(&half, &half), Ok(()));
        assert_eq!(named(&half, &format!("{half}x")), Err(TooLong), "a name is a part of its event");
        assert_eq!(push(&format!("data:{half}\nevent:{half}\n\n")), Ok(()));
        assert_eq!(push(&format!("data:{half}\nevent:{half}x\n\n")), Err(TooLong));
    }

    #[test]
    fn invalid_utf8_names_count_against_the_limit() {
        let mut parser = Parser::limited(16);
        // Each of these bytes becomes three.
        assert_eq!(parser.push(b"event:\xff\xff\xff\xff\xff\n", |_| {}), Ok(()));
        assert_eq!(parser.kept(), 15);
        assert_eq!(parser.push(b"event:\xff\xff\xff\xff\xff\xff\n", |_| {}), Err(TooLong));
        assert_eq!(parser.kept(), 15);
    }
}
