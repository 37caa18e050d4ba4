//! A folder with a quash, its settings and their files, with space for a site.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, store};

/// The password of every account here.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// A site's secret: 64 of the characters that Django uses for its own.
pub(crate) const SECRET: &str = "u%8w!g_t9q2z@k4^m7&x1*c5(v3)b6#n0-r=p+e$s_dahjylfi8o2w4u6y0t1q3z";

/// A folder that is removed when this is dropped.
pub(crate) struct QuashDir(TempDir);

impl QuashDir {
    /// Creates a folder that contains only the site's secret.
    pub(crate) fn new() -> Self {
        let dir = Self(tempfile::tempdir().expect("a temporary directory"));
        // Editors end a file with a line end.
        dir.write("django.secret", &format!("{SECRET}\n"));
        dir
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The data directory of its quash.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    }

    /// Starts a quash with these settings in a file.
    pub(crate) fn quash(&self, settings: &str) -> Server {
        self.write("quash.toml", settings);
        let file = self.path().join("quash.toml");
        let mut args = vec!["--config", file.to_str().expect("UTF-8")];
        if store::is_postgres() {
            // This start may have other settings than the last one, and no other node runs.
            args.push("--apply-settings");
        }
        Server::start_in(&self.data(), &args)
    }
}

/// Adds an account with this subject and the common password.
pub(crate) fn add_account(quash: &Server, name: &str, subject: &str) {
    let added = quash.run(&["account", "add", name, "--subject", subject, "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", added.stderr);
}

/// Lists an account's sessions.
pub(crate) fn sessions(quash: &Server, name: &str) -> Vec<Value> {
    let listed = quash.run(&["session", "list", name, "--json"], "").json();
    listed["sessions"].as_array().expect("a list").clone()
}
