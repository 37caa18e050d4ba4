//! Settings: one file for each section, and the layers that fill them. Only this room reads the environment. What
//! comes out is valid; what isn't stops the start with the key, where it stands, the fault and the remedy.

mod fault;
mod layers;
mod nearest;
mod span;
mod value;

mod http;
mod log;
mod rotation;
mod sessions;
mod storage;
mod tokens;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quash_core::model::{Policy, RotationPolicy};
use quash_core::token::Algorithm;
use quash_server::DoorSettings;

use fault::Fault;
use value::{Found, Raw, Section, Values};

pub(crate) use fault::Origin;
pub(crate) use log::{LogFormat, LogSettings};
pub(crate) use storage::Engine;

/// Everything an operator may choose.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the law lets an operator choose.
    pub(crate) policy: Policy,
    /// What new tokens are signed with.
    pub(crate) algorithm: Algorithm,
    /// What is chosen about the door.
    pub(crate) door: DoorSettings,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where what must not be forgotten is kept.
    pub(crate) engine: Engine,
    /// What is told about the work.
    pub(crate) log: LogSettings,
}

/// What the command line says about settings.
#[derive(Clone, Default, Debug)]
pub(crate) struct Flags {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) set: Vec<String>,
}

/// What the environment says: the variables whose names begin with `QUASH_`.
#[derive(Clone, Default, Debug)]
pub(crate) struct Environment {
    pub(crate) data_dir: Option<PathBuf>,
    config: Option<PathBuf>,
    listen: Option<String>,
    keys: Vec<(String, String)>,
}

/// All sections and their keys.
const SECTIONS: &[(&str, &[&str])] = &[
    ("tokens", tokens::KEYS),
    ("rotation", rotation::KEYS),
    ("sessions", sessions::KEYS),
    ("http", http::KEYS),
    ("storage", storage::KEYS),
    ("log", log::KEYS),
];

/// Variables that stand for flags.
const OWN_VARIABLES: [&str; 3] = ["QUASH_DATA_DIR", "QUASH_CONFIG", "QUASH_LISTEN"];
/// Variables that other programs of the project read.
const OTHERS_VARIABLES: [&str; 2] = ["QUASH_VECTORS", "QUASH_SOAK"];

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// A variable of ours isn't text.
    pub(crate) fn read() -> Result<Self, Fault> {
        #[expect(clippy::disallowed_methods, reason = "settings are read here, and nowhere else")]
        Self::of(std::env::vars_os())
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Fault> {
        let mut environment = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with("QUASH_") && !OTHERS_VARIABLES.contains(name)) else {
                continue;
            };
            let not_text = || Fault {
                subject: format!("environment variable {name}"),
                origin: Origin::Environment(name.to_owned()),
                fault: "isn't UTF-8".into(),
                remedy: "write it as UTF-8".into(),
            };
            match name {
                "QUASH_DATA_DIR" => environment.data_dir = Some(value.into()),
                "QUASH_CONFIG" => environment.config = Some(value.into()),
                "QUASH_LISTEN" => environment.listen = Some(value.into_string().map_err(|_| not_text())?),
                _ => environment.keys.push((name.to_owned(), value.into_string().map_err(|_| not_text())?)),
            }
        }
        environment.keys.sort();
        Ok(environment)
    }
}

/// The settings file to read, if there is one: the one that was named, or `quash.toml` in the data directory.
fn file(flags: &Flags, environment: &Environment, data_dir: &Path) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| environment.config.clone());
    named.or_else(|| Some(data_dir.join("quash.toml")).filter(|path| path.exists()))
}

/// Reads all layers.
///
/// # Errors
/// The first setting that is wrong.
pub(crate) fn load(flags: &Flags, environment: &Environment, data_dir: &Path) -> Result<Settings, Fault> {
    let mut values = Values::new();
    if let Some(path) = file(flags, environment, data_dir) {
        layers::add_file(&mut values, &path)?;
    }
    layers::add_environment(&mut values, &environment.keys)?;
    let listen_variable = environment.listen.clone().map(|text| (text, Origin::Environment("QUASH_LISTEN".into())));
    add_listen(&mut values, listen_variable);
    layers::add_flags(&mut values, &flags.set)?;
    add_listen(&mut values, flags.listen.clone().map(|text| (text, Origin::Flag("--listen".into()))));
    read(&values)
}

fn add_listen(values: &mut Values, given: Option<(String, Origin)>) {
    if let Some((text, origin)) = given {
        values.insert(("http", "listen"), Found { raw: Raw::Plain(text), origin });
    }
}

fn read(values: &Values) -> Result<Settings, Fault> {
    let section = |name| Section { name, values };
    let tokens = tokens::read(section("tokens"))?;
    let grace = rotation::read(section("rotation"))?;
    let sessions = sessions::read(section("sessions"))?;
    let http = http::read(section("http"))?;
    let rotation = RotationPolicy { rotate: tokens.rotate, blacklist: tokens.blacklist, grace };
    Ok(Settings {
        policy: Policy { tokens: tokens.policy, rotation, sessions },
        algorithm: tokens.algorithm,
        door: DoorSettings {
            prefix: http.prefix,
            auth_header_types: tokens.auth_header_types,
            compat: tokens.compat,
            behind_proxy: http.behind_proxy,
            ..DoorSettings::default()
        },
        listen: http.listen,
        engine: storage::read(section("storage"))?,
        log: log::read(section("log"))?,
    })
}

/// The settings where nobody has chosen anything.
///
/// # Errors
/// None, as long as the defaults are valid.
pub(crate) fn defaults() -> Result<Settings, Fault> {
    read(&Values::new())
}

/// Where temporary directories are made.
pub(crate) fn temporary_directory() -> PathBuf {
    std::env::temp_dir()
}

#[cfg(test)]
mod tests;
