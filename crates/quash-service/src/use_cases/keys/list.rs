//! Lists the keys of this store and of other issuers.

use crate::context::Service;
use crate::failure::Failure;
use crate::keys::{KeySeen, KeysSeen};

impl Service {
    /// Looks at the keys. Addresses that were never asked are asked first, so that what a command sees doesn't hang on
    /// whether it was quicker than they.
    ///
    /// # Errors
    /// The store is away.
    pub async fn keys(&self) -> Result<KeysSeen, Failure> {
        let records = self.desk.store.keys().await?;
        let own = records.into_iter().map(|record| KeySeen {
            kid: record.kid,
            algorithm: record.algorithm,
            state: record.state,
            source: record.source,
            created_at: record.created_at,
        });
        Ok(KeysSeen { own: own.collect(), issuers: self.desk.issuers.seen().await })
    }
}
