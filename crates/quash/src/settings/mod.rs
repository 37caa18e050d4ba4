//! Settings. Each section has a file in `sections/` that describes and reads its keys. `engine/` collects the
//! values, parses them, and makes the draft, the schema and `quash config show` from the descriptions. Only
//! this module reads the environment. Every returned setting is valid; a fault names the key, its location and
//! the remedy.

mod engine;
mod sections;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quash_core::model::Policy;
use quash_server::{HttpSettings, TlsFiles};
use quash_service::{KeySetup, Rehash};

use crate::data_dir::GroupAccess;
use engine::fault::{Faults, Origin, Reported};
use engine::layers::Layers;
use engine::table::Table;
use engine::value::{Raw, SetValue, Values};
use sections::{SECTIONS, examine, http, read};

pub(crate) use engine::draft::{Extent, draft};
pub(crate) use engine::environment::{Environment, arguments};
pub(crate) use engine::fault::ValueFault;
pub(crate) use engine::kind::Listen;
pub(crate) use engine::schema::schema;
pub(crate) use engine::secret::{SecretText, read_text, without_mark};
pub(crate) use engine::show::Origins;
pub(crate) use engine::span::{Span, Zero};
pub(crate) use engine::strength::{Checked, ShortSecrets, check as check_secret, remedy as key_remedy};
pub(crate) use sections::http::{Named, NamedKey};
pub(crate) use sections::log::{LogFormat, LogSettings};
pub(crate) use sections::mail::{Encryption, SmtpSettings};
pub(crate) use sections::passwords::{Argon2, LEAST_COSTS, MOST_PASSES};
pub(crate) use sections::postgres::Postgres;
pub(crate) use sections::storage::Engine;
pub(crate) use sections::tokens::fault_of_claim_name;
pub(crate) use sections::traces::TraceSettings;

/// All settings of an operator.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The settings of the domain rules.
    pub(crate) policy: Policy,
    /// The keys that sign and verify tokens.
    pub(crate) keys: KeySetup,
    /// The handling of password hashes with outdated parameters.
    pub(crate) rehash: Rehash,
    /// The parameters for new password hashes.
    pub(crate) argon2: Argon2,
    /// The settings of the HTTP interface.
    pub(crate) http: HttpSettings,
    pub(crate) listen: Listen,
    /// The time after which an idle connection is closed.
    pub(crate) idle_timeout: Duration,
    /// The memory for connections and unfinished requests, in bytes, if it is set.
    pub(crate) memory: Option<usize>,
    /// The certificate and its key, if quash serves TLS itself.
    pub(crate) tls: Option<TlsFiles>,
    /// The SMTP server, if it is set.
    pub(crate) smtp: Option<SmtpSettings>,
    pub(crate) engine: Engine,
    pub(crate) group_access: GroupAccess,
    /// The rule for sessions when a PostgreSQL standby was promoted.
    pub(crate) postgres: Postgres,
    pub(crate) log: LogSettings,
    /// The collector of traces, if it is set.
    pub(crate) traces: Option<TraceSettings>,
    /// Warnings about insecure but allowed settings, logged at each start.
    pub(crate) warnings: Vec<String>,
    /// Those of them that are about keys that can be guessed.
    pub(crate) weak_keys: Vec<String>,
}

/// Settings with their origins.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// The settings file that was read.
    pub(crate) file: Option<PathBuf>,
    values: Values,
}

/// The flags that concern settings.
#[derive(Clone, Default)]
pub(crate) struct Flags {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) set: Vec<String>,
}

/// Returns the settings file to read, if there is one: the named file, or `quash.toml` in the data directory.
fn file(flags: &Flags, environment: &Environment, data_dir: &Path) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| environment.config.clone());
    named.or_else(|| Some(data_dir.join("quash.toml")).filter(|path| is_there(path)))
}

/// Returns whether the file exists. A file that exists but can't be read is an error, not a missing file.
fn is_there(path: &Path) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    !path.symlink_metadata().is_err_and(|error| absent.contains(&error.kind()))
}

/// Reads all layers.
///
/// # Errors
/// All faults that were found.
pub(crate) fn load(flags: &Flags, environment: &Environment, data_dir: &Path) -> Result<Loaded, Faults> {
    load_examined(flags, environment, data_dir, |_| Vec::new())
}

/// Reads all layers, and reports faults of the files and sockets that the settings name together with those of
/// the settings.
///
/// # Errors
/// All faults that were found.
pub(crate) fn load_examined(
    flags: &Flags,
    environment: &Environment,
    data_dir: &Path,
    look: impl Fn(&Named) -> Vec<(NamedKey, ValueFault)>,
) -> Result<Loaded, Faults> {
    let file = file(flags, environment, data_dir);
    let (layers, known) = collect_layers(SECTIONS, file.as_deref(), environment, flags);
    let Layers { values, mut faults, .. } = layers;
    // Without the file, missing keys and conflicts between keys can't be determined.
    let settings = known.and_then(|()| read(&values, &mut faults));
    examine(&values, &mut faults, look);
    match settings {
        Ok(mut settings) if faults.is_empty() => {
            settings.warnings.extend(environment.ignored());
            Ok(Loaded { settings, file, values })
        }
        _ => Err(faults.in_order()),
    }
}

/// Collects the layers. The result is an error if the file couldn't be read.
fn collect_layers(
    tables: &'static [Table],
    file: Option<&Path>,
    environment: &Environment,
    flags: &Flags,
) -> (Layers, Result<(), Reported>) {
    let mut layers = Layers::new(tables);
    let known = file.map_or(Ok(()), |path| layers.add_file(path));
    layers.open_sections_of(&flags.set);
    layers.add_environment(environment);
    add_listen(&mut layers.values, environment.listen.clone(), Origin::Environment("QUASH_LISTEN".into()));
    layers.add_flags(&flags.set);
    add_listen(&mut layers.values, flags.listen.clone(), Origin::Flag("--listen".into()));
    (layers, known)
}

fn add_listen(values: &mut Values, given: Option<String>, origin: Origin) {
    if let Some(text) = given {
        values.set(http::TABLE.name, &http::listen_key(), SetValue { raw: Raw::Plain(text), origin });
    }
}

/// Returns the default settings.
///
/// # Errors
/// A default is invalid.
pub(crate) fn defaults() -> Result<Settings, Faults> {
    let mut faults = Faults::default();
    read(&Values::default(), &mut faults).map_err(|_reported| faults)
}

/// Reads a settings file from memory. If it is valid, checks that its output from `to_toml` gives the same
/// settings.
#[cfg(fuzzing)]
pub fn fuzz(text: &[u8]) {
    let read = |text: &[u8]| {
        let mut layers = Layers::new(SECTIONS);
        let known = layers.add_text(Path::new("/nowhere/quash.toml"), text);
        let Layers { values, mut faults, .. } = layers;
        let settings = known.and_then(|()| read(&values, &mut faults));
        match settings {
            Ok(settings) if faults.is_empty() => Ok(Loaded { settings, file: None, values }),
            _ => Err(crate::error::CommandError::from(faults.in_order())),
        }
    };
    let Ok(first) = read(text) else { return };
    let shown = first.to_toml(Origins::Shown);
    let _ = first.to_json();
    if !shown.contains(engine::secret::HIDDEN) {
        let second =
            read(shown.as_bytes()).unwrap_or_else(|error| panic!("{error:?} in what was shown:\n{shown}"));
        assert_eq!(format!("{:?}", second.settings), format!("{:?}", first.settings), "{shown}");
    }
}

/// Returns the directory for temporary directories.
pub(crate) fn temporary_directory() -> PathBuf {
    std::env::temp_dir()
}

#[cfg(test)]
mod tests;
