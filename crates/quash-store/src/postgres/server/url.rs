//! The rules for a database's URL, as far as they can be checked without a connection.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslNegotiation, TargetSessionAttrs};

use crate::postgres::fault::message;

/// A fault of a database's URL, and its remedy. Neither contains the user or the password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the URL {fault}: {remedy}")]
pub struct UrlFault {
    /// The fault, worded to follow the URL's name.
    pub fault: String,
    pub remedy: String,
}

/// A database, as a URL names it.
pub(in crate::postgres) struct DatabaseUrl {
    pub(in crate::postgres) config: Config,
    pub(in crate::postgres) encryption: Encryption,
}

/// How connections to a server are encrypted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::postgres) enum Encryption {
    /// Not at all: the server is on this machine.
    Off,
    /// The server's certificate and its name are verified, with the authorities in this file or else those of the
    /// system.
    Verified(Option<PathBuf>),
}

/// The parameters that tokio-postgres or quash knows. `host` to `target_session_attrs` are libpq's.
const PARAMETERS: [&str; 20] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "sslmode",
    "sslrootcert",
    "sslnegotiation",
    "channel_binding",
    "load_balance_hosts",
    "target_session_attrs",
];

impl UrlFault {
    pub(in crate::postgres) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: fault.into(), remedy: remedy.into() }
    }
}

impl DatabaseUrl {
    /// Parses a URL, such as `postgres://user@db.example.org/quash?sslmode=verify-full`.
    ///
    /// # Errors
    /// The URL is malformed, or names servers or a TLS mode that quash doesn't use.
    pub(in crate::postgres) fn parse(url: &str) -> Result<Self, UrlFault> {
        // A file may have blanks or empty lines around it.
        let url = url.trim();
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(UrlFault::new(
                "doesn't begin with postgres://",
                "write it as postgres://user@host:5432/database",
            ));
        }
        // Otherwise the rest of a password with an @ would count as the host, and be shown in errors.
        if url.matches('@').count() > 1 {
            return Err(UrlFault::new("has several @", "write those in the user and the password as %40"));
        }
        let Parameters { url, tls_mode, roots, session } = Parameters::taken_from(url)?;
        // The parser's message quotes only the names of parameters, so it can't leak the password.
        let mut config: Config = url.parse().map_err(|error| {
            UrlFault::new(
                format!("can't be read ({})", message(&error)),
                "write it as postgres://user@host:5432/database?parameter=value",
            )
        })?;
        check_hosts(&config)?;
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(UrlFault::new("names no database", "add /quash after the host"));
        }
        check_session(session.as_deref(), config.get_hosts().len())?;
        if session.is_some() {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let encryption = encryption(&config, tls_mode.as_deref(), roots)?;
        Ok(Self { config, encryption })
    }
}

/// The checks that tokio-postgres leaves to the connection or to the resolver.
fn check_hosts(config: &Config) -> Result<(), UrlFault> {
    let (hosts, ports, addresses) = (config.get_hosts(), config.get_ports(), config.get_hostaddrs());
    let example = "write one after the user, such as postgres://user@db.example.org:5432/database";
    if hosts.is_empty() {
        return Err(UrlFault::new("names no host", example));
    }
    if hosts.iter().any(|host| *host == Host::Tcp(String::new())) {
        return Err(UrlFault::new("names an empty host", example));
    }
    if !hosts.iter().all(is_possible) {
        return Err(UrlFault::new(
            "names a host with a character that host names don't have",
            "correct the host; write an IPv6 address in brackets, and special characters of the user and the password \
             percent-encoded",
        ));
    }
    if ports.contains(&0) {
        return Err(UrlFault::new(
            "names the port 0",
            "write the port that the server listens on: 5432, unless it was changed",
        ));
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(UrlFault::new(
            format!("names {} ports for {} hosts", ports.len(), hosts.len()),
            "write each host's port after it, as in db1:5432,db2:5433, and leave out the parameter port",
        ));
    }
    if !addresses.is_empty() && addresses.len() != hosts.len() {
        return Err(UrlFault::new(
            format!("names {} addresses (hostaddr) for {} hosts", addresses.len(), hosts.len()),
            "name one address for each host, or leave out hostaddr",
        ));
    }
    Ok(())
}

/// Only one server is read and written: the primary.
fn check_session(session: Option<&str>, hosts: usize) -> Result<(), UrlFault> {
    match (session, hosts) {
        (None | Some("read-write"), 1) | (Some("read-write"), _) => Ok(()),
        (None, _) => Err(UrlFault::new(
            "names several hosts",
            "add target_session_attrs=read-write, so that only the primary is used",
        )),
        (Some(other), _) => Err(UrlFault::new(
            format!("has target_session_attrs={other}, which may connect to a replica"),
            "use read-write: quash reads and writes the primary alone",
        )),
    }
}

fn encryption(config: &Config, mode: Option<&str>, roots: Option<String>) -> Result<Encryption, UrlFault> {
    let is_local =
        config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    let encryption = match (mode, is_local) {
        (None | Some("verify-full"), false) | (Some("verify-full"), true) => {
            Encryption::Verified(roots.as_ref().map(PathBuf::from))
        }
        (None | Some("disable"), true) => Encryption::Off,
        (Some(other), false) => {
            return Err(UrlFault::new(
                format!("has sslmode={other}, which doesn't verify the server of another machine"),
                "use sslmode=verify-full, with sslrootcert=FILE if its certificate is by a private authority",
            ));
        }
        (Some(other), true) => {
            return Err(UrlFault::new(
                format!("has sslmode={other}"),
                "use verify-full, or disable on this machine",
            ));
        }
    };
    if encryption == Encryption::Off {
        let unused = match (roots, config.get_ssl_negotiation()) {
            (Some(_), _) => Some("sslrootcert"),
            (None, SslNegotiation::Direct) => Some("sslnegotiation=direct"),
            (None, _) => None,
        };
        if let Some(unused) = unused {
            return Err(UrlFault::new(
                format!("has {unused}, but connections on this machine aren't encrypted"),
                format!("add sslmode=verify-full, or leave out {unused}"),
            ));
        }
    }
    Ok(encryption)
}

/// Returns whether a host is a socket of this machine or its loopback address.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Returns whether a host can exist. Names that aren't ASCII are left to the resolver.
fn is_possible(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let is_in_a_name =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || !byte.is_ascii();
            name.parse::<IpAddr>().is_ok() || name.bytes().all(is_in_a_name)
        }
        #[cfg(unix)]
        Host::Unix(path) => *path != Path::new("/"),
    }
}

/// A URL, and those of its parameters that tokio-postgres doesn't know or that have other rules here.
struct Parameters {
    /// The URL without them.
    url: String,
    tls_mode: Option<String>,
    roots: Option<String>,
    session: Option<String>,
}

impl Parameters {
    fn taken_from(url: &str) -> Result<Self, UrlFault> {
        // A password may contain a question mark.
        let hosts = url.find('@').unwrap_or(0);
        let (base, query) = match url[hosts..].find('?') {
            Some(at) => (&url[..hosts + at], &url[hosts + at + 1..]),
            None => (url, ""),
        };
        let mut taken = Self { url: base.to_owned(), tls_mode: None, roots: None, session: None };
        let mut kept = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !PARAMETERS.contains(&name) {
                // Anything else may be a part of the password.
                let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                let named = if is_word { format!(" {name}") } else { String::new() };
                return Err(UrlFault::new(
                    format!("has a parameter that quash doesn't know{named}"),
                    format!("remove it, or use one of {}", PARAMETERS.join(", ")),
                ));
            }
            match name {
                "sslmode" => taken.tls_mode = Some(value.to_owned()),
                "sslrootcert" => taken.roots = Some(unescaped(value)),
                "target_session_attrs" => taken.session = Some(value.to_owned()),
                _ => kept.push(parameter),
            }
        }
        if !kept.is_empty() {
            taken.url = format!("{base}?{}", kept.join("&"));
        }
        Ok(taken)
    }
}

/// Decodes percent-encoding.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| first == b'%');
        let byte = byte.and_then(|digits| std::str::from_utf8(digits).ok());
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_urls_are_refused_without_a_connection() {
        for (url, fault) in [
            ("", "doesn't begin with postgres://"),
            ("mysql://db/quash", "doesn't begin with postgres://"),
            ("postgres://dana:a@b@db/quash", "has several @"),
            ("postgres://", "names no host"),
            ("postgres:///quash", "names no host"),
            ("postgres://dana@/quash", "names no host"),
            ("postgres://dana@:5432/quash", "names an empty host"),
            ("postgres://a,,b/quash?target_session_attrs=read-write", "names an empty host"),
            ("postgres:///quash?host=", "names an empty host"),
            ("postgres://db example/quash", "a character that host names don't have"),
            ("postgres://db_1:5432;/quash", "invalid value for option `port`"),
            ("postgres://::1/quash", "invalid value for option `port`"),
            ("postgres://[::1/quash", "invalid value for option `host`"),
            ("postgres://db:one/quash", "invalid value for option `port`"),
            ("postgres://db:65536/quash", "invalid value for option `port`"),
            ("postgres://db:0/quash", "names the port 0"),
            ("postgres://db/quash?port=5433", "names 2 ports for 1 hosts"),
            ("postgres://db/quash?hostaddr=10.0.0.1,10.0.0.2", "names 2 addresses (hostaddr) for 1 hosts"),
            ("postgres://db", "names no database"),
            ("postgres://db/", "names no database"),
            ("postgres://db/quash?dbname=", "names no database"),
            ("postgres://db/quash?connect_timeout=soon", "invalid value for option `connect_timeout`"),
            ("postgres://db/quash?sslcert=client.pem", "doesn't know sslcert"),
            ("postgres://db/quash?secret-1=x", "has a parameter that quash doesn't know"),
            ("postgres://db/quash?sslmode", "has sslmode=, which"),
            ("postgres://db/quash?connect_timeout", "can't be read"),
            ("postgres://localhost/quash?sslrootcert=ca.pem", "aren't encrypted"),
            ("postgres://localhost/quash?sslnegotiation=direct", "aren't encrypted"),
            // The name is local, but the address is not.
            ("postgres://localhost/quash?hostaddr=192.0.2.1&sslmode=disable", "has sslmode=disable, which"),
        ] {
            let Err(found) = DatabaseUrl::parse(url) else { panic!("{url} was accepted") };
            assert!(found.fault.contains(fault) && !found.remedy.is_empty(), "{url}: {found}");
        }
    }

    #[test]
    fn urls_of_servers_are_accepted() {
        let verified = || Encryption::Verified(None);
        for (url, expected) in [
            ("postgres://db.example.org/quash", verified()),
            ("postgresql://dana:a%40b?c@db_1.internal:6432/quash", verified()),
            ("postgres://10.0.0.1:1,[2001:db8::1]:2/quash?target_session_attrs=read-write", verified()),
            ("postgres://datenbank.münchen.example/quash?", verified()),
            ("postgres://localhost/quash?hostaddr=192.0.2.1", verified()),
            ("postgres://db/quash?sslrootcert=%2Fca.pem", Encryption::Verified(Some("/ca.pem".into()))),
            ("postgres://127.0.0.1/quash", Encryption::Off),
            ("postgres://%2Frun%2Fpostgresql/quash", Encryption::Off),
            ("postgres:///quash?host=/run/postgresql&user=dana", Encryption::Off),
        ] {
            match DatabaseUrl::parse(url) {
                Ok(parsed) => assert_eq!(parsed.encryption, expected, "{url}"),
                Err(fault) => panic!("{url}: {fault}"),
            }
        }
    }
}
