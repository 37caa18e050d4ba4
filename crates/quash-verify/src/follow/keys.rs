//! The issuer's published keys: fetched at the start, when the feed names another set, and when a token names
//! an unknown key. A set that the feed doesn't name is ignored: it was damaged in transit, or is an old copy.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quash_core::model::Clock;
use quash_core::token::{Family, KeySet};
use quash_core::watch::frame::FeedPolicy;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};

use super::fault::IssuerError;
use super::http::{Http, READ_TIMEOUT};
use super::publisher_task::Message;
use crate::shared::key_fetcher::{KeyFetch, KeyFetcher};

/// Fetches an issuer's keys.
pub(crate) struct Keys {
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    publisher_task: mpsc::Sender<Message>,
    last: Mutex<Option<(Duration, Result<(), IssuerError>)>>,
    /// The policy that names the published set; `None` while a newer set may have been published without
    /// notice.
    named: watch::Sender<Option<FeedPolicy>>,
    /// Notified when the fetched set isn't the named one: the stream may have missed the new name.
    pub(crate) unnamed: Notify,
    /// The text of the current set.
    taken: std::sync::Mutex<Vec<u8>>,
}

/// The delay before fetching again after a failure, while the feed names another set than the current one.
const AGAIN: Duration = Duration::from_secs(5);
/// The least time between two fetches: an attacker who sends tokens with made-up `kid`s can't cause more.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(1);
/// The limit of one fetch, over all addresses.
const WITHIN: Duration = Duration::from_secs(5);
/// The most by which a set's name may arrive later than the set: the issuer sends the name when it publishes
/// the set.
const NAMED_WITHIN: Duration = Duration::from_secs(1);

impl Keys {
    pub(crate) fn new(http: Arc<Http>, clock: Arc<dyn Clock>, publisher_task: mpsc::Sender<Message>) -> Self {
        let (last, named, taken) = (Mutex::default(), watch::Sender::new(None), std::sync::Mutex::default());
        Self { http, clock, publisher_task, last, named, unnamed: Notify::new(), taken }
    }

    /// Fetches the keys whenever the feed names another set, until the process ends.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut named = self.named.subscribe();
        loop {
            if self.fetch_if_named().await.is_ok() {
                // Can't fail: `self` owns the sender.
                let _ = named.changed().await;
            } else {
                let _ = tokio::time::timeout(AGAIN, named.changed()).await;
            }
        }
    }

    /// Notes which set is published, if that is known.
    pub(crate) fn name(&self, policy: Option<&FeedPolicy>) {
        self.named.send_if_modified(|named| {
            let is_new = named.as_ref() != policy;
            *named = policy.cloned();
            is_new
        });
    }

    /// Applies the set that a policy names, with the time at which its request began.
    ///
    /// # Errors
    /// Returns an error if the text isn't that set, or can't be parsed.
    pub(crate) async fn take(
        &self,
        text: Vec<u8>,
        began: Duration,
        policy: &FeedPolicy,
    ) -> Result<(), IssuerError> {
        if !policy.publishes(&text) {
            return Err(IssuerError::OtherKeys);
        }
        let mut last = self.last.lock().await;
        self.load(text).await?;
        *last = Some((began, Ok(())));
        self.name(Some(policy));
        Ok(())
    }

    /// Fetches the keys unless the current set is the named one.
    async fn fetch_if_named(&self) -> Result<(), IssuerError> {
        let mut last = self.last.lock().await;
        if self.is_named(&self.taken()) {
            return Ok(());
        }
        let now = self.clock.uptime();
        let outcome = self.read_now().await;
        *last = Some((now, outcome));
        outcome
    }

    /// Fetches the keys for a check that lacks one. A fetch from before the check doesn't count, however
    /// recent: in an emergency, a new key signs as soon as it is published. Waits at most a second, until
    /// another fetch is allowed.
    async fn fetch_for_check(&self) -> Result<(), IssuerError> {
        let came = self.clock.uptime();
        let wait = match *self.last.lock().await {
            Some((began, outcome)) if began >= came => return outcome,
            Some((began, outcome)) => match MIN_FETCH_INTERVAL.checked_sub(came.saturating_sub(began)) {
                Some(_) if outcome.is_err() => return outcome,
                wait => wait.unwrap_or_default(),
            },
            None => Duration::ZERO,
        };
        tokio::time::sleep(wait).await;
        let mut last = self.last.lock().await;
        if let Some((_, outcome)) = last.filter(|(began, _)| *began >= came) {
            // Another waiting check has fetched them.
            return outcome;
        }
        let now = self.clock.uptime();
        let outcome = self.read_now().await;
        *last = Some((now, outcome));
        outcome
    }

    async fn read_now(&self) -> Result<(), IssuerError> {
        let outcome =
            tokio::time::timeout(WITHIN, self.read_published()).await.unwrap_or(Err(IssuerError::TimedOut));
        if let Err(fault) = outcome {
            tracing::warn!(%fault, "failed to fetch the issuer's keys; keeping the known ones");
        }
        outcome
    }

    async fn read_published(&self) -> Result<(), IssuerError> {
        let mut named = self.named.subscribe();
        let policy = named.borrow_and_update().clone();
        let text = self.http.keys(READ_TIMEOUT, policy.as_ref()).await?;
        let is_it = |named: &Option<FeedPolicy>| named.as_ref().is_none_or(|policy| policy.publishes(&text));
        if tokio::time::timeout(NAMED_WITHIN, named.wait_for(is_it)).await.is_err() {
            self.unnamed.notify_one();
            return Err(IssuerError::OtherKeys);
        }
        self.load(text).await
    }

    async fn load(&self, text: Vec<u8>) -> Result<(), IssuerError> {
        let set = KeySet::parse(&text).map_err(|_| IssuerError::Unreadable)?;
        for (place, fault) in &set.skipped {
            tracing::warn!(place, %fault, "ignoring a key of the issuer");
        }
        // A published secret is no secret.
        let keys = set
            .keys
            .into_iter()
            .map(|key| key.key)
            .filter(|key| key.algorithm().family() != Family::Hmac)
            .collect();
        let (taken, saw) = oneshot::channel();
        if self.publisher_task.send(Message::Keys(keys, taken)).await.is_ok() {
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

impl KeyFetcher for Keys {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = KeyFetch> + Send + '_>> {
        Box::pin(async {
            if self.fetch_for_check().await.is_ok() { KeyFetch::Done } else { KeyFetch::Unavailable }
        })
    }
}
