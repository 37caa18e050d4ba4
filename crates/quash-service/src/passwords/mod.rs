//! Passwords: hashed and compared in a bounded pool, exactly once for each attempt to sign in.

mod hasher;
mod pool;

use std::net::IpAddr;
use std::sync::Arc;

use quash_core::model::{Clock, Entropy, PasswordHash, draw};
use zeroize::Zeroizing;

use crate::failure::{Failure, Unavailable};
use pool::{Full, Pool};

pub use hasher::{Arena, Argon2Hasher, PasswordHasher};
pub use pool::HashSettings;

/// The way from a password to a yes, a no or a hash.
pub(crate) struct Passwords {
    hasher: Arc<dyn PasswordHasher>,
    pool: Pool,
    decoy: PasswordHash,
}

impl Passwords {
    pub(crate) fn start(hasher: Arc<dyn PasswordHasher>, settings: HashSettings, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let decoy = hasher.decoy(draw(entropy), draw(entropy));
        Self { hasher, pool: Pool::start(settings, clock), decoy }
    }

    /// Whether a password is the one of a hash. Where there is no hash, a decoy costs as much and is never right.
    pub(crate) async fn verify(
        &self,
        hash: Option<PasswordHash>,
        password: Zeroizing<String>,
        network: Option<IpAddr>,
    ) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let hasher = Arc::clone(&self.hasher);
        let right = self.pool.run(network, move |arena| hasher.verify(&password, &hash, arena)).await?;
        Ok(right && known)
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: Zeroizing<String>, entropy: &dyn Entropy) -> Result<PasswordHash, Failure> {
        let salt = draw(entropy);
        let hasher = Arc::clone(&self.hasher);
        Ok(self.pool.run(None, move |arena| hasher.hash(&password, salt, arena)).await?)
    }
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        Self::Unavailable(match full {
            Full::Queue { retry_after } => Unavailable::HashQueueFull { retry_after },
            Full::Network { retry_after } => Unavailable::NetworkQueueFull { retry_after },
        })
    }
}
