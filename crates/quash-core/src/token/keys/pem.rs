//! Keys as PEM text (RFC 7468). What kind of key it is, its label says; nothing is guessed from the content.

use rustls_pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

use super::fault::KeyFault;

/// What a PEM section holds, as DER.
pub(super) enum Section {
    /// A private key: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017 A.1.2) or SEC 1 (RFC 5915).
    Private(Zeroizing<Vec<u8>>),
    /// A SubjectPublicKeyInfo (RFC 5280 4.1).
    Public(Vec<u8>),
    /// An RSAPublicKey (RFC 8017 A.1.1).
    RsaPublic(Vec<u8>),
}

/// Whether a text has a PEM section in it, of whatever kind.
pub(super) fn looks_like(text: &str) -> bool {
    text.contains("-----BEGIN ")
}

/// The one key in a text.
pub(super) fn parse(text: &str) -> Result<Section, KeyFault> {
    let mut found = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|_| KeyFault::NeitherPemNorJwk)?;
        let section = match kind {
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                Section::Private(Zeroizing::new(der))
            }
            SectionKind::PublicKey => Section::Public(der),
            _ => return Err(KeyFault::OtherPem),
        };
        if found.replace(section).is_some() {
            return Err(KeyFault::OtherPem);
        }
    }
    match found {
        Some(section) => Ok(section),
        // A label that the reader passes over.
        None if text.contains("-----BEGIN RSA PUBLIC KEY-----") => rsa_public(text),
        None if looks_like(text) => Err(KeyFault::OtherPem),
        None => Err(KeyFault::NeitherPemNorJwk),
    }
}

/// Its label is none of those that the reader knows; what is inside is read under the label of a public key.
fn rsa_public(text: &str) -> Result<Section, KeyFault> {
    match parse(&text.replace(" RSA PUBLIC KEY-----", " PUBLIC KEY-----"))? {
        Section::Public(der) => Ok(Section::RsaPublic(der)),
        Section::Private(_) | Section::RsaPublic(_) => Err(KeyFault::OtherPem),
    }
}
