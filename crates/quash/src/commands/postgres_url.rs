//! URLs of PostgreSQL databases on a command line.

/// Returns whether a text is the URL of a PostgreSQL database.
pub(super) fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

/// Returns whether a URL contains a password, which other users of the machine could read on a command line.
pub(super) fn has_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = base.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|option| option.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_recognised() {
        for url in [
            "postgres://a:b@h/d",
            "postgresql://a:@h/d",
            "postgres://h/d?password=x",
            "postgres://a@h/d?x=1&password=y",
        ] {
            assert!(has_password(url), "{url}");
        }
        for url in [
            "postgres://a@h:5432/d",
            "postgres://h:5432/d?host=/run",
            "postgres:///d",
            "postgres://a@[::1]:1/d",
        ] {
            assert!(!has_password(url), "{url}");
        }
    }
}
