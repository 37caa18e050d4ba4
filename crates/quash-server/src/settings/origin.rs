//! An origin whose pages may read responses: scheme, host and port, in the exact spelling that browsers send,
//! so that it can be compared byte by byte.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest host name, and the longest label in it (RFC 1035 2.3.4).
const HOST_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// An origin as browsers send it (RFC 6454 6.2).
///
/// ```
/// use quash_server::{Origin, OriginFault};
/// assert!(Origin::parse("https://app.example").is_ok());
/// assert_eq!(Origin::parse("https://app.example/"), Err(OriginFault::MoreThanAnOrigin));
/// assert_eq!(Origin::parse("*"), Err(OriginFault::Wildcard));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin(String);

/// The reason why a text isn't an origin that a browser could send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginFault {
    /// It contains `*`: origins are named individually.
    Wildcard,
    /// It is `null`, which every sandboxed page sends.
    Null,
    /// It isn't lower case and ASCII.
    Spelling,
    /// It doesn't begin with `https://` or `http://`.
    Scheme,
    /// The host is invalid, or not spelled as browsers do.
    Host,
    /// The port is invalid.
    Port,
    /// The port is the scheme's default, which browsers omit.
    DefaultPort,
    /// It contains a path, a query, a user name or a space.
    MoreThanAnOrigin,
}

impl Origin {
    /// Reads an origin.
    ///
    /// # Errors
    /// No browser would ever send it, or it matches several origins.
    pub fn parse(text: &str) -> Result<Self, OriginFault> {
        if text.contains('*') {
            return Err(OriginFault::Wildcard);
        }
        if text == "null" {
            return Err(OriginFault::Null);
        }
        if !text.is_ascii() || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(OriginFault::Spelling);
        }
        let (place, default_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(place), _) => (place, "443"),
            (_, Some(place)) => (place, "80"),
            _ => return Err(OriginFault::Scheme),
        };
        if place.bytes().any(|byte| b"/?#@\\%".contains(&byte) || byte <= b' ' || byte == 0x7f) {
            return Err(OriginFault::MoreThanAnOrigin);
        }
        // The colons of an IPv6 address are within brackets and belong to the host.
        let at = place.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match place[at..].find(':') {
            Some(colon) => (&place[..at + colon], Some(&place[at + colon + 1..])),
            None => (place, None),
        };
        if !is_host(host) {
            return Err(OriginFault::Host);
        }
        match port {
            Some(port) if !is_port(port) => Err(OriginFault::Port),
            Some(port) if port == default_port => Err(OriginFault::DefaultPort),
            _ => Ok(Self(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether a host is valid and spelled as browsers do. Browsers read a name whose last label is a
/// number as an address.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= HOST_BYTES && host.split('.').all(is_label)
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|parsed| parsed != 0 && parsed.to_string() == port)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OriginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wildcard => "has a *",
            Self::Null => "is null, which any page can send",
            Self::Spelling => "isn't in lower-case ASCII, as browsers send it",
            Self::Scheme => "begins neither with https:// nor with http://",
            Self::Host => "has no host, or one that browsers spell differently",
            Self::Port => "has an invalid port",
            Self::DefaultPort => "names the default port, which browsers omit",
            Self::MoreThanAnOrigin => "contains more than scheme, host and port",
        })
    }
}

impl std::error::Error for OriginFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_origins_are_accepted() {
        let longest = format!(
            "https://{}.example",
            ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(53)].join(".")
        );
        for text in [
            "https://app.example",
            "http://app.example",
            "https://app.example:8443",
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "http://[::1]:8080",
            "https://[2001:db8::1]",
            "https://xn--bcher-kva.example",
            "https://a_b.example",
            "http://app.example:443",
            "https://1password.example",
            &longest,
        ] {
            assert_eq!(Origin::parse(text).as_ref().map(Origin::as_str), Ok(text));
        }
    }

    #[test]
    fn other_origins_are_refused() {
        let long = format!(
            "https://{}.example",
            ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(54)].join(".")
        );
        let long_label = format!("https://{}.example", "a".repeat(64));
        for (text, fault) in [
            ("*", OriginFault::Wildcard),
            ("https://*.app.example", OriginFault::Wildcard),
            ("null", OriginFault::Null),
            ("https://App.example", OriginFault::Spelling),
            ("HTTPS://app.example", OriginFault::Spelling),
            ("https://bücher.example", OriginFault::Spelling),
            ("", OriginFault::Scheme),
            ("app.example", OriginFault::Scheme),
            ("ftp://app.example", OriginFault::Scheme),
            ("file://", OriginFault::Scheme),
            (" https://app.example", OriginFault::Scheme),
            ("https://app.example/", OriginFault::MoreThanAnOrigin),
            ("https://app.example/a", OriginFault::MoreThanAnOrigin),
            ("https://app.example?a", OriginFault::MoreThanAnOrigin),
            ("https://app.example#a", OriginFault::MoreThanAnOrigin),
            ("https://dana@app.example", OriginFault::MoreThanAnOrigin),
            ("https://app.example ", OriginFault::MoreThanAnOrigin),
            ("https://app.example\r\nx: y", OriginFault::MoreThanAnOrigin),
            ("https://app.ex%61mple", OriginFault::MoreThanAnOrigin),
            ("https://", OriginFault::Host),
            ("https://:443", OriginFault::Host),
            ("https://.example", OriginFault::Host),
            ("https://app..example", OriginFault::Host),
            ("https://app.example.", OriginFault::Host),
            ("https://a,b", OriginFault::Host),
            ("https://127.1", OriginFault::Host),
            ("https://127.0.0.01", OriginFault::Host),
            ("https://1.2.3.256", OriginFault::Host),
            ("https://0x7f.0x1", OriginFault::Host),
            ("https://[::1", OriginFault::Host),
            ("https://::1", OriginFault::Host),
            ("https://[0:0:0:0:0:0:0:1]", OriginFault::Host),
            ("https://[::1]x", OriginFault::Host),
            (&long, OriginFault::Host),
            (&long_label, OriginFault::Host),
            ("https://app.example:", OriginFault::Port),
            ("https://app.example:0", OriginFault::Port),
            ("https://app.example:080", OriginFault::Port),
            ("https://app.example:65536", OriginFault::Port),
            ("https://app.example:+80", OriginFault::Port),
            ("https://app.example:80:80", OriginFault::Port),
            ("https://app.example:443", OriginFault::DefaultPort),
            ("http://app.example:80", OriginFault::DefaultPort),
            ("http://[::1]:80", OriginFault::DefaultPort),
        ] {
            assert_eq!(Origin::parse(text), Err(fault), "{text}");
        }
    }
}
