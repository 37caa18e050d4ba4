//! A browser for the tests of pages: the machine's Chromium, and axe for accessibility checks, installed
//! under the target directory.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Context, Result};
use crate::{program, workspace};

/// The version of axe-core that checks the pages.
const AXE: &str = "4.14.1";
/// Chromium's names on various systems.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The paths that the tests need.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) axe: PathBuf,
}

/// Returns the machine's Chromium if one is installed and starts.
pub(crate) fn chromium() -> Option<PathBuf> {
    NAMES.into_iter().find(|name| program::works(Command::new(name).arg("--version"))).map(PathBuf::from)
}

/// Installs axe, or returns what is missing and how to install it.
///
/// # Errors
/// Returns an error if the workspace has no target directory.
pub(crate) fn ready() -> Result<std::result::Result<Browser, String>> {
    let Some(chromium) = chromium() else {
        return Ok(Err("Chromium is missing: install it (on Debian: apt-get install chromium)".into()));
    };
    let folder = workspace::target_directory()?.join("browser").join(AXE);
    let axe = folder.join("node_modules/axe-core/axe.min.js");
    if !axe.is_file() {
        println!("installing axe-core {AXE} under target/browser (once)");
        std::fs::create_dir_all(&folder).context("making target/browser")?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
            "--prefix",
        ])
        .arg(&folder);
        if let Err(failure) = program::output(npm.arg(format!("axe-core@{AXE}"))) {
            return Ok(Err(format!(
                "failed to install axe-core {AXE}: this needs npm and, once, the network:\n{failure}"
            )));
        }
    }
    Ok(Ok(Browser { chromium, axe }))
}
