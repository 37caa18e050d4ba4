//! Refuses requests that pages of other sites make a browser send. Browsers name a request's source
//! (`Sec-Fetch-Site`, `Origin`); a request with neither header comes from no browser, or from no page.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};

use crate::error::http_error::HttpError;
use crate::middleware::errors::{ErrorFormat, render};
use crate::net::connection::OverTls;
use crate::request::fetch_metadata::SEC_FETCH_SITE;
use crate::settings::public_url::{PublicUrl, is_loopback};
use crate::settings::{HttpSettings, RefreshCookie};
use crate::state::AppState;

/// Lets a request pass that is safe, that comes from our own pages or those of a named origin, or that no
/// page sent.
pub(crate) async fn same_site(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    if is_ours(&state.settings, &request) {
        Ok(next.run(request).await)
    } else {
        Err(HttpError::cross_site())
    }
}

/// Like [`same_site`], for every endpoint if refresh tokens travel in a cookie: the cookie would act for an
/// unsuspecting user, and a sign-in would switch the user's account.
pub(crate) async fn same_site_with_cookies(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let settings = &state.settings;
    if settings.refresh_cookie == RefreshCookie::Off || is_ours(settings, &request) {
        return next.run(request).await;
    }
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let format = match settings.endpoint_at(path) {
        Some(endpoint) if endpoint.follows_simple_jwt() => ErrorFormat::SimpleJwt,
        _ => ErrorFormat::Problem,
    };
    render(&state, HttpError::cross_site(), format)
}

fn is_ours(settings: &HttpSettings, request: &Request) -> bool {
    if request.method().is_safe() {
        return true;
    }
    let headers = request.headers();
    let (site, origin) = (said(headers, &SEC_FETCH_SITE), said(headers, &ORIGIN));
    match (site, origin) {
        (HeaderValues::Nothing, HeaderValues::Nothing)
        | (HeaderValues::Once(b"same-origin" | b"none"), HeaderValues::Nothing) => true,
        // A form on a page that hides its origin, as ours do, sends `Origin: null`. Pages can't forge the
        // other header.
        (HeaderValues::Once(b"same-origin"), HeaderValues::Once(b"null")) => true,
        (HeaderValues::Once(_) | HeaderValues::Nothing, HeaderValues::Once(origin))
            if is_named(settings, origin) =>
        {
            true
        }
        (
            HeaderValues::Once(b"same-origin" | b"none") | HeaderValues::Nothing,
            HeaderValues::Once(origin),
        ) => is_own(settings, request, origin),
        _ => false,
    }
}

/// Returns whether the settings name an origin.
fn is_named(settings: &HttpSettings, origin: &[u8]) -> bool {
    settings.cors_origins.iter().any(|ours| ours.as_str().as_bytes() == origin)
}

/// Returns whether an origin is quash's own: the one in the settings, or the one that the request itself
/// names, which no page of another site can choose. Where clients reach quash over TLS, a page of the same
/// host over plain HTTP is another site: any attacker on the network can forge it.
pub(crate) fn is_own(settings: &HttpSettings, request: &Request, origin: &[u8]) -> bool {
    if settings.public_url.as_ref().is_some_and(|url| url.origin().as_str().as_bytes() == origin) {
        return true;
    }
    let host = match request.uri().authority() {
        Some(authority) => HeaderValues::Once(authority.as_str().as_bytes()),
        None => said(request.headers(), &HOST),
    };
    let HeaderValues::Once(host) = host else { return false };
    let place = match origin.strip_prefix(b"https://") {
        Some(place) => Some(place),
        None => origin
            .strip_prefix(b"http://")
            .filter(|_| !is_reached_over_tls(settings, request) || is_this_machine(host)),
    };
    place.is_some_and(|place| host.eq_ignore_ascii_case(place))
}

/// Returns whether a host is loopback. A developer's browser reaches quash there without TLS, regardless of
/// the settings.
fn is_this_machine(host: &[u8]) -> bool {
    str::from_utf8(host).is_ok_and(is_loopback)
}

/// Returns whether clients reach quash over TLS: its own, or that of the proxy or address in the settings.
fn is_reached_over_tls(settings: &HttpSettings, request: &Request) -> bool {
    let is_https = |url: &PublicUrl| url.origin().as_str().starts_with("https://");
    request.extensions().get::<OverTls>().is_some()
        || settings.behind_proxy
        || settings.public_url.as_ref().is_some_and(is_https)
}

/// A header's content.
enum HeaderValues<'a> {
    Nothing,
    Once(&'a [u8]),
    Often,
}

fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> HeaderValues<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => HeaderValues::Nothing,
        (Some(value), None) => HeaderValues::Once(value.as_bytes()),
        (Some(_), Some(_)) => HeaderValues::Often,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::origin::Origin;
    use axum::body::Body;

    fn judged(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request =
            http::Request::builder().method(method).uri("/api/token/").header(HOST, "auth.example:8443");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cors_origins = vec![Origin::parse("https://app.example").expect("an origin")];
        let settings = HttpSettings { cors_origins, ..HttpSettings::default() };
        !is_ours(&settings, &request.body(Body::empty()).expect("a request"))
    }

    #[test]
    fn fetch_metadata_and_origin_decide_same_site() {
        for own in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://auth.example:8443")],
            &[("origin", "https://auth.example:8443")],
            &[("origin", "https://AUTH.example:8443")],
            &[("origin", "https://app.example")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://app.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")],
        ] {
            assert!(!judged("POST", own), "{own:?}");
        }
        for other in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "SAME-ORIGIN")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://auth.example:8443")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "https://auth.example")],
            &[("origin", "https://auth.example:8443.evil.example")],
            &[("origin", "https://app.example.evil")],
            &[("origin", "https://app.example"), ("origin", "https://evil.example")],
            &[("origin", "")],
        ] {
            assert!(judged("POST", other), "{other:?}");
            assert!(judged("DELETE", other), "{other:?}");
            assert!(!judged("GET", other), "{other:?}");
        }
    }

    #[test]
    fn plain_http_is_cross_site_under_tls() {
        let sent_by = |settings: &HttpSettings, secured: bool, origin: &str| {
            let host = origin.split_once("://").map_or(origin, |(_, host)| host);
            let mut request = http::Request::builder()
                .method("POST")
                .uri("/reset")
                .header(HOST, host)
                .header(ORIGIN, origin);
            if secured {
                request = request.extension(OverTls);
            }
            is_ours(settings, &request.body(Body::empty()).expect("a request"))
        };
        let with_url =
            |url: &str| HttpSettings { public_url: PublicUrl::parse(url).ok(), ..HttpSettings::default() };
        let behind_proxy = HttpSettings { behind_proxy: true, ..HttpSettings::default() };
        for (settings, secured) in [
            (with_url("https://id.example"), false),
            (with_url("https://other.example"), false),
            (behind_proxy, false),
            (HttpSettings::default(), true),
        ] {
            assert!(sent_by(&settings, secured, "https://id.example"), "{settings:?}");
            assert!(!sent_by(&settings, secured, "http://id.example"), "{settings:?}");
        }
        assert!(sent_by(&HttpSettings::default(), false, "http://id.example"));
        assert!(sent_by(&with_url("http://localhost:8000"), false, "http://localhost:8000"));
        assert!(
            sent_by(&with_url("https://id.example"), false, "http://127.0.0.1:8000"),
            "a developer's browser"
        );
    }
}
