//! The credential that a client has sent, for work that outlives a request.

use quash_core::model::{Client, SecretDigest};
use quash_store::Store;

/// A client, and the digest of the secret that it has sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    pub client: Client,
    pub(crate) digest: SecretDigest,
}

impl Credential {
    /// Returns whether the secret is still valid with the same rights. Returns `false` while the store is
    /// unavailable.
    pub(crate) async fn is_valid(&self, store: &dyn Store) -> bool {
        store.client(self.digest).await.is_ok_and(|found| found.as_ref() == Some(&self.client))
    }
}
