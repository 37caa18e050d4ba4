//! Networks: the addresses whose requests are counted together.

use std::net::{IpAddr, Ipv6Addr};

use crate::embedded::subscriber;

/// An IPv4 address, or the first bits of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Network {
    first: IpAddr,
    width: Width,
}

/// How much of an IPv6 address a network has in common. Providers give each subscriber a /64, a /56 or a /48: whoever has a
/// /48 has 65,536 networks of the narrowest kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Width {
    /// A /64; an IPv4 address has no other.
    Subnet,
    /// A /56.
    Home,
    /// A /48.
    Site,
}

impl Width {
    /// All of them, from the narrowest to the widest.
    pub(crate) const ALL: [Self; 3] = [Self::Subnet, Self::Home, Self::Site];

    /// How many times the limit of the narrowest network holds for one of this width.
    pub(crate) const fn times(self) -> u32 {
        match self {
            Self::Subnet => 1,
            Self::Home => 2,
            Self::Site => 4,
        }
    }

    const fn prefix(self) -> u8 {
        match self {
            Self::Subnet => 64,
            Self::Home => 56,
            Self::Site => 48,
        }
    }
}

impl Network {
    /// The networks that an address is counted in: one of an IPv4 address, one of each width of an IPv6 address.
    pub(crate) fn all_of(address: IpAddr) -> impl Iterator<Item = Self> + Clone {
        let address = subscriber(address);
        let widths: &[Width] = if address.is_ipv4() { &[Width::Subnet] } else { &Width::ALL };
        widths.iter().map(move |width| Self::of(address, *width))
    }

    fn of(address: IpAddr, width: Width) -> Self {
        let first = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - width.prefix()))))
            }
        };
        Self { first, width }
    }

    /// How wide it is.
    pub(crate) const fn width(self) -> Width {
        self.width
    }

    /// As 16 bytes. Two networks of one width have different ones.
    pub(crate) fn bytes(self) -> [u8; 16] {
        match self.first {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Vec<Network> {
        Network::all_of(text.parse().expect("an address")).collect()
    }

    /// Which widths two addresses have in common.
    fn shared(one: &str, other: &str) -> Vec<Width> {
        let others = networks(other);
        networks(one).into_iter().filter(|network| others.contains(network)).map(Network::width).collect()
    }

    #[test]
    fn ipv6_addresses_are_counted_by_three_prefixes() {
        assert_eq!(shared("2001:db8:1:2ab::3", "2001:db8:1:2ab:ffff::"), Width::ALL);
        assert_eq!(shared("2001:db8:1:2ab::3", "2001:db8:1:2ac::3"), [Width::Home, Width::Site]);
        assert_eq!(shared("2001:db8:1:2ab::3", "2001:db8:1:3ab::3"), [Width::Site]);
        assert_eq!(shared("2001:db8:1:2ab::3", "2001:db8:2:2ab::3"), []);
    }

    #[test]
    fn a_mapped_address_is_ipv4_and_counted_once() {
        assert_eq!(shared("::ffff:192.0.2.1", "192.0.2.1"), [Width::Subnet]);
        assert_eq!(shared("192.0.2.1", "192.0.2.2"), []);
        assert_eq!(shared("64:ff9b::192.0.2.1", "192.0.2.1"), [Width::Subnet]);
        assert_eq!(shared("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"), []);
        assert_eq!(networks("::ffff:192.0.2.1")[0].bytes(), networks("192.0.2.1")[0].bytes());
    }

    #[test]
    fn networks_of_different_widths_are_not_equal() {
        let [subnet, home, site] = networks("2001:db8::")[..] else { panic!("three networks") };
        assert!(subnet != home && home != site && subnet != site);
    }
}
