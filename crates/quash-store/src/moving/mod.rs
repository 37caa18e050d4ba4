//! Moves a store between SQLite and PostgreSQL: all rows, unchanged. `sqlite/moving.rs` and `postgres/moving/`
//! read and write them; this folder has what both need.

mod lines;
mod log;
mod tables;

use crate::{OpenError, StoreError};

pub(crate) use lines::{Cell, Line, Lines, Value, line};
pub use log::check_log;
pub(crate) use tables::{Kind, TABLES, Table};

/// The number of the record that a store was moved: above those of all migrations, so that programs that know
/// nothing of moves refuse the store.
pub(crate) const MOVED: u32 = 1_000_000;
/// The name of that record.
pub(crate) const MOVED_NAME: &str = "moved";

/// A stage of a move, for operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveStage {
    /// Rows are written.
    Copying {
        /// The table.
        table: &'static str,
        /// The rows so far, of all tables.
        rows: u64,
        /// The rows that there are.
        of: u64,
    },
    /// The rows are read again, and compared.
    Comparing { table: &'static str, rows: u64, of: u64 },
    /// The copy was there already: an earlier move has been interrupted after it.
    Present,
}

/// Reports stages.
pub type MoveProgress<'p> = &'p (dyn Fn(MoveStage) + Send + Sync);

/// A node that uses the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunningNode {
    pub host: String,
    pub pid: Option<u32>,
}

/// A reason why a store can't be moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target has data.
    #[error("{store} isn't empty: its table {table} has rows")]
    NotEmpty { store: String, table: &'static str },
    #[error("nodes use {store}: {}", names(nodes))]
    InUse { store: String, nodes: Vec<RunningNode> },
    /// The target doesn't have what was copied.
    #[error("the copy of the table {table} differs from its source")]
    Differs { table: &'static str },
    /// The log isn't what was written.
    #[error("the log is damaged: {0}")]
    Log(String),
    /// A value that the target can't store.
    #[error("the table {table} has a value that can't be moved: {detail}")]
    Unsuitable { table: &'static str, detail: &'static str },
    /// The engine refused something.
    #[error("cannot move the data of {store}: {detail}")]
    Failed { store: String, detail: String },
    /// The connection was lost when the copy was committed.
    #[error("it is not known whether the copy was written: {detail}")]
    Unknown { detail: String },
}

fn names(nodes: &[RunningNode]) -> String {
    let name = |node: &RunningNode| match node.pid {
        Some(pid) => format!("{} (process {pid})", node.host),
        None => node.host.clone(),
    };
    nodes.iter().map(name).collect::<Vec<_>>().join(", ")
}
