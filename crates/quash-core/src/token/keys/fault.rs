//! Why something isn't a key. The words say what is wrong, to be read after the key's name; they never quote it.

use super::algorithm::Algorithm;

/// Why something isn't a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFault {
    /// Not a key of this algorithm.
    #[error("is not a key for {}", .0.as_str())]
    Unusable(Algorithm),
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// A secret shorter than the hash it is used with (RFC 7518 3.2).
    #[error("is a secret of fewer than {} bytes, the least for {}", .0.secret_bytes(), .0.as_str())]
    TooShort(Algorithm),
    /// A secret that stands in a tutorial.
    #[error("is a secret that stands in a public tutorial")]
    Published,
    /// The text of a key pair where a secret is wanted: whoever has the public half could sign.
    #[error("is the text of a key file, which is no secret for {}", .0.as_str())]
    KeyTextAsSecret(Algorithm),
    /// Neither PEM nor a JWK.
    #[error("is neither PEM nor a JWK")]
    NeitherPemNorJwk,
    /// PEM of something else, such as a certificate or an encrypted key.
    #[error(
        "is PEM of another kind: an unencrypted PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY or RSA PUBLIC KEY is understood"
    )]
    OtherPem,
    /// A public key where a private one is wanted.
    #[error("is a public key, and nothing can be signed with it")]
    Public,
    /// A private key where a public one is wanted.
    #[error("is a private key, which belongs to whoever signs")]
    Private,
    /// Not a JSON object of the members that RFC 7517 and 7518 6 ask for.
    #[error("is not a well-formed JWK")]
    MalformedJwk,
    /// A kind of key, a curve or an algorithm that quash doesn't know.
    #[error("is of a kind that quash does not know")]
    Unknown,
    /// Its `alg` is for another kind of key.
    #[error("names an algorithm for another kind of key")]
    AlgorithmMismatch,
    /// Its `use` or `key_ops` doesn't allow signatures (RFC 7517 4.2, 4.3).
    #[error("is not meant for signatures")]
    OtherUse,
    /// An Ed25519 key under which a signature can be made without a private key.
    #[error("is an Ed25519 key of small order, under which anybody can sign")]
    SmallOrder,
    /// An RSA modulus of fewer than 2,048 or more than 8,192 bits.
    #[error("is an RSA key of fewer than 2048 or more than 8192 bits")]
    RsaSize,
    /// An RSA exponent that is even, below 65,537 or longer than 33 bits.
    #[error("is an RSA key with an exponent that is even, below 65537 or longer than 33 bits")]
    RsaExponent,
    /// An RSA modulus that was made by a faulty generator (CVE-2017-15361).
    #[error("is an RSA key that can be factored (CVE-2017-15361)")]
    RsaRoca,
}

/// Why something isn't a set of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeySetFault {
    /// Not a JSON object with a list of objects in `keys` (RFC 7517 5).
    #[error("is not a well-formed JWK set")]
    Malformed,
    /// Two keys of one id: which one is meant can't be told.
    #[error("has two keys of one kid")]
    KidTwice,
    /// A secret beside public keys: one of the two got there by mistake.
    #[error("has a secret beside public keys")]
    SecretAmongPublic,
    /// More keys than anybody needs.
    #[error("has more than {} keys", crate::model::limits::JWK_SET_KEYS)]
    TooMany,
}
