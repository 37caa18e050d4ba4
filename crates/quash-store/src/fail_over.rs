//! The interface by which a process inspects a promoted standby before it uses it.

use std::time::Duration;

use std::fmt::Debug;

use async_trait::async_trait;
use quash_core::model::{Chain, Change, Entry, Head, InstanceId, KeyRecord, NotedEnd, Receipt};
use tokio::sync::watch;

use crate::StoreError;

/// A store whose server may be replaced by one with another history. Until the process has taken over the new
/// server, all requests to the store fail.
#[async_trait]
pub trait FailOver: Send + Sync + Debug {
    /// Follows whether there is a server that this process hasn't taken over.
    fn is_due(&self) -> watch::Receiver<bool>;

    /// The newest end of the log that this process has seen, or the one that it doubts.
    fn seen(&self) -> NotedEnd;

    /// Notes that the store's log isn't the one that this process knows up to `known`: the server has lost entries,
    /// even if its identity is the same and its log has grown since. The server is then due to be inspected.
    fn doubt(&self, known: NotedEnd);

    /// Reads the new server, and compares its log with what was seen up to `noted`.
    async fn inspect(&self, noted: NotedEnd) -> Result<PromotedServer, StoreError>;

    /// Reads the new server's keys.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// Records that a process has compared what it had seen with the new server's log, and lacks nothing.
    async fn compared(&self, id: &InstanceId) -> Result<(), StoreError>;

    /// Begins an epoch on the new server, and records that this process has decided.
    async fn begin_epoch(&self, change: Change) -> Result<Receipt, StoreError>;

    /// Makes all processes load the new server's keys: it may lack a change of them that this process has counted.
    async fn advance_ring(&self, known: u64) -> Result<(), StoreError>;

    /// Records that this process has decided, if no other has, and uses the new server from now on.
    async fn take_over(&self) -> Result<(), StoreError>;
}

/// Data read, in one view, from a server that hasn't been taken over yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromotedServer {
    pub head: Head,
    /// The hash of the entry with the noted number, if the log has that entry.
    pub noted_chain: Option<Chain>,
    /// Another process has decided already.
    pub is_decided: bool,
    /// Each commit on the old server had waited for a standby.
    pub was_synchronous: bool,
    /// Every process that had a lease has compared what it had seen, or had given its lease back.
    pub all_compared: bool,
    /// The longest term of a node's lease.
    pub longest_term: Duration,
    /// The entries that this process has seen and the log lacks, as far as it still has them.
    pub lost: Vec<Entry>,
}
