//! The device token on the wire: in the header `Quash-Device` or in a cookie, never in a body. The cookie is
//! `__Host-`, so that no other host and no page over plain HTTP can set it, and `HttpOnly`. Unlike the
//! refresh token's cookie it is `SameSite=Lax`, because it signs no user in.
//!
//! A client that sends the header receives the header. The cookie is for browsers on pages of this origin,
//! which send `Sec-Fetch-Site`, and for clients that already have it. Other clients receive neither: programs
//! that store no token would displace the tokens of those that do.

use axum::response::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use quash_service::{DeviceSaid, DeviceToken};

use crate::answer::with_header;
use crate::cookie;
use crate::cross_site::SEC_FETCH_SITE;

pub(crate) const HEADER: HeaderName = HeaderName::from_static("quash-device");
/// The cookie's name (RFC 6265bis 4.1.3.2).
pub(crate) const NAME: &str = "__Host-quash-device";
/// The lifetime of the cookie in browsers, in seconds: 400 days, the longest that they allow (RFC 6265bis
/// 5.5). Each sign-in renews it.
const MAX_AGE: u32 = 400 * 24 * 3600;

/// The way in which a device token is sent and returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Carrier {
    #[default]
    None,
    Header,
    Cookie,
}

/// Returns the device token of a request, and the way to return one. A token that is sent twice counts as
/// none.
pub(crate) fn said(headers: &HeaderMap) -> (DeviceSaid, Carrier) {
    let mut sent = headers.get_all(HEADER).iter();
    if let Some(first) = sent.next() {
        let token =
            first.to_str().ok().map(str::trim).filter(|token| !token.is_empty() && sent.next().is_none());
        return (brought(token), Carrier::Header);
    }
    let mut cookies = cookie::values(headers, NAME);
    if let Some(first) = cookies.next() {
        return (brought(Some(first).filter(|_| cookies.next().is_none())), Carrier::Cookie);
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin") => (DeviceSaid::Asks, Carrier::Cookie),
        _ => (DeviceSaid::Nothing, Carrier::None),
    }
}

/// Adds a device token to a response.
pub(crate) fn with_token(mut answer: Response, token: &DeviceToken, carrier: Carrier) -> Response {
    let token = token.as_str();
    match carrier {
        Carrier::None => answer,
        Carrier::Header => with_header(answer, HEADER, token),
        Carrier::Cookie => {
            let cookie = format!("{NAME}={token}; Path=/; Max-Age={MAX_AGE}; Secure; HttpOnly; SameSite=Lax");
            // A token is hexadecimal, so this can't fail.
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                answer.headers_mut().append(SET_COOKIE, cookie);
            }
            answer
        }
    }
}

fn brought(token: Option<&str>) -> DeviceSaid {
    token.map_or(DeviceSaid::Asks, |token| DeviceSaid::Brings(DeviceToken::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &[(&'static str, &str)]) -> (Option<String>, Carrier) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        match said(&headers) {
            (DeviceSaid::Nothing, carrier) => {
                assert_eq!(carrier, Carrier::None);
                (None, carrier)
            }
            (DeviceSaid::Asks, carrier) => (Some(String::new()), carrier),
            (DeviceSaid::Brings(token), carrier) => (Some(token.as_str().to_owned()), carrier),
        }
    }

    #[test]
    fn the_header_goes_before_the_cookie_and_what_is_sent_twice_is_none() {
        let (ours, twice) =
            ("a=b; __Host-quash-device=x;c=d", "__Host-quash-device=x; __Host-quash-device=x");
        let some = |token: &str| Some(token.to_owned());
        assert_eq!(read(&[]), (None, Carrier::None));
        assert_eq!(read(&[("quash-device", " y ")]), (some("y"), Carrier::Header));
        assert_eq!(read(&[("quash-device", "")]), (some(""), Carrier::Header));
        assert_eq!(read(&[("quash-device", "y"), ("quash-device", "y")]), (some(""), Carrier::Header));
        assert_eq!(read(&[("cookie", ours)]), (some("x"), Carrier::Cookie));
        assert_eq!(read(&[("cookie", "na\u{ef}ve=1; __Host-quash-device=x")]), (some("x"), Carrier::Cookie));
        assert_eq!(read(&[("cookie", ours), ("quash-device", "y")]), (some("y"), Carrier::Header));
        assert_eq!(read(&[("cookie", ours), ("quash-device", "")]), (some(""), Carrier::Header));
        assert_eq!(read(&[("cookie", twice)]), (some(""), Carrier::Cookie));
        assert_eq!(
            read(&[("cookie", "x__Host-quash-device=x; __host-quash-device=x")]),
            (None, Carrier::None)
        );
        assert_eq!(read(&[("sec-fetch-site", "same-origin")]), (some(""), Carrier::Cookie));
        for other in ["same-site", "cross-site", "none", ""] {
            assert_eq!(read(&[("sec-fetch-site", other)]), (None, Carrier::None), "{other}");
        }
    }
}
