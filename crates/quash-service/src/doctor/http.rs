//! Checks of the server's addresses, its proxies, and the pages that may call it.

use std::time::Duration;

use super::{Facts, Listens, SettingsFacts, Verdict, listed, span};

/// The time in which an operator can renew a certificate.
pub(super) const RENEWED_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
/// The idle timeout of nginx and of most load balancers.
const IDLE_OF_PROXIES: Duration = Duration::from_secs(60);
/// The most bits in which the addresses of a trusted network of the internet may differ: the largest networks of
/// content delivery networks have 20.
const WIDEST_IPV4: u8 = 20;
const WIDEST_IPV6: u8 = 100;

/// Returns whether clients of other machines reach the server, directly or through a proxy.
fn is_reachable(settings: &SettingsFacts) -> bool {
    settings.listens == Listens::Network
        || settings.behind_proxy
        || settings.public_url.as_ref().is_some_and(|url| !url.is_loopback)
}

pub(super) fn public_url(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    let is_reachable = is_reachable(settings);
    Some(match &settings.public_url {
        None if is_reachable => Verdict::warning(
            "http.public_url isn't set",
            "links in mails need it, and this command can't check what clients see",
            "set http.public_url to the address at which clients reach quash, such as \"https://id.example.org\"",
        ),
        Some(url) if url.is_loopback && is_reachable => Verdict::warning(
            format!("http.public_url is {}, which only this machine reaches", url.text),
            "links in mails lead every other recipient nowhere",
            "set http.public_url to the address at which clients reach quash, such as \"https://id.example.org\"",
        ),
        _ => Verdict::Fine,
    })
}

pub(super) fn cors_origins(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    if !is_reachable(settings) {
        return Some(Verdict::Fine);
    }
    let clear: Vec<_> = settings
        .cors_origins
        .iter()
        .map(String::as_str)
        .filter(|origin| origin.starts_with("http://"))
        .collect();
    if clear.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("http.cors_origins has {}", listed(clear)),
        "an attacker on the network, or any program on a user's machine, can serve a page of this origin that reads \
         the user's tokens",
        "use https:// for each origin, and leave out those of developers",
    ))
}

/// The last two labels of a host: origins of one site have them in common.
fn site(of: &str) -> Option<&str> {
    let host = of.split_once("://").map_or(of, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let second = host.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    host.contains('.').then(|| &host[second..])
}

pub(super) fn cookie_origins(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    let Some(url) = settings.public_url.as_ref().filter(|_| settings.has_cookie) else {
        return Some(Verdict::Fine);
    };
    let own = site(&url.site);
    let others: Vec<_> =
        settings.cors_origins.iter().map(String::as_str).filter(|origin| site(origin) != own).collect();
    if others.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("pages of {} are of another site than {}", listed(others), url.site),
        "browsers send the cookie only with requests of pages of the same site (SameSite=Strict): these pages can't \
         refresh their tokens",
        "serve the pages below the same domain as quash, or set cookies.refresh = \"off\"",
    ))
}

pub(super) fn cookie_transport(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    let is_https =
        settings.certificate.is_some() || settings.public_url.as_ref().is_some_and(|url| url.is_https);
    // Browsers treat loopback as secure.
    if !settings.has_cookie || is_https || !is_reachable(settings) {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        "cookies.refresh is on, and no setting says that clients use HTTPS",
        "the cookie is Secure: over plain HTTP, browsers drop it, and users must sign in again",
        "set http.public_url to the https:// address of the proxy, or http.tls_cert and http.tls_key",
    ))
}

pub(super) fn wide_proxies(facts: &Facts) -> Option<Verdict> {
    let is_wide = |bits: u8, text: &str| bits > if text.contains(':') { WIDEST_IPV6 } else { WIDEST_IPV4 };
    let trusted = &facts.settings.as_ref()?.trusted;
    let wide =
        trusted.iter().filter(|network| network.is_public && is_wide(network.host_bits, &network.text));
    let wide: Vec<_> = wide.map(|network| &*network.text).collect();
    if wide.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        format!("http.trusted_proxies has {}", listed(wide)),
        "every client in there chooses the address that its failed sign-ins are counted for, so that they aren't \
         limited",
        "name the addresses of your proxies alone",
    ))
}

pub(super) fn needless_proxies(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    let is_direct =
        settings.listens == Listens::Network && settings.certificate.is_some() && !settings.behind_proxy;
    if !is_direct || settings.trusted.is_empty() {
        return Some(Verdict::Fine);
    }
    let trusted = settings.trusted.iter().map(|network| &*network.text);
    Some(Verdict::note(
        format!("http.trusted_proxies has {}, and quash serves TLS itself", listed(trusted)),
        "a machine with one of these addresses chooses the client's address in logs and limits",
        "leave http.trusted_proxies out if no proxy is in front of quash",
    ))
}

pub(super) fn unnamed_proxy(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    let is_https = settings.public_url.as_ref().is_some_and(|url| url.is_https);
    if !is_https || settings.certificate.is_some() || !settings.trusted.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        "http.public_url is https://, quash doesn't serve TLS, and http.trusted_proxies is empty",
        "the proxy that serves TLS counts as the client of all requests: failed sign-ins aren't limited by network, and \
         sessions have no address",
        "name the proxy in http.trusted_proxies, and its header in http.forwarding_header",
    ))
}

pub(super) fn untrusted_forwarding(facts: &Facts) -> Option<Verdict> {
    let server = facts.stored()?.server.as_ref()?;
    if !server.saw_untrusted_forwarding {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        "forwarding headers have arrived from a loopback, private or shared address that isn't a trusted proxy",
        "they are ignored: failed sign-ins of the clients behind it aren't limited by network",
        "name the proxy in http.trusted_proxies, and its header in http.forwarding_header",
    ))
}

pub(super) fn idle_timeout(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    if settings.trusted.is_empty() || settings.idle_timeout > IDLE_OF_PROXIES {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        format!("http.idle_timeout is {}", span(settings.idle_timeout)),
        "most proxies keep an idle connection for 60 seconds, and answer 502 if quash closes it while they send a \
         request",
        "leave http.idle_timeout out, or make it longer than the proxy's",
    ))
}

pub(super) fn certificate_file(facts: &Facts) -> Option<Verdict> {
    const REASON: &str = "the server doesn't start with an expired certificate, and clients refuse it";
    Some(match &facts.settings.as_ref()?.certificate {
        None => Verdict::Fine,
        Some(Err(fault)) => Verdict::problem(
            fault,
            REASON,
            "put a valid certificate and its key there, and send SIGHUP to the server",
        ),
        Some(Ok(left)) if *left < RENEWED_BEFORE => Verdict::warning(
            format!("the certificate of http.tls_cert expires in {}", span(*left)),
            REASON,
            "renew it, and send SIGHUP to the server",
        ),
        Some(Ok(_)) => Verdict::Fine,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_compared_by_two_labels() {
        let all =
            ["https://app.example.org", "id.example.org:8443", "http://localhost:3000", "https://a.b.c.org"];
        assert_eq!(all.map(site), [Some("example.org"), Some("example.org"), None, Some("c.org")]);
    }
}
