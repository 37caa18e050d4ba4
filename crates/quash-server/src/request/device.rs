//! The device token on the wire: in the header `Quash-Device` or in a cookie, never in a body. The cookie is
//! `__Host-`, so that no other host and no page over plain HTTP can set it, and `HttpOnly`. Unlike the
//! refresh token's cookie it is `SameSite=Lax`, because it signs no user in.
//!
//! A client that sends the header receives the header. The cookie is for browsers on pages of this origin,
//! which send `Sec-Fetch-Site`, and for clients that already have it. Other clients receive neither: programs
//! that store no token would displace the tokens of those that do.

use axum::response::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use quash_service::{DeviceToken, DeviceTokenInput};

use crate::request::cookie;
use crate::request::fetch_metadata::SEC_FETCH_SITE;
use crate::response::with_header;

pub(crate) const HEADER: HeaderName = HeaderName::from_static("quash-device");
/// The cookie's name (RFC 6265bis 4.1.3.2).
pub(crate) const NAME: &str = "__Host-quash-device";
/// The lifetime of the cookie in browsers, in seconds: 400 days, the longest that they allow (RFC 6265bis
/// 5.5). Each sign-in renews it.
const MAX_AGE: u32 = 400 * 24 * 3600;

/// The way in which a device token is sent and returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum DeviceTokenTransport {
    #[default]
    None,
    Header,
    Cookie,
}

/// Returns the device token of a request, and the way to return one. A token that is sent twice counts as
/// none.
pub(crate) fn read_device_token(headers: &HeaderMap) -> (DeviceTokenInput, DeviceTokenTransport) {
    let mut sent = headers.get_all(HEADER).iter();
    if let Some(first) = sent.next() {
        let token =
            first.to_str().ok().map(str::trim).filter(|token| !token.is_empty() && sent.next().is_none());
        return (presented(token), DeviceTokenTransport::Header);
    }
    let mut cookies = cookie::values(headers, NAME);
    if let Some(first) = cookies.next() {
        return (presented(Some(first).filter(|_| cookies.next().is_none())), DeviceTokenTransport::Cookie);
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin") => (DeviceTokenInput::Missing, DeviceTokenTransport::Cookie),
        _ => (DeviceTokenInput::Unsupported, DeviceTokenTransport::None),
    }
}

/// Adds a device token to a response.
pub(crate) fn with_token(
    mut answer: Response,
    token: &DeviceToken,
    transport: DeviceTokenTransport,
) -> Response {
    let token = token.as_str();
    match transport {
        DeviceTokenTransport::None => answer,
        DeviceTokenTransport::Header => with_header(answer, HEADER, token),
        DeviceTokenTransport::Cookie => {
            let cookie = format!("{NAME}={token}; Path=/; Max-Age={MAX_AGE}; Secure; HttpOnly; SameSite=Lax");
            // A token is hexadecimal, so this can't fail.
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                answer.headers_mut().append(SET_COOKIE, cookie);
            }
            answer
        }
    }
}

fn presented(token: Option<&str>) -> DeviceTokenInput {
    token.map_or(DeviceTokenInput::Missing, |token| DeviceTokenInput::Presented(DeviceToken::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &[(&'static str, &str)]) -> (Option<String>, DeviceTokenTransport) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        match read_device_token(&headers) {
            (DeviceTokenInput::Unsupported, transport) => {
                assert_eq!(transport, DeviceTokenTransport::None);
                (None, transport)
            }
            (DeviceTokenInput::Missing, transport) => (Some(String::new()), transport),
            (DeviceTokenInput::Presented(token), transport) => (Some(token.as_str().to_owned()), transport),
        }
    }

    #[test]
    fn device_header_wins_and_duplicates_are_ignored() {
        let (ours, twice) =
            ("a=b; __Host-quash-device=x;c=d", "__Host-quash-device=x; __Host-quash-device=x");
        let some = |token: &str| Some(token.to_owned());
        assert_eq!(read(&[]), (None, DeviceTokenTransport::None));
        assert_eq!(read(&[("quash-device", " y ")]), (some("y"), DeviceTokenTransport::Header));
        assert_eq!(read(&[("quash-device", "")]), (some(""), DeviceTokenTransport::Header));
        assert_eq!(
            read(&[("quash-device", "y"), ("quash-device", "y")]),
            (some(""), DeviceTokenTransport::Header)
        );
        assert_eq!(read(&[("cookie", ours)]), (some("x"), DeviceTokenTransport::Cookie));
        assert_eq!(
            read(&[("cookie", "na\u{ef}ve=1; __Host-quash-device=x")]),
            (some("x"), DeviceTokenTransport::Cookie)
        );
        assert_eq!(
            read(&[("cookie", ours), ("quash-device", "y")]),
            (some("y"), DeviceTokenTransport::Header)
        );
        assert_eq!(read(&[("cookie", ours), ("quash-device", "")]), (some(""), DeviceTokenTransport::Header));
        assert_eq!(read(&[("cookie", twice)]), (some(""), DeviceTokenTransport::Cookie));
        assert_eq!(
            read(&[("cookie", "x__Host-quash-device=x; __host-quash-device=x")]),
            (None, DeviceTokenTransport::None)
        );
        assert_eq!(read(&[("sec-fetch-site", "same-origin")]), (some(""), DeviceTokenTransport::Cookie));
        for other in ["same-site", "cross-site", "none", ""] {
            assert_eq!(read(&[("sec-fetch-site", other)]), (None, DeviceTokenTransport::None), "{other}");
        }
    }
}
