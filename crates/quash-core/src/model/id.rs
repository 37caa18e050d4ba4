//! Ids as small newtypes, so that a session's id can't be passed where an account's is expected.

use std::fmt;

use super::{Entropy, Timestamp, draw};
use crate::hex;

/// Defines ids of 16 bytes, written as 32 hex characters. The debug form of a `secret` one is redacted, and it
/// can't be parsed or ordered.
macro_rules! ids {
    (@type $(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::write(f, &self.0)
            }
        }
    };
    ($(#[$meta:meta])* secret $name:ident; $($rest:tt)*) => {
        ids!(@type $(#[$meta])* $name);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        ids!($($rest)*);
    };
    ($(#[$meta:meta])* $name:ident; $($rest:tt)*) => {
        ids!(@type $(#[$meta])* #[derive(PartialOrd, Ord)] $name);

        impl $name {
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::write(f, &self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdFault;
            fn from_str(text: &str) -> Result<Self, IdFault> {
                hex::decode(text).map(Self).ok_or(IdFault)
            }
        }

        ids!($($rest)*);
    };
    () => {};
}

ids! {
    /// A session's id, the claim `sid`: a UUIDv7, written as 32 hex characters. It never changes.
    ///
    /// ```
    /// use quash_core::model::{Seeded, SessionId, Timestamp};
    /// let sid = SessionId::new(Timestamp::from_secs(1_800_000_000), &Seeded::new(1));
    /// assert_eq!(sid.to_string().parse(), Ok(sid));
    /// ```
    SessionId;

    /// The id of a token issued by quash, written like Simple JWT's. It is random in access tokens and derived
    /// in refresh tokens, where it is the secret.
    secret Jti;

    /// A flow's id, random.
    FlowId;

    /// A mail's id, random.
    MailId;

    /// A known device's id, random.
    DeviceId;
}

/// An account's subject: set once, never changed, never assigned again. A UUID unless the account was
/// imported or the settings ask for integers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Subject(String);

/// A key's id: the RFC 7638 thumbprint of a public key, or random text for an HMAC secret.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Kid(String);

/// The number of times that a session's refresh token has been rotated; 0 after the sign-in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Generation(pub u32);

/// The error for a text that isn't a well-formed id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a well-formed id")]
pub struct IdFault;

impl SessionId {
    /// Creates an id. Later ids sort after earlier ones, so that the store appends rows instead of scattering
    /// them (RFC 9562 5.7).
    pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &draw(entropy)).into_uuid().into_bytes())
    }
}

/// Adds a constructor to ids that are random.
macro_rules! random_ids {
    ($($name:ident)*) => {$(
        impl $name {
            pub fn random(entropy: &dyn Entropy) -> Self {
                Self(draw(entropy))
            }
        }
    )*};
}

random_ids!(Jti FlowId MailId DeviceId);

impl Subject {
    /// The longest subject, in bytes.
    pub const MAX: usize = 255;
    /// The largest number that can be a subject: 15 digits, which every JSON parser and every 64-bit key can
    /// hold.
    pub const MAX_NUMBER: u64 = 999_999_999_999_999;

    /// Parses a subject: 1 to [`Subject::MAX`] bytes without control characters.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        let well_formed = !text.is_empty() && text.len() <= Self::MAX && !text.chars().any(char::is_control);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(IdFault) }
    }

    /// Creates a subject: a UUIDv7 with hyphens.
    pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &draw(entropy)).into_uuid().to_string())
    }

    /// The subject after the largest number that any account has or had; `None` if that is
    /// [`Subject::MAX_NUMBER`].
    ///
    /// ```
    /// use quash_core::model::Subject;
    /// assert_eq!(Subject::after(17).and_then(|subject| subject.number()), Some(18));
    /// assert_eq!(Subject::parse("017").map(|subject| subject.number()), Ok(None));
    /// ```
    pub fn after(largest: u64) -> Option<Self> {
        (largest < Self::MAX_NUMBER).then(|| Self((largest + 1).to_string()))
    }

    /// The subject as a number, if it is one in decimal digits: positive, without leading zeros, and at most
    /// [`Subject::MAX_NUMBER`].
    pub fn number(&self) -> Option<u64> {
        let is_decimal = self.0.bytes().all(|byte| byte.is_ascii_digit()) && !self.0.starts_with('0');
        self.0.parse().ok().filter(|number| is_decimal && *number <= Self::MAX_NUMBER)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Kid {
    /// Parses a key id: 1 to 128 bytes of printable ASCII.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        let well_formed = !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic());
        if well_formed { Ok(Self(text.to_owned())) } else { Err(IdFault) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Generation {
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0192f0c1a2b3743394d5e6f708192a3b";
        assert_eq!(text.parse::<SessionId>().map(|id| id.to_string()), Ok(text.to_owned()));
        for other in [
            "0192F0C1A2B3743394D5E6F708192A3B",
            "0192f0c1-a2b3-7433-94d5-e6f708192a3b",
            "",
            "0192f0c1a2b3743394d5e6f708192a3",
        ] {
            assert_eq!(other.parse::<SessionId>(), Err(IdFault), "{other}");
            assert_eq!(other.parse::<FlowId>(), Err(IdFault), "{other}");
        }
    }

    #[test]
    fn a_subject_is_bounded() {
        assert!(Subject::parse(&"x".repeat(Subject::MAX)).is_ok());
        assert_eq!(Subject::parse(&"x".repeat(Subject::MAX + 1)), Err(IdFault));
        assert_eq!(Subject::parse(""), Err(IdFault));
        assert_eq!(Subject::parse("a\nb"), Err(IdFault));
    }

    #[test]
    fn a_number_is_decimal_and_bounded() {
        let number = |text: &str| Subject::parse(text).expect("a subject").number();
        assert_eq!(
            (number("1"), number("17"), number("999999999999999")),
            (Some(1), Some(17), Some(Subject::MAX_NUMBER))
        );
        for text in [
            "0",
            "017",
            "-1",
            "+1",
            "1.0",
            " 1",
            "1 ",
            "\u{661}",
            "1000000000000000",
            "18446744073709551617",
            "a",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(Subject::after(0), Subject::parse("1").ok());
        assert_eq!(
            Subject::after(Subject::MAX_NUMBER - 1).and_then(|subject| subject.number()),
            Some(Subject::MAX_NUMBER)
        );
        assert_eq!(Subject::after(Subject::MAX_NUMBER), None);
    }
}
