//! How far a long command is: a bar on a terminal, and otherwise a line for each step, and for each tenth of a long
//! one.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// The progress of a command.
pub(super) struct Progress {
    /// `None`: not a terminal.
    bar: Option<ProgressBar>,
    /// The counted units, such as `rows`.
    unit: &'static str,
    /// The step and the tenth of it that were reported last.
    last: Mutex<(String, u64)>,
}

/// A step with fewer units is one line.
const LONG: u64 = 10_000;

impl Progress {
    pub(super) fn start(unit: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(&format!(
                "{{msg}} [{{bar:30}}] {{pos}} of {{len}} {unit}, {{per_sec}}, {{eta}} left"
            ));
            let bar = ProgressBar::new(0);
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        });
        Self { bar, unit, last: Mutex::default() }
    }

    /// Reports a step that isn't counted.
    pub(super) fn says(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => output::note(text),
        }
    }

    /// Reports that `done` of `of` units of a step are done.
    pub(super) fn reached(&self, step: String, done: u64, of: u64) {
        if let Some(bar) = &self.bar {
            if bar.message() != step {
                bar.reset_eta();
            }
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(step);
            return;
        }
        let tenth = if of < LONG { 0 } else { done.saturating_mul(10) / of };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != step || last.1 != tenth {
            output::note(&format!("{step}: {done} of {of} {}", self.unit));
            *last = (step, tenth);
        }
    }

    pub(super) fn end(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
