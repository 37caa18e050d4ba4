//! Custom claims: what a session's tokens say besides our own claims.

use serde_json::{Map, Value};

use super::limits;
use crate::token::{Duplicates, parse_json};

/// Claims besides our own, in their order. As JSON they are no longer than [`limits::CLAIMS_BYTES`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CustomClaims(Vec<(String, Value)>);

/// The custom claims of an account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AccountClaims {
    /// It never had any.
    #[default]
    Unset,
    /// Those of the first token of another issuer that it adopted.
    Adopted(CustomClaims),
    /// Those that an operator has set, which may be none.
    Set(CustomClaims),
}

impl AccountClaims {
    /// The claims of a session's tokens: exactly what an operator has set; else those of the token that the session has adopted,
    /// over those of the account.
    #[must_use]
    pub fn in_session(&self, adopted: &CustomClaims) -> CustomClaims {
        match self {
            Self::Unset => adopted.clone(),
            Self::Adopted(own) => adopted.over(own),
            Self::Set(own) => own.clone(),
        }
    }

    /// Each of them.
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
    /// Claims from a token.
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

    /// Claims from what the store keeps.
    ///
    /// ```
    /// use quash_core::model::CustomClaims;
    /// let claims = CustomClaims::parse(r#"{"role":"admin"}"#)?;
    /// assert_eq!(claims.to_json().as_deref(), Some(r#"{"role":"admin"}"#));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// It isn't an object, or too long.
    pub fn parse(json: &str) -> Result<Self, CustomClaimsFault> {
        if json.len() > limits::CLAIMS_BYTES {
            return Err(CustomClaimsFault);
        }
        match parse_json(json.as_bytes(), Duplicates::Refuse) {
            Ok(Value::Object(claims)) => Ok(Self(claims.into_iter().collect())),
            _ => Err(CustomClaimsFault),
        }
    }

    /// Claims that somebody writes, with whatever white space.
    ///
    /// # Errors
    /// It isn't an object, or too long without the white space.
    pub fn read(json: &str) -> Result<Self, CustomClaimsFault> {
        match parse_json(json.as_bytes(), Duplicates::Refuse) {
            Ok(Value::Object(claims)) => Self::new(&claims.into_iter().collect::<Vec<_>>()),
            _ => Err(CustomClaimsFault),
        }
    }

    /// What the store keeps; `None` where there are none.
    pub fn to_json(&self) -> Option<String> {
        let claims: Map<_, _> = self.0.iter().cloned().collect();
        (!claims.is_empty()).then(|| Value::Object(claims).to_string())
    }

    /// These, and of others those that have no namesake here; or these alone, where both together would be too long.
    #[must_use]
    pub fn over(&self, others: &Self) -> Self {
        let named = |name: &str| self.0.iter().any(|(own, _)| own == name);
        let all: Vec<_> =
            self.0.iter().chain(others.0.iter().filter(|(name, _)| !named(name))).cloned().collect();
        Self::new(&all).unwrap_or_else(|_| self.clone())
    }

    /// Whether both say the same, in whatever order.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|claim| other.0.contains(claim))
    }

    /// Each of them.
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
    fn claims_lie_over_others_of_their_names() {
        let of = |json: &str| CustomClaims::parse(json).expect("claims");
        assert_eq!(of(r#"{"a":1}"#).over(&of(r#"{"b":2,"a":3}"#)), of(r#"{"a":1,"b":2}"#));
        let long = CustomClaims::new(&[("c".into(), Value::String("x".repeat(limits::CLAIMS_BYTES - 8)))])
            .expect("just so long");
        assert_eq!(of(r#"{"a":1}"#).over(&long), of(r#"{"a":1}"#), "both would be too long");
    }
}
