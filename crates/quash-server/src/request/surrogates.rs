//! Handles lone surrogates in JSON: halves of a character that JSON can escape (`\ud800`) but no string can
//! hold. Clients of Simple JWT know a specific error for them, so a body with no other error is read with
//! marks in their place.

use zeroize::Zeroizing;

/// Unicode noncharacters, reserved for use within a program. One that doesn't occur in a text marks
/// surrogates in it.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';
/// The digits of an escape.
const DIGITS: usize = 4;

/// The character that precedes the digits of each replaced surrogate in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark(char);

/// Replaces lone surrogates in JSON. Returns the result and the mark. `None` if there are none, or if no mark
/// is free. Text that isn't JSON doesn't become JSON: only escapes are replaced, by the mark and the digits.
pub(crate) fn marked(json: &[u8]) -> Option<(Zeroizing<String>, Mark)> {
    let json = std::str::from_utf8(json).ok()?;
    let folded = Zeroizing::new(json.to_ascii_lowercase());
    let is_free =
        |mark: &char| !json.contains(*mark) && !folded.contains(&format!("\\u{:04x}", u32::from(*mark)));
    let mark = MARKS.into_iter().find(is_free)?;
    let mut repaired = Zeroizing::new(String::with_capacity(json.len()));
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        repaired.push_str(&rest[..at]);
        let escape = Escape::read(&rest[at..]);
        match escape.kind {
            Kind::Lone(digits) => {
                repaired.push(mark);
                repaired.push_str(digits);
            }
            Kind::Whole => repaired.push_str(&rest[at..at + escape.length]),
        }
        rest = &rest[at + escape.length..];
    }
    repaired.push_str(rest);
    // The mark was free, so an occurrence now replaces a surrogate.
    repaired.contains(mark).then_some((repaired, Mark(mark)))
}

impl Mark {
    /// Returns the first surrogate that was in a text.
    pub(crate) fn first_in(self, text: &str) -> Option<u16> {
        let (_, after) = text.split_once(self.0)?;
        u16::from_str_radix(after.get(..DIGITS)?, 16).ok()
    }
}

/// An escape, which begins with a backslash.
struct Escape<'a> {
    length: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// A lone surrogate's digits.
    Lone(&'a str),
    Whole,
}

impl<'a> Escape<'a> {
    fn read(text: &'a str) -> Self {
        let of_length = |length| Self { length, kind: Kind::Whole };
        let Some((digits, unit)) = unit(text) else {
            // The character after a backslash belongs to it, so `\\ud800` contains no escaped surrogate.
            return of_length(text.chars().take(2).map(char::len_utf8).sum());
        };
        let length = 2 + DIGITS;
        match unit {
            0xd800..=0xdbff => match self::unit(&text[length..]) {
                Some((_, 0xdc00..=0xdfff)) => of_length(2 * length),
                _ => Self { length, kind: Kind::Lone(digits) },
            },
            0xdc00..=0xdfff => Self { length, kind: Kind::Lone(digits) },
            _ => of_length(length),
        }
    }
}

/// Returns the code unit at the start of a text, if the text begins with `\u` and four digits.
fn unit(text: &str) -> Option<(&str, u16)> {
    let digits = text.strip_prefix("\\u")?.get(..DIGITS)?;
    let are_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_hex.then(|| u16::from_str_radix(digits, 16).ok().map(|unit| (digits, unit)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(json: &str) -> Option<String> {
        marked(json.as_bytes()).map(|(text, _)| text.to_string())
    }

    #[test]
    fn lone_surrogates_are_marked_and_pairs_kept() {
        for (json, wanted) in [
            (r#""\ud800""#, Some("\"\u{fdd0}d800\"")),
            (r#""\uDFFF""#, Some("\"\u{fdd0}DFFF\"")),
            (r#""a\udbffb""#, Some("\"a\u{fdd0}dbffb\"")),
            (r#""\udc00\ud800""#, Some("\"\u{fdd0}dc00\u{fdd0}d800\"")),
            (r#""\ud800\ud83d\ude00""#, Some("\"\u{fdd0}d800\\ud83d\\ude00\"")),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud800""#, None),
            (r#""\\\ud800""#, Some("\"\\\\\u{fdd0}d800\"")),
            (r#""\ud800\n\u0041\"é""#, Some("\"\u{fdd0}d800\\n\\u0041\\\"é\"")),
            (r#""\ud7ff\ue000""#, None),
            (r#""plain""#, None),
            ("", None),
        ] {
            assert_eq!(repaired(json).as_deref(), wanted, "{json}");
        }
    }

    #[test]
    fn malformed_escapes_are_left_unchanged() {
        for json in [
            "\\",
            "\"\\u",
            "\"\\ud8",
            "\"\\ud80",
            "\"\\ud80g\"",
            "\"\\u+d80\"",
            "\\é",
            "\"\\ud8é\"",
            "\"\\ud83d\\u\"",
            "\\\\\\",
        ] {
            let text = repaired(json);
            assert!(text.is_none_or(|text| text.contains("d83d")), "{json}");
        }
        assert_eq!(marked(b"\"\\ud800\xff\""), None.map(|mark| (Zeroizing::default(), mark)));
    }

    #[test]
    fn marks_never_occur_in_the_input() {
        for sent in ["\u{fdd0}", "\\ufdd0", "\\uFDD0", "\\\\ufdd0"] {
            let (text, mark) = marked(format!("\"{sent}\\udabc\"").as_bytes()).expect("another mark is free");
            assert_eq!(mark, Mark('\u{fdd1}'), "{sent}");
            assert_eq!(mark.first_in(&text), Some(0xdabc));
            assert_eq!(mark.first_in("\u{fdd0}d800"), None);
        }
        let all: String = MARKS.collect();
        assert_eq!(repaired(&format!("\"{all}\\ud800\"")), None, "none is free");
    }
}
