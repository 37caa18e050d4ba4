//! Where the servers and commands under test keep their data: in their data directory, or, as `QUASH_TEST_STORE`
//! says (`postgres` or `pgbouncer`), in a database for each data directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::postgres::{Kind, url_for_this_process};

const VARIABLE: &str = "QUASH_STORAGE_URL";

/// Skips a test that is about SQLite's file.
macro_rules! sqlite_only {
    () => {
        if $crate::support::store::is_skipped("is about SQLite's file") {
            return;
        }
    };
}
pub(crate) use sqlite_only;

/// Skips the form of a test whose data is in memory; another form has it in the chosen store.
macro_rules! memory_too {
    () => {
        if $crate::support::store::is_skipped("has its data in memory") {
            return;
        }
    };
}
pub(crate) use memory_too;

/// Whether the tests keep their data in PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    Kind::chosen().is_some_and(Kind::is_postgres)
}

/// Whether a test is skipped because its data isn't in PostgreSQL. Says so.
#[allow(clippy::print_stderr, clippy::allow_attributes, reason = "a skipped test says so")]
pub(crate) fn is_skipped(why: &str) -> bool {
    let thread = std::thread::current();
    if is_postgres() {
        eprintln!("skipped: {} {why}", thread.name().unwrap_or_default());
    }
    is_postgres()
}

/// Lets a command use the database of a data directory, unless it names a store itself.
pub(crate) fn choose(command: &mut Command, data_dir: &Path, args: &[&str]) {
    let Some(kind) = Kind::chosen().filter(|kind| kind.is_postgres()) else { return };
    let is_named = args.iter().any(|arg| arg.starts_with("storage.engine") || arg.starts_with("storage.url"));
    let in_file = std::fs::read_to_string(data_dir.join("quash.toml")).unwrap_or_default();
    let is_set = command.get_envs().any(|(name, _)| name == VARIABLE);
    if !is_named && !is_set && !in_file.contains("[storage]") {
        command.env(VARIABLE, url_of(kind, data_dir));
    }
}

/// Uses the database of a data directory for its copy, too.
pub(crate) fn keep_for(from: &Path, to: &Path) {
    if let Some(kind) = Kind::chosen().filter(|kind| kind.is_postgres()) {
        let url = url_of(kind, from);
        databases().insert(to.to_owned(), url);
    }
}

fn url_of(kind: Kind, data_dir: &Path) -> String {
    databases().entry(data_dir.to_owned()).or_insert_with(|| url_for_this_process(kind)).clone()
}

/// The URL of each data directory's database.
fn databases() -> MutexGuard<'static, BTreeMap<PathBuf, String>> {
    static DATABASES: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    DATABASES.lock().unwrap_or_else(PoisonError::into_inner)
}
