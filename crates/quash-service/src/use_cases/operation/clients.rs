//! Clients: other services with secrets of their own, and public ones without. A secret is looked up by its
//! digest. The HTTP layer checks a client's rights.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{
    Change, Client, ClientName, ClientNameFault, Entropy, Note, Rights, SecretDigest, draw, limits,
};
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::Service;
use crate::credential::Credential;
use crate::failure::Failure;
use crate::retry::{Uncommitted, retry};

/// The longest wait for the store before the metrics are read without it.
const METRICS_WAIT: Duration = Duration::from_secs(1);
/// The prefix of a client's secret, so that a leaked one is recognized.
const CLIENT: &str = "qc_";
/// The prefix of a verifier's secret.
const VERIFIER: &str = "qv_";
/// The prefix of the secret of a client that is limited to a namespace.
const NAMESPACED: &str = "qn_";
/// The prefix of a public client's name, which is digested in place of a secret.
const PUBLIC: &str = "public client ";
/// The length of the random part: 32 bytes in base64url.
const RANDOM_CHARS: usize = 43;

/// A client's secret. It is shown once and not stored.
pub struct ClientSecret(Zeroizing<String>);

/// A reason why a client isn't added or removed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientFault {
    /// The text isn't a valid name.
    #[error("the name {0}")]
    Name(#[source] ClientNameFault),
    #[error("there is a client of this name already")]
    Taken,
    #[error("there is no client of this name")]
    Unknown,
    #[error("the settings have no such namespace")]
    Namespace,
    /// A failure on our side.
    #[error("the client could not be changed now")]
    Failed(Failure),
}

impl Service {
    /// The client that has this secret, or `None`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn client(&self, secret: &str) -> Result<Option<Client>, Failure> {
        Ok(self.credential(secret).await?.map(|credential| credential.client))
    }

    /// Like [`Service::client`], for work that outlives a request: the credential can be checked again later.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn credential(&self, secret: &str) -> Result<Option<Credential>, Failure> {
        let Some(digest) = ClientSecret::digest_of(secret) else { return Ok(None) };
        Ok(self.context.store.client(digest).await?.map(|client| Credential { client, digest }))
    }

    /// Whether a secret is that of a client, for reading the metrics: while the store is unavailable, also if it was when
    /// the store answered last.
    ///
    /// # Errors
    /// The store is unavailable, and the secret isn't known.
    pub async fn may_read_metrics(&self, secret: &str) -> Result<bool, Failure> {
        let Some(digest) = ClientSecret::digest_of(secret) else { return Ok(false) };
        let metrics = &self.context.metrics;
        match tokio::time::timeout(METRICS_WAIT, self.context.store.client(digest)).await {
            Ok(Ok(found)) => Ok(metrics.may_read(digest, Some(found.is_some()))),
            Ok(Err(_)) | Err(_) if metrics.may_read(digest, None) => Ok(true),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StoreError::Unavailable("the store doesn't answer".into()).into()),
        }
    }

    /// The public client of this name. `None` if there is none, or if the client has a secret and must send
    /// it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn public_client(&self, name: &str) -> Result<Option<Client>, Failure> {
        match ClientName::parse(name) {
            Ok(name) => Ok(self.context.store.client(digest_of_public(&name)).await?),
            Err(_) => Ok(None),
        }
    }

    /// Returns a page of clients, ordered by name, after the name `after`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<Client>, Failure> {
        Ok(self.context.store.clients(after, limit.min(limits::PAGE)).await?)
    }

    /// Adds a client with a new secret.
    ///
    /// # Errors
    /// The name is taken or invalid, or the store is unavailable.
    pub async fn add_client(
        &self,
        name: &str,
        rights: Rights,
        note: Option<Note>,
    ) -> Result<(Client, ClientSecret), ClientFault> {
        self.add(self.new_client(name, rights)?, note).await
    }

    /// Adds a client of one namespace: it follows the feed, and introspects and revokes in that namespace.
    ///
    /// # Errors
    /// The name is taken or invalid, the settings have no such namespace, or the store is unavailable.
    pub async fn add_namespace_client(
        &self,
        name: &str,
        namespace: &str,
        note: Option<Note>,
    ) -> Result<(Client, ClientSecret), ClientFault> {
        if self.policy().tokens.namespace(namespace).is_none() {
            return Err(ClientFault::Namespace);
        }
        let client = self.new_client(name, Rights::NAMESPACE)?;
        self.add(Client { namespace: Some(namespace.to_owned()), ..client }, note).await
    }

    async fn add(&self, client: Client, note: Option<Note>) -> Result<(Client, ClientSecret), ClientFault> {
        let secret = ClientSecret::new(&client, &*self.context.entropy);
        self.write_client(client.clone(), secret.digest(), note).await?;
        Ok((client, secret))
    }

    /// Adds a public client.
    ///
    /// # Errors
    /// The name is taken or invalid, or the store is unavailable.
    pub async fn add_public_client(&self, name: &str, note: Option<Note>) -> Result<Client, ClientFault> {
        let client = self.new_client(name, Rights::PUBLIC)?;
        self.write_client(client.clone(), digest_of_public(&client.name), note).await?;
        Ok(client)
    }

    fn new_client(&self, name: &str, rights: Rights) -> Result<Client, ClientFault> {
        Ok(Client {
            name: ClientName::parse(name).map_err(ClientFault::Name)?,
            rights,
            created_at: self.context.clock.now(),
            namespace: None,
        })
    }

    async fn write_client(
        &self,
        client: Client,
        digest: SecretDigest,
        note: Option<Note>,
    ) -> Result<(), ClientFault> {
        let added = self.context.store.commit(Change::AddClient { client, digest, note }).await;
        added.map(|_| ()).map_err(|error| match error {
            StoreError::Conflict => ClientFault::Taken,
            StoreError::Full | StoreError::Unavailable(_) | StoreError::Unknown(_) => {
                ClientFault::Failed(error.into())
            }
        })
    }

    /// Removes a client and invalidates its secret. Sessions that it has opened stay.
    ///
    /// # Errors
    /// There is no client of this name that satisfies `meant`, or the store is unavailable.
    pub async fn remove_client(
        &self,
        name: &str,
        meant: fn(&Client) -> bool,
        note: Option<Note>,
    ) -> Result<Client, ClientFault> {
        let context = &*self.context;
        retry!({
            let found = self.client_named(name).await?;
            let client = found.filter(meant).ok_or(Uncommitted::Failed(ClientFault::Unknown))?;
            let change =
                Change::RemoveClient { client: client.clone(), at: context.clock.now(), note: note.clone() };
            context.store.commit(change).await?;
            context.feed.broadcast.recheck_credentials();
            Ok(client)
        })
    }

    async fn client_named(&self, name: &str) -> Result<Option<Client>, Failure> {
        let mut after: Option<ClientName> = None;
        loop {
            let page = self.clients(after.as_ref(), limits::PAGE).await?;
            let Some(last) = page.last().map(|client| client.name.clone()) else { return Ok(None) };
            if let Some(found) = page.into_iter().find(|client| client.name.as_str() == name) {
                return Ok(Some(found));
            }
            after = Some(last);
        }
    }
}

impl ClientSecret {
    fn new(client: &Client, entropy: &dyn Entropy) -> Self {
        let random = Zeroizing::new(draw::<32>(entropy));
        let mut text = Zeroizing::new(String::with_capacity(CLIENT.len() + RANDOM_CHARS));
        text.push_str(match &client.namespace {
            Some(_) => NAMESPACED,
            None if client.is_only_verifier() => VERIFIER,
            None => CLIENT,
        });
        URL_SAFE_NO_PAD.encode_string(random.as_slice(), &mut text);
        Self(text)
    }

    /// The text of the secret, to be shown once.
    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }

    fn digest(&self) -> SecretDigest {
        sha256(&self.0)
    }

    /// The digest of a text that looks like a secret; no other text is looked up.
    fn digest_of(text: &str) -> Option<SecretDigest> {
        let random = [CLIENT, VERIFIER, NAMESPACED].iter().find_map(|prefix| text.strip_prefix(prefix))?;
        let is_encoded = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        (random.len() == RANDOM_CHARS && random.bytes().all(is_encoded)).then(|| sha256(text))
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

fn digest_of_public(name: &ClientName) -> SecretDigest {
    sha256(&format!("{PUBLIC}{name}"))
}

fn sha256(text: &str) -> SecretDigest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    SecretDigest(bytes)
}

impl From<Failure> for ClientFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::{Right, Seeded, Timestamp};

    use super::*;

    fn secret(rights: Rights) -> Zeroizing<String> {
        let client = Client {
            name: ClientName::parse("chat").expect("a name"),
            rights,
            created_at: Timestamp::default(),
            namespace: None,
        };
        ClientSecret::new(&client, &Seeded::new(1)).into_text()
    }

    #[test]
    fn secrets_have_a_kind_prefix_and_256_bits() {
        for (rights, prefix) in
            [(Rights::VERIFIER, VERIFIER), ([Right::Introspect].into_iter().collect(), CLIENT)]
        {
            let text = secret(rights);
            let random = text.strip_prefix(prefix).expect("a prefix");
            assert_eq!(URL_SAFE_NO_PAD.decode(random).map(|bytes| bytes.len()), Ok(32));
            assert_eq!(ClientSecret::digest_of(&text), Some(sha256(&text)));
        }
    }

    #[test]
    fn malformed_client_secrets_are_not_looked_up() {
        let good = secret(Rights::VERIFIER);
        let others = [
            "",
            "qv_",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{}x", *good),
            &good.replace("qv_", "qx_"),
            &format!(" {}", *good),
        ];
        for text in others {
            assert_eq!(ClientSecret::digest_of(text), None, "{text:?}");
        }
        assert_eq!(ClientSecret::digest_of(&format!("qv_{}", "é".repeat(RANDOM_CHARS))), None);
        // The text digested for a public client can't be sent as a secret, whatever the client's name.
        assert!([CLIENT, VERIFIER, NAMESPACED].iter().all(|prefix| !PUBLIC.starts_with(prefix)));
    }
}
