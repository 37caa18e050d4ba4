//! Hashers for tests: one that costs nothing, one that counts, one that waits. What counts is how often a hash is
//! made, not what it takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use quash_core::model::PasswordHash;
use quash_service::{Arena, PasswordHasher};

/// Costs nothing and protects nothing.
pub(crate) struct Cheap;

/// Counts what another hasher is asked for.
pub(crate) struct Counted {
    inner: Arc<dyn PasswordHasher>,
    calls: AtomicUsize,
}

/// Compares nothing until its gate is opened.
pub(crate) struct Gated(Mutex<mpsc::Receiver<()>>);

impl Counted {
    pub(crate) fn new(inner: Arc<dyn PasswordHasher>) -> Self {
        Self { inner, calls: AtomicUsize::new(0) }
    }

    /// How many hashes were made since the last time this was asked.
    pub(crate) fn taken(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

impl Gated {
    /// With what opens it: dropping the sender.
    pub(crate) fn new() -> (Self, mpsc::Sender<()>) {
        let (open, gate) = mpsc::channel();
        (Self(Mutex::new(gate)), open)
    }
}

impl PasswordHasher for Cheap {
    fn hash(&self, password: &str, _: [u8; 16], _: &mut Arena) -> PasswordHash {
        PasswordHash::new(format!("cheap${password}"))
    }

    fn verify(&self, password: &str, hash: &PasswordHash, _: &mut Arena) -> bool {
        hash.as_str().strip_prefix("cheap$") == Some(password)
    }

    fn decoy(&self, _: [u8; 16], _: [u8; 32]) -> PasswordHash {
        PasswordHash::new("decoy".into())
    }
}

impl PasswordHasher for Counted {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.inner.hash(password, salt, arena)
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.inner.verify(password, hash, arena)
    }

    fn decoy(&self, salt: [u8; 16], output: [u8; 32]) -> PasswordHash {
        self.inner.decoy(salt, output)
    }
}

impl PasswordHasher for Gated {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        Cheap.hash(password, salt, arena)
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        // An error means that the sender is gone: the gate is open.
        let _ = self.0.lock().expect("a gate").recv();
        Cheap.verify(password, hash, arena)
    }

    fn decoy(&self, salt: [u8; 16], output: [u8; 32]) -> PasswordHash {
        Cheap.decoy(salt, output)
    }
}
