//! The shapes of clients in requests and responses of `clients.rs`.

use quash_core::model::{Right, Rights, StoredClient, Timestamp};
use quash_service::{parse_rfc3339, rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::request::items::{ItemError, Member};

/// A client, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Client)]
pub(super) struct ClientShown {
    name: String,
    /// Some of those of `quash client add --right`, or `revoke_as_public` alone for a client without a secret.
    rights: Vec<&'static str>,
    /// The only namespace in which the client may introspect and revoke.
    #[schema(required = true)]
    namespace: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The time from which on the secret isn't accepted; `null`: it doesn't expire.
    #[schema(format = DateTime, required = true)]
    expires_at: Option<String>,
    /// The last use of the secret, to the minute; `null`: it was never used.
    #[schema(format = DateTime, required = true)]
    last_used_at: Option<String>,
}

/// A page of clients.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientPage)]
pub(super) struct ClientsShown {
    /// Sorted by name.
    pub(super) items: Vec<ClientShown>,
    /// The value of `cursor` for the next page.
    #[schema(required = true)]
    pub(super) next: Option<String>,
}

/// A client with its new secret, which isn't shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientWithSecret)]
pub(super) struct SecretShown {
    pub(super) client: ClientShown,
    pub(super) secret: String,
}

/// A client to add. It has either rights or a namespace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClient)]
pub(super) struct NewClientSent<'a> {
    /// 1 to 64 characters from `a` to `z`, `0` to `9`, `.`, `_` and `-`.
    #[schema(value_type = String)]
    #[serde(borrow, default)]
    pub(super) name: Member<'a>,
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(borrow, default)]
    pub(super) rights: Member<'a>,
    /// The only namespace in which the client may introspect and revoke.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    pub(super) namespace: Member<'a>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(borrow, default)]
    pub(super) expires_at: Member<'a>,
}

/// The values of a client to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientValues)]
pub(super) struct ClientValuesSent<'a> {
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(borrow, default)]
    pub(super) rights: Member<'a>,
    /// `null`: the secret doesn't expire.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(borrow, default)]
    pub(super) expires_at: Member<'a>,
}

impl ClientShown {
    pub(super) fn new(StoredClient { client, last_used_at }: &StoredClient) -> Self {
        Self {
            name: client.name.to_string(),
            rights: client.rights.iter().map(Right::as_str).collect(),
            namespace: client.namespace.clone(),
            created_at: rfc3339(client.created_at),
            expires_at: client.expires_at.map(rfc3339),
            last_used_at: last_used_at.map(rfc3339),
        }
    }
}

/// Reads the rights of a client with a secret. `None` if they weren't sent.
pub(super) fn rights(sent: Member<'_>) -> Result<Option<Rights>, ItemError> {
    let Some(words) = sent.read::<Vec<String>>("rights", "a list of rights")? else { return Ok(None) };
    let right = |word: &String| {
        let known = Right::ALL.into_iter().filter(|right| *right != Right::RevokeAsPublic);
        known.into_iter().find(|right| right.as_str() == word)
    };
    let rights: Option<Rights> = words.iter().map(right).collect();
    rights.filter(|rights| *rights != Rights::default()).map(Some).ok_or_else(|| {
        let known = Right::ALL.into_iter().filter(|right| *right != Right::RevokeAsPublic);
        let known: Vec<_> = known.map(|right| format!("`{}`", right.as_str())).collect();
        ItemError { member: "rights", text: format!("Must be one or more of {}.", known.join(", ")) }
    })
}

/// Reads the time at which a secret expires.
pub(super) fn expiry(sent: Member<'_>) -> Result<Option<Timestamp>, ItemError> {
    const KIND: &str = "a time as in RFC 3339, such as `2027-01-31T12:00:00Z`";
    let Some(text) = sent.read::<String>("expires_at", KIND)? else { return Ok(None) };
    let wrong = || ItemError { member: "expires_at", text: format!("Must be {KIND}.") };
    parse_rfc3339(&text).ok_or_else(wrong).map(Some)
}
