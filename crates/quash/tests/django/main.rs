//! quash beside what it takes the place of: Django REST framework with Simple JWT, and PyJWT with cryptography, as they
//! come from their makers. The Python is the one that `cargo xtask test` makes and names in `QUASH_TEST_PYTHON`; without
//! it each test says that it was skipped. `site/` is a Django site that knows nothing of quash.

#[path = "../support/mod.rs"]
mod support;

mod guide;
mod python;
mod room;
mod site;

mod adopting;
mod front_end;
mod hostile;
mod keys;
mod moving;
mod nodes;
mod signing;
