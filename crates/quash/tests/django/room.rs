//! A folder with a quash, its settings and whatever they name, beside which a site may stand.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::Server;

/// The password of every account here.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// A site's secret: 64 characters, of those that Django takes for its own.
pub(crate) const SECRET: &str = "u%8w!g_t9q2z@k4^m7&x1*c5(v3)b6#n0-r=p+e$s_dahjylfi8o2w4u6y0t1q3z";

/// A folder that goes with this.
pub(crate) struct Room(TempDir);

impl Room {
    /// An empty one, but for the site's secret.
    pub(crate) fn new() -> Self {
        let room = Self(tempfile::tempdir().expect("a temporary directory"));
        // As an editor ends a file.
        room.write("django.secret", &format!("{SECRET}\n"));
        room
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

    /// Starts its quash with these settings, as a file.
    pub(crate) fn quash(&self, settings: &str) -> Server {
        self.write("quash.toml", settings);
        let file = self.path().join("quash.toml");
        Server::start_in(&self.data(), &["--config", file.to_str().expect("UTF-8")])
    }
}

/// Adds an account with this subject, under the one password.
pub(crate) fn add_account(quash: &Server, name: &str, subject: &str) {
    let added = quash.run(&["account", "add", name, "--subject", subject, "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", added.stderr);
}

/// An account's sessions, as its quash lists them.
pub(crate) fn sessions(quash: &Server, name: &str) -> Vec<Value> {
    let listed = quash.run(&["session", "list", name, "--json"], "").json();
    listed["sessions"].as_array().expect("a list").clone()
}
