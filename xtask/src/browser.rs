//! A browser for the tests of pages: the machine's Chromium, and axe, which looks for what hinders people, under the target
//! directory.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Context, Result};
use crate::{program, workspace};

/// The version of axe-core that pages are held against.
const AXE: &str = "4.14.1";
/// What Chromium is called, here and there.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// What the tests are given.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) axe: PathBuf,
}

/// The machine's Chromium, if it has one that starts.
pub(crate) fn chromium() -> Option<PathBuf> {
    NAMES.into_iter().find(|name| program::works(Command::new(name).arg("--version"))).map(PathBuf::from)
}

/// Makes axe ready beside the browser; or says what is missing, and what to do about it.
///
/// # Errors
/// The workspace has no target directory.
pub(crate) fn ready() -> Result<std::result::Result<Browser, String>> {
    let Some(chromium) = chromium() else {
        return Ok(Err("Chromium is missing: install it, on Debian apt-get install chromium".into()));
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
                "npm couldn't install axe-core {AXE}: it needs npm, and the network once; it said:\n{failure}"
            )));
        }
    }
    Ok(Ok(Browser { chromium, axe }))
}
