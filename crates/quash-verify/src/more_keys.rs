//! Keys that a ring lacks, and who may know them.

use std::future::Future;
use std::pin::Pin;

/// Who may know keys that the ring lacks: an issuer publishes a new one before it signs with it, but nobody is told.
pub trait MoreKeys: Send + Sync {
    /// Looks for them, unless it has just done so. What was found is in the ring by the time this returns.
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>>;
}

/// What came of looking for keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    /// The ring has what is published.
    Done,
    /// Somebody's keys can't be had, so nobody can tell whether a token is theirs.
    Away,
}
