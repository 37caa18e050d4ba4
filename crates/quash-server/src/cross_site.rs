//! Requests that another site's page has a browser send (cross-site request forgery). Where a cookie speaks for a user they
//! are refused, and so are those that would sign the user in as somebody else.
//!
//! A browser tells where a request comes from in `Sec-Fetch-Site`, which no script can write; older ones in `Origin`. Who
//! sends neither is no browser, and nobody else's cookies go with what it sends.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HOST, HeaderName, ORIGIN};

use crate::cookie::RefreshCookie;
use crate::door::Door;
use crate::error::Fault;
use crate::origin::Origin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site's page has sent, where refresh tokens travel in a cookie.
pub(crate) async fn same_site(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let settings = &door.settings;
    if settings.refresh_cookie == RefreshCookie::Off || !is_cross_site(&request, &settings.cors_origins) {
        return next.run(request).await;
    }
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let ours = path.strip_prefix(&settings.prefix).unwrap_or_default();
    if ours.starts_with("/token") || ours.starts_with("/logout") {
        return door.answer(Fault::cross_site());
    }
    Fault::cross_site().into_problem(settings)
}

/// Whether a page of another site has sent it, and none of those that an operator names.
fn is_cross_site(request: &Request, trusted: &[Origin]) -> bool {
    if request.method().is_safe() {
        return false;
    }
    let headers = request.headers();
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, another) = (origins.next(), origins.next());
    let is_trusted =
        || another.is_none() && origin.is_some_and(|origin| trusted.iter().any(|ours| ours.as_str().as_bytes() == origin.as_bytes()));
    let is_own = match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin" || site == "none",
        None => another.is_none() && origin.is_none_or(|origin| is_at_host(origin.as_bytes(), request)),
    };
    !is_own && !is_trusted()
}

/// Whether an origin is the host that the request is for. The scheme isn't compared: a proxy may have spoken TLS.
fn is_at_host(origin: &[u8], request: &Request) -> bool {
    let place = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    let host =
        request.headers().get(HOST).map(|host| host.as_bytes()).or_else(|| request.uri().authority().map(|at| at.as_str().as_bytes()));
    place.zip(host).is_some_and(|(place, host)| place.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn judged(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::builder().method(method).uri("/api/token/").header(HOST, "auth.example:8443");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let trusted = [Origin::parse("https://app.example").expect("an origin")];
        is_cross_site(&request.body(Body::empty()).expect("a request"), &trusted)
    }

    #[test]
    fn a_browser_tells_where_a_request_comes_from() {
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
}
