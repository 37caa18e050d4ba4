//! The algorithms that quash signs and verifies with (RFC 7518 3, RFC 8037). There is no `none`.

/// A signature algorithm. Each key has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037 3.1).
    EdDsa,
    /// ECDSA over P-256 with SHA-256 (RFC 7518 3.4).
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 3.3).
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256 (RFC 7518 3.5).
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// HMAC with SHA-256 (RFC 7518 3.2).
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

/// The kind of key that an algorithm needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Ed25519,
    /// A key on P-256 or P-384.
    Ec,
    Rsa,
    /// A secret shared by signer and verifiers.
    Hmac,
}

impl Algorithm {
    /// All algorithms, the default first.
    pub const ALL: [Self; 12] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// The registered name, as in a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm with a registered name. Names are case-sensitive (RFC 7515 4.1.1). `Ed25519` is the
    /// newer name of the algorithm that quash writes as `EdDSA` (RFC 9864 2.2).
    ///
    /// ```
    /// use quash_core::token::Algorithm;
    /// assert_eq!(Algorithm::parse("PS384"), Some(Algorithm::Ps384));
    /// assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
    /// assert_eq!(Algorithm::parse("none"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub const fn family(self) -> Family {
        match self {
            Self::EdDsa => Family::Ed25519,
            Self::Es256 | Self::Es384 => Family::Ec,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Family::Rsa,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Hmac,
        }
    }

    /// The minimum length of an HMAC secret in bytes: that of the hash (RFC 7518 3.2). Zero for other
    /// algorithms.
    pub const fn secret_bytes(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            _ => 0,
        }
    }
}

/// The curve of an ECDSA algorithm (RFC 7518 6.2.1.1).
pub(super) const fn curve(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es384 => "P-384",
        _ => "P-256",
    }
}
