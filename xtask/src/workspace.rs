//! The workspace as Cargo and git see it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::{Context, Failure, Result};
use crate::program;

/// Returns the folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).ok_or_else(|| Failure::new("xtask has no parent folder"))
}

/// Returns the output of `cargo metadata` for the whole workspace and its dependencies.
///
/// # Errors
/// Returns an error if Cargo can't read a manifest or can't reach the registry.
pub(crate) fn metadata() -> Result<Value> {
    let text = program::output(program::cargo(&["metadata", "--format-version", "1"]).current_dir(root()?))?;
    serde_json::from_str(&text).context("what cargo metadata printed isn't JSON")
}

/// Returns the names of the crates that quash-verify needs without its features, on all platforms, itself
/// included.
///
/// # Errors
/// Returns an error if `cargo tree` fails.
pub(crate) fn guard_tree() -> Result<BTreeSet<String>> {
    let arguments = "tree --package quash-verify --no-default-features --edges normal --target all --prefix none --format {p}";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let text = program::output(program::cargo(&arguments).current_dir(root()?))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Returns Cargo's target directory.
///
/// # Errors
/// Like [`metadata`].
pub(crate) fn target_directory() -> Result<PathBuf> {
    let text = program::output(
        program::cargo(&["metadata", "--format-version", "1", "--no-deps"]).current_dir(root()?),
    )?;
    let metadata: Value = serde_json::from_str(&text).context("what cargo metadata printed isn't JSON")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| Failure::new("cargo metadata names no target directory"))
}

/// Returns every file that is in git or that `git add .` would add, relative to the root and sorted.
///
/// # Errors
/// Returns an error if this isn't a git work tree, or if git is missing.
pub(crate) fn files() -> Result<Vec<String>> {
    let root = root()?;
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&root);
    let listed = program::output(&mut git)?;
    let mut files: Vec<String> = listed
        .split('\0')
        .filter(|path| !path.is_empty() && root.join(path).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
