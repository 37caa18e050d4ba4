//! The ring of this process: our own keys and those of other issuers. Each half changes by itself; the guard sees one
//! ring after the other, each with the next version.

use std::time::Duration;

use quash_core::model::Kid;
use quash_core::token::{ForeignKey, KeyRing, VerifyingKey};
use tokio::sync::{Mutex, mpsc, oneshot};

/// A ring that the guard is to see, and who waits for that.
pub(crate) struct TurnRing {
    pub(crate) ring: KeyRing,
    pub(crate) seen: oneshot::Sender<()>,
}

/// Our own keys, as far as they verify.
#[derive(Clone, Default)]
pub(crate) struct OwnKeys {
    /// All of them, the one that signs first: it is the one most asked for.
    pub(crate) keys: Vec<VerifyingKey>,
    /// Those of them that were struck.
    pub(crate) struck: Vec<Kid>,
}

/// The guard didn't see a ring in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotSeen;

/// What makes rings.
pub(crate) struct Rings {
    halves: Mutex<Halves>,
    turn: mpsc::Sender<TurnRing>,
}

struct Halves {
    version: u64,
    own: OwnKeys,
    /// The key that verifies refresh tokens alone. It never changes.
    refresh: VerifyingKey,
    foreign: Vec<ForeignKey>,
}

/// How long the guard may take to see a ring.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

impl Rings {
    /// What makes rings, and the first of them.
    pub(crate) fn new(
        own: OwnKeys,
        refresh: VerifyingKey,
        foreign: Vec<ForeignKey>,
        turn: mpsc::Sender<TurnRing>,
    ) -> (Self, KeyRing) {
        let halves = Halves { version: 1, own, refresh, foreign };
        let first = halves.ring();
        (Self { halves: Mutex::new(halves), turn }, first)
    }

    /// Lets the guard see other keys of our own.
    ///
    /// # Errors
    /// It doesn't see them in time.
    pub(crate) async fn turn_own(&self, own: OwnKeys) -> Result<(), NotSeen> {
        let mut halves = self.halves.lock().await;
        halves.own = own;
        self.turn(&mut halves).await
    }

    /// Lets the guard see other keys of other issuers.
    ///
    /// # Errors
    /// It doesn't see them in time.
    pub(crate) async fn turn_foreign(&self, foreign: Vec<ForeignKey>) -> Result<(), NotSeen> {
        let mut halves = self.halves.lock().await;
        halves.foreign = foreign;
        self.turn(&mut halves).await
    }

    /// The halves stay locked until the guard has seen them, so that no ring overtakes another.
    async fn turn(&self, halves: &mut Halves) -> Result<(), NotSeen> {
        halves.version += 1;
        let (seen, saw) = oneshot::channel();
        let ring = halves.ring();
        let turned = async {
            self.turn.send(TurnRing { ring, seen }).await.map_err(|_| NotSeen)?;
            saw.await.map_err(|_| NotSeen)
        };
        tokio::time::timeout(SEEN_WITHIN, turned).await.unwrap_or(Err(NotSeen))
    }
}

impl Halves {
    fn ring(&self) -> KeyRing {
        let ring = KeyRing::with_foreign(self.version, self.own.keys.clone(), self.foreign.clone());
        ring.with_refresh_key(self.refresh.clone()).with_struck(&self.own.struck)
    }
}
