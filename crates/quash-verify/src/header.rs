//! The Authorization header (RFC 9110 11.6.2, RFC 6750 2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Why a request brings no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderFault {
    /// There is no header, or it is of a scheme that isn't ours.
    Missing,
    /// It is of our scheme, but not of the form `<scheme> <token>`; or there are two.
    Malformed,
}

/// The token of a request. Schemes are compared without regard to case (RFC 9110 11.1).
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer abc"));
/// assert_eq!(quash_verify::bearer(&headers, &["Bearer".to_owned()]), Ok("abc"));
/// ```
///
/// # Errors
/// There is no token, or none that can be told apart.
pub fn bearer<'a>(headers: &'a HeaderMap, schemes: &[String]) -> Result<&'a str, HeaderFault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(HeaderFault::Missing)?;
    if values.next().is_some() {
        return Err(HeaderFault::Malformed);
    }
    let mut words = value.to_str().map_err(|_| HeaderFault::Malformed)?.split_ascii_whitespace();
    let scheme = words.next().ok_or(HeaderFault::Missing)?;
    if !schemes.iter().any(|ours| ours.eq_ignore_ascii_case(scheme)) {
        return Err(HeaderFault::Missing);
    }
    match (words.next(), words.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(HeaderFault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_headers_are_told_apart() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, http::HeaderValue::from_bytes(value).expect("a header value"));
            }
            bearer(&headers, &["Bearer".to_owned()]).map(str::to_owned)
        };
        assert_eq!(of(&[]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b""]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"Basic abc"]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"abc"]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"Bearer"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"Bearer  x y"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"Bearer a", b"Bearer b"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"Bearer \xff\xfe"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"bearer\tabc"]), Ok("abc".to_owned()));
        assert_eq!(of(&[b"Bearer   abc "]), Ok("abc".to_owned()));
    }
}
