//! Lists the keys of this store and of other issuers.

use crate::context::Service;
use crate::failure::Failure;
use crate::keys::{KeyInfo, KeyList};

impl Service {
    /// Lists the keys. Key sets that were never fetched are fetched first, so that the result doesn't depend
    /// on timing.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn keys(&self) -> Result<KeyList, Failure> {
        let records = self.context.store.keys().await?;
        let own = records.into_iter().map(|record| KeyInfo {
            kid: record.kid,
            algorithm: record.algorithm,
            state: record.state,
            source: record.source,
            created_at: record.created_at,
        });
        Ok(KeyList { own: own.collect(), issuers: self.context.issuers.seen().await })
    }
}
