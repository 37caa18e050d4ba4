//! TLS, with rustls over aws-lc-rs: a certificate chain and a key from PEM files, which can be reloaded while
//! the server runs. New handshakes use the files that were loaded last; open connections keep theirs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use quash_core::model::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, Validity, X509Certificate};
use zeroize::Zeroizing;

/// The longest file, in bytes.
const FILE_BYTES: u64 = 256 * 1024;
/// The permissions that the key's file must not have: its group may read it, and other users may do nothing.
const KEY_FORBIDDEN: u32 = 0o037;

/// The ALPN name of HTTP/2 over TLS (RFC 9113 3.2).
pub(crate) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// The paths of certificates and key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The PEM chain: the server's certificate first, then those that lead to one that clients trust.
    pub certificates: PathBuf,
    /// The PEM key of the first certificate. It isn't encrypted, so other users must not be able to read it.
    pub key: PathBuf,
}

/// The server's TLS configuration. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<TlsState>);

struct TlsState {
    files: TlsFiles,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    valid_until: Timestamp,
}

/// The reason why a certificate and its key can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFault {
    /// The affected file.
    pub file: PathBuf,
    pub kind: TlsFaultKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsFaultKind {
    Unreadable(io::ErrorKind),
    /// It is longer than 256 KiB.
    TooLong,
    /// Users outside its group may access it, or its group may write it.
    OpenToOthers {
        /// The file's mode.
        mode: u32,
    },
    NotPem,
    /// It contains no certificate.
    NoCertificate,
    /// It contains no key, or only an encrypted one.
    NoKey,
    /// Its first certificate is invalid.
    BadCertificate,
    /// Its first certificate isn't valid yet.
    NotYetValid,
    /// Its first certificate has expired.
    Expired,
    /// Its key is of an unknown kind, or damaged.
    BadKey,
    /// Its key doesn't belong to the certificate.
    AnothersKey,
}

impl Tls {
    /// Loads the files.
    ///
    /// # Errors
    /// They can't be used now.
    pub fn load(files: TlsFiles, now: Timestamp) -> Result<Self, TlsFault> {
        let loaded = ArcSwap::from_pointee(Loaded::read(&files, now)?);
        Ok(Self(Arc::new(TlsState { files, loaded })))
    }

    /// Reloads the files, for new connections.
    ///
    /// # Errors
    /// They can't be used now. The files that were loaded before stay in use.
    pub fn reload(&self, now: Timestamp) -> Result<(), TlsFault> {
        self.0.loaded.store(Arc::new(Loaded::read(&self.0.files, now)?));
        Ok(())
    }

    /// The end of the certificate's validity.
    pub fn valid_until(&self) -> Timestamp {
        self.0.loaded.load().valid_until
    }

    /// An acceptor for one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.loaded.load().config))
    }
}

impl Loaded {
    fn read(files: &TlsFiles, now: Timestamp) -> Result<Self, TlsFault> {
        let of = |file: &Path| {
            let file = file.to_owned();
            move |kind| TlsFault { file, kind }
        };
        let (chain, valid_until) = read_chain(&files.certificates, now).map_err(of(&files.certificates))?;
        let key = read_key(&files.key).map_err(of(&files.key))?;
        // Never the process's default provider: this server chooses its algorithms itself.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                of(&files.key)(TlsFaultKind::AnothersKey)
            }
            rustls::Error::InvalidCertificate(_) => of(&files.certificates)(TlsFaultKind::BadCertificate),
            _ => of(&files.key)(TlsFaultKind::BadKey),
        })?;
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        // The provider has cipher suites for both versions, so this can't fail.
        let config = config.map_err(|_| of(&files.key)(TlsFaultKind::BadKey))?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self { config: Arc::new(config), valid_until })
    }
}

/// Reads the certificates of a file, and the end of the first one's validity.
fn read_chain(
    file: &Path,
    now: Timestamp,
) -> Result<(Vec<CertificateDer<'static>>, Timestamp), TlsFaultKind> {
    let text = read(&mut open(file)?)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| TlsFaultKind::NotPem)?;
    let first = chain.first().ok_or(TlsFaultKind::NoCertificate)?;
    let (not_before, not_after) = validity(first)?;
    if now < not_before {
        return Err(TlsFaultKind::NotYetValid);
    }
    if now > not_after {
        return Err(TlsFaultKind::Expired);
    }
    Ok((chain, not_after))
}

/// Reads the validity period of a certificate in DER, both ends included (RFC 5280 4.1.2.5). The TLS library checks it
/// in peers' certificates but doesn't expose it.
///
/// # Errors
/// It isn't a certificate.
pub fn validity(certificate: &[u8]) -> Result<(Timestamp, Timestamp), TlsFaultKind> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| TlsFaultKind::BadCertificate)?;
    let Validity { not_before, not_after } = certificate.validity();
    Ok((Timestamp::from_secs(not_before.timestamp()), Timestamp::from_secs(not_after.timestamp())))
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFaultKind> {
    let mut file = open(file)?;
    let mode = file.metadata().map_err(|error| TlsFaultKind::Unreadable(error.kind()))?.permissions().mode()
        & 0o7777;
    if mode & KEY_FORBIDDEN != 0 {
        return Err(TlsFaultKind::OpenToOthers { mode });
    }
    PrivateKeyDer::from_pem_slice(&read(&mut file)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsFaultKind::NoKey,
        _ => TlsFaultKind::NotPem,
    })
}

fn open(file: &Path) -> Result<File, TlsFaultKind> {
    File::open(file).map_err(|error| TlsFaultKind::Unreadable(error.kind()))
}

fn read(file: &mut File) -> Result<Zeroizing<Vec<u8>>, TlsFaultKind> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| TlsFaultKind::Unreadable(error.kind()))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(TlsFaultKind::TooLong);
    }
    Ok(bytes)
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file.display(), self.kind)
    }
}

impl std::error::Error for TlsFault {}

impl fmt::Display for TlsFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "can't be read: {error}"),
            Self::TooLong => f.write_str("is longer than 256 KiB"),
            Self::OpenToOthers { mode } => write!(f, "holds a key, and others can read it (mode {mode:04o})"),
            Self::NotPem => f.write_str("isn't PEM"),
            Self::NoCertificate => f.write_str("holds no certificate"),
            Self::NoKey => f.write_str("holds no private key, or only an encrypted one"),
            Self::BadCertificate => f.write_str("begins with a certificate that can't be read"),
            Self::NotYetValid => f.write_str("begins with a certificate that isn't valid yet"),
            Self::Expired => f.write_str("begins with a certificate that has expired"),
            Self::BadKey => f.write_str("holds a key that can't be used"),
            Self::AnothersKey => f.write_str("holds the key of another certificate"),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.0.files).finish_non_exhaustive()
    }
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
            let (begin, end) = validity(&made(not_before, not_after)).expect("a validity");
            assert_eq!((begin.as_secs(), end.as_secs()), wanted);
        }
    }

    #[test]
    fn malformed_certificates_have_no_validity() {
        let whole = made((2026, 1, 1), (2027, 1, 1));
        assert!((0..whole.len()).all(|length| validity(&whole[..length]).is_err()), "a cut one");
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            b"-----BEGIN",
        ] {
            assert_eq!(validity(bytes), Err(TlsFaultKind::BadCertificate));
        }
    }
}
