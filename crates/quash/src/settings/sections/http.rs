//! `[http]`: the address, TLS, paths, CORS and proxies.

use std::time::Duration;

use http::HeaderName;
use quash_server::{
    CorsSettings, ForwardingHeader, Listener, Origin, Paths, Proxies, PublicUrl, TlsFiles, is_path,
    is_reserved,
};

use crate::settings::engine::fault::{Reported, ValueFault};
use crate::settings::engine::key::{DefaultsTo, Description, Entry, Key, Optional};
use crate::settings::engine::kind::{Address, File, List, Listen, Pairs, Switch, Text, Whole, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(crate) const TABLE: Table = Table {
    name: "http",
    doc: "address, TLS, paths, CORS and proxies",
    naming: Naming::One,
    keys: &[
        &LISTEN,
        &TLS_CERT,
        &TLS_KEY,
        &PREFIX,
        &PATHS,
        &CORS_ORIGINS,
        &CORS_ALLOW_HEADERS,
        &CORS_EXPOSE_HEADERS,
        &CORS_MAX_AGE,
        &BEHIND_PROXY,
        &TRUSTED_PROXIES,
        &FORWARDING_HEADER,
        &PUBLIC_URL,
        &IDLE_TIMEOUT,
        &MEMORY_MIB,
    ],
};

const LISTEN: Key<Address> = Key {
    name: "listen",
    kind: Address,
    unset: DefaultsTo("\"127.0.0.1:7827\""),
    doc: "The address to listen on; port 0 takes a free one. An address that other machines can reach is \
          refused without TLS or `behind_proxy`: passwords would be sent in clear. A unix socket has mode \
          0660 and no client addresses; a socket that a dead server left behind is replaced, any other file \
          at its path is an error.",
};
const TLS_CERT: Key<File, Optional> = Key {
    name: "tls_cert",
    kind: File,
    unset: Optional { example: "\"certificate.pem\"" },
    doc: "The server's certificate chain, as PEM. TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1. The server \
          doesn't start with an unusable or expired certificate; on SIGHUP both files are read again for new \
          connections, and the previous ones are kept if the new ones are unusable.",
};
const TLS_KEY: Key<File, Optional> = Key {
    name: "tls_key",
    kind: File,
    unset: Optional { example: "\"key.pem\"" },
    doc: "The certificate's key, as PEM; only the file's owner and group may have access to it.",
};
const PREFIX: Key<Text> = Key {
    name: "prefix",
    kind: Text,
    unset: DefaultsTo("\"/api\""),
    doc: "The path before `/token/` and `/logout/`. It can't begin with a path of quash's own, such as \
          `/v1`.",
};
const PATHS: Key<Pairs, Optional> = Key {
    name: "paths",
    kind: Pairs(&[
        "token",
        "token_refresh",
        "token_verify",
        "token_blacklist",
        "token_sliding",
        "token_sliding_refresh",
        "logout",
        "me",
        "me_password",
        "registration",
        "password_reset",
        "password_reset_confirm",
        "email_verification",
        "email_verification_confirm",
    ]),
    unset: Optional { example: "{ token = \"/auth/jwt/create/\", token_refresh = \"/auth/jwt/refresh/\" }" },
    doc: "Other paths for endpoints, such as those of djoser or dj-rest-auth, each with and without its last \
          slash. They replace the default paths. [Names, and compatible \
          bodies](http.md#paths-of-other-frameworks).",
};
const CORS_ORIGINS: Key<List, Optional> = Key {
    name: "cors_origins",
    kind: List,
    unset: Optional { example: "[\"https://app.example\", \"http://localhost:3000\"]" },
    doc: "The origins whose pages may read responses, exactly as browsers send them: no `*`, no path, no \
          default port. [Details](http.md#pages-of-other-origins).",
};
const CORS_ALLOW_HEADERS: Key<List, Optional> = Key {
    name: "cors_allow_headers",
    kind: List,
    unset: Optional { example: "[\"traceparent\", \"sentry-trace\", \"baggage\"]" },
    doc: "Request headers that these pages may send, besides those that are always allowed. At most 50.",
};
const CORS_EXPOSE_HEADERS: Key<List, Optional> = Key {
    name: "cors_expose_headers",
    kind: List,
    unset: Optional { example: "[\"Server-Timing\"]" },
    doc: "Response headers that these pages may read, besides those that are always exposed. At most 50.",
};
const CORS_MAX_AGE: Key<Span> = Key {
    name: "cors_max_age",
    kind: Span { least: Duration::from_secs(1), most: Duration::from_secs(24 * 3600), zero: Zero::Allowed },
    unset: DefaultsTo("\"10m\""),
    doc: "The time for which browsers may cache a preflight response. A removed origin may keep its access \
          for that long. Fractions of a second are cut off.",
};
const BEHIND_PROXY: Key<Switch> = Key {
    name: "behind_proxy",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "States that quash runs behind a proxy with TLS, which allows other addresses than loopback. \
          Requires `trusted_proxies`.",
};
const TRUSTED_PROXIES: Key<List, Optional> = Key {
    name: "trusted_proxies",
    kind: List,
    unset: Optional { example: "[\"10.0.0.5\", \"fd00::/8\"]" },
    doc: "Addresses and networks of proxies that are trusted to report a client's address; `\"unix\"` means \
          every peer of the unix socket. None by default. A loopback, private or shared (100.64.0.0/10, \
          198.18.0.0/15) peer that isn't listed here counts as a proxy for many clients: failures aren't \
          counted for it.",
};
const FORWARDING_HEADER: Key<Words<ForwardingHeader>> = Key {
    name: "forwarding_header",
    kind: Words(&[
        ("x-forwarded-for", ForwardingHeader::XForwardedFor),
        ("forwarded", ForwardingHeader::Forwarded),
    ]),
    unset: DefaultsTo("\"x-forwarded-for\""),
    doc: "The header in which these proxies report it. The other header is ignored, because clients can \
          forge it.",
};

const PUBLIC_URL: Key<Text, Optional> = Key {
    name: "public_url",
    kind: Text,
    unset: Optional { example: "\"https://id.example.org\"" },
    doc: "The address at which clients reach quash, with a path if a proxy adds one. Links in mails begin \
          with it, never with a value from a request. Must be `https://`, except on loopback.",
};

const IDLE_TIMEOUT: Key<Span, Optional> = Key {
    name: "idle_timeout",
    kind: Span { least: Duration::from_secs(1), most: Duration::from_secs(3600), zero: Zero::Refused },
    unset: Optional { example: "\"75s\"" },
    doc: "The time after which an idle connection is closed; HTTP/1.1 responses announce it as `Keep-Alive: \
          timeout=`. By default 10 seconds, or 75 if `trusted_proxies` is set: it must exceed the idle \
          timeout of your proxy, which must close first. [Proxies](../guides/proxies.md).",
};
const MEMORY_MIB: Key<Whole, Optional> = Key {
    name: "memory_mib",
    kind: Whole { least: 8, most: 65_536 },
    unset: Optional { example: "256" },
    doc: "The memory for connections and unfinished requests, in MiB. When it is used up, the connections \
          that have waited longest are closed. An active connection counts as 26 KiB. By default a quarter \
          of the memory that the process may use, from 24 to 512 MiB.",
};

/// The section's values.
pub(super) struct Http {
    pub(super) listen: Listen,
    pub(super) tls: Option<TlsFiles>,
    pub(super) prefix: String,
    pub(super) paths: Paths,
    pub(super) cors_origins: Vec<Origin>,
    pub(super) cors: CorsSettings,
    pub(super) behind_proxy: bool,
    pub(super) trusted_proxies: Vec<Proxies>,
    pub(super) forwarding_header: ForwardingHeader,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) idle_timeout: Duration,
    pub(super) memory: Option<usize>,
}

/// The idle timeout behind a proxy: longer than the 60 seconds of nginx and of AWS's load balancers.
const IDLE_BEHIND_PROXY: Duration = Duration::from_secs(75);
/// The files and sockets that the settings name, as far as these keys are valid.
pub(crate) struct Named {
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) listen: Option<Listen>,
}

/// A key that names a file or a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NamedKey {
    Certificates,
    Key,
    Listen,
}

/// The most headers in one list.
const HEADERS: usize = 50;

/// The key that `QUASH_LISTEN` and `--listen` set.
pub(crate) fn listen_key() -> Description {
    LISTEN.describe()
}

pub(super) fn read(mut section: Section<'_>) -> Result<Http, Reported> {
    let (behind_proxy, tls) = (section.read(&BEHIND_PROXY), tls(&mut section));
    let clear = behind_proxy == Ok(false) && tls == Ok(None);
    let (listen, prefix, cors_origins) =
        (listen(&mut section, clear), prefix(&mut section), cors_origins(&mut section));
    let (trusted_proxies, forwarding_header) =
        (trusted_proxies(&mut section, behind_proxy), section.read(&FORWARDING_HEADER));
    let paths = paths(&mut section, prefix.as_deref().unwrap_or_default());
    let public_url = public_url(&mut section);
    let (allow_headers, expose_headers) =
        (headers(&mut section, &CORS_ALLOW_HEADERS), headers(&mut section, &CORS_EXPOSE_HEADERS));
    let (max_age, idle_timeout, memory_mib) =
        (section.read(&CORS_MAX_AGE), section.read(&IDLE_TIMEOUT), section.read(&MEMORY_MIB));
    let trusted_proxies = trusted_proxies?;
    // Most proxies keep idle connections for a minute.
    let idle_by_default = if trusted_proxies.is_empty() { Listener::IDLE } else { IDLE_BEHIND_PROXY };
    Ok(Http {
        listen: listen?,
        tls: tls?,
        prefix: prefix?,
        paths: paths?,
        cors_origins: cors_origins?,
        cors: CorsSettings {
            allow_headers: allow_headers?,
            expose_headers: expose_headers?,
            max_age: max_age?,
        },
        behind_proxy: behind_proxy?,
        trusted_proxies,
        forwarding_header: forwarding_header?,
        public_url: public_url?,
        idle_timeout: idle_timeout?.unwrap_or(idle_by_default),
        memory: memory_mib?.map(|mebibytes| mebibytes as usize * 1024 * 1024),
    })
}

/// Reads the keys that name files and sockets.
pub(super) fn named(mut section: Section<'_>) -> Named {
    let tls = tls(&mut section).ok().flatten();
    Named { tls, listen: section.read(&LISTEN).ok() }
}

/// Reports the fault of a file or socket.
pub(super) fn report(mut section: Section<'_>, key: NamedKey, wrong: ValueFault) {
    let ValueFault { fault, remedy } = wrong;
    match key {
        NamedKey::Certificates => section.fault(&TLS_CERT, fault, remedy),
        NamedKey::Key => section.fault(&TLS_KEY, fault, remedy),
        NamedKey::Listen => section.fault(&LISTEN, fault, remedy),
    };
}

/// Reads the address. `clear`: connections to it aren't encrypted.
fn listen(section: &mut Section<'_>, clear: bool) -> Result<Listen, Reported> {
    let listen = section.read(&LISTEN)?;
    match listen {
        Listen::Tcp(address) if clear && !address.ip().to_canonical().is_loopback() => Err(section.fault(
            &LISTEN,
            "can be reached from other machines, which would send passwords and tokens without encryption",
            "listen on 127.0.0.1; or set http.tls_cert and http.tls_key; or put a proxy with TLS before quash, and set \
            http.behind_proxy = true",
        )),
        listen => Ok(listen),
    }
}

/// Reads the paths of the files. Only the server reads the files themselves.
fn tls(section: &mut Section<'_>) -> Result<Option<TlsFiles>, Reported> {
    let (certificates, key) = (section.read(&TLS_CERT), section.read(&TLS_KEY));
    match (certificates?, key?) {
        (None, None) => Ok(None),
        (Some(certificates), Some(key)) => Ok(Some(TlsFiles { certificates, key })),
        (Some(_), None) => Err(section.fault(&TLS_CERT, "is set without a key", "set http.tls_key, too")),
        (None, Some(_)) => {
            Err(section.fault(&TLS_KEY, "is set without a certificate", "set http.tls_cert, too"))
        }
    }
}

fn public_url(section: &mut Section<'_>) -> Result<Option<PublicUrl>, Reported> {
    let Some(text) = section.read(&PUBLIC_URL)? else { return Ok(None) };
    let remedy = "write it like \"https://id.example.org\"";
    PublicUrl::parse(&text).map(Some).map_err(|fault| section.fault(&PUBLIC_URL, fault.to_string(), remedy))
}

fn cors_origins(section: &mut Section<'_>) -> Result<Vec<Origin>, Reported> {
    let texts = section.read(&CORS_ORIGINS)?.unwrap_or_default();
    let read = |text: String| {
        Origin::parse(&text).map_err(|fault| {
            let remedy =
                "write each as browsers send it, like \"https://app.example\" or \"http://localhost:3000\"";
            section.fault(&CORS_ORIGINS, format!("has \"{text}\", which {fault}"), remedy)
        })
    };
    texts.into_iter().map(read).collect()
}

fn headers(section: &mut Section<'_>, key: &Key<List, Optional>) -> Result<Vec<HeaderName>, Reported> {
    let texts = section.read(key)?.unwrap_or_default();
    if texts.len() > HEADERS {
        return Err(section.fault(
            key,
            format!("names {} headers", texts.len()),
            format!("name at most {HEADERS}"),
        ));
    }
    let read = |text: String| {
        // In a list of headers, `*` means all of them (Fetch standard), though it is a valid name.
        HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| text != "*").ok_or_else(|| {
            section.fault(
                key,
                format!("has \"{text}\", which isn't a header name"),
                "write header names, such as \"traceparent\"",
            )
        })
    };
    texts.into_iter().map(read).collect()
}

/// Reads the trusted proxies. With `behind_proxy` there must be one: otherwise all clients would share the
/// proxy's address, for which failures aren't limited.
fn trusted_proxies(
    section: &mut Section<'_>,
    behind_proxy: Result<bool, Reported>,
) -> Result<Vec<Proxies>, Reported> {
    let texts = section.read(&TRUSTED_PROXIES)?.unwrap_or_default();
    if texts.is_empty() && behind_proxy == Ok(true) {
        let remedy =
            "name the proxy in http.trusted_proxies, such as [\"10.0.0.5\"], or [\"unix\"] at a unix socket";
        return Err(section.fault(&BEHIND_PROXY, "is set without the proxy's addresses", remedy));
    }
    let read = |text: String| {
        Proxies::parse(&text).map_err(|fault| {
            let remedy = "write each like \"10.0.0.5\", \"10.0.0.0/24\", \"fd00::/8\" or \"unix\"";
            section.fault(&TRUSTED_PROXIES, format!("has \"{text}\", which {fault}"), remedy)
        })
    };
    texts.into_iter().map(read).collect()
}

fn prefix(section: &mut Section<'_>) -> Result<String, Reported> {
    let prefix = section.read(&PREFIX)?;
    if !is_path(&prefix) {
        return Err(section.fault(
            &PREFIX,
            "isn't a path",
            "write it like \"/api\": with a slash before each part and none at the end",
        ));
    }
    if is_reserved(&prefix) {
        return Err(section.fault(
            &PREFIX,
            "begins with a path that quash uses itself",
            "choose another, such as \"/api\"",
        ));
    }
    Ok(prefix)
}

fn paths(section: &mut Section<'_>, prefix: &str) -> Result<Paths, Reported> {
    let chosen = section.read(&PATHS)?.unwrap_or_default();
    let remedy = "write paths like \"/auth/jwt/create/\" under the names that the reference lists, each endpoint at a path of its own";
    Paths::parse(&chosen, prefix).map_err(|fault| section.fault(&PATHS, fault.to_string(), remedy))
}
