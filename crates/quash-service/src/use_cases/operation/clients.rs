//! Clients: other services with secrets of their own, and public ones without. A secret is looked up by its
//! digest. The HTTP layer checks a client's rights; `client_changes.rs` adds, changes and removes clients.

use std::time::Duration;

use quash_core::model::{Change, Client, ClientName, SecretDigest, StoredClient, limits};
use quash_store::StoreError;

use super::client_secret::{ClientSecret, digest_of_public};
use crate::context::{Context, Service};
use crate::credential::Credential;
use crate::failure::Failure;

/// The longest wait for the store before the metrics are read without it.
const METRICS_WAIT: Duration = Duration::from_secs(1);

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
        Ok(self.context.client_by(digest).await?.map(|client| Credential { client, digest }))
    }

    /// Whether a secret is that of a client, for reading the metrics: while the store is unavailable, also if it was when
    /// the store answered last.
    ///
    /// # Errors
    /// The store is unavailable, and the secret isn't known.
    pub async fn may_read_metrics(&self, secret: &str) -> Result<bool, Failure> {
        let Some(digest) = ClientSecret::digest_of(secret) else { return Ok(false) };
        let metrics = &self.context.metrics;
        match tokio::time::timeout(METRICS_WAIT, self.context.client_by(digest)).await {
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
            Ok(name) => Ok(self.context.client_by(digest_of_public(&name)).await?),
            Err(_) => Ok(None),
        }
    }

    /// Returns a page of clients, ordered by name, after the name `after`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn clients(
        &self,
        after: Option<&ClientName>,
        limit: u32,
    ) -> Result<Vec<StoredClient>, Failure> {
        let page = self.context.store.clients(after, limit.min(limits::PAGE)).await?;
        Ok(page.into_iter().map(|stored| self.context.client_uses.complete(stored)).collect())
    }

    /// The client with this name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn client_named(&self, name: &str) -> Result<Option<StoredClient>, Failure> {
        let Ok(name) = ClientName::parse(name) else { return Ok(None) };
        let found = self.context.store.client_named(&name).await?;
        Ok(found.map(|stored| self.context.client_uses.complete(stored)))
    }
}

impl Context {
    /// The client whose secret has this digest and hasn't expired.
    async fn client_by(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError> {
        let now = self.clock.now();
        let found = self.store.client(digest).await?.filter(|client| !client.is_expired(now));
        if let Some(client) = &found {
            self.client_uses.used(&client.name, now);
        }
        Ok(found)
    }

    /// Writes down which clients were used. Upkeep calls it each minute, so that no request waits for it.
    pub(super) async fn record_client_uses(&self) -> Result<(), Failure> {
        let used = self.client_uses.take();
        if used.is_empty() {
            return Ok(());
        }
        let written = self.store.commit(Change::UseClients(used.clone().into_iter().collect())).await;
        if written.is_err() {
            used.iter().for_each(|(name, at)| self.client_uses.used(name, *at));
        }
        Ok(written.map(drop)?)
    }
}
