//! The optional cookie that holds the refresh token: `__Host-`, so that no other host and no page over plain
//! HTTP can set it; `HttpOnly`, so that no script reads it; `SameSite=Strict`, so that no other site sends
//! it.

use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// The cookie's name (RFC 6265bis 4.1.3.2).
pub(crate) const NAME: &str = "__Host-quash-refresh";
/// The smallest limit of any browser on a cookie, in bytes: name, value and attributes (RFC 6265 6.1).
const BYTES: usize = 4096;
/// Replaces a value with a byte beyond ASCII: none of our tokens has one.
const NO_TOKEN: &str = "?";

/// The cookie was sent more than once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Duplicated;

/// Returns the token in a request's cookie. A value with a byte beyond ASCII becomes a text that is no token.
pub(crate) fn sent(headers: &HeaderMap) -> Result<Option<&str>, Duplicated> {
    let mut ours = values(headers, NAME).filter(|value| !value.is_empty());
    match (ours.next(), ours.next()) {
        (token, None) => Ok(token),
        (_, Some(_)) => Err(Duplicated),
    }
}

/// Returns the values of all cookies with this name. Reads the headers as bytes: a non-ASCII cookie from
/// another server on the same host must not hide ours.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(str::from_utf8(value).ok().filter(|text| text.is_ascii()).unwrap_or(NO_TOKEN))
    })
}

/// The header that sets the cookie. `None` if the token doesn't fit.
pub(crate) fn set(token: &str, lifetime: Duration) -> Option<HeaderValue> {
    let cookie =
        format!("{NAME}={token}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", lifetime.as_secs());
    HeaderValue::try_from(cookie).ok().filter(|cookie| cookie.len() <= BYTES)
}

/// The header that deletes the cookie.
pub(crate) fn cleared() -> HeaderValue {
    HeaderValue::from_static("__Host-quash-refresh=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&[u8]]) -> Result<Option<String>, Duplicated> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).expect("a header"));
        }
        sent(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn refresh_cookie_is_found_and_duplicates_are_refused() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"a=b; __Host-quash-refresh=x.y.z;c=d"]), Ok(Some("x.y.z".into())));
        assert_eq!(read(&[b"a=b", b"__Host-quash-refresh=x"]), Ok(Some("x".into())));
        for other in [
            &b"__host-quash-refresh=x"[..],
            b"__Host-quash-refresh",
            b"__Host-quash-refresh=",
            b"x__Host-quash-refresh=x",
            b"\xff=x",
            b"__Host-quash-refresh =x",
        ] {
            assert_eq!(read(&[other]), Ok(None), "{other:?}");
        }
        for line in [
            &b"a=\xff; __Host-quash-refresh=x"[..],
            b"__Host-quash-refresh=x; \xe9=1",
            "na\u{ef}ve=1; __Host-quash-refresh=x".as_bytes(),
        ] {
            assert_eq!(read(&[line]), Ok(Some("x".into())), "{line:?}");
        }
        assert_eq!(read(&[b"__Host-quash-refresh=\xff"]), Ok(Some(NO_TOKEN.into())));
        assert_eq!(read(&[b"__Host-quash-refresh=x; __Host-quash-refresh=y"]), Err(Duplicated));
        assert_eq!(read(&[b"__Host-quash-refresh=x", b"__Host-quash-refresh=x"]), Err(Duplicated));
    }

    #[test]
    fn cookie_size_is_limited() {
        let around = set("", Duration::from_secs(60)).expect("a cookie").len();
        assert!(set(&"x".repeat(BYTES - around), Duration::from_secs(60)).is_some());
        assert_eq!(set(&"x".repeat(BYTES - around + 1), Duration::from_secs(60)), None);
        assert_eq!(set("a\nb", Duration::ZERO), None);
        assert!(cleared().to_str().is_ok_and(|cookie| cookie.starts_with(NAME)));
    }
}
