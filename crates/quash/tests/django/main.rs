//! quash together with the software that it replaces: Django REST framework with Simple JWT, and PyJWT with
//! cryptography, all unmodified. `cargo xtask test` installs the Python and names it in `QUASH_TEST_PYTHON`;
//! without it, each test prints that it was skipped. `site/` is a Django site without any code for quash.

#[path = "../support/mod.rs"]
mod support;

mod guide;
mod python;
mod quash_dir;
mod site;

mod adopting;
mod dumps;
mod front_end;
mod hostile;
mod importing;
mod keys;
mod marks;
mod moving;
mod nodes;
mod signing;
