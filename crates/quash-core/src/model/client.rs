//! Clients: services that authenticate with a secret, and public clients, which have none. Each use case
//! checks the right that it needs.

use std::fmt;

use super::Timestamp;

/// Another service that speaks to quash in its own name. quash stores only a digest of its secret. A public
/// client (RFC 6749 2.1), such as an app on users' devices, has no secret: a secret in every copy of an app
/// isn't one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    pub name: ClientName,
    pub rights: Rights,
    pub created_at: Timestamp,
    /// The only namespace in which the client may introspect and revoke; `None`: not limited.
    pub namespace: Option<String>,
    /// The time from which on the secret isn't accepted; `None`: it doesn't expire.
    pub expires_at: Option<Timestamp>,
    /// The number of the client's changes, a new secret among them.
    pub version: u64,
}

/// A client as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredClient {
    pub client: Client,
    /// A time at which the secret was used, not much before the last one; `None`: it never was.
    pub last_used_at: Option<Timestamp>,
}

/// A client's name: 1 to 64 characters from `a` to `z`, `0` to `9`, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientName(String);

/// The error for a text that isn't a client's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must have 1 to 64 characters from a to z, 0 to 9, '.', '_' and '-'")]
pub struct ClientNameFault;

/// A single permission of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Right {
    Feed,
    /// Ask whether a token is valid.
    Introspect,
    /// Revoke a token, or end its session.
    Revoke,
    /// The same without a secret: the bearer of a token may revoke it (RFC 7009 2.1).
    RevokeAsPublic,
    /// Add and change accounts, with their password hashes. The client could sign in as any user.
    Accounts,
    /// See accounts, sessions, verifiers, nodes, statistics and keys.
    Read,
    /// End sessions.
    Sessions,
    /// Rotate and revoke signing keys.
    Keys,
    /// Add, change and remove clients, with rights that this client has itself.
    Clients,
    /// Read the audit.
    Audit,
}

/// A set of [`Right`]s.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u16);

/// The SHA-256 digest of a client's secret. The secret is random, so that it can't be guessed. A public
/// client's digest is that of its name, in a form that no secret has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SecretDigest(pub [u8; 32]);

impl Client {
    /// Returns whether the client has this right.
    pub const fn may(&self, right: Right) -> bool {
        self.rights.has(right)
    }

    /// Returns whether the secret isn't accepted any more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Returns whether the client has this right in a namespace. `None` is that of quash's own tokens. The
    /// feed is the same for all.
    pub fn may_in(&self, namespace: Option<&str>, right: Right) -> bool {
        let is_limited = right != Right::Feed && self.namespace.is_some();
        self.may(right) && (!is_limited || self.namespace.as_deref() == namespace)
    }

    /// Returns whether the client may use an endpoint of the admin API that needs this right. The API isn't divided
    /// into namespaces, so a client that is limited to one may use none of it.
    pub fn may_administer(&self, right: Right) -> bool {
        self.namespace.is_none() && self.may(right)
    }

    /// Returns whether the client is a verifier, which follows the log.
    pub const fn is_verifier(&self) -> bool {
        self.may(Right::Feed)
    }

    /// Returns whether the client is a verifier and nothing else.
    pub fn is_only_verifier(&self) -> bool {
        self.rights == Rights::VERIFIER && self.namespace.is_none()
    }
}

impl ClientName {
    /// The longest name, in characters.
    pub const LONGEST: usize = 64;
    /// The prefix of a client's name where it is an actor.
    pub(super) const AS_ACTOR: &'static str = "client:";

    /// Parses a client's name.
    ///
    /// # Errors
    /// The text is empty or too long, or has a character that isn't allowed.
    pub fn parse(text: &str) -> Result<Self, ClientNameFault> {
        let is_taken = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        if text.is_empty() || text.len() > Self::LONGEST || !text.chars().all(is_taken) {
            return Err(ClientNameFault);
        }
        Ok(Self(format!("{}{text}", Self::AS_ACTOR)))
    }

    /// The name without the prefix.
    pub fn as_str(&self) -> &str {
        self.0.strip_prefix(Self::AS_ACTOR).unwrap_or_default()
    }

    /// The name with the prefix, for use as an actor.
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
    pub const ALL: [Self; 10] = [
        Self::Feed,
        Self::Introspect,
        Self::Revoke,
        Self::RevokeAsPublic,
        Self::Accounts,
        Self::Read,
        Self::Sessions,
        Self::Keys,
        Self::Clients,
        Self::Audit,
    ];

    /// The right's name in the store and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::RevokeAsPublic => "revoke_as_public",
            Self::Accounts => "accounts",
            Self::Read => "read",
            Self::Sessions => "sessions",
            Self::Keys => "keys",
            Self::Clients => "clients",
            Self::Audit => "audit",
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Feed => 1,
            Self::Introspect => 2,
            Self::Revoke => 4,
            Self::RevokeAsPublic => 8,
            Self::Accounts => 16,
            Self::Read => 32,
            Self::Sessions => 64,
            Self::Keys => 128,
            Self::Clients => 256,
            Self::Audit => 512,
        }
    }
}

impl Rights {
    /// The rights of a verifier: it follows the log, and introspects a token when its own state is outdated.
    pub const VERIFIER: Self = Self(Right::Feed.bit() | Right::Introspect.bit());

    /// The rights of a client of one namespace.
    pub const NAMESPACE: Self = Self(Right::Feed.bit() | Right::Introspect.bit() | Right::Revoke.bit());

    /// The rights of a public client.
    pub const PUBLIC: Self = Self(Right::RevokeAsPublic.bit());

    /// Returns whether the set contains this right.
    pub const fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// The rights in the order of [`Right::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }

    /// Parses names of rights, separated by spaces, as `Display` writes them.
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
    fn client_names_are_limited_one_past_the_edge() {
        for name in ["a", "grafana", "0.b_c-d", &"x".repeat(ClientName::LONGEST)] {
            assert_eq!(ClientName::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for none in ["", "A", "a b", "a:b", "é", "a\n", &"x".repeat(ClientName::LONGEST + 1)] {
            assert_eq!(ClientName::parse(none), Err(ClientNameFault), "{none:?}");
        }
    }

    #[test]
    fn limited_clients_have_rights_in_one_namespace() {
        let client = |namespace: Option<&str>| Client {
            name: ClientName::parse("site").expect("a name"),
            rights: Rights::NAMESPACE,
            created_at: Timestamp::default(),
            namespace: namespace.map(str::to_owned),
            expires_at: None,
            version: 0,
        };
        let (limited, general) = (client(Some("shop")), client(None));
        for right in [Right::Introspect, Right::Revoke] {
            assert!(limited.may_in(Some("shop"), right) && general.may_in(Some("shop"), right));
            assert!(!limited.may_in(Some("wiki"), right) && general.may_in(Some("wiki"), right));
            assert!(!limited.may_in(None, right) && general.may_in(None, right));
        }
        assert!(limited.may_in(None, Right::Feed));
        assert!(!general.may_in(None, Right::RevokeAsPublic));
        assert!(general.may_administer(Right::Revoke) && !limited.may_administer(Right::Revoke));
        assert!(!general.may_administer(Right::Clients));
    }

    #[test]
    fn rights_round_trip_through_their_text() {
        for bits in 0..1 << Right::ALL.len() {
            let rights = Rights(bits);
            assert_eq!(Rights::parse(&rights.to_string()), Some(rights));
        }
        assert_eq!(Rights::VERIFIER.to_string(), "feed introspect");
        assert_eq!(Rights::PUBLIC.to_string(), "revoke_as_public");
        assert_eq!(Rights::parse("feed everything"), None);
        assert!(!Rights::VERIFIER.has(Right::Revoke));
    }

    #[test]
    fn secrets_expire_at_their_time() {
        let at = Timestamp::from_secs;
        let client = Client {
            name: ClientName::parse("site").expect("a name"),
            rights: Rights::VERIFIER,
            created_at: at(1),
            namespace: None,
            expires_at: Some(at(10)),
            version: 0,
        };
        assert!(!client.is_expired(at(9)) && client.is_expired(at(10)));
        assert!(!Client { expires_at: None, ..client }.is_expired(at(10)));
    }
}
