//! The credential that a client has presented, for work that outlives one request.

use quash_core::model::{Client, SecretDigest};
use quash_store::Store;

/// A client, and the digest of the secret that it has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// The client.
    pub client: Client,
    pub(crate) digest: SecretDigest,
}

impl Credential {
    /// Returns whether the secret still opens what it did. While the store is away nobody can tell, so it doesn't.
    pub(crate) async fn is_good(&self, store: &dyn Store) -> bool {
        store.client(self.digest).await.is_ok_and(|found| found.as_ref() == Some(&self.client))
    }
}
