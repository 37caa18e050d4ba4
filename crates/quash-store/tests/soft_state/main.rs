//! The contracts of `Coordination` and `Counters`, in memory and in PostgreSQL, and what several processes over one
//! database promise each other. The tests against PostgreSQL need `QUASH_TEST_POSTGRES`; `cargo xtask services` sets it.

mod coordination;
mod counters;
mod database;
mod nodes;
#[allow(dead_code, clippy::allow_attributes, reason = "each test binary uses another part of it")]
#[path = "../support/postgres.rs"]
mod postgres;
mod shared_counters;
