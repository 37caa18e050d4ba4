//! Requirements of the SQLite store only: opening it twice or from other programs, a full disk, many writers,
//! and files that stay small. `conformance` contains the tests for all stores.

mod backup;
mod full;
mod opening;
mod searches;
#[path = "../support/mod.rs"]
mod support;
mod wal;
