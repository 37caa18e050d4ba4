//! TLS, by rustls over aws-lc-rs: a chain of certificates and a key from PEM files, which can be read again while the
//! server runs. Whoever shakes hands gets what was read last; connections that are open go on with what they have.

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
use zeroize::Zeroizing;

use crate::certificate::validity;

/// The longest file, in bytes.
const FILE_BYTES: u64 = 256 * 1024;
/// Who may not be allowed what with the key's file: its group may read it, and nobody else may do anything.
const KEY_FORBIDDEN: u32 = 0o037;

/// HTTP/2 over TLS, by its name in ALPN (RFC 9113 3.2).
pub(crate) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Where certificates and key are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The server's certificate and those that lead from it to one that clients trust, in this order, as PEM.
    pub certificates: PathBuf,
    /// The key of the first certificate, as PEM. It isn't encrypted, so others may not read it.
    pub key: PathBuf,
}

/// What a server needs to speak TLS. Clones are handles on the same.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    valid_until: Timestamp,
}

/// Why a certificate and its key can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFault {
    /// The file that it is about.
    pub file: PathBuf,
    /// What is wrong with it.
    pub kind: TlsFaultKind,
}

/// What is wrong with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsFaultKind {
    /// It can't be read.
    Unreadable(io::ErrorKind),
    /// It is longer than 256 KiB.
    TooLong,
    /// Others than its owner and those in its group may read it, or its group may write it.
    OpenToOthers {
        /// The mode that it has.
        mode: u32,
    },
    /// It isn't PEM.
    NotPem,
    /// There is no certificate in it.
    NoCertificate,
    /// There is no key in it, or only an encrypted one.
    NoKey,
    /// Its first certificate can't be read.
    BadCertificate,
    /// Its first certificate doesn't hold yet.
    NotYetValid,
    /// Its first certificate doesn't hold any more.
    Expired,
    /// Its key is of a kind that isn't known, or broken.
    BadKey,
    /// Its key is not that of the certificate.
    AnothersKey,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// They can't be used at this moment.
    pub fn load(files: TlsFiles, now: Timestamp) -> Result<Self, TlsFault> {
        let loaded = ArcSwap::from_pointee(Loaded::read(&files, now)?);
        Ok(Self(Arc::new(Shared { files, loaded })))
    }

    /// Reads the files again, for connections that begin from now on.
    ///
    /// # Errors
    /// They can't be used at this moment. What was read before goes on being used.
    pub fn reload(&self, now: Timestamp) -> Result<(), TlsFault> {
        self.0.loaded.store(Arc::new(Loaded::read(&self.0.files, now)?));
        Ok(())
    }

    /// Until when the certificate holds.
    pub fn valid_until(&self) -> Timestamp {
        self.0.loaded.load().valid_until
    }

    /// For one connection.
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
        // Never the process's default provider: what this server speaks is decided here.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                of(&files.key)(TlsFaultKind::AnothersKey)
            }
            rustls::Error::InvalidCertificate(_) => of(&files.certificates)(TlsFaultKind::BadCertificate),
            _ => of(&files.key)(TlsFaultKind::BadKey),
        })?;
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        // The provider has suites of both versions, so this can't fail.
        let config = config.map_err(|_| of(&files.key)(TlsFaultKind::BadKey))?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self { config: Arc::new(config), valid_until })
    }
}

/// The certificates of a file, and until when the first one holds.
fn read_chain(
    file: &Path,
    now: Timestamp,
) -> Result<(Vec<CertificateDer<'static>>, Timestamp), TlsFaultKind> {
    let text = read(&mut open(file)?)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| TlsFaultKind::NotPem)?;
    let first = chain.first().ok_or(TlsFaultKind::NoCertificate)?;
    let validity = validity(first).ok_or(TlsFaultKind::BadCertificate)?;
    if now < validity.not_before {
        return Err(TlsFaultKind::NotYetValid);
    }
    if now > validity.not_after {
        return Err(TlsFaultKind::Expired);
    }
    Ok((chain, validity.not_after))
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
            Self::NotYetValid => f.write_str("begins with a certificate that doesn't hold yet"),
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
