//! Networks: groups of addresses whose requests are counted together.

use std::net::{IpAddr, Ipv6Addr};

use quash_store::WindowKind;

use crate::embedded::subscriber;

/// An IPv4 address, or a prefix of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Network {
    first: IpAddr,
    width: Width,
}

/// The prefix length of an IPv6 network. Providers give each subscriber a /64, a /56 or a /48; a /48 contains
/// 65,536 networks of the narrowest kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Width {
    /// A /64. The only width of an IPv4 address.
    Subnet,
    /// A /56.
    Home,
    /// A /48.
    Site,
}

impl Width {
    /// All widths, from the narrowest to the widest.
    pub(crate) const ALL: [Self; 3] = [Self::Subnet, Self::Home, Self::Site];

    /// The factor by which this width's limit exceeds that of the narrowest network.
    pub(crate) const fn times(self) -> u32 {
        match self {
            Self::Subnet => 1,
            Self::Home => 2,
            Self::Site => 4,
        }
    }

    /// The kind of the windows that count this width's failures.
    pub(crate) const fn window_kind(self) -> WindowKind {
        match self {
            Self::Subnet => WindowKind::Subnet,
            Self::Home => WindowKind::Home,
            Self::Site => WindowKind::Site,
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
    /// The networks that count an address: one for an IPv4 address, one of each width for an IPv6 address.
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

    pub(crate) const fn width(self) -> Width {
        self.width
    }

    /// The prefix as 16 bytes, unique among networks of the same width.
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

    /// The widths of the networks that contain both addresses.
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
    fn mapped_addresses_count_as_ipv4() {
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
