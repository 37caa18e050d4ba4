//! Rows as lines of PostgreSQL's COPY text format. PostgreSQL sends the same line for a row that it was
//! given, so the hash over all lines of a table tells whether two tables are equal.

use aws_lc_rs::digest::{Context, SHA256};

use super::Kind;

/// A value, of a type that the column has.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell<'v> {
    Null,
    Number(i64),
    Text(&'v [u8]),
    Bytes(&'v [u8]),
    Flag(bool),
}

/// Appends a row to `out`, with a line end. `false`: it has a text that PostgreSQL can't store.
pub(crate) fn line<'v>(out: &mut Vec<u8>, cells: impl IntoIterator<Item = Cell<'v>>) -> bool {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            out.push(b'\t');
        }
        match cell {
            Cell::Null => out.extend_from_slice(b"\\N"),
            Cell::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Flag(flag) => out.push(if flag { b't' } else { b'f' }),
            Cell::Bytes(bytes) => {
                out.extend_from_slice(b"\\\\x");
                out.extend_from_slice(quash_core::hex::encode(bytes).as_bytes());
            }
            Cell::Text(text) if text.contains(&0) => return false,
            Cell::Text(text) => text.iter().for_each(|byte| escape(out, *byte)),
        }
    }
    out.push(b'\n');
    true
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    match ESCAPES.iter().find(|(plain, _)| *plain == byte) {
        Some((_, letter)) => out.extend_from_slice(&[b'\\', *letter]),
        None => out.push(byte),
    }
}

const ESCAPES: [(u8, u8); 7] =
    [(b'\\', b'\\'), (8, b'b'), (12, b'f'), (b'\n', b'n'), (b'\r', b'r'), (b'\t', b't'), (11, b'v')];

/// The number of rows and the hash over their lines.
pub(crate) struct Lines {
    pub(crate) rows: u64,
    hash: Context,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { rows: 0, hash: Context::new(&SHA256) }
    }

    /// Adds whole lines.
    pub(crate) fn add(&mut self, lines: &[u8], rows: u64) {
        self.rows += rows;
        self.hash.update(lines);
    }

    pub(crate) fn has_the_lines_of(self, other: Self) -> bool {
        self.rows == other.rows && self.hash.finish().as_ref() == other.hash.finish().as_ref()
    }
}

/// A line that PostgreSQL has sent, without its end.
pub(crate) struct Line<'l>(pub(crate) &'l [u8]);

/// A value of a line, for SQLite.
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Line<'_> {
    /// The values, or `None` if one isn't of its column's type.
    pub(crate) fn values(&self, columns: &[(&'static str, Kind)]) -> Option<Vec<Value>> {
        let fields: Vec<&[u8]> = self.0.split(|byte| *byte == b'\t').collect();
        if fields.len() != columns.len() {
            return None;
        }
        fields.into_iter().zip(columns).map(|(field, (_, kind))| value(field, *kind)).collect()
    }
}

fn value(field: &[u8], kind: Kind) -> Option<Value> {
    if field == b"\\N" {
        return Some(Value::Null);
    }
    Some(match kind {
        Kind::Number => Value::Number(std::str::from_utf8(field).ok()?.parse().ok()?),
        Kind::Flag => Value::Number(i64::from(match field {
            b"t" => true,
            b"f" => false,
            _ => return None,
        })),
        Kind::Bytes => Value::Bytes(unhex(field.strip_prefix(b"\\\\x")?)?),
        Kind::Text => Value::Text(String::from_utf8(unescaped(field)?).ok()?),
    })
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; digits.len() / 2];
    quash_core::hex::decode_to(std::str::from_utf8(digits).ok()?, &mut bytes)?;
    Some(bytes)
}

fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let letter = *rest.next()?;
        bytes.push(ESCAPES.iter().find(|(_, escaped)| *escaped == letter)?.0);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_every_value() {
        let text = "a\\b\tc\nd\re\u{8}\u{b}\u{c}é\\N";
        let mut out = Vec::new();
        let cells = [
            Cell::Text(text.as_bytes()),
            Cell::Null,
            Cell::Number(-7),
            Cell::Bytes(&[0, 255]),
            Cell::Flag(true),
        ];
        assert!(line(&mut out, cells));
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let columns = [
            ("a", Kind::Text),
            ("b", Kind::Text),
            ("c", Kind::Number),
            ("d", Kind::Bytes),
            ("e", Kind::Flag),
        ];
        let values = Line(&out[..out.len() - 1]).values(&columns).expect("what was written");
        assert!(matches!(&values[0], Value::Text(found) if found == text));
        assert!(matches!(values[1], Value::Null));
        assert!(matches!(values[2], Value::Number(-7)));
        assert!(matches!(&values[3], Value::Bytes(found) if *found == [0, 255]));
        assert!(matches!(values[4], Value::Number(1)));
        assert!(Line(b"\\q\t1").values(&columns[..2]).is_none());
    }

    #[test]
    fn a_text_that_postgresql_refuses_is_noticed() {
        assert!(!line(&mut Vec::new(), [Cell::Text(b"a\0b")]));
    }
}
