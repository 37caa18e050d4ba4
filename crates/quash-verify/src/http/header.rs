//! The Authorization header (RFC 9110 11.6.2, RFC 6750 2.1).

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

/// The reason why no token can be taken from a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderFault {
    /// The header is missing, or its scheme isn't in [`TokenHeader::schemes`].
    Missing,
    /// The scheme is known, but the value isn't of the form `<scheme> <token>`; or there are two headers.
    Malformed,
    /// The token isn't UTF-8.
    NotText,
}

/// The header and the schemes that carry tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenHeader {
    /// The header's name: `Authorization` by default.
    pub name: HeaderName,
    /// The schemes that may precede the token. The first is named in `WWW-Authenticate`.
    pub schemes: Vec<String>,
    /// The comparison of schemes.
    pub case: SchemeCase,
}

/// The comparison of schemes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SchemeCase {
    /// Ignores case (RFC 9110 11.1).
    #[default]
    Ignored,
    /// Compares exactly, as Simple JWT does.
    Exact,
}

impl Default for TokenHeader {
    fn default() -> Self {
        Self { name: AUTHORIZATION, schemes: vec!["Bearer".into()], case: SchemeCase::default() }
    }
}

impl TokenHeader {
    /// Returns the token of a request.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    /// let mut headers = HeaderMap::new();
    /// headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer abc"));
    /// assert_eq!(quash_verify::TokenHeader::default().token(&headers), Ok("abc"));
    /// ```
    ///
    /// # Errors
    /// Returns an error if there is no token, or if it can't be identified.
    pub fn token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, HeaderFault> {
        let mut values = headers.get_all(&self.name).iter();
        let value = values.next().ok_or(HeaderFault::Missing)?;
        if values.next().is_some() {
            return Err(HeaderFault::Malformed);
        }
        let mut words = value.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let scheme = words.next().ok_or(HeaderFault::Missing)?;
        if !self.schemes.iter().any(|ours| self.case.matches(ours.as_bytes(), scheme)) {
            return Err(HeaderFault::Missing);
        }
        match (words.next(), words.next()) {
            (Some(token), None) => std::str::from_utf8(token).map_err(|_| HeaderFault::NotText),
            _ => Err(HeaderFault::Malformed),
        }
    }
}

impl SchemeCase {
    fn matches(self, ours: &[u8], theirs: &[u8]) -> bool {
        match self {
            Self::Ignored => ours.eq_ignore_ascii_case(theirs),
            Self::Exact => ours == theirs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_authorization_headers_are_refused() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, http::HeaderValue::from_bytes(value).expect("a header value"));
            }
            TokenHeader::default().token(&headers).map(str::to_owned)
        };
        assert_eq!(of(&[]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b""]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"Basic abc"]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"abc"]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"Bearer"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"Bearer  x y"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"Bearer a", b"Bearer b"]), Err(HeaderFault::Malformed));
        assert_eq!(of(&[b"Bearer \xff\xfe"]), Err(HeaderFault::NotText));
        assert_eq!(of(&[b"\xff\xfe abc"]), Err(HeaderFault::Missing));
        assert_eq!(of(&[b"bearer\tabc"]), Ok("abc".to_owned()));
        assert_eq!(of(&[b"Bearer   abc "]), Ok("abc".to_owned()));
        assert_eq!(of(&["Bearer é".as_bytes()]), Ok("é".to_owned()), "isn't a token, but is text");
    }

    #[test]
    fn header_name_and_exact_schemes_can_be_configured() {
        let strict = TokenHeader {
            name: HeaderName::from_static("x-access-token"),
            schemes: vec!["JWT".into(), "Bearer".into()],
            case: SchemeCase::Exact,
        };
        let of = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )]);
            strict.token(&headers).map(str::to_owned)
        };
        assert_eq!(of("x-access-token", "JWT abc"), Ok("abc".to_owned()));
        assert_eq!(of("x-access-token", "Bearer abc"), Ok("abc".to_owned()));
        assert_eq!(of("x-access-token", "bearer abc"), Err(HeaderFault::Missing));
        assert_eq!(of("authorization", "JWT abc"), Err(HeaderFault::Missing));
    }
}
