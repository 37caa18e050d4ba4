//! Every SQL statement of the running store. Guards are conditions of the writing statement; the number of
//! written rows shows whether they held. `migrations/postgres` contains the schema.

mod reads;
mod searches;
mod upkeep;
mod writes;

pub(super) use reads::*;
pub(super) use searches::*;
pub(super) use upkeep::*;
pub(super) use writes::*;
