//! `[http]`: where quash listens, how, whose pages may read answers, and what stands before it.

use std::time::Duration;

use http::HeaderName;
use quash_server::{
    CorsSettings, ForwardingHeader, Listener, Origin, Paths, Proxies, PublicUrl, TlsFiles, is_path,
    is_reserved,
};

use super::fault::Told;
use super::key::{DefaultsTo, Description, Entry, Key, Optional};
use super::kind::{Address, File, List, Listen, Pairs, Switch, Text, Whole, Words};
use super::section::Section;
use super::span::{Span, Zero};
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "http",
    doc: "where quash listens",
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
    doc: "Port 0 takes a free one. An address that other machines reach is refused without TLS or `behind_proxy`: passwords would \
          travel in clear. A unix socket has mode 0660 and no addresses of clients; one that a dead server has left is replaced, \
          anything else that stands there stops the start.",
};
const TLS_CERT: Key<File, Optional> = Key {
    name: "tls_cert",
    kind: File,
    unset: Optional { example: "\"certificate.pem\"" },
    doc: "The server's certificate with those that lead to one that clients trust, as PEM. TLS 1.2 and 1.3, with HTTP/2 and \
          HTTP/1.1. What can't be used, an expired certificate included, stops the start; on SIGHUP both files are read again for \
          new connections, and the old ones stay if they can't be used.",
};
const TLS_KEY: Key<File, Optional> = Key {
    name: "tls_key",
    kind: File,
    unset: Optional { example: "\"key.pem\"" },
    doc: "The certificate's key, as PEM; nobody but its owner and group may use the file.",
};
const PREFIX: Key<Text> = Key {
    name: "prefix",
    kind: Text,
    unset: DefaultsTo("\"/api\""),
    doc: "What stands before `/token/` and `/logout/`. It can't begin with a path of quash's own, such as `/v1`.",
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
    doc: "Other paths for endpoints, each with and without its last slash, and then not at their own: those of djoser, dj-rest-auth or \
          another framework. [Names, and which bodies fit](http.md#paths-of-other-frameworks).",
};
const CORS_ORIGINS: Key<List, Optional> = Key {
    name: "cors_origins",
    kind: List,
    unset: Optional { example: "[\"https://app.example\", \"http://localhost:3000\"]" },
    doc: "Whose pages may read answers, exactly as browsers send it. No `*`, no path, no port that goes without saying. \
          [What they get](http.md#pages-of-other-origins).",
};
const CORS_ALLOW_HEADERS: Key<List, Optional> = Key {
    name: "cors_allow_headers",
    kind: List,
    unset: Optional { example: "[\"traceparent\", \"sentry-trace\", \"baggage\"]" },
    doc: "Request headers that these pages may send besides those that are always allowed. At most 50.",
};
const CORS_EXPOSE_HEADERS: Key<List, Optional> = Key {
    name: "cors_expose_headers",
    kind: List,
    unset: Optional { example: "[\"Server-Timing\"]" },
    doc: "Response headers that these pages may read besides those that are always exposed. At most 50.",
};
const CORS_MAX_AGE: Key<Span> = Key {
    name: "cors_max_age",
    kind: Span { least: Duration::from_secs(1), most: Duration::from_secs(24 * 3600), zero: Zero::Allowed },
    unset: DefaultsTo("\"10m\""),
    doc: "How long browsers may keep the answer to a preflight. An origin that you remove may go on for that long. Fractions of a \
          second are cut off.",
};
const BEHIND_PROXY: Key<Switch> = Key {
    name: "behind_proxy",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Says that a proxy with TLS stands before quash, and so allows another address than loopback. Needs `trusted_proxies`.",
};
const TRUSTED_PROXIES: Key<List, Optional> = Key {
    name: "trusted_proxies",
    kind: List,
    unset: Optional { example: "[\"10.0.0.5\", \"fd00::/8\"]" },
    doc: "Addresses and networks of proxies whose word about a client's address is taken; `\"unix\"` means whoever connects to the \
          unix socket. Nobody's by default. A loopback, private or shared (100.64.0.0/10, 198.18.0.0/15) peer that isn't named \
          here stands for all clients behind it: failures aren't counted for it.",
};
const FORWARDING_HEADER: Key<Words<ForwardingHeader>> = Key {
    name: "forwarding_header",
    kind: Words(&[
        ("x-forwarded-for", ForwardingHeader::XForwardedFor),
        ("forwarded", ForwardingHeader::Forwarded),
    ]),
    unset: DefaultsTo("\"x-forwarded-for\""),
    doc: "The header in which these proxies write it. The other one isn't read: clients can write into it.",
};

const PUBLIC_URL: Key<Text, Optional> = Key {
    name: "public_url",
    kind: Text,
    unset: Optional { example: "\"https://id.example.org\"" },
    doc: "Where clients reach quash: links in mails begin with it, and with nothing that a request says. `https://`, but on loopback; \
          a path where a proxy puts quash under one.",
};

const IDLE_TIMEOUT: Key<Span, Optional> = Key {
    name: "idle_timeout",
    kind: Span { least: Duration::from_secs(1), most: Duration::from_secs(3600), zero: Zero::Refused },
    unset: Optional { example: "\"75s\"" },
    doc: "How long an idle connection is kept; HTTP/1.1 responses announce it as `Keep-Alive: timeout=`. By default 10 seconds, or 75 \
          where `trusted_proxies` names a proxy: set it above the idle time of your proxy, which must close first. \
          [Proxies](../guides/proxies.md).",
};
const MEMORY_MIB: Key<Whole, Optional> = Key {
    name: "memory_mib",
    kind: Whole { least: 8, most: 65_536 },
    unset: Optional { example: "256" },
    doc: "The memory of connections and of requests that have not been read or answered to their end, in MiB. When it is used up, \
          those that have waited longest are closed. A used connection counts as 26 KiB. By default a quarter of the memory that \
          the process may use, from 24 to 512 MiB.",
};

/// The section, read.
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

/// How long an idle connection is kept where a proxy is named: longer than the 60 seconds of nginx and AWS's balancers.
const IDLE_BEHIND_PROXY: Duration = Duration::from_secs(75);
/// Headers that one list may name.
const HEADERS: usize = 50;

/// What `QUASH_LISTEN` and `--listen` stand for.
pub(super) fn listen_key() -> Description {
    LISTEN.describe()
}

pub(super) fn read(mut section: Section<'_>) -> Result<Http, Told> {
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
    // A proxy keeps connections for a minute, most often.
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

/// Where to listen; `clear` where nothing encrypts what goes there.
fn listen(section: &mut Section<'_>, clear: bool) -> Result<Listen, Told> {
    let listen = section.read(&LISTEN)?;
    match listen {
        Listen::Tcp(address) if clear && !address.ip().to_canonical().is_loopback() => Err(section.wrong(
            &LISTEN,
            "can be reached from other machines, which would send passwords and tokens without encryption",
            "listen on 127.0.0.1; or set http.tls_cert and http.tls_key; or let a proxy that speaks TLS stand before quash, and say so \
             with http.behind_proxy = true",
        )),
        listen => Ok(listen),
    }
}

/// The files are read when the server starts: other commands don't need them.
fn tls(section: &mut Section<'_>) -> Result<Option<TlsFiles>, Told> {
    let (certificates, key) = (section.read(&TLS_CERT), section.read(&TLS_KEY));
    match (certificates?, key?) {
        (None, None) => Ok(None),
        (Some(certificates), Some(key)) => Ok(Some(TlsFiles { certificates, key })),
        (Some(_), None) => Err(section.wrong(&TLS_CERT, "has no key beside it", "set http.tls_key, too")),
        (None, Some(_)) => {
            Err(section.wrong(&TLS_KEY, "has no certificate beside it", "set http.tls_cert, too"))
        }
    }
}

fn public_url(section: &mut Section<'_>) -> Result<Option<PublicUrl>, Told> {
    let Some(text) = section.read(&PUBLIC_URL)? else { return Ok(None) };
    let remedy = "write it like \"https://id.example.org\"";
    PublicUrl::parse(&text).map(Some).map_err(|fault| section.wrong(&PUBLIC_URL, fault.to_string(), remedy))
}

fn cors_origins(section: &mut Section<'_>) -> Result<Vec<Origin>, Told> {
    let texts = section.read(&CORS_ORIGINS)?.unwrap_or_default();
    let read = |text: String| {
        Origin::parse(&text).map_err(|fault| {
            let remedy =
                "write each as browsers send it, like \"https://app.example\" or \"http://localhost:3000\"";
            section.wrong(&CORS_ORIGINS, format!("has \"{text}\", which {fault}"), remedy)
        })
    };
    texts.into_iter().map(read).collect()
}

fn headers(section: &mut Section<'_>, key: &Key<List, Optional>) -> Result<Vec<HeaderName>, Told> {
    let texts = section.read(key)?.unwrap_or_default();
    if texts.len() > HEADERS {
        return Err(section.wrong(
            key,
            format!("names {} headers", texts.len()),
            format!("name at most {HEADERS}"),
        ));
    }
    let read = |text: String| {
        // In a list of headers `*` means all of them (Fetch standard), though it is a valid name.
        HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| text != "*").ok_or_else(|| {
            section.wrong(
                key,
                format!("has \"{text}\", which is no header's name"),
                "write names of headers, such as \"traceparent\"",
            )
        })
    };
    texts.into_iter().map(read).collect()
}

/// Where a proxy stands before quash, it must be named: else all clients would be one, whom nothing limits.
fn trusted_proxies(
    section: &mut Section<'_>,
    behind_proxy: Result<bool, Told>,
) -> Result<Vec<Proxies>, Told> {
    let texts = section.read(&TRUSTED_PROXIES)?.unwrap_or_default();
    if texts.is_empty() && behind_proxy == Ok(true) {
        let remedy =
            "name the proxy in http.trusted_proxies, such as [\"10.0.0.5\"], or [\"unix\"] at a unix socket";
        return Err(section.wrong(
            &BEHIND_PROXY,
            "leaves open which addresses are those of the proxy",
            remedy,
        ));
    }
    let read = |text: String| {
        Proxies::parse(&text).map_err(|fault| {
            let remedy = "write each like \"10.0.0.5\", \"10.0.0.0/24\", \"fd00::/8\" or \"unix\"";
            section.wrong(&TRUSTED_PROXIES, format!("has \"{text}\", which {fault}"), remedy)
        })
    };
    texts.into_iter().map(read).collect()
}

fn prefix(section: &mut Section<'_>) -> Result<String, Told> {
    let prefix = section.read(&PREFIX)?;
    if !is_path(&prefix) {
        return Err(section.wrong(
            &PREFIX,
            "isn't a path",
            "write it like \"/api\": with a slash before each part and none at the end",
        ));
    }
    if is_reserved(&prefix) {
        return Err(section.wrong(
            &PREFIX,
            "begins with a path that quash uses itself",
            "choose another, such as \"/api\"",
        ));
    }
    Ok(prefix)
}

fn paths(section: &mut Section<'_>, prefix: &str) -> Result<Paths, Told> {
    let chosen = section.read(&PATHS)?.unwrap_or_default();
    let remedy = "write paths like \"/auth/jwt/create/\" under the names that the reference lists, each endpoint at a path of its own";
    Paths::parse(&chosen, prefix).map_err(|fault| section.wrong(&PATHS, fault.to_string(), remedy))
}
