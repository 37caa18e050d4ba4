//! Determines a client's address from forwarding headers. Only proxies that the operator names are trusted,
//! by default none. The addresses in a header are read from the end, up to the first that isn't a trusted
//! proxy's.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::settings::proxies::{ForwardingHeader, Proxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The maximum number of addresses that are read, from the end. No deployment has more proxies in a row.
const HOPS: usize = 32;

/// The source of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClientAddr {
    /// The address that a trusted proxy passed on.
    Forwarded(IpAddr),
    /// The peer's own address.
    Peer(IpAddr),
    /// A unix socket, without an address.
    Unknown,
}

/// Returns the source of a request.
pub(crate) fn client_addr(
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
    trusted: &[Proxies],
    header: ForwardingHeader,
) -> ClientAddr {
    let peer = peer.map(|peer| peer.ip().to_canonical());
    let is_trusted = |address: Option<IpAddr>| trusted.iter().any(|proxies| proxies.has(address));
    let itself = peer.map_or(ClientAddr::Unknown, ClientAddr::Peer);
    if !is_trusted(peer) {
        return itself;
    }
    let mut seen = itself;
    for hop in addresses(headers, header).into_iter().rev() {
        // A trusted proxy wrote an unreadable element: only the proxy itself is known.
        let Some(address) = hop else { return seen };
        seen = ClientAddr::Forwarded(address);
        if !is_trusted(Some(address)) {
            break;
        }
    }
    seen
}

/// Returns whether a request has a forwarding header.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(&X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// Returns the last addresses of the header, in order. Each proxy appends one after a comma, so that no text
/// before the last comma affects the last element, not even a quotation mark that a client left open.
fn addresses(headers: &HeaderMap, header: ForwardingHeader) -> VecDeque<Option<IpAddr>> {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) = match header {
        ForwardingHeader::XForwardedFor => (X_FORWARDED_FOR, node),
        ForwardingHeader::Forwarded => (FORWARDED, forwarded_for),
    };
    let mut last = VecDeque::new();
    for line in headers.get_all(name) {
        for element in elements(line) {
            if last.len() == HOPS {
                last.pop_front();
            }
            last.push_back(std::str::from_utf8(element).ok().and_then(read));
        }
    }
    last
}

fn elements(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',')
}

/// Reads the address in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            // Two addresses count as none: another reader may take the other one.
            if found.is_some() {
                return None;
            }
            let value = value.trim();
            let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            found = Some(node(quoted.unwrap_or(value))?);
        }
    }
    found
}

/// Reads an address with or without a port, a zone and brackets.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        is_port.then_some(address)?
    } else {
        match text.split_once(':') {
            // A single colon separates an IPv4 address from its port; an IPv6 address has more.
            Some((address, port)) if !port.contains(':') => is_port(port).then_some(address)?,
            _ => text,
        }
    };
    let address = address.split_once('%').map_or(address, |(address, _zone)| address);
    address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.2:1234";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a header value"));
        }
        headers
    }

    fn told(peer: Option<&str>, lines: &[(&'static str, &[u8])], header: ForwardingHeader) -> ClientAddr {
        let trusted =
            ["10.0.0.0/8", "2001:db8:1::/48", "unix"].map(|text| Proxies::parse(text).expect("proxies"));
        client_addr(peer.map(|peer| peer.parse().expect("an address")), &headers(lines), &trusted, header)
    }

    fn x(value: &str) -> ClientAddr {
        told(Some(PROXY), &[("x-forwarded-for", value.as_bytes())], ForwardingHeader::XForwardedFor)
    }

    fn f(value: &str) -> ClientAddr {
        told(Some(PROXY), &[("forwarded", value.as_bytes())], ForwardingHeader::Forwarded)
    }

    #[test]
    fn a23_only_trusted_proxies_are_believed() {
        let lines: [(&'static str, &[u8]); 3] = [
            ("x-forwarded-for", b"198.51.100.7"),
            ("forwarded", b"for=198.51.100.7"),
            ("x-real-ip", b"198.51.100.7"),
        ];
        for header in [ForwardingHeader::XForwardedFor, ForwardingHeader::Forwarded] {
            for peer in ["203.0.113.9:1", "127.0.0.1:1", "192.168.0.1:1", "[::1]:1", "[2001:db8:2::1]:1"] {
                assert_eq!(
                    told(Some(peer), &lines, header),
                    ClientAddr::Peer(peer.parse::<SocketAddr>().expect("an address").ip()),
                    "{peer}"
                );
            }
            for peer in [Some(PROXY), Some("[::ffff:10.0.0.2]:1"), Some("[2001:db8:1::5]:1"), None] {
                assert_eq!(told(peer, &lines, header), ClientAddr::Forwarded(ip("198.51.100.7")), "{peer:?}");
            }
        }
        assert_eq!(
            client_addr(None, &headers(&lines), &[], ForwardingHeader::XForwardedFor),
            ClientAddr::Unknown
        );
    }

    #[test]
    fn a24_last_untrusted_address_is_the_client() {
        assert_eq!(x("198.51.100.7"), ClientAddr::Forwarded(ip("198.51.100.7")));
        assert_eq!(x("1.1.1.1, 198.51.100.7"), ClientAddr::Forwarded(ip("198.51.100.7")));
        assert_eq!(x("1.1.1.1, 198.51.100.7, 10.1.1.1,10.0.0.9"), ClientAddr::Forwarded(ip("198.51.100.7")));
        assert_eq!(
            x("10.1.1.1, 10.0.0.9"),
            ClientAddr::Forwarded(ip("10.1.1.1")),
            "a proxy that asks for itself"
        );
        for spelled in
            ["198.51.100.7:80", " 198.51.100.7 ", "::ffff:198.51.100.7", "[::ffff:198.51.100.7]:443"]
        {
            assert_eq!(x(spelled), ClientAddr::Forwarded(ip("198.51.100.7")), "{spelled}");
        }
        for spelled in ["[2001:db8::7]", "2001:db8::7", "[2001:db8::7]:1", "2001:DB8::7%eth0"] {
            assert_eq!(x(spelled), ClientAddr::Forwarded(ip("2001:db8::7")), "{spelled}");
        }
        let lines: [(&'static str, &[u8]); 2] =
            [("x-forwarded-for", b"1.1.1.1"), ("x-forwarded-for", b"198.51.100.7")];
        assert_eq!(
            told(Some(PROXY), &lines, ForwardingHeader::XForwardedFor),
            ClientAddr::Forwarded(ip("198.51.100.7"))
        );
    }

    #[test]
    fn a24_unreadable_addresses_yield_the_proxy_address() {
        let proxy = ClientAddr::Peer(ip("10.0.0.2"));
        for value in [
            "",
            " ",
            ",",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:123456",
            "[::1",
            "]",
            "[]",
            "%",
            "é",
        ] {
            assert_eq!(x(value), proxy, "{value:?}");
        }
        assert_eq!(
            told(Some(PROXY), &[("x-forwarded-for", b"\xff\xfe")], ForwardingHeader::XForwardedFor),
            proxy
        );
        assert_eq!(told(Some(PROXY), &[], ForwardingHeader::XForwardedFor), proxy);
        assert_eq!(x("198.51.100.7, unknown"), proxy, "nothing before it is believed");
        assert_eq!(x("198.51.100.7, unknown, 10.0.0.3"), ClientAddr::Forwarded(ip("10.0.0.3")));
        assert_eq!(x("unknown, 198.51.100.7"), ClientAddr::Forwarded(ip("198.51.100.7")), "nor looked at");
    }

    #[test]
    fn a24_only_the_last_addresses_are_read() {
        let many = vec!["10.0.0.1"; 1000].join(",");
        assert_eq!(x(&many), ClientAddr::Forwarded(ip("10.0.0.1")));
        assert_eq!(
            x(&format!("198.51.100.7,{}", vec!["10.0.0.1"; HOPS].join(","))),
            ClientAddr::Forwarded(ip("10.0.0.1"))
        );
        assert_eq!(
            x(&format!("198.51.100.7,{}", vec!["10.0.0.1"; HOPS - 1].join(","))),
            ClientAddr::Forwarded(ip("198.51.100.7"))
        );
        assert_eq!(x(&format!("{many},198.51.100.7")), ClientAddr::Forwarded(ip("198.51.100.7")));
    }

    #[test]
    fn a24_forwarded_is_parsed_strictly() {
        for value in [
            "for=198.51.100.7",
            "For=\"198.51.100.7:80\";proto=https;by=203.0.113.43",
            "proto=https ; FOR = 198.51.100.7",
            "for=1.1.1.1, for=198.51.100.7",
            // A quotation mark that a client left open doesn't swallow the proxy's element.
            "for=\"1.1.1.1, for=198.51.100.7",
            "for=\"1.1.1.1\\\", for=198.51.100.7",
            "garbage, for=198.51.100.7",
        ] {
            assert_eq!(f(value), ClientAddr::Forwarded(ip("198.51.100.7")), "{value}");
        }
        assert_eq!(f("for=\"[2001:db8::7]:4711\""), ClientAddr::Forwarded(ip("2001:db8::7")));
        for value in [
            "for=unknown",
            "for=_mystery",
            "by=198.51.100.7",
            "for",
            "for=1.1.1.1;for=2.2.2.2",
            "198.51.100.7",
            "for=\"1.1.1.1",
            ";",
        ] {
            assert_eq!(f(value), ClientAddr::Peer(ip("10.0.0.2")), "{value}");
        }
    }

    #[test]
    fn only_the_configured_forwarding_header_is_read() {
        let lines: [(&'static str, &[u8]); 2] =
            [("x-forwarded-for", b"198.51.100.7"), ("forwarded", b"for=203.0.113.1")];
        assert_eq!(
            told(Some(PROXY), &lines, ForwardingHeader::XForwardedFor),
            ClientAddr::Forwarded(ip("198.51.100.7"))
        );
        assert_eq!(
            told(Some(PROXY), &lines, ForwardingHeader::Forwarded),
            ClientAddr::Forwarded(ip("203.0.113.1"))
        );
        assert_eq!(
            told(Some(PROXY), &lines[..1], ForwardingHeader::Forwarded),
            ClientAddr::Peer(ip("10.0.0.2"))
        );
    }
}
