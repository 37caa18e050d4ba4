//! Requirements of the PostgreSQL store only: several processes at once, lost connections, statements that
//! find their rows by an index, and servers that it refuses. `conformance` contains the tests for all stores.

mod connections;
mod identity;
mod moving;
mod opening;
mod outcome;
mod pairs;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod writers;
