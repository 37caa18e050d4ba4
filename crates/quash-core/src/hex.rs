//! Hexadecimal text, in lower case only: the same bytes always have the same text, so a revoked id can't
//! return under another spelling.

use std::fmt;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Encodes bytes as two digits each.
///
/// ```
/// use quash_core::hex;
/// assert_eq!(hex::encode(&[0, 0x7f, 0xff]), "007fff");
/// assert_eq!(hex::decode("007fff"), Some([0, 0x7f, 0xff]));
/// ```
pub fn encode(bytes: &[u8]) -> String {
    // Allocated once: the bytes may be secret, and a text that grows leaves copies behind.
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().flat_map(|byte| digits(*byte)).map(char::from));
    text
}

/// Decodes exactly `N` bytes; `None`: the text isn't lower-case hexadecimal, or has another length.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    decode_to(text, &mut bytes)?;
    Some(bytes)
}

/// Like [`decode`], into the caller's buffer, which the text must fill exactly.
pub fn decode_to(text: &str, bytes: &mut [u8]) -> Option<()> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(())
}

/// Writes 16 bytes without an allocation.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    let mut text = [0_u8; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&digits(*byte));
    }
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn digits(byte: u8) -> [u8; 2] {
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_survives_encoding() {
        let bytes: [u8; 256] = std::array::from_fn(|n| n as u8);
        let text = encode(&bytes);
        assert_eq!((text.len(), &text[..8], &text[508..]), (512, "00010203", "feff"));
        assert_eq!(decode(&text), Some(bytes));
        assert_eq!((encode(&[]).as_str(), decode("")), ("", Some([])));
    }

    #[test]
    fn only_lower_case_of_the_exact_length_decodes() {
        assert_eq!(decode("0a"), Some([10]));
        for text in ["", "0", "0a0", "0a0b", "0A", "0g", "+1", " a", "-a", "0x", "\u{e4}"] {
            assert_eq!(decode::<1>(text), None, "{text:?}");
        }
    }
}
