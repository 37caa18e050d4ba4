//! Clients: other services, which prove who they are with a secret, and programs in others' hands, which can't. Who may do
//! what is asked where it is done.

use std::fmt;

use super::Timestamp;

/// Another service that speaks to quash in its own name. Its secret isn't kept, only a digest of it. A public client (RFC
/// 6749 2.1), such as an app on people's devices, has no secret: nothing that everybody has a copy of is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// What it is called.
    pub name: ClientName,
    /// What it may do.
    pub rights: Rights,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What a client is called: 1 to 64 characters from `a` to `z`, `0` to `9`, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(String);

/// Why a text is no client's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must have 1 to 64 characters from a to z, 0 to 9, '.', '_' and '-'")]
pub struct ClientNameFault;

/// What a client may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Right {
    /// Follow the log.
    Feed,
    /// Ask whether a token holds.
    Introspect,
    /// End what a token stands for.
    Revoke,
    /// End what a token stands for, without a secret: whoever has the token may have it ended (RFC 7009 2.1).
    RevokeAsPublic,
}

/// What a client may do, all together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

/// The SHA-256 digest of a client's secret. The secret is random, so that nobody finds it by trying. Of a public client it
/// is that of its name, in a form that no secret has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SecretDigest(pub [u8; 32]);

impl Client {
    /// Whether it may do this.
    pub const fn may(&self, right: Right) -> bool {
        self.rights.has(right)
    }

    /// Whether it is a verifier: one that follows the log.
    pub const fn is_verifier(&self) -> bool {
        self.may(Right::Feed)
    }
}

impl ClientName {
    /// The longest name, in characters.
    pub const LONGEST: usize = 64;
    /// What an actor is called that is a client, before its name.
    pub(super) const AS_ACTOR: &'static str = "client:";

    /// The name of a text.
    ///
    /// # Errors
    /// It is empty or too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, ClientNameFault> {
        let is_taken = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        if text.is_empty() || text.len() > Self::LONGEST || !text.chars().all(is_taken) {
            return Err(ClientNameFault);
        }
        Ok(Self(format!("{}{text}", Self::AS_ACTOR)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.strip_prefix(Self::AS_ACTOR).unwrap_or_default()
    }

    /// As it is written where something was done by a client.
    pub(super) fn as_actor(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientName({self})")
    }
}

impl Right {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Feed, Self::Introspect, Self::Revoke, Self::RevokeAsPublic];

    /// As it is kept and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::RevokeAsPublic => "revoke_as_public",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Feed => 1,
            Self::Introspect => 2,
            Self::Revoke => 4,
            Self::RevokeAsPublic => 8,
        }
    }
}

impl Rights {
    /// Those of a verifier: it follows the log, and asks where it can't vouch for what it knows.
    pub const VERIFIER: Self = Self(Right::Feed.bit() | Right::Introspect.bit());

    /// Those of a public client.
    pub const PUBLIC: Self = Self(Right::RevokeAsPublic.bit());

    /// Whether this is one of them.
    pub const fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }

    /// The rights of a text, as they are displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let right = |word: &str| Right::ALL.into_iter().find(|right| right.as_str() == word);
        text.split_ascii_whitespace().map(right).collect()
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | right.bit()))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Right::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_limited_one_past_the_edge() {
        for name in ["a", "grafana", "0.b_c-d", &"x".repeat(ClientName::LONGEST)] {
            assert_eq!(ClientName::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for none in ["", "A", "a b", "a:b", "é", "a\n", &"x".repeat(ClientName::LONGEST + 1)] {
            assert_eq!(ClientName::parse(none), Err(ClientNameFault), "{none:?}");
        }
    }

    #[test]
    fn rights_are_read_as_they_are_kept() {
        for bits in 0..16 {
            let rights = Rights(bits);
            assert_eq!(Rights::parse(&rights.to_string()), Some(rights));
        }
        assert_eq!(Rights::VERIFIER.to_string(), "feed introspect");
        assert_eq!(Rights::PUBLIC.to_string(), "revoke_as_public");
        assert_eq!(Rights::parse("feed everything"), None);
        assert!(!Rights::VERIFIER.has(Right::Revoke));
    }
}
