//! The keys that an issuer publishes: read at the start, every ten minutes, and when a token names one that isn't known.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Clock;
use quash_core::token::{Family, KeySet};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::fault::Fault;
use super::http::{Http, SILENT};
use super::keeping::Message;
use crate::more_keys::{Looked, MoreKeys};

/// The way to an issuer's keys.
pub(crate) struct Keys {
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    keeping: mpsc::Sender<Message>,
    last: Mutex<Option<(Duration, Result<(), Fault>)>>,
}

/// How often they are read where nobody misses one. A key is published ten minutes before it signs.
const EVERY: Duration = Duration::from_secs(600);
/// Whoever sends tokens with made-up kids can't have them read more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// From the question to the end of the answer, whichever address gives it.
const WITHIN: Duration = Duration::from_secs(5);

impl Keys {
    pub(crate) fn new(http: Arc<Http>, clock: Arc<dyn Clock>, keeping: mpsc::Sender<Message>) -> Self {
        Self { http, clock, keeping, last: Mutex::default() }
    }

    /// Reads them now and then for as long as the process runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            // What was published before holds on.
            let _ = self.read(SILENT).await;
        }
    }

    /// Reads them, unless that was done just now, from an address that isn't silent for longer than `within`.
    pub(crate) async fn read(&self, within: Duration) -> Result<(), Fault> {
        let mut last = self.last.lock().await;
        let now = self.clock.uptime();
        if last.is_some_and(|(at, outcome)| outcome.is_ok() && now.saturating_sub(at) < AT_MOST_EVERY) {
            return Ok(());
        }
        let outcome = self.read_now(within).await;
        *last = Some((now, outcome));
        outcome
    }

    /// Reads them for somebody who misses one: what was read before won't do, however shortly ago, because a key that takes
    /// over in an emergency signs as soon as it is published. Until they may be read again one waits, at most a second.
    async fn read_anew(&self) -> Result<(), Fault> {
        let came = self.clock.uptime();
        let wait = match *self.last.lock().await {
            Some((began, outcome)) if began >= came => return outcome,
            Some((began, outcome)) => match AT_MOST_EVERY.checked_sub(came.saturating_sub(began)) {
                Some(_) if outcome.is_err() => return outcome,
                wait => wait.unwrap_or_default(),
            },
            None => Duration::ZERO,
        };
        tokio::time::sleep(wait).await;
        let mut last = self.last.lock().await;
        if let Some((_, outcome)) = last.filter(|(began, _)| *began >= came) {
            // Another who has waited has read them.
            return outcome;
        }
        let now = self.clock.uptime();
        let outcome = self.read_now(SILENT).await;
        *last = Some((now, outcome));
        outcome
    }

    async fn read_now(&self, within: Duration) -> Result<(), Fault> {
        let outcome = tokio::time::timeout(WITHIN, self.read_published(within)).await.unwrap_or(Err(Fault::Silent));
        if let Err(fault) = outcome {
            tracing::warn!(%fault, "the issuer's keys could not be read; those that were known go on");
        }
        outcome
    }

    async fn read_published(&self, within: Duration) -> Result<(), Fault> {
        let set = KeySet::parse(&self.http.keys(within).await?).map_err(|_| Fault::Unreadable)?;
        for (place, fault) in &set.skipped {
            tracing::warn!(place, %fault, "a key of the issuer's is not used");
        }
        // A secret that everybody can read is none.
        let keys = set.keys.into_iter().map(|key| key.key).filter(|key| key.algorithm().family() != Family::Hmac).collect();
        let (taken, saw) = oneshot::channel();
        if self.keeping.send(Message::Keys(keys, taken)).await.is_ok() {
            let _ = saw.await;
        }
        Ok(())
    }
}

impl MoreKeys for Keys {
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        Box::pin(async { if self.read_anew().await.is_ok() { Looked::Done } else { Looked::Away } })
    }
}
