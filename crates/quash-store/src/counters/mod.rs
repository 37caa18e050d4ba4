//! Counts attempts and requests, so that passwords can't be guessed and mails can't be sent without limit. Soft
//! state beside the store: losing it frees attempts, and lifts no lock of an account's row.

pub(crate) mod bounded_map;
mod memory;
mod requests;
mod tallies;
mod windows;

use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

pub use memory::MemoryCounters;

/// The counters of attempts and requests.
///
/// Times are uptimes of the calling process. An attempt reserves a place before it is evaluated, and reports its
/// outcome before it is answered. So parallel attempts can't fail more often than sequential ones.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Reserves a place for evaluating an attempt, if one is free. Under a lock there is one: such an attempt costs
    /// as much as any other.
    async fn reserve(&self, counted: Counted, now: Duration) -> Result<bool, StoreError>;

    /// Frees a reserved place. Doesn't wait, because the request may have been cancelled.
    fn release(&self, counted: Counted);

    /// Returns whether the failures counted here lock the counter.
    async fn is_locked(&self, counted: Counted, now: Duration) -> Result<bool, StoreError>;

    /// Counts a failure, and returns whether it locks the counter. `locks` is the number of consecutive locks in
    /// the store.
    async fn failed(&self, counted: Counted, locks: u32, now: Duration) -> Result<bool, StoreError>;

    /// Resets a counter's failures and locks.
    async fn clear(&self, counted: Counted) -> Result<(), StoreError>;

    /// Reserves one of the failures that a window has left. If there is none, returns the time until there is.
    async fn begin(&self, window: Window, now: Duration) -> Result<Result<(), Duration>, StoreError>;

    /// Gives a reserved failure back. Doesn't wait, because the request may have been cancelled.
    fn end(&self, window: Window);

    /// Counts a failure in a window.
    async fn failed_in(&self, window: Window, now: Duration) -> Result<(), StoreError>;

    /// The failures that a window has left.
    async fn allowance(&self, window: Window, now: Duration) -> Result<Allowance, StoreError>;

    /// Counts a request under each of these limits and returns `true`, or counts nothing if one is used up.
    async fn take(&self, limits: &[RequestLimit], now: Duration) -> Result<bool, StoreError>;

    /// Returns whether other processes use the same counters. A place that isn't given back then expires, because its
    /// process may be gone: an attempt must be answered within [`EVALUATED_WITHIN`], without its outcome if it takes
    /// longer. And a place may become free without a sign: an attempt that waits asks again after [`ASK_AGAIN`].
    fn is_shared(&self) -> bool;

    /// Forgets what no longer counts. Called every minute.
    async fn upkeep(&self) -> Result<(), StoreError>;
}

/// A network, or a keyed hash of a subject or a name. Without the hash's key, an attacker can't choose one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CounterKey(pub [u8; 16]);

/// Identifies the attempts that are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Counted {
    pub bucket: Bucket,
    pub key: CounterKey,
}

/// The owner of the guessed password.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bucket {
    /// An account.
    Account,
    /// A known device of an account.
    Device,
    /// No account: the name is unknown.
    UnknownName,
}

/// A sliding window of failures, with its limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    pub kind: WindowKind,
    pub key: CounterKey,
    /// The most failures in the window.
    pub most: u32,
    /// The window's length.
    pub span: Duration,
}

/// The failures that a window counts. Each kind is remembered apart from the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WindowKind {
    /// Of an IPv4 address or a /64.
    Subnet,
    /// Of a /56.
    Home,
    /// Of a /48.
    Site,
    /// Of an account's known devices together.
    Devices,
}

/// The failures that are left in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The most failures in a window.
    pub most: u32,
    /// The window's length.
    pub window: Duration,
    /// The failures left.
    pub left: u32,
    /// The time until more are left.
    pub more_after: Duration,
}

/// A limit on requests: at most so many within a time that begins with the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestLimit {
    pub kind: RequestKind,
    pub key: CounterKey,
    pub most: u32,
    pub span: Duration,
}

/// The requests that a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestKind {
    /// For mails, of a network with this kind of prefix.
    MailFrom(WindowKind),
    /// For mails, of all clients whose network is unknown.
    MailFromUnknown,
    /// To change an account's address.
    AddressChange,
    /// A notice of a lock to an account's owner.
    LockNotice,
}

/// The time after which an attempt that found no free place may be repeated.
pub const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The time within which an attempt must be evaluated where counters are shared. Its place expires 10 seconds later.
pub const EVALUATED_WITHIN: Duration = Duration::from_secs(20);

/// The pause after which an attempt that waits for a place asks for one again, where counters are shared.
pub const ASK_AGAIN: Duration = Duration::from_millis(100);
