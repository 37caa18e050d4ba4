//! Hashers for tests: one that costs nothing, one that records calls, one that waits. Tests count how often a
//! hash of which class is made or compared, not the time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};

use quash_core::model::PasswordHash;
use quash_service::{Arena, Argon2Hasher, CostClass, FormatFault, PasswordHasher};

/// Costs nothing and protects nothing. Imported hashes are compared with their own algorithm.
pub(crate) struct Cheap;

/// Records the calls of another hasher.
pub(crate) struct Counted {
    inner: Arc<dyn PasswordHasher>,
    spent: Mutex<Vec<Spent>>,
    /// The number of comparisons with a real password.
    evaluated: AtomicUsize,
}

/// One hash operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spent {
    /// A password was compared with a hash of this class.
    Compared(CostClass),
    /// A new hash was made.
    Made,
}

/// Compares nothing until its gate is opened.
pub(crate) struct Gated(Mutex<mpsc::Receiver<()>>);

/// Compares nothing while its valve is closed.
#[derive(Clone, Default)]
pub(crate) struct Valved(Arc<(Mutex<bool>, Condvar)>);

/// Panics instead of making a hash. Comparing works.
pub(crate) struct Unmade;

impl Counted {
    pub(crate) fn new(inner: Arc<dyn PasswordHasher>) -> Self {
        Self { inner, spent: Mutex::default(), evaluated: AtomicUsize::default() }
    }

    /// The operations since the last call.
    pub(crate) fn taken(&self) -> Vec<Spent> {
        std::mem::take(&mut self.spent.lock().expect("a list"))
    }

    /// The number of comparisons with a hash that isn't a decoy, since the last call.
    pub(crate) fn evaluated(&self) -> usize {
        self.evaluated.swap(0, Ordering::SeqCst)
    }

    fn spend(&self, spent: Spent) {
        self.spent.lock().expect("a list").push(spent);
    }
}

impl Gated {
    /// Also returns the sender. Dropping it opens the gate.
    pub(crate) fn new() -> (Self, mpsc::Sender<()>) {
        let (open, gate) = mpsc::channel();
        (Self(Mutex::new(gate)), open)
    }
}

impl Valved {
    /// Closes the valve.
    pub(crate) fn close(&self) {
        *self.0.0.lock().expect("a valve") = true;
    }

    /// Opens the valve.
    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("a valve") = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let closed = self.0.0.lock().expect("a valve");
        drop(self.0.1.wait_while(closed, |closed| *closed).expect("a valve"));
    }
}

impl PasswordHasher for Cheap {
    fn hash(&self, password: &str, _: [u8; 16], _: &mut Arena) -> PasswordHash {
        PasswordHash::new(format!("cheap${password}"))
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        match hash.as_str().strip_prefix("cheap$") {
            Some(hashed) => hashed == password,
            None => Argon2Hasher::new().verify(password, hash, arena),
        }
    }

    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash {
        if class == self.current() {
            PasswordHash::new("cheap$decoy".into())
        } else {
            Argon2Hasher::new().decoy(class, salt, output)
        }
    }

    fn current(&self) -> CostClass {
        "argon2id$v=19$m=8,t=1,p=1".parse().expect("a class")
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        hash.as_str().starts_with("cheap$")
    }

    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        if self.is_current(hash) { Ok(Some(self.current())) } else { Argon2Hasher::new().class_of(hash) }
    }
}

impl PasswordHasher for Counted {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        self.spend(Spent::Made);
        self.inner.hash(password, salt, arena)
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        let class = self.inner.class_of(hash).expect("a known format").expect("a usable hash");
        self.spend(Spent::Compared(class));
        if hash.as_str() != "cheap$decoy" {
            self.evaluated.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.verify(password, hash, arena)
    }

    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash {
        self.inner.decoy(class, salt, output)
    }

    fn current(&self) -> CostClass {
        self.inner.current()
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        self.inner.is_current(hash)
    }

    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        self.inner.class_of(hash)
    }
}

impl PasswordHasher for Gated {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        Cheap.hash(password, salt, arena)
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        // An error means that the sender was dropped: the gate is open.
        let _ = self.0.lock().expect("a gate").recv();
        Cheap.verify(password, hash, arena)
    }

    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash {
        Cheap.decoy(class, salt, output)
    }

    fn current(&self) -> CostClass {
        Cheap.current()
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        Cheap.is_current(hash)
    }

    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        Cheap.class_of(hash)
    }
}

impl PasswordHasher for Valved {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        Cheap.hash(password, salt, arena)
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        self.pass();
        Cheap.verify(password, hash, arena)
    }

    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash {
        Cheap.decoy(class, salt, output)
    }

    fn current(&self) -> CostClass {
        Cheap.current()
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        Cheap.is_current(hash)
    }

    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        Cheap.class_of(hash)
    }
}

impl PasswordHasher for Unmade {
    fn hash(&self, _: &str, _: [u8; 16], _: &mut Arena) -> PasswordHash {
        panic!("a hash that fails")
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        Cheap.verify(password, hash, arena)
    }

    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash {
        Cheap.decoy(class, salt, output)
    }

    fn current(&self) -> CostClass {
        Cheap.current()
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        Cheap.is_current(hash)
    }

    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        Cheap.class_of(hash)
    }
}
