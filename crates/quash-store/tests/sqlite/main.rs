//! What only the SQLite store must stand: being opened twice, by others, and on a full disk; many writers, and files
//! that stay small. What it shares with the other stores is tested in `conformance`.

mod backup;
mod full;
mod opening;
#[path = "../support/mod.rs"]
mod support;
mod wal;
