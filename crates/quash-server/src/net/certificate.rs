//! Reads a certificate's validity period. The TLS library checks it in peers' certificates but doesn't expose
//! that of the server's own. Parses only as much DER as leads to the two times.

use quash_core::model::Timestamp;

/// A certificate's validity period, both ends included (RFC 5280 4.1.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`: the version, omitted in version 1.
const VERSION: u8 = 0xa0;

/// Returns a certificate's validity period. `None` if the DER has another structure.
pub(crate) fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut certificate = Reader(certificate);
    let mut signed = Reader(Reader(certificate.take(SEQUENCE)?).take(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.take(VERSION)?;
    }
    // The serial number, the signature algorithm, the issuer.
    signed.take(INTEGER)?;
    signed.take(SEQUENCE)?;
    signed.take(SEQUENCE)?;
    let mut times = Reader(signed.take(SEQUENCE)?);
    Some(Validity { not_before: times.time()?, not_after: times.time()? })
}

/// The remaining input.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Returns the content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        if *found != tag {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // No file here needs more than four bytes for a length.
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (
                    length.iter().try_fold(0_usize, |length, byte| {
                        length.checked_mul(256)?.checked_add(usize::from(*byte))
                    })?,
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// Reads the next element as a time.
    fn time(&mut self) -> Option<Timestamp> {
        let tag = *self.0.first()?;
        let text = std::str::from_utf8(self.take(tag)?).ok()?.strip_suffix('Z')?;
        let (year, rest) = match tag {
            // RFC 5280 4.1.2.5.1: a two-digit year is one of 1950 to 2049.
            UTC_TIME => {
                let (year, rest) = number(text, 2)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => number(text, 4)?,
            _ => return None,
        };
        let (month, rest) = number(rest, 2)?;
        let (day, rest) = number(rest, 2)?;
        let (hour, rest) = number(rest, 2)?;
        let (minute, rest) = number(rest, 2)?;
        let (second, rest) = number(rest, 2)?;
        let is_date =
            (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
        (is_date && rest.is_empty()).then(|| {
            Timestamp::from_secs(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
        })
    }
}

/// Reads a number of exactly this many digits, and returns the rest.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok().map(|number| (number, rest)))?
}

/// Returns the days from 1970-01-01 to a Gregorian date. Years begin in March here, so that a leap day is the
/// last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(not_before: (i32, u8, u8), not_after: (i32, u8, u8)) -> Vec<u8> {
        let mut certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        certificate.not_before = rcgen::date_time_ymd(not_before.0, not_before.1, not_before.2);
        certificate.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = rcgen::KeyPair::generate().expect("a key");
        certificate.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn certificate_validity_is_parsed() {
        for (not_before, not_after, wanted) in [
            ((1970, 1, 1), (1970, 1, 2), (0, 86_400)),
            ((2000, 2, 29), (2049, 12, 31), (951_782_400, 2_524_521_600)),
            ((2026, 1, 1), (2050, 1, 1), (1_767_225_600, 2_524_608_000)),
            ((1950, 1, 1), (9999, 12, 31), (-631_152_000, 253_402_214_400)),
        ] {
            let read = validity(&made(not_before, not_after)).expect("a validity");
            assert_eq!((read.not_before.as_secs(), read.not_after.as_secs()), wanted);
        }
    }

    #[test]
    fn malformed_certificates_have_no_validity() {
        let whole = made((2026, 1, 1), (2027, 1, 1));
        let times_end = 120;
        assert!((0..times_end).all(|length| validity(&whole[..length]).is_none()), "a cut one");
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            b"-----BEGIN",
        ] {
            assert_eq!(validity(bytes), None);
        }
        let time = |tag: u8, text: &str| {
            let length = u8::try_from(text.len()).expect("a short text");
            Reader(&[&[tag, length][..], text.as_bytes()].concat()).time()
        };
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(Timestamp::from_secs(0)));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(Timestamp::from_secs(2_524_607_999)));
        for text in [
            "700101000000",
            "7001010000Z",
            "701301000000Z",
            "700100000000Z",
            "700132000000Z",
            "700101240000Z",
            "70010100006\u{e9}Z",
            "700101000060Z",
            "-00101000000Z",
            "19700101000000Z",
        ] {
            assert_eq!(time(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(time(GENERALIZED_TIME, "700101000000Z"), None);
        assert_eq!(time(INTEGER, "700101000000Z"), None);
    }
}
