//! The environment: reads the variables whose names begin with `QUASH_`, and `NO_COLOR`, and no others.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use super::fault::{Origin, SettingError, cut};
use super::secret::SecretText;

/// The variables of the environment.
#[derive(Clone, Default, Debug)]
pub(crate) struct Environment {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) variables: Vec<Variable>,
    /// Faults of variables that aren't UTF-8.
    pub(crate) faults: Vec<SettingError>,
    /// The source of an import. It may contain a password.
    pub(crate) import_source: Option<SecretText>,
    /// `NO_COLOR` is set and not empty (https://no-color.org).
    pub(crate) no_color: bool,
    /// Names of variables with which Kubernetes describes a service whose name begins with `quash`.
    pub(crate) service_links: Vec<String>,
}

/// A variable for a setting. Its value may be a secret; that is known only once its key is.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: SecretText,
}

/// Variables for flags.
pub(crate) const OWN_VARIABLES: [&str; 4] =
    ["QUASH_DATA_DIR", "QUASH_CONFIG", "QUASH_LISTEN", "QUASH_IMPORT_SOURCE"];
/// Variables of other programs in this repository.
const OTHER_VARIABLES: [&str; 10] = [
    "QUASH_TEST_SCHEMATHESIS",
    "QUASH_VECTORS",
    "QUASH_SOAK",
    "QUASH_TEST_PYTHON",
    "QUASH_TEST_CHROMIUM",
    "QUASH_TEST_AXE",
    "QUASH_TEST_POSTGRES",
    "QUASH_TEST_PGBOUNCER",
    "QUASH_TEST_STORE",
    "QUASH_TEST_POSTGRES_BIN",
];

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "only this module reads the environment")]
        Self::of(std::env::vars_os())
    }

    pub(crate) fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            // A name that isn't UTF-8 matches no setting, and is reported as unknown.
            let name = name.to_string_lossy().into_owned();
            if name == "NO_COLOR" {
                environment.no_color = !value.is_empty();
            }
            if name.starts_with("QUASH_") && !OTHER_VARIABLES.contains(&name.as_str()) {
                environment.take(name, value);
            }
        }
        environment.variables.sort_by(|a, b| a.name.cmp(&b.name));
        environment.service_links.sort();
        environment
    }

    /// Returns a warning about ignored service links, if there are any.
    pub(crate) fn ignored(&self) -> Option<String> {
        let first = self.service_links.first()?;
        let count = self.service_links.len();
        Some(format!(
            "ignored {count} environment variables of Kubernetes service links, such as {first}; \
             enableServiceLinks: false in the pod's spec leaves them out"
        ))
    }

    fn take(&mut self, name: String, value: OsString) {
        match name.as_str() {
            "QUASH_DATA_DIR" => return self.data_dir = Some(value.into()),
            "QUASH_CONFIG" => return self.config = Some(value.into()),
            _ => {}
        }
        match (value.into_string(), name.as_str()) {
            (Ok(text), name) if is_service_link(name, &text) => self.service_links.push(name.to_owned()),
            (Ok(text), "QUASH_LISTEN") => self.listen = Some(text),
            (Ok(text), "QUASH_IMPORT_SOURCE") => self.import_source = Some(SecretText::new(text)),
            (Ok(text), _) => self.variables.push(Variable { name, value: SecretText::new(text) }),
            (Err(_), _) => self.faults.push(SettingError {
                subject: format!("environment variable {}", cut(&name)),
                origin: Origin::Environment(cut(&name)),
                fault: "isn't UTF-8".into(),
                remedy: "write it as UTF-8".into(),
            }),
        }
    }
}

/// Returns the arguments of this process, beginning with the program's name.
pub(crate) fn arguments() -> Vec<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "clap reads them; they are kept to explain how it parsed them"
    )]
    std::env::args_os().collect()
}

/// Returns whether a variable describes a service as Kubernetes (and Docker links) do: a service `quash` or
/// `quash-tokens` puts `QUASH_PORT=tcp://10.0.0.1:8000` or `QUASH_TOKENS_SERVICE_HOST=10.0.0.1` into each
/// pod's environment. The value must have the form, too: `QUASH_MAIL_PORT=587` is a setting.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let protocol =
        |text: &str| ["tcp", "udp", "sctp"].into_iter().find(|known| text.eq_ignore_ascii_case(known));
    let is_url = |text: &str| {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        protocol(scheme).is_some()
            && rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_port(port))
    };
    if name.ends_with("_SERVICE_HOST") {
        return is_address(value);
    }
    // A named port ends with its name: QUASH_SERVICE_PORT_HTTP.
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_port(value);
    }
    if name.ends_with("_PORT") && is_url(value) {
        return true;
    }
    // QUASH_PORT_8000_TCP, optionally followed by _PROTO, _PORT or _ADDR.
    let Some((_, of_port)) = name.split_once("_PORT_") else { return false };
    match of_port.split('_').collect::<Vec<_>>().as_slice() {
        [port, kind] => is_port(port) && protocol(kind).is_some() && is_url(value),
        [port, kind, "PROTO"] => is_port(port) && protocol(kind).is_some() && protocol(value).is_some(),
        [port, kind, "PORT"] => is_port(port) && protocol(kind).is_some() && is_port(value),
        [port, kind, "ADDR"] => is_port(port) && protocol(kind).is_some() && is_address(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_recognised_by_name_and_value() {
        for (name, value) in [
            ("QUASH_PORT", "tcp://10.96.0.17:8000"),
            ("QUASH_SERVICE_HOST", "10.96.0.17"),
            ("QUASH_SERVICE_HOST", "fd00::17"),
            ("QUASH_SERVICE_PORT", "8000"),
            ("QUASH_SERVICE_PORT_HTTP", "8000"),
            ("QUASH_PORT_8000_TCP", "tcp://10.96.0.17:8000"),
            ("QUASH_PORT_8000_TCP_PROTO", "tcp"),
            ("QUASH_PORT_8000_TCP_PORT", "8000"),
            ("QUASH_PORT_8000_TCP_ADDR", "10.96.0.17"),
            ("QUASH_TOKENS_PORT", "tcp://10.96.0.17:8000"),
            ("QUASH_TOKENS_SERVICE_HOST", "10.96.0.17"),
            ("QUASH_MAIL_PORT", "tcp://[fd00::17]:25"),
            ("QUASH_MAIL_PORT_25_UDP", "udp://10.96.0.17:25"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("QUASH_PORT", "8000"),
            ("QUASH_PORT", "tcp://10.96.0.17"),
            ("QUASH_MAIL_PORT", "587"),
            ("QUASH_SERVICE_HOST", "auth.example"),
            ("QUASH_SERVICE_PORT", "http"),
            ("QUASH_SERVICE_PORTS", "8000"),
            ("QUASH_PORT_HTTP_TCP", "tcp://10.96.0.17:8000"),
            ("QUASH_PORT_8000_TCP_NAME", "quash"),
            ("QUASH_LISTEN", "10.96.0.17:8000"),
            ("QUASH_TOKENS_ISSUER", "tcp://10.96.0.17:8000"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
