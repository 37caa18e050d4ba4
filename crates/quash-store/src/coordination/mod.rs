//! The state that the processes of an issuer and its verifiers share beside the data: leases, and the sequence
//! numbers that requests wait for. It is soft: a process that has lost it waits for a lease's term.

mod memory;
mod rows;
mod sightings;

use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Binding, InstanceId, ProcessLabel, Seq, Timestamp};
use tokio::sync::watch;

use crate::StoreError;

pub use memory::MemoryCoordination;
pub use rows::{LeaseRows, NodeCoordination};

/// The leases of the processes that follow the log, and the sequence numbers that requests wait for.
///
/// Times are uptimes of the calling process. Clocks of two processes are never compared.
#[async_trait]
pub trait Coordination: Send + Sync {
    /// Records a lease that was requested at `arrived`. The caller must read the head that it grants after this has
    /// returned: then a process that reads the leases after a commit sees each lease whose head lacks that commit.
    async fn record(&self, lease: NewLease<'_>, arrived: Duration) -> Result<(), NotRecorded>;

    /// Records what a process has applied.
    async fn confirm(&self, id: &InstanceId, known: Known) -> Result<(), StoreError>;

    /// Ends the lease of a process that accepts no tokens any more. A request for a lease that it sent before may
    /// arrive later, and is refused.
    async fn leave(&self, id: &InstanceId, now: Duration) -> Result<(), StoreError>;

    /// The leases that are valid at `now` or recently were, ordered by id.
    async fn leases(&self, now: Duration) -> Result<Vec<Lease>, StoreError>;

    /// The standing of the holder of each of these leases, in their order.
    async fn standings(&self, of: &[Lease]) -> Result<Vec<Standing>, StoreError>;

    /// Changes when a standing may have changed. Only a wake-up: [`Coordination::standings`] is authoritative.
    fn changes(&self) -> watch::Receiver<()>;

    /// Asks all processes to confirm `seq` soon. Only a hint.
    async fn want(&self, seq: Seq) -> Result<(), StoreError>;

    /// Follows the largest number that a request waits for.
    fn wanted(&self) -> watch::Receiver<Seq>;

    /// The uptime at which all leases have expired that this process can't list.
    fn unlisted_until(&self) -> Duration;

    /// Forgets what is no longer needed. Called every minute.
    async fn upkeep(&self, now: Duration) -> Result<(), StoreError>;

    /// The time of the clock that all processes can read: that of the server with their database. `None`: there is none.
    async fn shared_time(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// Writes what operators see of this process, if it is a node.
    async fn describe(&self, _node: &NodeDescription) -> Result<(), StoreError> {
        Ok(())
    }

    /// The described nodes, the one that was started first at the beginning.
    async fn nodes(&self, _now: Duration) -> Result<Vec<ListedNode>, StoreError> {
        Ok(Vec::new())
    }
}

/// A node's description of itself, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeDescription {
    pub id: InstanceId,
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// A hash over its settings, without secrets.
    pub settings: String,
}

/// A node, as another process sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedNode {
    pub node: NodeDescription,
    pub label: ProcessLabel,
    /// By the clock of the database.
    pub started_at: Timestamp,
    /// The time since which this process has seen no renewal of its lease.
    pub renewed_before: Duration,
    /// The longest time for which its lease may still be valid if it isn't renewed. `None`: it has expired.
    pub leased_for: Option<Duration>,
}

/// A process's request for a lease.
#[derive(Clone, Copy, Debug)]
pub struct NewLease<'a> {
    pub id: &'a InstanceId,
    pub binding: Binding,
    pub label: &'a ProcessLabel,
    /// The time for which the process may use the lease.
    pub term: Duration,
}

/// The state that a process has confirmed to have.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Known {
    /// It has applied every entry of the log up to this number.
    pub seq: Seq,
    /// It has read the keys after this many changes of them. Zero for a verifier, which signs nothing.
    pub ring: u64,
}

impl Known {
    /// A verifier's knowledge.
    pub const fn up_to(seq: Seq) -> Self {
        Self { seq, ring: 0 }
    }

    /// The greater number of each.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { seq: self.seq.max(other.seq), ring: self.ring.max(other.ring) }
    }
}

/// The lease of a process that follows the log: of a verifier, or of a process of the issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    pub id: InstanceId,
    /// The uptime until which some clock within the tolerance may consider the lease valid.
    pub until: Duration,
    pub confirmed: Known,
    pub binding: Binding,
    pub label: ProcessLabel,
}

/// The current state of a lease's holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has confirmed this much.
    Confirmed(Known),
    /// It has given its lease back, and accepts no tokens.
    Left,
    /// Its lease has expired, and its place was given to another process.
    Forgotten,
}

/// The reason not to record a lease.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRecorded {
    #[error("there are too many processes with a lease")]
    TooMany,
    #[error("there are too many processes with a lease of this credential")]
    TooManyWithCredential,
    /// The process has given its lease back: this request was sent before that, and arrived later.
    #[error("the process has given its lease back")]
    Left,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The time for which a lease is still listed after it has expired.
pub(crate) const LISTED: Duration = Duration::from_secs(3600);

/// The time for which a process that has given its lease back is remembered: longer than a request of it can
/// be under way.
pub(crate) const LEFT: Duration = Duration::from_secs(60);

/// The largest drift between two clocks, in parts per million. It is counted three times: for both clocks,
/// and for rounding.
const DRIFT_PPM: u32 = 200;

/// The time for which a lease of this term counts, by a clock that may run faster than the holder's.
pub fn counted(term: Duration) -> Duration {
    term + term * (3 * DRIFT_PPM) / 1_000_000
}
