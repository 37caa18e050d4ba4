//! IPv4 addresses within IPv6 addresses: translators and tunnels give one IPv4 subscriber many IPv6
//! addresses, or many subscribers one /64.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the subscriber's real address: the IPv4 address within a mapped, NAT64, 6to4 or Teredo address,
/// and any other address unchanged.
///
/// ```
/// use quash_service::subscriber;
/// assert_eq!(subscriber("64:ff9b::192.0.2.1".parse()?), "192.0.2.1".parse::<std::net::IpAddr>()?);
/// # Ok::<_, std::net::AddrParseError>(())
/// ```
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => embedded(address).map_or(IpAddr::V6(address), IpAddr::V4),
        address @ IpAddr::V4(_) => address,
    }
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let v4 = |[a, b, c, d]: [usize; 4]| Ipv4Addr::new(octets[a], octets[b], octets[c], octets[d]);
    match address.segments() {
        // RFC 6052 2.1: the well-known prefix of NAT64 is a /96.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(v4([12, 13, 14, 15])),
        // RFC 8215: sites use this whole /48, with the address around the ninth octet (RFC 6052 2.2), or a
        // /96 of it.
        [0x64, 0xff9b, 1, _, _, _, 0, 0] => Some(v4([6, 7, 9, 10])),
        [0x64, 0xff9b, 1, ..] => Some(v4([12, 13, 14, 15])),
        // RFC 4380 4: a Teredo client's address is inverted.
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!v4([12, 13, 14, 15]).to_bits())),
        // RFC 3056 2: 6to4.
        [0x2002, ..] => Some(v4([2, 3, 4, 5])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_ipv4_addresses_are_the_subscriber() {
        let of = |text: &str| subscriber(text.parse().expect("an address")).to_string();
        for address in [
            "192.0.2.33",
            "::ffff:192.0.2.33",
            "64:ff9b::192.0.2.33",
            // RFC 6052 2.4, with the prefix of RFC 8215 instead of the one for documentation.
            "64:ff9b:1:c000:2:2100::",
            "64:ff9b:1::192.0.2.33",
            "64:ff9b:1:fffe::192.0.2.33",
            "2002:c000:221::1",
            "2002:c000:221:ffff:1:2:3:4",
            "2001:0:4136:e378:8000:63bf:3fff:fdde",
        ] {
            assert_eq!(of(address), "192.0.2.33", "{address}");
        }
        // One past each prefix.
        for address in [
            "64:ff9b::1:c000:221",
            "64:ff9b:2::c000:221",
            "64:ff9a::c000:221",
            "2001:1::1",
            "2003:c000:221::1",
            "2001:db8::1",
            "::1",
        ] {
            assert_eq!(of(address), address);
        }
    }
}
