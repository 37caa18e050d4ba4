//! Keys as PEM text (RFC 7468). The label determines the kind of key; the content is never used to guess it.

use rustls_pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

use super::fault::KeyFault;

/// The DER content of a PEM section.
pub(super) enum Section {
    /// A private key: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017 A.1.2) or SEC 1 (RFC 5915).
    Private(Zeroizing<Vec<u8>>),
    /// A SubjectPublicKeyInfo (RFC 5280 4.1).
    Public(Vec<u8>),
    /// An RSAPublicKey (RFC 8017 A.1.1).
    RsaPublic(Vec<u8>),
}

/// Returns whether a text has a PEM section of any kind.
pub(super) fn looks_like(text: &str) -> bool {
    text.contains("-----BEGIN ")
}

/// Parses a text with exactly one key.
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
        // The PEM parser skips this label.
        None if text.contains("-----BEGIN RSA PUBLIC KEY-----") => rsa_public(text),
        None if looks_like(text) => Err(KeyFault::OtherPem),
        None => Err(KeyFault::NeitherPemNorJwk),
    }
}

/// Parses a section under a label that the PEM parser doesn't know, by reading it as PUBLIC KEY.
fn rsa_public(text: &str) -> Result<Section, KeyFault> {
    match parse(&text.replace(" RSA PUBLIC KEY-----", " PUBLIC KEY-----"))? {
        Section::Public(der) => Ok(Section::RsaPublic(der)),
        Section::Private(_) | Section::RsaPublic(_) => Err(KeyFault::OtherPem),
    }
}
