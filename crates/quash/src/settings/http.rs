//! `[http]`: where quash listens, and what stands before it.

use std::net::{Ipv4Addr, SocketAddr};

use super::fault::Fault;
use super::value::Section;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["listen", "prefix", "behind_proxy"];

/// The section, read.
pub(super) struct Http {
    pub(super) listen: SocketAddr,
    pub(super) prefix: String,
    pub(super) behind_proxy: bool,
}

/// First segments that have a meaning of their own.
const TAKEN: [&str; 9] = ["v1", "admin", "oauth2", ".well-known", "forward-auth", "livez", "readyz", "metrics", "docs"];

pub(super) fn read(section: Section<'_>) -> Result<Http, Fault> {
    let behind_proxy = section.switch("behind_proxy")?.unwrap_or(false);
    Ok(Http { listen: listen(section, behind_proxy)?, prefix: prefix(section)?, behind_proxy })
}

fn listen(section: Section<'_>, behind_proxy: bool) -> Result<SocketAddr, Fault> {
    let Some(text) = section.text("listen")? else {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)));
    };
    let address: SocketAddr = text
        .parse()
        .map_err(|_| section.fault("listen", "isn't an IP address and a port", "write it like \"127.0.0.1:8000\" or \"[::1]:8000\""))?;
    if !address.ip().to_canonical().is_loopback() && !behind_proxy {
        return Err(section.fault(
            "listen",
            "can be reached from other machines, which would send passwords and tokens without encryption",
            "listen on 127.0.0.1; or let a proxy that speaks TLS stand before quash, and say so with http.behind_proxy = true",
        ));
    }
    Ok(address)
}

fn prefix(section: Section<'_>) -> Result<String, Fault> {
    let Some(prefix) = section.text("prefix")? else { return Ok("/api".into()) };
    let segments: Vec<&str> = prefix.strip_prefix('/').unwrap_or_default().split('/').collect();
    let is_segment = |segment: &&str| {
        !matches!(*segment, "" | "." | "..") && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if !segments.iter().all(is_segment) {
        return Err(section.fault("prefix", "isn't a path", "write it like \"/api\": with a slash before each part and none at the end"));
    }
    if segments.first().is_some_and(|first| TAKEN.contains(first)) {
        return Err(section.fault("prefix", "begins with a path that quash uses itself", "choose another, such as \"/api\""));
    }
    Ok(prefix)
}
