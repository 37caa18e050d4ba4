//! The keys that an issuer publishes: read at the start, when the feed names another set, and when a token names a key that
//! isn't known. A set that the feed doesn't name is not taken: it was damaged on its way, or is an old copy.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quash_core::model::Clock;
use quash_core::token::{Family, KeySet};
use quash_core::watch::frame::FeedPolicy;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};

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
    /// What names the published set; `None` where a newer set may be published without being named here.
    named: watch::Sender<Option<FeedPolicy>>,
    /// A set was read that isn't the one that is named: the name may be missing here.
    pub(crate) unnamed: Notify,
    /// The text of the set that was taken.
    taken: std::sync::Mutex<Vec<u8>>,
}

/// How soon they are read again after a failure, where the feed names another set than the one that was taken.
const AGAIN: Duration = Duration::from_secs(5);
/// Whoever sends tokens with made-up kids can't have them read more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// From the question to the end of the answer, whichever address gives it.
const WITHIN: Duration = Duration::from_secs(5);
/// How much later than a new set its name may come: it is sent on the stream at the moment at which the set is published.
const NAMED_WITHIN: Duration = Duration::from_secs(1);

impl Keys {
    pub(crate) fn new(http: Arc<Http>, clock: Arc<dyn Clock>, keeping: mpsc::Sender<Message>) -> Self {
        let (last, named, taken) = (Mutex::default(), watch::Sender::new(None), std::sync::Mutex::default());
        Self { http, clock, keeping, last, named, unnamed: Notify::new(), taken }
    }

    /// Reads them whenever the feed names another set, for as long as the process runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut named = self.named.subscribe();
        loop {
            if self.renew().await.is_ok() {
                // The sender is here.
                let _ = named.changed().await;
            } else {
                let _ = tokio::time::timeout(AGAIN, named.changed()).await;
            }
        }
    }

    /// Says which set is published, if that is known.
    pub(crate) fn name(&self, policy: Option<&FeedPolicy>) {
        self.named.send_if_modified(|named| {
            let is_new = named.as_ref() != policy;
            *named = policy.cloned();
            is_new
        });
    }

    /// Takes the set that a policy names.
    ///
    /// # Errors
    /// It isn't that set, or can't be read.
    pub(crate) async fn take(&self, text: Vec<u8>, policy: &FeedPolicy) -> Result<(), Fault> {
        if !policy.publishes(&text) {
            return Err(Fault::OtherKeys);
        }
        let mut last = self.last.lock().await;
        let now = self.clock.uptime();
        self.load(text).await?;
        *last = Some((now, Ok(())));
        self.name(Some(policy));
        Ok(())
    }

    /// Reads them if the set that is named isn't the one that was taken.
    async fn renew(&self) -> Result<(), Fault> {
        let mut last = self.last.lock().await;
        if self.is_named(&self.taken()) {
            return Ok(());
        }
        let now = self.clock.uptime();
        let outcome = self.read_now().await;
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
        let outcome = self.read_now().await;
        *last = Some((now, outcome));
        outcome
    }

    async fn read_now(&self) -> Result<(), Fault> {
        let outcome = tokio::time::timeout(WITHIN, self.read_published()).await.unwrap_or(Err(Fault::Silent));
        if let Err(fault) = outcome {
            tracing::warn!(%fault, "failed to read the issuer's keys; keeping those that are known");
        }
        outcome
    }

    async fn read_published(&self) -> Result<(), Fault> {
        let mut named = self.named.subscribe();
        let policy = named.borrow_and_update().clone();
        let text = self.http.keys(SILENT, policy.as_ref()).await?;
        let is_it = |named: &Option<FeedPolicy>| named.as_ref().is_none_or(|policy| policy.publishes(&text));
        if tokio::time::timeout(NAMED_WITHIN, named.wait_for(is_it)).await.is_err() {
            self.unnamed.notify_one();
            return Err(Fault::OtherKeys);
        }
        self.load(text).await
    }

    async fn load(&self, text: Vec<u8>) -> Result<(), Fault> {
        let set = KeySet::parse(&text).map_err(|_| Fault::Unreadable)?;
        for (place, fault) in &set.skipped {
            tracing::warn!(place, %fault, "a key of the issuer's is not used");
        }
        // A secret that everybody can read is none.
        let keys = set
            .keys
            .into_iter()
            .map(|key| key.key)
            .filter(|key| key.algorithm().family() != Family::Hmac)
            .collect();
        let (taken, saw) = oneshot::channel();
        if self.keeping.send(Message::Keys(keys, taken)).await.is_ok() {
            let _ = saw.await;
        }
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = text;
        Ok(())
    }

    fn is_named(&self, text: &[u8]) -> bool {
        self.named.borrow().as_ref().is_none_or(|policy| policy.publishes(text))
    }

    fn taken(&self) -> Vec<u8> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MoreKeys for Keys {
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        Box::pin(async { if self.read_anew().await.is_ok() { Looked::Done } else { Looked::Away } })
    }
}
