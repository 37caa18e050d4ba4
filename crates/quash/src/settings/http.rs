//! `[http]`: where quash listens, and what stands before it.

use std::net::SocketAddr;

use super::fault::Told;
use super::key::{DefaultsTo, Entry, Key};
use super::kind::{Address, Switch, Text};
use super::section::Section;
use super::table::{Description, Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "http", doc: "where quash listens", naming: Naming::One, keys: &[&LISTEN, &PREFIX, &BEHIND_PROXY] };

const LISTEN: Key<Address> = Key {
    name: "listen",
    kind: Address,
    unset: DefaultsTo("\"127.0.0.1:8000\""),
    doc: "Port 0 takes a free one. An address that other machines reach is refused without `behind_proxy`: quash speaks no TLS, \
          and passwords would travel in clear.",
};
const PREFIX: Key<Text> = Key {
    name: "prefix",
    kind: Text,
    unset: DefaultsTo("\"/api\""),
    doc: "What stands before `/token/` and `/logout/`. It can't begin with a path of quash's own, such as `/v1`.",
};
const BEHIND_PROXY: Key<Switch> = Key {
    name: "behind_proxy",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Says that a proxy with TLS stands before quash, and so allows another address than loopback. Forwarding headers aren't \
          read.",
};

/// The section, read.
pub(super) struct Http {
    pub(super) listen: SocketAddr,
    pub(super) prefix: String,
    pub(super) behind_proxy: bool,
}

/// What `QUASH_LISTEN` and `--listen` stand for.
pub(super) fn listen_key() -> Description {
    LISTEN.describe()
}

/// First segments that have a meaning of their own.
const TAKEN: [&str; 9] = ["v1", "admin", "oauth2", ".well-known", "forward-auth", "livez", "readyz", "metrics", "docs"];

pub(super) fn read(mut section: Section<'_>) -> Result<Http, Told> {
    let behind_proxy = section.read(&BEHIND_PROXY);
    let (listen, prefix) = (listen(&mut section, behind_proxy), prefix(&mut section));
    Ok(Http { listen: listen?, prefix: prefix?, behind_proxy: behind_proxy? })
}

fn listen(section: &mut Section<'_>, behind_proxy: Result<bool, Told>) -> Result<SocketAddr, Told> {
    let address = section.read(&LISTEN)?;
    if !address.ip().to_canonical().is_loopback() && behind_proxy == Ok(false) {
        return Err(section.wrong(
            &LISTEN,
            "can be reached from other machines, which would send passwords and tokens without encryption",
            "listen on 127.0.0.1; or let a proxy that speaks TLS stand before quash, and say so with http.behind_proxy = true",
        ));
    }
    Ok(address)
}

fn prefix(section: &mut Section<'_>) -> Result<String, Told> {
    let prefix = section.read(&PREFIX)?;
    let segments: Vec<&str> = prefix.strip_prefix('/').unwrap_or_default().split('/').collect();
    let is_segment = |segment: &&str| {
        !matches!(*segment, "" | "." | "..") && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if !segments.iter().all(is_segment) {
        return Err(section.wrong(&PREFIX, "isn't a path", "write it like \"/api\": with a slash before each part and none at the end"));
    }
    if segments.first().is_some_and(|first| TAKEN.contains(first)) {
        return Err(section.wrong(&PREFIX, "begins with a path that quash uses itself", "choose another, such as \"/api\""));
    }
    Ok(prefix)
}
