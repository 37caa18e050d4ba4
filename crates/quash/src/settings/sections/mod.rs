//! The sections of the settings, one file each: it describes the section's keys and reads them. `read` puts all
//! sections together.

mod accounts;
mod audit;
mod claims;
mod cookies;
mod feed;
mod foreign;
pub(crate) mod http;
mod keys;
mod lockout;
pub(crate) mod log;
pub(crate) mod mail;
pub(crate) mod passwords;
pub(crate) mod postgres;
mod registration;
mod rotation;
mod sessions;
pub(crate) mod storage;
pub(crate) mod tokens;
pub(crate) mod traces;

use quash_core::model::{AccountPolicy, ForeignTokens, Policy, RotationPolicy, TokenPolicy};
use quash_server::{Compat, HttpSettings, MailWay};
use quash_service::{ForeignSetup, KeySetup, RefreshSigning};

use crate::settings::Settings;
use crate::settings::engine::fault::{Faults, Reported, ValueFault};
use crate::settings::engine::section::Reader;
use crate::settings::engine::table::Table;
use crate::settings::engine::value::Values;
use accounts::Accounts;
use http::{Named, NamedKey};
use storage::Storage;

/// All sections, in the order in which they are shown.
pub(super) const SECTIONS: &[Table] = &[
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
    postgres::TABLE,
    log::TABLE,
    traces::TABLE,
];

/// Reads all sections.
///
/// # Errors
/// A setting is invalid. Its fault is in `faults`.
pub(super) fn read(values: &Values, faults: &mut Faults) -> Result<Settings, Reported> {
    let mut reader = Reader { values, faults };
    let tokens = tokens::read(reader.section(&tokens::TABLE));
    let rotate_every = keys::read(reader.section(&keys::TABLE));
    let grace = rotation::read(reader.section(&rotation::TABLE));
    let (iss, aud, names) = tokens.as_ref().map_or_else(
        |_| Default::default(),
        |read| (read.policy.issuer.clone(), read.policy.audience.clone(), read.policy.names.clone()),
    );
    let foreign = foreign::read(&mut reader, iss, aud, &names);
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
    let public_url = http.as_ref().map(|http| http.public_url.as_ref()).map_err(|reported| *reported);
    let mail = mail::read(reader.section(&mail::TABLE), public_url);
    let storage = storage::read(reader.section(&storage::TABLE));
    let postgres = postgres::read(reader.section(&postgres::TABLE));
    let log = log::read(reader.section(&log::TABLE));
    let traces = traces::read(reader.section(&traces::TABLE));
    // Only now, so that all faults are reported.
    let (tokens, foreign, grace, sessions) = (tokens?, foreign?, grace?, sessions?);
    let (passwords, lockout, http, mail) = (passwords?, lockout?, http?, mail?);
    let Storage { engine, group_access } = storage?;
    let (registration, accounts, postgres) = (registration?, accounts?, postgres?);
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
    let weak_keys: Vec<_> = tokens.signing.warnings.into_iter().chain(foreign.weak_keys).collect();
    let mut warnings = weak_keys.clone();
    warnings.extend(foreign.warnings);
    warnings.extend(mail.warning);
    warnings.extend(postgres::warning(postgres.after_failover));
    warnings.extend(conflict_warning(tokens.policy.foreign, &foreign.setups));
    Ok(Settings {
        policy: Policy {
            tokens: TokenPolicy { namespaces: foreign.namespaces, ..tokens.policy },
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
        http: HttpSettings {
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
        postgres,
        log: log?,
        traces: traces?,
        warnings,
        weak_keys,
    })
}

/// Examines the files and sockets that the settings name, also if other settings have faults.
pub(super) fn examine(
    values: &Values,
    faults: &mut Faults,
    look: impl Fn(&Named) -> Vec<(NamedKey, ValueFault)>,
) {
    // Faults of these keys themselves were reported before.
    let mut known = Faults::default();
    let named = http::named(Reader { values, faults: &mut known }.section(&http::TABLE));
    let mut reader = Reader { values, faults };
    for (key, wrong) in look(&named) {
        http::report(reader.section(&http::TABLE), key, wrong);
    }
}

/// Returns a warning if one of two settings has no effect without the other.
fn conflict_warning(taken: ForeignTokens, issuers: &[ForeignSetup]) -> Option<String> {
    match taken {
        // Verifiers use the keys of a namespace.
        ForeignTokens::Reject if issuers.iter().any(|issuer| issuer.namespace.is_none()) => {
            Some("tokens.foreign_tokens is \"reject\": the keys under [foreign] without a namespace have no effect".into())
        }
        ForeignTokens::Accept | ForeignTokens::Until(_) if issuers.is_empty() => Some(
            "tokens.foreign_tokens accepts tokens of other issuers, but there is no issuer under [foreign]"
                .into(),
        ),
        _ => None,
    }
}
