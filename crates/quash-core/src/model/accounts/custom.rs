//! Custom claims: all claims of a session's tokens except quash's own.

use serde_json::{Map, Value};

use crate::model::limits;
use crate::token::{Duplicates, parse_json};

/// Custom claims in their original order. Their JSON is at most [`limits::CLAIMS_BYTES`] long.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CustomClaims(Vec<(String, Value)>);

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AccountClaims {
    /// The account never had any.
    #[default]
    Unset,
    /// The claims of the first token of another issuer that the account adopted.
    Adopted(CustomClaims),
    /// The claims that an operator set. May be empty.
    Set(CustomClaims),
}

impl AccountClaims {
    /// The claims of a session's tokens: exactly those that an operator set, else those of the token that the
    /// session adopted merged over those of the account.
    #[must_use]
    pub fn in_session(&self, adopted: &CustomClaims) -> CustomClaims {
        match self {
            Self::Unset => adopted.clone(),
            Self::Adopted(own) => adopted.merged_over(own),
            Self::Set(own) => own.clone(),
        }
    }

    pub fn as_slice(&self) -> &[(String, Value)] {
        match self {
            Self::Unset => &[],
            Self::Adopted(claims) | Self::Set(claims) => claims.as_slice(),
        }
    }
}

/// The claims are longer than the limit, or aren't a JSON object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a JSON object of at most {} bytes", limits::CLAIMS_BYTES)]
pub struct CustomClaimsFault;

impl CustomClaims {
    /// Takes the claims of a token.
    ///
    /// # Errors
    /// They are too long.
    pub fn new(claims: &[(String, Value)]) -> Result<Self, CustomClaimsFault> {
        let claims = Self(claims.to_vec());
        if claims.to_json().is_none_or(|json| json.len() <= limits::CLAIMS_BYTES) {
            Ok(claims)
        } else {
            Err(CustomClaimsFault)
        }
    }

    /// Parses claims as the store keeps them.
    ///
    /// ```
    /// use quash_core::model::CustomClaims;
    /// let claims = CustomClaims::parse(r#"{"role":"admin"}"#)?;
    /// assert_eq!(claims.to_json().as_deref(), Some(r#"{"role":"admin"}"#));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The text is too long or isn't a JSON object.
    pub fn parse(json: &str) -> Result<Self, CustomClaimsFault> {
        if json.len() > limits::CLAIMS_BYTES {
            return Err(CustomClaimsFault);
        }
        match parse_json(json.as_bytes(), Duplicates::Refuse) {
            Ok(Value::Object(claims)) => Ok(Self(claims.into_iter().collect())),
            _ => Err(CustomClaimsFault),
        }
    }

    /// Parses claims that a person wrote. White space doesn't count towards the limit.
    ///
    /// # Errors
    /// The text isn't a JSON object, or is too long even without the white space.
    pub fn read(json: &str) -> Result<Self, CustomClaimsFault> {
        match parse_json(json.as_bytes(), Duplicates::Refuse) {
            Ok(Value::Object(claims)) => Self::new(&claims.into_iter().collect::<Vec<_>>()),
            _ => Err(CustomClaimsFault),
        }
    }

    /// The claims as the store keeps them; `None` if there are none.
    pub fn to_json(&self) -> Option<String> {
        let claims: Map<_, _> = self.0.iter().cloned().collect();
        (!claims.is_empty()).then(|| Value::Object(claims).to_string())
    }

    /// Merges these claims over others: the others' claims of the same name are dropped. Returns these claims
    /// alone if the result would be too long.
    #[must_use]
    pub fn merged_over(&self, others: &Self) -> Self {
        let named = |name: &str| self.0.iter().any(|(own, _)| own == name);
        let all: Vec<_> =
            self.0.iter().chain(others.0.iter().filter(|(name, _)| !named(name))).cloned().collect();
        Self::new(&all).unwrap_or_else(|_| self.clone())
    }

    /// Returns whether both have the same claims in any order.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|claim| other.0.contains(claim))
    }

    pub fn as_slice(&self) -> &[(String, Value)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_limited_one_past_the_edge() {
        let of = |length: usize| CustomClaims::new(&[("a".into(), Value::String("x".repeat(length - 8)))]);
        assert!(of(limits::CLAIMS_BYTES).is_ok());
        assert_eq!(of(limits::CLAIMS_BYTES + 1), Err(CustomClaimsFault));
        assert_eq!(CustomClaims::parse("[]"), Err(CustomClaimsFault));
        let wide = |length: usize| {
            CustomClaims::read(&format!("{{\n{}\"a\" : \"{}\"}}", " ".repeat(5000), "x".repeat(length - 8)))
        };
        assert_eq!(wide(limits::CLAIMS_BYTES), of(limits::CLAIMS_BYTES));
        assert_eq!(wide(limits::CLAIMS_BYTES + 1), Err(CustomClaimsFault));
        for none in ["", "[]", "null", "{", r#"{"a":1,"a":2}"#, &"{\"a\":".repeat(17)] {
            assert_eq!(CustomClaims::read(none), Err(CustomClaimsFault), "{none}");
        }
        assert_eq!(CustomClaims::default().to_json(), None);
    }

    #[test]
    fn numbers_survive_each_renewal() {
        let sent = format!("{{\"n\":{}71791869184}}", "1".to_owned() + &"6".repeat(58));
        let claims = CustomClaims::parse(&sent).expect("claims");
        let renewed = claims.to_json().expect("a claim");
        assert_eq!(CustomClaims::parse(&renewed), Ok(claims), "{renewed}");
    }

    #[test]
    fn operators_claims_replace_adopted_ones() {
        let of = |json: &str| CustomClaims::parse(json).expect("claims");
        let adopted = of(r#"{"a":1,"b":2}"#);
        assert_eq!(AccountClaims::Unset.in_session(&adopted), adopted);
        assert_eq!(
            AccountClaims::Adopted(of(r#"{"a":9,"c":3}"#)).in_session(&adopted),
            of(r#"{"a":1,"b":2,"c":3}"#)
        );
        assert_eq!(AccountClaims::Set(of(r#"{"c":3}"#)).in_session(&adopted), of(r#"{"c":3}"#));
        assert_eq!(AccountClaims::Set(CustomClaims::default()).in_session(&adopted), CustomClaims::default());
    }

    #[test]
    fn claims_replace_others_of_the_same_name() {
        let of = |json: &str| CustomClaims::parse(json).expect("claims");
        assert_eq!(of(r#"{"a":1}"#).merged_over(&of(r#"{"b":2,"a":3}"#)), of(r#"{"a":1,"b":2}"#));
        let long = CustomClaims::new(&[("c".into(), Value::String("x".repeat(limits::CLAIMS_BYTES - 8)))])
            .expect("exactly at the limit");
        assert_eq!(of(r#"{"a":1}"#).merged_over(&long), of(r#"{"a":1}"#), "both would be too long");
    }
}
