//! Errors of keys and key sets. Each text continues a sentence that begins with the key's name. None quotes
//! the key.

use super::algorithm::Algorithm;

/// The reason why a key is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFault {
    /// Not a key of this algorithm.
    #[error("is not a key for {}", .0.as_str())]
    Unusable(Algorithm),
    #[error("is empty")]
    Empty,
    /// A secret shorter than the hash it is used with (RFC 7518 3.2).
    #[error("is a secret of fewer than {} bytes, the least for {}", .0.secret_bytes(), .0.as_str())]
    TooShort(Algorithm),
    #[error("is a secret from a public tutorial")]
    PubliclyKnown,
    /// The text of a key pair instead of a secret: anyone with the public half could sign.
    #[error("is the text of a key file, not a secret for {}", .0.as_str())]
    KeyTextAsSecret(Algorithm),
    #[error("is neither PEM nor a JWK")]
    NeitherPemNorJwk,
    /// PEM of something else, such as a certificate or an encrypted key.
    #[error(
        "is PEM of an unsupported kind: expected an unencrypted PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY or RSA PUBLIC KEY"
    )]
    OtherPem,
    /// A public key where a private one is needed.
    #[error("is a public key, and nothing can be signed with it")]
    Public,
    /// A private key where a public one is needed.
    #[error("is a private key, and a public one is needed")]
    Private,
    /// Not a JSON object with the members that RFC 7517 and RFC 7518 6 require.
    #[error("is not a well-formed JWK")]
    MalformedJwk,
    /// An unknown key type, curve or algorithm.
    #[error("has a key type, curve or algorithm that quash does not support")]
    Unknown,
    /// The key's `alg` is for another kind of key.
    #[error("names an algorithm for another kind of key")]
    AlgorithmMismatch,
    /// The key's `use` or `key_ops` doesn't allow signatures (RFC 7517 4.2, 4.3).
    #[error("is not meant for signatures")]
    NotForSignatures,
    /// An Ed25519 key for which signatures can be made without a private key.
    #[error("is an Ed25519 key of small order, for which anyone can forge signatures")]
    SmallOrder,
    /// An RSA modulus of fewer than 2,048 or more than 8,192 bits.
    #[error("is an RSA key of fewer than 2048 or more than 8192 bits")]
    RsaSize,
    /// An RSA exponent that is even, below 65,537 or longer than 33 bits.
    #[error("is an RSA key with an exponent that is even, below 65537 or longer than 33 bits")]
    RsaExponent,
    /// An RSA modulus made by a faulty generator (CVE-2017-15361).
    #[error("is an RSA key that can be factored (CVE-2017-15361)")]
    RsaRoca,
}

/// The reason why a key set is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeySetFault {
    /// Not a JSON object with a list of objects in `keys` (RFC 7517 5).
    #[error("is not a well-formed JWK set")]
    Malformed,
    /// Two keys with the same `kid`, which is then ambiguous.
    #[error("has two keys with the same kid")]
    KidTwice,
    /// A secret among public keys: one of the two must be a mistake.
    #[error("has a secret among public keys")]
    SecretAmongPublic,
    /// More than [`JWK_SET_KEYS`](crate::model::limits::JWK_SET_KEYS) keys.
    #[error("has more than {} keys", crate::model::limits::JWK_SET_KEYS)]
    TooMany,
}
