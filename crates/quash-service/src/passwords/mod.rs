//! Passwords: checks, hashes and compares them in a bounded pool. Each attempt to sign in costs exactly one
//! comparison.

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
use pool::{Pool, QueueFull};

pub use arena::Arena;
pub(crate) use decoys::MAX_CLASSES;
pub use formats::{Cap, CostClass, FormatFault, FormatName};
pub use hasher::{Argon2Hasher, PasswordHasher};
pub(crate) use policy::check_length;
use policy::check_new_password;
pub use pool::HashSettings;
pub(crate) use pool::{Requester, Reserve};

/// The treatment of a hash with an outdated format or cost, once its password is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rehash {
    /// A successful sign-in replaces it.
    #[default]
    OnSuccess,
    /// The hash is kept, because other services read it too.
    Never,
}

/// Checks and hashes passwords.
pub(crate) struct Passwords {
    hasher: Arc<dyn PasswordHasher>,
    rehash: Rehash,
    pool: Pool,
    decoys: Decoys,
}

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
    /// The passwords that are hashed now, and those that wait.
    pub(crate) fn jobs(&self) -> (usize, usize) {
        self.pool.jobs()
    }

    /// Starts the pool. `secret` determines the decoy that a name without a hash is compared with.
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
        passwords.set_classes(classes);
        passwords
    }

    /// Sets the classes of the hashes in the store. That of new hashes is always known.
    pub(crate) fn set_classes(&self, classes: &[CostClass]) {
        self.decoys.set(classes, &*self.hasher);
    }

    /// Adds a class.
    pub(crate) fn add_class(&self, class: CostClass) {
        self.decoys.add_class(class, &*self.hasher);
    }

    /// Adds the class of an account's hash, if it has one.
    pub(crate) fn add_class_of(&self, hash: Option<&PasswordHash>) {
        if let Some(class) = hash.and_then(|hash| self.class_of(hash).ok().flatten()) {
            self.add_class(class);
        }
    }

    /// The cost class of a hash. `None` if the hash encodes an unusable password.
    ///
    /// # Errors
    /// The format is unknown, or the hash costs more than a limit in `caps.rs`.
    pub(crate) fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        self.hasher.class_of(hash)
    }

    /// Returns whether a password matches a hash. If there is no supported hash, the password is compared
    /// with a decoy, which the name selects, which costs as much as a known class, and which never matches.
    pub(crate) async fn verify(
        &self,
        hash: Option<PasswordHash>,
        name: &str,
        password: Zeroizing<String>,
        requester: Requester,
    ) -> Result<bool, Failure> {
        // Selected for every name, so that the selection's cost reveals nothing either.
        let decoy = self.decoys.pick(name);
        let class = hash.as_ref().and_then(|hash| self.hasher.class_of(hash).ok().flatten());
        if let Some(class) = class {
            self.add_class(class);
        }
        let hash = match (hash, class) {
            (Some(hash), Some(_)) => hash,
            _ => decoy,
        };
        let hasher = Arc::clone(&self.hasher);
        let right = self.pool.run(requester, move |arena| hasher.verify(&password, &hash, arena)).await?;
        Ok(right && class.is_some())
    }

    /// Costs as much as a comparison with a hash without making one, for an attempt that is refused
    /// regardless of the password.
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

    /// Checks and hashes a new password in one job, because the check may take as long as the hash. `own`
    /// holds the account's names.
    ///
    /// # Errors
    /// The queue is full. The inner error: the password is refused.
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

    /// Hashes a password that needs no check.
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

    /// Adds its class to a hash.
    fn classed(&self, hash: PasswordHash) -> PasswordHash {
        match self.hasher.class_of(&hash) {
            Ok(Some(class)) => hash.of_class(class.to_string()),
            Ok(None) | Err(_) => hash,
        }
    }

    /// Makes a hash to replace an outdated one. `None` if the queue is full.
    pub(crate) async fn rehash(
        &self,
        password: Zeroizing<String>,
        requester: Requester,
        entropy: &dyn Entropy,
    ) -> Option<PasswordHash> {
        let made = self.hash(password, requester, entropy).await.ok()?;
        self.hasher.is_current(&made).then_some(made)
    }

    /// Returns whether a hash is to be replaced now that its password is known.
    pub(crate) fn is_outdated(&self, hash: &PasswordHash) -> bool {
        self.rehash == Rehash::OnSuccess && !self.hasher.is_current(hash)
    }
}

impl From<QueueFull> for Failure {
    fn from(full: QueueFull) -> Self {
        Self::Unavailable(match full {
            QueueFull::Queue { retry_after } => Unavailable::HashQueueFull { retry_after },
            QueueFull::Network { retry_after } => Unavailable::NetworkQueueFull { retry_after },
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
    async fn rehashing_is_skipped_when_the_queue_is_full() {
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
    fn outdated_hashes_stay_when_rehashing_is_off() {
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
