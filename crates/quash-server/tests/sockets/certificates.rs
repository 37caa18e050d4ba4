//! Certificates made for one test, and their files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use quash_core::model::Timestamp;
use quash_server::{Tls, TlsFault, TlsFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

/// The time at which certificates are checked.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(super::support::START);

/// A self-signed certificate for `localhost`, and its key.
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: String,
}

/// A directory with a certificate and its key.
pub(crate) struct Files {
    pub(crate) room: TempDir,
}

impl Certificate {
    /// A certificate that stays valid for a very long time.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(choose: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        choose(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { der: certificate.der().clone(), pem: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Files {
    pub(crate) fn of(certificate: &Certificate) -> Self {
        let files = Self { room: tempfile::tempdir().expect("a temporary directory") };
        files.put(certificate);
        files
    }

    /// Replaces the certificate and its key.
    pub(crate) fn put(&self, certificate: &Certificate) {
        self.write("certificate.pem", certificate.pem.as_bytes());
        self.write("key.pem", certificate.key.as_bytes());
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("it is ours");
        self.open_to(name, 0o600);
    }

    pub(crate) fn open_to(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    pub(crate) fn names(&self) -> TlsFiles {
        TlsFiles { certificates: self.path("certificate.pem"), key: self.path("key.pem") }
    }

    pub(crate) fn load(&self) -> Result<Tls, TlsFault> {
        Tls::load(self.names(), NOW)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.room.path()).join(name)
    }
}
