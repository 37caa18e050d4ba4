//! The source of keys that a ring lacks.

use std::future::Future;
use std::pin::Pin;

/// A source of keys that the ring lacks: an issuer publishes a new key before it signs with it, but sends no
/// notice.
pub trait KeyFetcher: Send + Sync {
    /// Fetches the published keys, unless that has just been done. New keys are in the ring by the time this
    /// returns.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = KeyFetch> + Send + '_>>;
}

/// The outcome of fetching keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFetch {
    /// The ring has all published keys.
    Done,
    /// An issuer's keys can't be fetched, so the token may be signed with one of them.
    Unavailable,
}
