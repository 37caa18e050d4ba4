//! Checks the header `Host`: a request over HTTP/1.1 has exactly one (RFC 9112 3.2). With two, or an invalid
//! one, a proxy and quash could see different hosts.

use http::header::HOST;
use http::{HeaderMap, Version};

/// Returns the error in a request's `Host`, if any.
pub(crate) fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Some("The request has no Host header."),
        (Some(_), Some(_)) => Some("The request has more than one Host header."),
        (Some(host), None) if !is_host(host.as_bytes()) => Some("The Host header does not name a host."),
        _ => None,
    }
}

/// Returns whether bytes match `uri-host [ ":" port ]` (RFC 9110 7.2, RFC 3986 3.2.2).
fn is_host(bytes: &[u8]) -> bool {
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    if let Some(literal) = bytes.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
        let (address, rest) = (&literal[..end], &literal[end + 1..]);
        let is_address = !address.is_empty() && address.iter().all(|byte| is_plain(*byte) || *byte == b':');
        return is_address && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port));
    }
    let (name, port) = match bytes.iter().position(|byte| *byte == b':') {
        Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
        None => (bytes, &[][..]),
    };
    is_port(port) && is_name(name)
}

/// Returns whether bytes match `reg-name`, with two hexadecimal digits after each `%`.
fn is_name(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| *byte == b'%');
    let is_plain_text = |text: &[u8]| text.iter().all(|byte| is_plain(*byte));
    let is_encoded = |part: &[u8]| {
        part.len() >= 2 && part[..2].iter().all(u8::is_ascii_hexdigit) && is_plain_text(&part[2..])
    };
    parts.next().is_some_and(is_plain_text) && parts.all(is_encoded)
}

/// Returns whether a byte is `unreserved` or one of `sub-delims`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fault_of(version: Version, hosts: &[&[u8]]) -> Option<&'static str> {
        let hosts = hosts.iter().map(|host| (HOST, HeaderValue::from_bytes(host).expect("a value")));
        let mut headers = HeaderMap::new();
        for (name, value) in hosts {
            headers.append(name, value);
        }
        fault(version, &headers)
    }

    #[test]
    fn http11_requests_need_exactly_one_host() {
        assert_eq!(fault_of(Version::HTTP_11, &[]), Some("The request has no Host header."));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(fault_of(version, &[]), None);
        }
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(fault_of(version, &[b"a", b"a"]), Some("The request has more than one Host header."));
            assert_eq!(fault_of(version, &[b"a"]), None);
        }
    }

    #[test]
    fn host_header_follows_the_grammar() {
        let valid: [&[u8]; 10] = [
            b"",
            b"a.example",
            b"A-b_c~.example:8080",
            b"127.0.0.1",
            b"[::1]",
            b"[::1]:443",
            b"a:",
            b"%41b",
            b"xn--bcher-kva.example",
            b"(a)",
        ];
        let invalid: [&[u8]; 17] = [
            b"a b",
            b"a/b",
            b"a@b",
            b"a:b",
            b"a:1:2",
            b"::1",
            b"[::1",
            b"[]",
            b"[::1]x",
            b"[::1]:x",
            b"a?",
            b"a#",
            b"a\\b",
            b"%4",
            b"%zz",
            b"b\xc3\xbccher.example",
            b"a, b",
        ];
        let of = |host: &[u8]| fault_of(Version::HTTP_11, &[host]);
        valid.iter().for_each(|host| assert_eq!(of(host), None, "{}", host.escape_ascii()));
        invalid.iter().for_each(|host| assert!(of(host).is_some(), "{}", host.escape_ascii()));
    }
}
