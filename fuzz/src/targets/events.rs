//! Server-sent events, as a verifier parses them. The first byte chooses how the rest is split, the second
//! the limit of an event. Every split must give the same events as a plain reading of the whole text, the
//! parser must not buffer more than its limits allow, and it must return what the server wrote.

// The parser is private to quash-verify and depends on no other module, so its file is included here.
#[path = "../../../crates/quash-verify/src/follow/sse.rs"]
mod sse;

use sse::{EVENT_BYTES, Event, Parser};

/// The events read, and whether one was too long.
type Read = (Vec<Event>, bool);

pub(super) fn run(data: &[u8]) {
    let [cut, room, bytes @ ..] = data else { return };
    let limit = if *room < 128 { EVENT_BYTES } else { usize::from(*room - 128) };
    let whole = read(&[bytes], limit);
    assert_eq!(read(&pieces(bytes, *cut), limit), whole, "split differently");
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&each, limit), whole, "byte by byte");
    let (events, is_too_long) = &whole;
    let read_plainly = read_plainly(bytes);
    assert!(
        read_plainly.starts_with(events) && (*is_too_long || read_plainly == *events),
        "{events:?} instead of {read_plainly:?}"
    );
    #[cfg(fuzzing)]
    as_the_server_writes(bytes, *cut);
}

/// Parses pieces with this limit.
fn read(pieces: &[&[u8]], limit: usize) -> Read {
    let (mut parser, mut events) = (Parser::limited(limit), Vec::new());
    for piece in pieces {
        let pushed = parser.push(piece, |event| {
            assert!(event.name.len() + event.data.len() <= limit, "an event exceeds the limit");
            events.push(event);
        });
        assert!(parser.kept() <= 2 * limit, "the parser buffers more than an event and a line may hold");
        if pushed.is_err() {
            return (events, true);
        }
    }
    (events, false)
}

/// Splits bytes at places that follow from a number.
fn pieces(mut bytes: &[u8], cut: u8) -> Vec<&[u8]> {
    let (mut pieces, mut length) = (Vec::new(), usize::from(cut));
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
        // Lengths from 0 to 36, in a different order for each number.
        length = (length * 7 + 5) % 37;
    }
    pieces
}

/// Returns the events of a whole text, read line by line.
fn read_plainly(bytes: &[u8]) -> Vec<Event> {
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            b'\n' if place > 0 && text[place - 1] == b'\r' => {}
            b'\n' | b'\r' => lines.push(Vec::new()),
            _ => lines.last_mut().expect("a line").push(byte),
        }
    }
    // The last line isn't complete.
    lines.pop();
    let mut events = Vec::new();
    for block in lines.split_inclusive(|line| line.is_empty()) {
        let Some((_, block)) = block.split_last().filter(|(last, _)| last.is_empty()) else { break };
        let said = |name: &str| {
            let values = block.iter().filter_map(move |line| {
                let (field, value) = line
                    .iter()
                    .position(|byte| *byte == b':')
                    .map_or((&line[..], &[][..]), |at| line.split_at(at));
                let value = value.strip_prefix(b":").unwrap_or(value);
                (field == name.as_bytes()).then(|| value.strip_prefix(b" ").unwrap_or(value).to_vec())
            });
            values.collect::<Vec<_>>()
        };
        let (names, data) = (said("event"), said("data"));
        if !data.is_empty() {
            let name =
                names.last().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
            events.push(Event { name, data: data.join(&b'\n') });
        }
    }
    events
}

/// Checks that the parser returns what the server writes, with keep-alive comments in between.
#[cfg(fuzzing)]
fn as_the_server_writes(bytes: &[u8], cut: u8) {
    let said = String::from_utf8_lossy(bytes);
    let half = said.floor_char_boundary(said.len() / 2);
    let texts = [&said[..half], &said[half..]];
    let written =
        texts.map(|text| [&quash_server::fuzz::event("entries", &text)[..], b":\n\n"].concat()).concat();
    let (events, is_too_long) = read(&pieces(&written, cut), EVENT_BYTES);
    assert!(!is_too_long);
    let read: Vec<(&str, String)> = events
        .iter()
        .map(|event| {
            (event.name.as_str(), serde_json::from_slice(&event.data).expect("JSON as it was written"))
        })
        .collect();
    assert_eq!(read, texts.map(|text| ("entries", text.to_owned())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_seeds_parse_as_intended() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/events");
        let mut events = 0;
        for seed in std::fs::read_dir(seeds).expect("the seeds") {
            let bytes = std::fs::read(seed.expect("a seed").path()).expect("bytes");
            run(&bytes);
            events += read_plainly(&bytes[2..]).len();
        }
        assert!(events >= 10, "{events}");
    }
}
