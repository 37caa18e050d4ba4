//! The names of the claims in one issuer's tokens.

use crate::model::{ClaimNames, NamespaceClaims, UserIdType};

/// The issuer of the tokens whose claims are read or written, and the names that it uses.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    names: &'a ClaimNames,
    pub(super) issuer: IssuerKind<'a>,
}

/// The treatment of `sid`, `rsq` and `gen`, unless they are names of other claims.
#[derive(Clone, Copy)]
pub(super) enum IssuerKind<'a> {
    /// They are quash's claims.
    Quash,
    /// They are custom claims.
    Accounts,
    /// They are refused: an application could take them for quash's.
    Namespace(&'a NamespaceClaims),
}

impl<'a> Names<'a> {
    pub(super) fn new(names: &'a ClaimNames, issuer: IssuerKind<'a>) -> Self {
        Self { names, issuer }
    }

    pub(super) fn token_type(self) -> &'a str {
        &self.names.token_type
    }

    pub(super) fn jti(self) -> Option<&'a str> {
        match self.namespace() {
            Some(claims) => claims.token.as_deref(),
            None => Some(&self.names.jti),
        }
    }

    pub(super) fn user_id(self) -> &'a str {
        self.namespace().map_or(&self.names.user_id, |claims| &claims.subject)
    }

    pub(super) fn refresh_exp(self) -> Option<&'a str> {
        self.namespace().is_none().then_some(&self.names.refresh_exp)
    }

    pub(super) fn password_mark(self) -> Option<&'a str> {
        self.names.password_mark.as_deref().filter(|_| self.namespace().is_none())
    }

    pub(super) fn session(self) -> Option<&'a str> {
        self.namespace()?.session.as_deref()
    }

    pub(super) fn position(self) -> Option<&'a str> {
        self.namespace()?.position.as_deref()
    }

    /// Returns whether a custom claim of this name must not be written. Those of a namespace have been read
    /// from a token, so their names differ from all others.
    pub(super) fn reserves(self, name: &str) -> bool {
        self.namespace().is_none() && self.names.reserves(name)
    }

    pub(super) fn user_id_type(self) -> UserIdType {
        self.names.user_id_type
    }

    fn namespace(self) -> Option<&'a NamespaceClaims> {
        match self.issuer {
            IssuerKind::Namespace(claims) => Some(claims),
            IssuerKind::Quash | IssuerKind::Accounts => None,
        }
    }
}
