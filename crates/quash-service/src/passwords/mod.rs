//! Passwords: checked, hashed and compared in a bounded pool; compared exactly once for each attempt to sign in.

mod arena;
mod decoys;
mod formats;
mod hasher;
mod policy;
mod pool;
mod priority;

use std::sync::Arc;

use quash_core::model::{Clock, Entropy, PasswordFault, PasswordHash, draw};
use zeroize::Zeroizing;

use crate::failure::{Failure, Unavailable};
use decoys::Decoys;
use pool::{Full, Pool};

pub use arena::Arena;
pub(crate) use decoys::MAX_CLASSES;
pub use formats::{Cap, CostClass, FormatFault, FormatName};
pub use hasher::{Argon2Hasher, PasswordHasher};
pub(crate) use policy::check_length;
use policy::check_new_password;
pub use pool::HashSettings;
pub(crate) use pool::{Requester, Reserve};

/// What becomes of a hash that isn't what would be made today, once its password has been seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rehash {
    /// A successful sign-in replaces it.
    #[default]
    OnSuccess,
    /// It stays: others read it, too.
    Never,
}

/// The way from a password to a yes, a no or a hash.
pub(crate) struct Passwords {
    hasher: Arc<dyn PasswordHasher>,
    rehash: Rehash,
    pool: Pool,
    decoys: Decoys,
}

/// A hash to be made.
struct HashJob {
    hasher: Arc<dyn PasswordHasher>,
    salt: [u8; 16],
    password: Zeroizing<String>,
}

impl HashJob {
    fn make(&self, arena: &mut Arena) -> PasswordHash {
        self.hasher.hash(&self.password, self.salt, arena)
    }
}

impl Passwords {
    /// Opens the pool. Which of the classes a name without a hash costs hangs on `secret`.
    pub(crate) fn start(
        hasher: Arc<dyn PasswordHasher>,
        rehash: Rehash,
        settings: HashSettings,
        classes: &[CostClass],
        secret: &[u8; 32],
        clock: Arc<dyn Clock>,
    ) -> Self {
        let decoys = Decoys::new(secret, &*hasher);
        let passwords = Self { hasher, rehash, pool: Pool::start(settings, clock), decoys };
        passwords.known_classes(classes);
        passwords
    }

    /// Knows the classes of the hashes in the store, and no others but that of new ones.
    pub(crate) fn known_classes(&self, classes: &[CostClass]) {
        self.decoys.set(classes, &*self.hasher);
    }

    /// Knows one class more.
    pub(crate) fn know(&self, class: CostClass) {
        self.decoys.know(class, &*self.hasher);
    }

    /// What comparing with a hash costs; `None` where it says that no password is usable.
    ///
    /// # Errors
    /// It is of no known format, or asks for too much.
    pub(crate) fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        self.hasher.class_of(hash)
    }

    /// Whether a password is the one of a hash. Where there is no hash, or none that can be compared with, a decoy that
    /// the name picks costs as much as one of the known classes, and is never right.
    pub(crate) async fn verify(
        &self,
        hash: Option<PasswordHash>,
        name: &str,
        password: Zeroizing<String>,
        requester: Requester,
    ) -> Result<bool, Failure> {
        // Picked for every name, so that picking tells nothing either.
        let decoy = self.decoys.pick(name);
        let class = hash.as_ref().and_then(|hash| self.hasher.class_of(hash).ok().flatten());
        class.into_iter().for_each(|class| self.know(class));
        let hash = hash.filter(|_| class.is_some()).unwrap_or(decoy);
        let hasher = Arc::clone(&self.hasher);
        let right = self.pool.run(requester, move |arena| hasher.verify(&password, &hash, arena)).await?;
        Ok(right && class.is_some())
    }

    /// Spends what comparing with a hash costs, and compares with nothing: for an attempt that is refused whatever the
    /// password.
    pub(crate) async fn spend(
        &self,
        hash: Option<&PasswordHash>,
        name: &str,
        password: Zeroizing<String>,
        requester: Requester,
    ) -> Result<(), Failure> {
        let picked = self.decoys.pick(name);
        let class = hash.and_then(|hash| self.hasher.class_of(hash).ok().flatten());
        let decoy = class.and_then(|class| self.decoys.of(class)).unwrap_or(picked);
        let hasher = Arc::clone(&self.hasher);
        self.pool.run(requester, move |arena| hasher.verify(&password, &decoy, arena)).await?;
        Ok(())
    }

    /// Checks a new password, and hashes it: both in one job, because checking may take as long as hashing. `own` holds the
    /// account's names.
    ///
    /// # Errors
    /// There is no place in the queue. The inner one: the password isn't taken.
    pub(crate) async fn hash_new(
        &self,
        password: Zeroizing<String>,
        own: &[&str],
        requester: Requester,
        entropy: &dyn Entropy,
    ) -> Result<Result<PasswordHash, PasswordFault>, Failure> {
        if let Err(fault) = check_length(&password) {
            return Ok(Err(fault));
        }
        let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        let hash = self.hash_job(password, entropy);
        let checked = self.pool.run(requester, move |arena| -> Result<PasswordHash, PasswordFault> {
            check_new_password(&hash.password, &own)?;
            Ok(hash.make(arena))
        });
        Ok(checked.await?.map(|hash| self.classed(hash)))
    }

    /// The hash of a password that needs no check.
    pub(crate) async fn hash(
        &self,
        password: Zeroizing<String>,
        requester: Requester,
        entropy: &dyn Entropy,
    ) -> Result<PasswordHash, Failure> {
        let hash = self.hash_job(password, entropy);
        let hash = self.pool.run(requester, move |arena| hash.make(arena)).await?;
        Ok(self.classed(hash))
    }

    fn hash_job(&self, password: Zeroizing<String>, entropy: &dyn Entropy) -> HashJob {
        HashJob { hasher: Arc::clone(&self.hasher), salt: draw(entropy), password }
    }

    /// A hash with its class, to be kept beside it.
    pub(crate) fn classed(&self, hash: PasswordHash) -> PasswordHash {
        match self.hasher.class_of(&hash) {
            Ok(Some(class)) => hash.of_class(class.to_string()),
            Ok(None) | Err(_) => hash,
        }
    }

    /// A hash to replace an outdated one with; `None` where there is no place to make it now.
    pub(crate) async fn rehash(
        &self,
        password: Zeroizing<String>,
        requester: Requester,
        entropy: &dyn Entropy,
    ) -> Option<PasswordHash> {
        let made = self.hash(password, requester, entropy).await.ok()?;
        self.hasher.is_current(&made).then_some(made)
    }

    /// Whether a hash is to be replaced now that its password has been seen.
    pub(crate) fn is_outdated(&self, hash: &PasswordHash) -> bool {
        self.rehash == Rehash::OnSuccess && !self.hasher.is_current(hash)
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use quash_core::model::{Seeded, Timestamp};

    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
        fn uptime(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn a_better_hash_is_made_only_where_there_is_a_place() {
        let settings = HashSettings { slots: 1, longest_wait: Duration::ZERO, places_per_network: 4 };
        let hasher = Arc::new(Argon2Hasher::new());
        let passwords =
            Passwords::start(hasher, Rehash::OnSuccess, settings, &[], &[1; 32], Arc::new(Stopped));
        let (open, gate) = mpsc::channel::<()>();
        let before = passwords.pool.run(Requester::default(), move |_| gate.recv().is_ok());
        let meanwhile = async {
            let made =
                passwords.rehash(Zeroizing::new("x".to_owned()), Requester::default(), &Seeded::new(1)).await;
            open.send(()).expect("the first job waits");
            made
        };
        let (before, meanwhile) = tokio::join!(before, meanwhile);
        assert!(before.is_ok() && meanwhile.is_none());
    }

    #[test]
    fn what_is_outdated_stays_where_others_read_it() {
        let outdated = |rehash, text: &str| {
            let settings = HashSettings { slots: 1, ..HashSettings::default() };
            let passwords = Passwords::start(
                Arc::new(Argon2Hasher::new()),
                rehash,
                settings,
                &[],
                &[1; 32],
                Arc::new(Stopped),
            );
            passwords.is_outdated(&PasswordHash::new(text.into()))
        };
        let ours = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(!outdated(Rehash::OnSuccess, ours) && !outdated(Rehash::Never, ours));
        let djangos = format!("argon2{ours}");
        assert!(outdated(Rehash::OnSuccess, &djangos) && !outdated(Rehash::Never, &djangos));
    }
}
