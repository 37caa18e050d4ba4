//! How far a move is: a bar on a terminal, and otherwise a line for each table.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use quash_store::MoveStage;

use crate::output;

pub(super) struct Progress {
    /// `None`: not a terminal.
    bar: Option<ProgressBar>,
    /// The line that was written last.
    last: Mutex<String>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos} of {len} rows, {eta} left");
            let bar = ProgressBar::new(0);
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        });
        Self { bar, last: Mutex::default() }
    }

    /// Reports a step that isn't counted.
    pub(super) fn says(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => output::note(text),
        }
    }

    pub(super) fn reached(&self, stage: MoveStage) {
        let (message, rows, of) = match stage {
            MoveStage::Copying { table, rows, of } => (format!("copying {table}"), rows, of),
            MoveStage::Comparing { table, rows, of } => (format!("comparing {table}"), rows, of),
            MoveStage::Present => return self.says("the data was copied before"),
        };
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(rows);
            bar.set_message(message);
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != message {
            output::note(&format!("{message}: {rows} of {of} rows"));
            *last = message;
        }
    }

    pub(super) fn end(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
