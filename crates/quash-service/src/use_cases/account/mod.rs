//! Accounts: added and changed by operators (`add.rs`, `change.rs`), used by their owners (`own.rs`), and
//! kept like those of another system (`provision.rs`).

pub(crate) mod add;
pub(crate) mod change;
pub(crate) mod own;
pub(crate) mod provision;
pub(crate) mod search;
pub(crate) mod subjects;
