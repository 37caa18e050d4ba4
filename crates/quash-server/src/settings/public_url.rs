//! The address that links in mails begin with. It is never taken from a request.

use std::fmt;
use std::net::IpAddr;

use crate::settings::origin::{Origin, OriginFault};

/// The public address of quash: an origin, and a path if a proxy serves quash under one.
///
/// ```
/// use quash_server::PublicUrl;
/// let url = PublicUrl::parse("https://id.example.org/").map(|url| url.to_string());
/// assert_eq!(url, Ok("https://id.example.org".into()));
/// assert!(PublicUrl::parse("http://id.example.org").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicUrl {
    origin: Origin,
    path: String,
}

/// The reason why a text isn't a valid public address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublicUrlFault {
    /// The part before the path isn't an origin.
    Origin(OriginFault),
    /// It is neither encrypted nor loopback.
    Insecure,
    /// The path contains characters other than letters, digits and `-._~`.
    Path,
}

impl PublicUrl {
    /// Reads an address. Drops a trailing slash.
    ///
    /// # Errors
    /// Links in mails can't begin with it.
    pub fn parse(text: &str) -> Result<Self, PublicUrlFault> {
        let host = text.find("://").map_or(0, |at| at + 3);
        let end = text[host..].find('/').map_or(text.len(), |at| host + at);
        let origin = Origin::parse(&text[..end]).map_err(PublicUrlFault::Origin)?;
        if !origin.as_str().starts_with("https://") && !is_loopback(&text[host..end]) {
            return Err(PublicUrlFault::Insecure);
        }
        let path = text[end..].strip_suffix('/').unwrap_or(&text[end..]);
        let is_segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        if !path.is_empty() && !path[1..].split('/').all(is_segment) {
            return Err(PublicUrlFault::Path);
        }
        Ok(Self { origin, path: path.to_owned() })
    }

    /// The origin, as browsers send it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns whether only this machine reaches the address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.site())
    }

    /// Host and port: the site's name in mails.
    pub fn site(&self) -> &str {
        self.origin.as_str().split_once("://").map_or(self.origin.as_str(), |(_, site)| site)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl fmt::Display for PublicUrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(fault) => fault.fmt(f),
            Self::Insecure => f.write_str(
                "uses http and isn't on this machine; an attacker on the network could read the links",
            ),
            Self::Path => f.write_str("has a path with characters other than letters, digits and -._~"),
        }
    }
}

impl std::error::Error for PublicUrlFault {}

/// Returns whether a host, with or without a port, is loopback.
pub(crate) fn is_loopback(place: &str) -> bool {
    let host = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => place.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_must_be_https_or_loopback() {
        for (text, shown, site) in [
            ("https://id.example.org", "https://id.example.org", "id.example.org"),
            (
                "https://id.example.org:8443/auth/v2/",
                "https://id.example.org:8443/auth/v2",
                "id.example.org:8443",
            ),
            ("http://localhost:8000", "http://localhost:8000", "localhost:8000"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://[::1]:8000", "http://[::1]:8000", "[::1]:8000"),
        ] {
            let url = PublicUrl::parse(text).expect(text);
            assert_eq!((url.to_string().as_str(), url.site()), (shown, site));
        }
        for text in [
            "",
            "id.example.org",
            "https://",
            "ftp://id.example.org",
            "http://id.example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "https://id.example.org?a",
            "https://id.example.org/?a",
            "https://id.example.org/#a",
            "https://id.example.org//",
            "https://id.example.org/a//b",
            "https://id.example.org/../a",
            "https://id.example.org/a b",
            "https://dana@id.example.org",
            "https://id.example.org/%2e",
            "https://ID.example.org",
            "https://*.example.org",
            "null",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }
}
