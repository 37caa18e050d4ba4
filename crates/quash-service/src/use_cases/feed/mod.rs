//! The feed for verifiers: snapshots, streams, leases, and the barrier.

pub(crate) mod barrier;
pub(crate) mod serve;
