//! Decodes bodies and forms from their charset as Django REST framework does, with one exception: a body that
//! isn't valid in its charset is refused, never read with replacement characters.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use percent_encoding::percent_decode_str;

/// The length to which an error shortens an unknown charset's name, in characters.
const LABEL_CHARS: usize = 40;

/// Prefixes of charsets that Python decodes and quash doesn't. Django falls back to UTF-8 for a charset that
/// it doesn't know; falling back for one of these would change the text that the client sent.
const UNSUPPORTED: [&str; 17] = [
    "utf-7",
    "utf7",
    "unicode-1-1-utf-7",
    "utf-32",
    "utf32",
    "cp",
    "ibm",
    "ebcdic",
    "mac",
    "hz",
    "iso-2022",
    "iso2022",
    "johab",
    "koi8-t",
    "kz-1048",
    "kz1048",
    "ptcp154",
];

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Charset {
    /// Declared, or the fallback for a missing or unknown declaration.
    Utf8,
    /// UTF-8 with a byte order mark, which isn't part of the text.
    Utf8WithMark,
    /// UTF-16 in the byte order of its mark; little-endian without a mark.
    Utf16,
    /// Each byte is the character of its number, as in Python. The Encoding Standard reads this name as
    /// Windows-1252.
    Latin1,
    Ascii,
    Other(&'static Encoding),
    /// Known to Django but not to quash.
    Unsupported(String),
}

/// The body isn't valid text in its charset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotText {
    /// The charset's name: lower-case letters, digits and hyphens.
    pub(crate) charset: String,
}

impl Charset {
    /// Returns the charset of a content type such as `application/json; charset=iso-8859-1`.
    pub(crate) fn of(content_type: &str) -> Self {
        let parameters = content_type.split(';').skip(1).filter_map(|part| part.split_once('='));
        let charset = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset")).last();
        charset.map_or(Self::Utf8, |(_, label)| Self::named(label.trim().trim_matches('"')))
    }

    fn named(label: &str) -> Self {
        let name = label.to_ascii_lowercase().replace(['_', ' '], "-");
        match name.as_str() {
            "utf-8" | "utf8" | "u8" | "utf" => return Self::Utf8,
            "utf-8-sig" => return Self::Utf8WithMark,
            "utf-16" | "utf16" | "u16" => return Self::Utf16,
            "utf-16-le" | "utf-16le" => return Self::Other(UTF_16LE),
            "utf-16-be" | "utf-16be" => return Self::Other(UTF_16BE),
            "iso-8859-1" | "iso8859-1" | "iso-ir-100" | "latin-1" | "latin1" | "latin" | "l1" | "8859"
            | "cp819" | "ibm819" | "csisolatin1" => return Self::Latin1,
            "ascii" | "us-ascii" | "646" | "ansi-x3.4-1968" | "iso646-us" | "us" => return Self::Ascii,
            _ => {}
        }
        let known = [label, &name, &name.replace('-', "")]
            .into_iter()
            .find_map(|name| Encoding::for_label_no_replacement(name.as_bytes()));
        match known {
            Some(encoding) => Self::Other(encoding),
            None if UNSUPPORTED.iter().any(|family| name.starts_with(family)) => {
                Self::Unsupported(display_name(&name))
            }
            None => Self::Utf8,
        }
    }

    /// Decodes bytes.
    ///
    /// # Errors
    /// They aren't valid text in this charset.
    pub(crate) fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, str>, NotText> {
        let utf8 = |bytes: &'a [u8]| str::from_utf8(bytes).ok().map(Cow::Borrowed);
        let decoded = match self {
            Self::Utf8 => utf8(bytes),
            Self::Utf8WithMark => utf8(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)),
            Self::Utf16 => {
                let (encoding, bytes) = match bytes {
                    [0xfe, 0xff, bytes @ ..] => (UTF_16BE, bytes),
                    [0xff, 0xfe, bytes @ ..] => (UTF_16LE, bytes),
                    bytes => (UTF_16LE, bytes),
                };
                encoding.decode_without_bom_handling_and_without_replacement(bytes)
            }
            Self::Latin1 => Some(encoding_rs::mem::decode_latin1(bytes)),
            Self::Ascii => utf8(bytes).filter(|_| bytes.is_ascii()),
            Self::Other(encoding) => encoding.decode_without_bom_handling_and_without_replacement(bytes),
            Self::Unsupported(_) => None,
        };
        decoded.ok_or_else(|| NotText { charset: self.name() })
    }

    /// Decodes a form. A body that is neither ASCII nor valid in its charset counts as Latin-1, as in Django:
    /// some clients send raw bytes that they should percent-encode.
    ///
    /// # Errors
    /// The percent-encoded bytes aren't valid in this charset, or quash doesn't know the charset.
    pub(crate) fn decode_form(&self, body: &[u8]) -> Result<Vec<(String, String)>, NotText> {
        let text = match (self, self.decode(body)) {
            (_, Ok(text)) => text,
            (Self::Unsupported(_), Err(fault)) => return Err(fault),
            (_, Err(_)) => Self::Latin1.decode(body)?,
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((self.decode_component(name)?, self.decode_component(value)?))
            })
            .collect()
    }

    /// Decodes a name or a value of a form. Only ASCII characters encode others with `%`; the rest represent
    /// themselves.
    fn decode_component(&self, text: &str) -> Result<String, NotText> {
        let text = text.replace('+', " ");
        if !text.contains('%') {
            return Ok(text);
        }
        let mut decoded = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (ascii, after) = rest.split_at(rest.find(|c: char| !c.is_ascii()).unwrap_or(rest.len()));
            let (other, after) = after.split_at(after.find(|c: char| c.is_ascii()).unwrap_or(after.len()));
            let bytes: Vec<u8> = percent_decode_str(ascii).collect();
            decoded.push_str(&self.decode(&bytes)?);
            decoded.push_str(other);
            rest = after;
        }
        Ok(decoded)
    }

    fn name(&self) -> String {
        match self {
            Self::Utf8 | Self::Utf8WithMark => "utf-8".into(),
            Self::Utf16 => "utf-16".into(),
            Self::Latin1 => "iso-8859-1".into(),
            Self::Ascii => "us-ascii".into(),
            Self::Other(encoding) => display_name(&encoding.name().to_ascii_lowercase().replace('_', "-")),
            Self::Unsupported(name) => name.clone(),
        }
    }
}

fn display_name(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(LABEL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(charset: &str, bytes: &[u8]) -> Option<String> {
        Charset::of(&format!("application/json; charset={charset}")).decode(bytes).ok().map(Cow::into_owned)
    }

    #[test]
    fn the_declared_charset_is_decoded() {
        for (charset, bytes) in [
            ("utf-8", &b"\xc3\xa9"[..]),
            ("UTF_8", b"\xc3\xa9"),
            ("utf-8-sig", b"\xef\xbb\xbf\xc3\xa9"),
            ("\"iso-8859-1\"", b"\xe9"),
            ("latin_1", b"\xe9"),
            ("iso8859_15", b"\xe9"),
            ("windows-1252", b"\xe9"),
            ("cp1252", b"\xe9"),
            ("utf-16", b"\xff\xfe\xe9\0"),
            ("utf-16", b"\xfe\xff\0\xe9"),
            ("utf-16", b"\xe9\0"),
            ("utf-16le", b"\xe9\0"),
            ("utf_16_be", b"\0\xe9"),
            ("utf8mb4", b"\xc3\xa9"),
            ("", b"\xc3\xa9"),
        ] {
            assert_eq!(decoded(charset, bytes).as_deref(), Some("\u{e9}"), "{charset}");
        }
        assert_eq!(
            decoded("shift_jis", b"\x83\x65\x83\x58\x83\x67").as_deref(),
            Some("\u{30c6}\u{30b9}\u{30c8}")
        );
        assert_eq!(decoded("koi8-r", b"\xc9").as_deref(), Some("\u{438}"));
        assert_eq!(
            decoded("iso-8859-1", b"\x80\x9f").as_deref(),
            Some("\u{80}\u{9f}"),
            "as Python, not as browsers"
        );
        assert_eq!(Charset::of("application/json"), Charset::Utf8);
        assert_eq!(
            Charset::of("a/b; charset=latin1; x; CharSet = utf-16 "),
            Charset::Utf16,
            "the last one counts"
        );
    }

    #[test]
    fn bytes_invalid_in_their_charset_are_refused() {
        for (charset, bytes, named) in [
            ("utf-8", &b"\xe9"[..], "utf-8"),
            ("utf-8", b"\xed\xa0\x80", "utf-8"),
            ("us-ascii", b"\xc3\xa9", "us-ascii"),
            ("utf-16", b"\xe9", "utf-16"),
            ("utf-16le", b"\0\xd8", "utf-16le"),
            ("shift_jis", b"\xff", "shift-jis"),
            ("gb18030", b"\xff", "gb18030"),
            ("utf-7", b"a", "utf-7"),
            ("UTF-32", b"a\0\0\0", "utf-32"),
            ("cp037", b"a", "cp037"),
            ("iso-2022-kr", b"a", "iso-2022-kr"),
            ("mac\u{202e}\"\\", b"a", "mac"),
        ] {
            let fault = Charset::of(&format!("a/b; charset={charset}")).decode(bytes).expect_err(charset);
            assert_eq!(fault.charset, named, "{charset}");
        }
        let long = format!("cp{}", "x".repeat(LABEL_CHARS));
        assert_eq!(Charset::named(&long), Charset::Unsupported(long[..LABEL_CHARS].to_owned()));
    }

    #[test]
    fn forms_are_decoded_as_django_does() {
        let form =
            |charset: &str, body: &[u8]| Charset::of(&format!("a/b; charset={charset}")).decode_form(body);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (charset, body) in [
            ("utf-8", &b"a=caf%C3%A9+1"[..]),
            ("iso-8859-1", b"a=caf%E9+1"),
            ("iso-8859-1", b"a=caf\xe9%201"),
            ("windows-1252", b"a=caf%e9%201"),
            ("utf-8", "a=caf\u{e9}%201".as_bytes()),
            // Django reads raw bytes that aren't UTF-8 as Latin-1.
            ("utf-8", b"a=caf\xe9+1"),
            ("us-ascii", b"a=caf\xe9+1"),
            ("utf-16", b"a\0=\0c\0a\0f\0\xe9\0+\x001\0"),
        ] {
            assert_eq!(form(charset, body), Ok(vec![pair("a", "caf\u{e9} 1")]), "{charset} {body:?}");
        }
        assert_eq!(
            form("utf-8", b"&&a&=b&c==d=&e=%2&f=%zz%"),
            Ok(vec![pair("a", ""), pair("", "b"), pair("c", "=d="), pair("e", "%2"), pair("f", "%zz%"),])
        );
        for (charset, body) in [
            ("utf-8", &b"a=%e9"[..]),
            ("us-ascii", b"a=%e9"),
            ("shift_jis", b"a=%ff"),
            ("utf-7", b"a=b"),
            ("utf-8", b"%ff=a"),
        ] {
            assert!(form(charset, body).is_err(), "{charset} {body:?}");
        }
    }
}
