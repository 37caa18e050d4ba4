//! The headers in which browsers say where a request comes from (Fetch Metadata Request Headers).

use http::HeaderMap;
use http::header::HeaderName;

pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Returns whether a script sends the request to another origin, according to the browser. A submitted form
/// or a followed link needs no permission.
pub(crate) fn is_cors(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, values: &[&str]| {
        headers.get(name).is_none_or(|value| values.iter().any(|known| value == known))
    };
    says(&SEC_FETCH_MODE, &["cors"]) && says(&SEC_FETCH_SITE, &["cross-site", "same-site"])
}
