//! Checks of web addresses in the settings.

/// Returns whether an address is unencrypted and not on this machine: an attacker on the network could answer
/// for it (RFC 8414 2).
pub(crate) fn is_insecure(address: &str) -> bool {
    let http = address.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http://"));
    http.is_some_and(|(_, rest)| !is_loopback(rest))
}

fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|host| authority.strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':')))
}
