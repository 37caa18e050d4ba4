//! Minimal DER parsing (ITU-T X.690 10), to unwrap public keys. The crypto library parses private keys.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;

/// 1.3.101.112 (RFC 8410 3).
pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.10045.2.1 (RFC 5480 2.1.1).
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.113549.1.1.1 (RFC 3279 2.3.1).
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The kind of key and the key itself, from a SubjectPublicKeyInfo (RFC 5280 4.1.2.7).
pub(super) fn subject_public_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, rest) = element(SEQUENCE, spki)?;
    let (algorithm, info) = element(SEQUENCE, info)?;
    let (kind, _parameters) = element(OBJECT_ID, algorithm)?;
    let (bits, end) = element(BIT_STRING, info)?;
    let (unused, key) = bits.split_first()?;
    (rest.is_empty() && end.is_empty() && *unused == 0).then_some((kind, key))
}

/// The modulus and exponent of an RSAPublicKey (RFC 8017 A.1.1), without leading zeros.
pub(super) fn rsa_public_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, rest) = element(SEQUENCE, key)?;
    let (modulus, numbers) = element(INTEGER, numbers)?;
    let (exponent, end) = element(INTEGER, numbers)?;
    (rest.is_empty() && end.is_empty()).then_some((magnitude(modulus)?, magnitude(exponent)?))
}

/// The content of the element at the start of `input`, and the rest of the input.
fn element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = input.split_first()?;
    let (short, rest) = rest.split_first()?;
    let (length, rest) = match *short {
        length @ ..=0x7f => (usize::from(length), rest),
        // Keys are shorter than 64 KiB. A length is written with as few bytes as possible.
        0x81 => rest
            .split_first()
            .map(|(length, rest)| (usize::from(*length), rest))
            .filter(|(length, _)| *length >= 0x80)?,
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    if *first == tag { rest.split_at_checked(length) } else { None }
}

/// The magnitude of a non-negative number, without the zero byte for its sign.
fn magnitude(number: &[u8]) -> Option<&[u8]> {
    match number {
        [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => Some(rest),
        [first, ..] if *first & 0x80 == 0 && *first != 0 => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_unwrapped() {
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        spki.extend([7; 32]);
        assert_eq!(subject_public_key(&spki), Some((ED25519, &[7; 32][..])));
        spki.push(0);
        assert_eq!(subject_public_key(&spki), None, "something follows");
        assert_eq!(subject_public_key(&spki[..40]), None, "cut off");
        assert_eq!(subject_public_key(&[]), None);
    }

    #[test]
    fn der_integers_have_one_encoding() {
        assert_eq!(
            rsa_public_key(&[0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x03]),
            Some((&[0x80][..], &[0x03][..]))
        );
        for odd in [&[0x00, 0x03][..], &[0x80], &[]] {
            assert_eq!(magnitude(odd), None, "{odd:?}");
        }
    }
}
