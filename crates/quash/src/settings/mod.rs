//! Settings. Each section has a file that describes and reads its keys; `layers` collects the values, and the
//! draft, the schema and `quash config show` are made from the descriptions. Only this module reads the
//! environment. Every returned setting is valid; a fault names the key, its location and the remedy.

mod environment;
mod layers;

mod key;
mod kind;
mod secret;
mod section;
mod shape;
mod span;
mod strength;
mod table;
mod value;
mod web;

mod accounts;
mod audit;
mod claims;
mod cookies;
mod foreign;
mod http;
mod keys;
mod lockout;
mod log;
mod mail;
mod passwords;
mod registration;
mod rotation;
mod sessions;
mod storage;
mod tokens;

mod draft;
mod pattern;
mod schema;
mod show;

mod fault;
mod feed;
mod nearest;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quash_core::model::{AccountPolicy, ForeignTokens, Policy, RotationPolicy};
use quash_server::{Compat, HttpSettings, MailWay, TlsFiles};
use quash_service::{KeySetup, RefreshSigning, Rehash};

use crate::data_dir::GroupAccess;
use accounts::Accounts;
use fault::{Faults, Origin, Reported};
use layers::Layers;
use section::Reader;
use storage::Storage;
use table::Table;
use value::{Found, Raw, Values};

pub(crate) use draft::{Extent, draft};
pub(crate) use environment::{Environment, arguments};
pub(crate) use fault::ValueFault;
pub(crate) use kind::Listen;
pub(crate) use log::{LogFormat, LogSettings};
pub(crate) use mail::{Encryption, SmtpSettings};
pub(crate) use passwords::{Argon2, LEAST_COSTS, MOST_PASSES};
pub(crate) use schema::schema;
pub(crate) use secret::{SecretText, read_text, without_mark};
pub(crate) use show::Origins;
pub(crate) use span::{Span, Zero};
pub(crate) use storage::Engine;
pub(crate) use strength::{Checked, ShortSecrets, check as check_secret, remedy as key_remedy};
pub(crate) use tokens::fault_of_claim_name;

/// All sections, in the order in which they are shown.
const SECTIONS: &[Table] = &[
    tokens::TABLE,
    foreign::TABLE,
    keys::TABLE,
    rotation::TABLE,
    sessions::TABLE,
    accounts::TABLE,
    claims::TABLE,
    passwords::TABLE,
    lockout::TABLE,
    audit::TABLE,
    feed::TABLE,
    cookies::TABLE,
    registration::TABLE,
    http::TABLE,
    mail::TABLE,
    storage::TABLE,
    log::TABLE,
];

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
    pub(crate) door: HttpSettings,
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
    pub(crate) log: LogSettings,
    /// Warnings about insecure but allowed settings, logged at each start.
    pub(crate) warnings: Vec<String>,
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
    let file = file(flags, environment, data_dir);
    let (layers, known) = lay(SECTIONS, file.as_deref(), environment, flags);
    let Layers { values, mut faults, .. } = layers;
    // Without the file, missing keys and conflicts between keys can't be determined.
    let settings = known.and_then(|()| read(&values, &mut faults));
    match settings {
        Ok(mut settings) if faults.is_empty() => {
            settings.warnings.extend(environment.ignored());
            Ok(Loaded { settings, file, values })
        }
        _ => Err(faults.in_order()),
    }
}

/// Collects the layers. The result is an error if the file couldn't be read.
fn lay(
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
        values.lay(http::TABLE.name, &http::listen_key(), Found { raw: Raw::Plain(text), origin });
    }
}

fn read(values: &Values, faults: &mut Faults) -> Result<Settings, Reported> {
    let mut reader = Reader { values, faults };
    let tokens = tokens::read(reader.section(&tokens::TABLE));
    let rotate_every = keys::read(reader.section(&keys::TABLE));
    let grace = rotation::read(reader.section(&rotation::TABLE));
    let (iss, aud) = tokens.as_ref().map_or_else(
        |_| Default::default(),
        |read| (read.policy.issuer.clone(), read.policy.audience.clone()),
    );
    let foreign = foreign::read(&mut reader, iss, aud);
    let sessions = sessions::read(reader.section(&sessions::TABLE));
    let (accounts, claims_change) =
        (accounts::read(reader.section(&accounts::TABLE)), claims::read(reader.section(&claims::TABLE)));
    let marked = tokens.as_ref().is_ok_and(|tokens| tokens.policy.names.password_mark.is_some());
    let passwords = passwords::read(reader.section(&passwords::TABLE), marked);
    let audit = audit::read(reader.section(&audit::TABLE));
    let feed = feed::read(reader.section(&feed::TABLE));
    let refresh_cookie = cookies::read(reader.section(&cookies::TABLE));
    let lockout = lockout::read(reader.section(&lockout::TABLE));
    let registration = registration::read(reader.section(&registration::TABLE));
    let http = http::read(reader.section(&http::TABLE));
    let public_url = http.as_ref().map(|http| http.public_url.as_ref()).map_err(|told| *told);
    let mail = mail::read(reader.section(&mail::TABLE), public_url);
    let storage = storage::read(reader.section(&storage::TABLE));
    let log = log::read(reader.section(&log::TABLE));
    // Only now, so that all faults are reported.
    let (tokens, foreign, grace, sessions) = (tokens?, foreign?, grace?, sessions?);
    let (passwords, lockout, http, mail) = (passwords?, lockout?, http?, mail?);
    let Storage { engine, group_access } = storage?;
    let (registration, accounts) = (registration?, accounts?);
    let Accounts { login_fields, username_field, names, numeric_names, subjects } = accounts;
    let accounts = AccountPolicy {
        login_fields,
        names,
        numeric_names,
        subjects,
        claims_change: claims_change?,
        lock_ends: lockout.ends,
        local_parts: mail.local_parts,
        ..tokens.accounts
    };
    let rotation = RotationPolicy { rotate: tokens.rotate, blacklist: tokens.blacklist, grace };
    let mut warnings = tokens.signing.warnings;
    warnings.extend(foreign.warnings);
    warnings.extend(mail.warning);
    warnings.extend(conflict_warning(tokens.policy.foreign, foreign.setups.len()));
    Ok(Settings {
        policy: Policy {
            tokens: tokens.policy,
            rotation,
            sessions,
            accounts,
            audit: audit?,
            lockout: lockout.policy,
            registration: registration.policy,
            feed: feed?,
        },
        keys: KeySetup {
            algorithm: tokens.signing.algorithm,
            signing: tokens.signing.key,
            rotate_every: rotate_every?,
            foreign: foreign.setups,
            refresh_tokens: match tokens.compat {
                Compat::Standard => RefreshSigning::Unpublished,
                Compat::Strict => RefreshSigning::LikeAccess,
            },
        },
        rehash: passwords.rehash,
        argon2: passwords.argon2,
        door: HttpSettings {
            prefix: http.prefix,
            paths: http.paths,
            username_field,
            token_header: tokens.header,
            compat: tokens.compat,
            behind_proxy: http.behind_proxy,
            trusted_proxies: http.trusted_proxies,
            forwarding_header: http.forwarding_header,
            cors_origins: http.cors_origins,
            cors: http.cors,
            refresh_cookie: refresh_cookie?,
            public_url: http.public_url,
            registration: registration.registration,
            mail: MailWay::default(),
        },
        listen: http.listen,
        idle_timeout: http.idle_timeout,
        memory: http.memory,
        tls: http.tls,
        smtp: mail.smtp,
        engine,
        group_access,
        log: log?,
        warnings,
    })
}

/// Returns a warning if one of two settings has no effect without the other.
fn conflict_warning(taken: ForeignTokens, issuers: usize) -> Option<String> {
    match (taken, issuers) {
        (ForeignTokens::Reject, 1..) => {
            Some("tokens.foreign_tokens is \"reject\": the keys under [foreign] have no effect".into())
        }
        (ForeignTokens::Accept | ForeignTokens::Until(_), 0) => Some(
            "tokens.foreign_tokens accepts tokens of other issuers, but there is no issuer under [foreign]"
                .into(),
        ),
        _ => None,
    }
}

/// Returns the default settings.
///
/// # Errors
/// A default is invalid.
pub(crate) fn defaults() -> Result<Settings, Faults> {
    let mut faults = Faults::default();
    read(&Values::default(), &mut faults).map_err(|_told| faults)
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
    if !shown.contains(secret::HIDDEN) {
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
