//! The follower's log. The follower must not call Python: it keeps the newest records in a ring, and the next
//! call from Python passes them to `logging`.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pyo3::prelude::*;
use quash_core::model::Clock;
use quash_verify::SystemClock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::exit;

/// Set while there is a record that Python hasn't taken.
static PENDING: AtomicBool = AtomicBool::new(false);

/// The most records that wait for Python; a newer one replaces the oldest.
const CAPACITY: usize = 64;

/// A record: Python's level, the time in seconds since 1970, the module, the text.
type Record = (u8, f64, &'static str, String);

/// Receives the records of this process. It is the module's only subscriber: with two, tracing takes a lock
/// that a fork may leave locked.
struct Records {
    ring: ArcSwap<Ring>,
}

/// The records of one process.
struct Ring {
    generation: u64,
    records: Mutex<VecDeque<Record>>,
}

/// Installs the subscriber. It belongs to this module: other modules have their own tracing.
pub(crate) fn install() {
    // A second import of the module finds the first one's.
    let _ = tracing::subscriber::set_global_default(Records { ring: ArcSwap::from_pointee(Ring::new()) });
}

/// Returns whether there is something to pass on.
#[inline]
pub(crate) fn are_pending() -> bool {
    PENDING.load(Ordering::Relaxed)
}

/// Passes the records on to `logging`. An error there must not become an error of the check.
#[cold]
pub(crate) fn pass_on(py: Python<'_>) {
    if exit::is_exiting() {
        // The exit's own thread passes them on.
        return;
    }
    let passed =
        exit::counted(|| py.import("quash_verify._log").and_then(|module| module.call_method0("pass_on")));
    if let Err(error) = passed {
        error.write_unraisable(py, None);
    }
}

/// Takes the records that wait.
#[pyfunction]
#[pyo3(name = "take_records")]
pub(crate) fn take() -> Vec<Record> {
    PENDING.store(false, Ordering::Relaxed);
    tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Records>().map(|records| records.of_this_process().take()).unwrap_or_default()
    })
}

impl Records {
    fn of_this_process(&self) -> Arc<Ring> {
        let ring = self.ring.load();
        if ring.generation == quash_fork::generation() {
            return Arc::clone(&ring);
        }
        // As with a slot: the parent's thread may hold the lock, so its ring is never dropped.
        std::mem::forget(Arc::clone(&ring));
        drop(self.ring.compare_and_swap(&*ring, Arc::new(Ring::new())));
        self.ring.load_full()
    }
}

impl Ring {
    fn new() -> Self {
        Self { generation: quash_fork::generation(), records: Mutex::default() }
    }

    fn push(&self, record: Record) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == CAPACITY {
            records.pop_front();
        }
        records.push_back(record);
        drop(records);
        PENDING.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

impl Subscriber for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO && metadata.target().starts_with("quash")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            _ => 20,
        };
        let at = std::time::Duration::from_millis(SystemClock.now().as_millis().unsigned_abs()).as_secs_f64();
        let text = format!("{}{}", text.message, text.fields);
        self.of_this_process().push((level, at, event.metadata().target(), text));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A record's text: the message, then each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string can't fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
