//! The namespaces in the policy: what a verifier needs to check the tokens of other issuers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digested::Bytes;
use super::millis;
use crate::model::{ClaimNames, Kid, Namespace, NamespaceClaims, ScopeHasher};
use crate::token::{Algorithm, Expected, ForeignKey, Issuer, KeyRing, KeySet, VerifyingKey};

/// The namespace of another issuer's tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamespaceFields {
    pub(super) name: String,
    longest_lifetime_ms: u64,
    accepted: Vec<String>,
    claims: NamespaceClaimFields,
    /// An older verifier ignores them: it accepts no tokens of a namespace.
    #[serde(default)]
    keys: Vec<KeyFields>,
}

/// The names of the claims in a namespace's tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct NamespaceClaimFields {
    session: Option<String>,
    position: Option<String>,
    subject: String,
    token: Option<String>,
    r#type: String,
}

/// A key that signs a namespace's tokens, and the `iss` and `aud` that these must have. A verifier ignores a
/// key of a kind that it doesn't know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeyFields {
    /// The name by which a revocation names the key.
    id: String,
    iss: Option<String>,
    aud: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<SecretFields>,
    /// A public key (RFC 7517). Has a `kid` if tokens name the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwk: Option<Value>,
}

/// A secret, of which only a check value is sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SecretFields {
    /// The name of the key in tokens.
    kid: Option<String>,
    alg: String,
    check: Bytes<32>,
}

/// A namespace's keys, as far as a verifier can use them.
pub struct NamespaceKeys {
    pub keys: Vec<ForeignKey>,
    /// The number of the others: their secrets are missing, or their kind is unknown.
    pub unusable: usize,
}

/// The most bytes of keys in a policy. It must fit into one line of a snapshot, and an issuer's JWKS may have
/// many keys. Each namespace has an equal share, and those with more keys also get what others leave.
const KEY_BYTES: usize = 64 * 1024;

impl NamespaceFields {
    /// Returns the namespaces of a policy, with the keys of the ring.
    pub(super) fn all(namespaces: &[Namespace], names: &ClaimNames, ring: &KeyRing) -> Vec<Self> {
        let mut all: Vec<_> = namespaces.iter().map(|one| Self::new(one, names)).collect();
        for (name, key) in sendable(ring.foreign()) {
            if let Some(of) = all.iter_mut().find(|of| of.name == name) {
                of.keys.push(key);
            }
        }
        all
    }

    fn new(namespace: &Namespace, names: &ClaimNames) -> Self {
        let NamespaceClaims { session, position, subject, token } = namespace.claims.clone();
        let r#type = names.token_type.clone();
        Self {
            name: namespace.name.clone(),
            longest_lifetime_ms: millis(namespace.max_lifetime),
            accepted: namespace.accepted.clone(),
            claims: NamespaceClaimFields { session, position, subject, token, r#type },
            keys: Vec::new(),
        }
    }

    /// Returns the keys that this program can use. A secret is usable if it is one of `secrets`. `audience`
    /// are the audiences that the application accepts; an empty list accepts those of the namespace.
    pub(super) fn usable_keys(
        &self,
        scopes: &ScopeHasher,
        secrets: &[impl AsRef<[u8]>],
        audience: &[String],
    ) -> NamespaceKeys {
        let namespace = Namespace::from(self);
        let keys: Vec<_> = self
            .keys
            .iter()
            .filter_map(|fields| {
                let (key, token_kid) = fields.key(secrets)?;
                let issuer = Issuer {
                    name: self.name.clone(),
                    scopes: scopes.in_namespace(&self.name),
                    max_lifetime: namespace.max_lifetime,
                    iss: fields.iss.clone().map_or(Expected::Anything, Expected::Exactly),
                    aud: both(fields.aud.as_deref(), audience),
                    namespace: Some(namespace.clone()),
                    dropped: Vec::new(),
                };
                Some(ForeignKey { key, token_kid, issuer: Arc::new(issuer) })
            })
            .collect();
        NamespaceKeys { unusable: self.keys.len() - keys.len(), keys }
    }
}

impl From<&NamespaceFields> for Namespace {
    fn from(fields: &NamespaceFields) -> Self {
        let NamespaceClaimFields { session, position, subject, token, .. } = fields.claims.clone();
        Self {
            name: fields.name.clone(),
            max_lifetime: Duration::from_millis(fields.longest_lifetime_ms),
            accepted: fields.accepted.clone(),
            claims: NamespaceClaims { session, position, subject, token },
        }
    }
}

/// Returns the number of keys of namespaces that don't fit into a policy.
pub fn keys_beyond_policy(keys: &[ForeignKey]) -> usize {
    keys.iter().filter(|key| key.issuer.namespace.is_some()).count() - sendable(keys).len()
}

/// Returns the keys of namespaces that fit into a policy, each with its namespace. A namespace with many keys
/// takes no room from one with few.
fn sendable(keys: &[ForeignKey]) -> Vec<(&str, KeyFields)> {
    let mut of_namespaces = BTreeMap::<&str, usize>::new();
    let mut all: Vec<_> = keys
        .iter()
        .filter_map(|key| {
            let name = key.issuer.namespace.as_ref()?.name.as_str();
            let fields = KeyFields::new(key);
            // Strings and lists of them can't fail to serialize.
            let bytes = serde_json::to_vec(&fields).map_or(KEY_BYTES, |text| text.len());
            let so_far = of_namespaces.entry(name).or_default();
            *so_far += bytes;
            Some((*so_far, bytes, name, fields))
        })
        .collect();
    // By what a namespace has taken with this key, so that all namespaces take the same before one takes more.
    all.sort_by_key(|(so_far, ..)| *so_far);
    let mut room = KEY_BYTES;
    let fits = all.into_iter().map_while(|(_, bytes, name, fields)| {
        room = room.checked_sub(bytes)?;
        Some((name, fields))
    });
    fits.collect()
}

impl KeyFields {
    fn new(found: &ForeignKey) -> Self {
        let ForeignKey { key, token_kid, issuer } = found;
        let kid = token_kid.as_ref().map(|kid| kid.as_str().to_owned());
        let secret = key.check_value().map(|check| SecretFields {
            kid: kid.clone(),
            alg: key.algorithm().as_str().into(),
            check: Bytes(check),
        });
        Self {
            id: key.kid().as_str().into(),
            iss: issuer.iss.clone().exactly(),
            aud: issuer.aud.clone().exactly(),
            secret,
            jwk: key.jwk_named(kid),
        }
    }

    /// Returns the key under the name that revocations have for it, and its name in tokens. `None` if this
    /// program can't use it.
    fn key(&self, secrets: &[impl AsRef<[u8]>]) -> Option<(VerifyingKey, Option<Kid>)> {
        let id = Kid::parse(&self.id).ok()?;
        if let Some(SecretFields { kid, alg, check }) = &self.secret {
            let algorithm = Algorithm::parse(alg)?;
            let kid = kid.as_deref().map(Kid::parse).transpose().ok()?;
            let mut keys = secrets.iter().filter_map(|secret| {
                VerifyingKey::insecure_hmac(algorithm, secret.as_ref(), id.clone()).ok()
            });
            return Some((keys.find(|key| key.matches_check_value(&check.0))?, kid));
        }
        let set = serde_json::json!({ "keys": [self.jwk.as_ref()?] });
        let found = KeySet::parse(set.to_string().as_bytes()).ok()?.keys.pop()?;
        let kid = found.token_kid();
        // A secret in a policy isn't secret.
        let is_public = found.key.check_value().is_none();
        is_public.then(|| (found.key.renamed(Some(id)), kid))
    }
}

/// The audiences that both the namespace and the application accept.
fn both(namespace: Option<&[String]>, application: &[String]) -> Expected<Vec<String>> {
    match (namespace, application) {
        (None, []) => Expected::Anything,
        (Some(one), []) | (None, one) => Expected::Exactly(one.to_vec()),
        (Some(one), other) => {
            Expected::Exactly(one.iter().filter(|audience| other.contains(audience)).cloned().collect())
        }
    }
}
