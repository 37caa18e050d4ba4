//! Parsing and comparison of the parts of a hash's text. Each part has one spelling: parsing and writing
//! reproduces the text.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD};
use quash_core::hex;

/// The Base64 encoding of PBKDF2 and scrypt hashes.
pub(super) const PADDED: GeneralPurpose = STANDARD;
/// The Base64 encoding of Argon2 hashes.
pub(super) const UNPADDED: GeneralPurpose = STANDARD_NO_PAD;

/// Splits a text at its dollar signs, if that gives `N` parts.
pub(super) fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut split = text.split('$');
    let mut parts = [""; N];
    for part in &mut parts {
        *part = split.next()?;
    }
    split.next().is_none().then_some(parts)
}

/// Parses a number without a sign or leading zeros.
pub(super) fn number(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Decodes a text, if it encodes `N` bytes.
pub(super) fn bytes<const N: usize>(text: &str, base64: &GeneralPurpose) -> Option<[u8; N]> {
    base64.decode(text).ok()?.try_into().ok()
}

/// A salt of 22 hexadecimal digits. Django's salts are as long, and have letters and digits.
pub(super) fn salt_of(random: [u8; 16]) -> String {
    hex::encode(&random[..11])
}

/// Compares two outputs in constant time.
pub(super) fn same(made: &[u8], kept: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(made, kept).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for (text, read) in [("0", Some(0)), ("1", Some(1)), ("4294967295", Some(u32::MAX))] {
            assert_eq!(number(text), read, "{text}");
        }
        for text in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_000",
            "1e3",
            "\u{661}",
            "4294967296",
            &"9".repeat(500),
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn parts_are_counted() {
        assert_eq!(parts::<2>("a$b"), Some(["a", "b"]));
        assert_eq!(parts::<2>("$"), Some(["", ""]));
        assert_eq!(parts::<2>("a"), None);
        assert_eq!(parts::<2>("a$b$"), None);
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(bytes::<1>("/w==", &PADDED), Some([255]));
        for text in ["/w", "/w=", "/x==", "/w==\n", " /w==", "_w==", "/w===", "////", ""] {
            assert_eq!(bytes::<1>(text, &PADDED), None, "{text:?}");
        }
        assert_eq!(bytes::<1>("/w", &UNPADDED), Some([255]));
        for text in ["/w==", "/x"] {
            assert_eq!(bytes::<1>(text, &UNPADDED), None, "{text:?}");
        }
    }
}
