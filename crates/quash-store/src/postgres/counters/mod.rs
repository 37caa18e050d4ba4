//! Counters in rows that all processes of the issuer share. Each operation is one statement, so that two processes
//! never count past a limit. Losing rows frees attempts, and lifts no lock of an account's row: the tables are
//! unlogged.

mod refusals;
mod statements;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::LockoutPolicy;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;

use self::refusals::{Refusal, Refusals};
use super::PostgresStore;
use super::fault::PostgresError;
use super::params::Params;
use super::transaction::Database;
use crate::counters::{
    AGAIN_AFTER, Allowance, Bucket, Counted, CounterKey, Counters, RequestKind, RequestLimit, Window,
    WindowKind,
};
use crate::{OpenError, StoreError};

/// [`Counters`] for a database that several processes share.
pub struct PostgresCounters {
    database: Arc<Database>,
    policy: LockoutPolicy,
    refusals: Refusals,
    given_back: mpsc::Sender<Place>,
}

/// A place that is given back.
enum Place {
    OfTally([u8; KEY]),
    OfWindow(i16, CounterKey),
}

/// A place that was reserved, until the attempt takes it.
struct Reserved {
    place: Option<Place>,
    given_back: mpsc::Sender<Place>,
}

impl Reserved {
    fn taken(mut self) {
        self.place = None;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let _ = self.given_back.try_send(place);
        }
    }
}

/// The length of a tally's key: a letter for the bucket, then the counter's key.
const KEY: usize = 17;
/// Unknown names share this many rows, so that invented names can't fill the database.
const UNKNOWN_NAMES: u32 = 1 << 17;
/// The most networks, accounts or owners that are counted for each kind of window or request.
const OF_A_KIND: i64 = 1 << 17;
/// The connections. Each statement takes well under a millisecond.
const CONNECTIONS: usize = 4;
/// The longest time to wait for one of them.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);
/// The most places that wait to be given back. Further ones expire.
const GIVEN_BACK: usize = 16_384;
/// The most places that one statement gives back.
const AT_ONCE: usize = 512;
/// The longest time for which a lock or a used-up count of requests is believed without asking: another process may
/// lift it.
const BELIEVED: Duration = Duration::from_secs(1);

impl PostgresCounters {
    /// Uses a store's database, with connections of its own. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The pool of connections can't be made.
    pub fn beside(store: &PostgresStore, policy: LockoutPolicy) -> Result<Self, OpenError> {
        let database = Arc::new(store.database().with_own_pool(CONNECTIONS, CONNECTION_WAIT)?);
        let (given_back, places) = mpsc::channel(GIVEN_BACK);
        tokio::spawn(give_back(Arc::clone(&database), places));
        Ok(Self { database, policy, refusals: Refusals::default(), given_back })
    }

    /// Reserves a place in a task of its own. If the request is cancelled meanwhile, the place is given back:
    /// otherwise a client that cancels requests at the right moment could keep all places of an account.
    async fn reserve_place(
        &self,
        place: Place,
        reserving: impl Future<Output = Result<Vec<Row>, PostgresError>> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let given_back = self.given_back.clone();
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let reserved = reserving.await.map(|rows| {
                let is_reserved = !rows.is_empty();
                is_reserved.then(|| Reserved { place: Some(place), given_back })
            });
            // If the caller is gone, this drops the place, which gives it back.
            let _ = answer.send(reserved);
        });
        let ended = |_| StoreError::Unavailable("the task that reserves has ended".into());
        Ok(answered.await.map_err(ended)??.map(Reserved::taken).is_some())
    }

    fn most(&self) -> i64 {
        i64::from(self.policy.failures)
    }

    /// The failures in a window, and the time until one less counts.
    async fn failures(&self, window: &Window) -> Result<(u32, Duration), StoreError> {
        let (kind, span) = (window_kind(window.kind), millis(window.span));
        let rows =
            self.database.query(statements::FAILURES, &[&kind, &window.key.0.as_slice(), &span]).await?;
        let row = rows.first().ok_or(PostgresError::Value("no count of failures"))?;
        let count: i64 = row.try_get(0).map_err(PostgresError::from)?;
        let until: Option<i64> = row.try_get(1).map_err(PostgresError::from)?;
        let until = until.map_or(window.span, from_millis);
        Ok((u32::try_from(count).unwrap_or(u32::MAX), until))
    }
}

/// Gives places back. One that can't be given back expires after 30 seconds, so a failure needs no other treatment.
async fn give_back(database: Arc<Database>, mut places: mpsc::Receiver<Place>) {
    while let Some(first) = places.recv().await {
        let mut tallies: BTreeMap<[u8; KEY], i64> = BTreeMap::new();
        let mut windows: BTreeMap<(i16, [u8; 16]), i64> = BTreeMap::new();
        let mut next = Some(first);
        for _ in 0..AT_ONCE {
            match next {
                Some(Place::OfTally(key)) => *tallies.entry(key).or_default() += 1,
                Some(Place::OfWindow(kind, key)) => *windows.entry((kind, key.0)).or_default() += 1,
                None => break,
            }
            next = places.try_recv().ok();
        }
        if !tallies.is_empty() {
            let keys: Vec<&[u8]> = tallies.keys().map(trimmed).collect();
            let counts: Vec<i64> = tallies.values().copied().collect();
            let _ = database.query_once(statements::RELEASE, &[&keys, &counts]).await;
        }
        if !windows.is_empty() {
            let (kinds, keys): (Vec<i16>, Vec<&[u8]>) =
                windows.keys().map(|(kind, key)| (*kind, key.as_slice())).unzip();
            let counts: Vec<i64> = windows.values().copied().collect();
            let _ = database.query_once(statements::END, &[&kinds, &keys, &counts]).await;
        }
    }
}

#[async_trait]
impl Counters for PostgresCounters {
    async fn reserve(&self, counted: Counted, _now: Duration) -> Result<bool, StoreError> {
        let (key, longest, most) = (key(counted), millis(self.policy.longest_lock), self.most());
        let database = Arc::clone(&self.database);
        let reserving =
            async move { database.query_once(statements::RESERVE, &[&trimmed(&key), &most, &longest]).await };
        self.reserve_place(Place::OfTally(key), reserving).await
    }

    fn release(&self, counted: Counted) {
        let _ = self.given_back.try_send(Place::OfTally(key(counted)));
    }

    async fn is_locked(&self, counted: Counted, now: Duration) -> Result<bool, StoreError> {
        let refusal = Refusal::Lock(key(counted));
        if self.refusals.left(&refusal, now).is_some() {
            return Ok(true);
        }
        let rows = self.database.query(statements::LOCKED_FOR, &[&trimmed(&key(counted))]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let left: i64 = row.try_get(0).map_err(PostgresError::from)?;
        self.refusals.remember(refusal, now + from_millis(left).min(BELIEVED));
        Ok(true)
    }

    async fn failed(&self, counted: Counted, locks: u32, _now: Duration) -> Result<bool, StoreError> {
        let LockoutPolicy { longest_lock, first_lock, .. } = self.policy;
        let (longest, first, locks) =
            (millis(longest_lock), millis(first_lock), i64::from(locks.min(1_000_000)));
        let key = key(counted);
        let params: Params<'_> = &[&trimmed(&key), &self.most(), &longest, &locks, &first];
        let rows = self.database.query_once(statements::FAILED, params).await?;
        let row = rows.first().ok_or(PostgresError::Value("no tally"))?;
        Ok(row.try_get(0).map_err(PostgresError::from)?)
    }

    async fn clear(&self, counted: Counted) -> Result<(), StoreError> {
        self.database.query_once(statements::CLEAR, &[&trimmed(&key(counted))]).await?;
        self.refusals.forget(&Refusal::Lock(key(counted)));
        Ok(())
    }

    async fn begin(&self, window: Window, now: Duration) -> Result<Result<(), Duration>, StoreError> {
        let kind = window_kind(window.kind);
        let refusal = Refusal::Window(kind, window.key);
        if let Some(left) = self.refusals.left(&refusal, now) {
            return Ok(Err(left));
        }
        let (most, span) = (i64::from(window.most), millis(window.span));
        let (database, key) = (Arc::clone(&self.database), window.key);
        let reserving = async move {
            database.query_once(statements::BEGIN, &[&kind, &key.0.as_slice(), &most, &span]).await
        };
        if self.reserve_place(Place::OfWindow(kind, key), reserving).await? {
            return Ok(Ok(()));
        }
        let (failures, until) = self.failures(&window).await?;
        if failures < window.most {
            return Ok(Err(AGAIN_AFTER));
        }
        self.refusals.remember(refusal, now + until);
        Ok(Err(until))
    }

    fn end(&self, window: Window) {
        let _ = self.given_back.try_send(Place::OfWindow(window_kind(window.kind), window.key));
    }

    async fn failed_in(&self, window: Window, _now: Duration) -> Result<(), StoreError> {
        let (kind, most, span) = (window_kind(window.kind), i64::from(window.most), millis(window.span));
        let params: Params<'_> = &[&kind, &window.key.0.as_slice(), &most, &span];
        self.database.query_once(statements::FAILED_IN, params).await?;
        Ok(())
    }

    async fn allowance(&self, window: Window, _now: Duration) -> Result<Allowance, StoreError> {
        let (failures, more_after) = self.failures(&window).await?;
        let Window { most, span, .. } = window;
        Ok(Allowance { most, window: span, left: most.saturating_sub(failures), more_after })
    }

    async fn take(&self, limits: &[RequestLimit], now: Duration) -> Result<bool, StoreError> {
        let mut ordered: Vec<(i16, &RequestLimit)> =
            limits.iter().map(|limit| (request_kind(limit.kind), limit)).collect();
        ordered.sort_by_key(|(kind, limit)| (*kind, limit.key.0));
        let kinds: Vec<i16> = ordered.iter().map(|(kind, _)| *kind).collect();
        let keys: Vec<&[u8]> = ordered.iter().map(|(_, limit)| limit.key.0.as_slice()).collect();
        let refusal = Refusal::Requests(ordered.iter().map(|(kind, limit)| (*kind, limit.key)).collect());
        if self.refusals.left(&refusal, now).is_some() {
            return Ok(false);
        }
        let most: Vec<i64> = ordered.iter().map(|(_, limit)| i64::from(limit.most)).collect();
        let spans: Vec<i64> = ordered.iter().map(|(_, limit)| millis(limit.span)).collect();
        let taken = self.database.query_once(statements::TAKE, &[&kinds, &keys, &most, &spans]).await?;
        if taken.len() == limits.len() {
            return Ok(true);
        }
        if !taken.is_empty() {
            let kinds = taken.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i16>, _>>();
            let keys = taken.iter().map(|row| row.try_get(1)).collect::<Result<Vec<&[u8]>, _>>();
            let (kinds, keys) = (kinds.map_err(PostgresError::from)?, keys.map_err(PostgresError::from)?);
            self.database.query_once(statements::GIVE_BACK, &[&kinds, &keys]).await?;
        }
        self.refusals.remember(refusal, now + BELIEVED);
        Ok(false)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn upkeep(&self) -> Result<(), StoreError> {
        let longest = millis(self.policy.longest_lock);
        self.database.query_once(statements::FORGET_TALLIES, &[&longest]).await?;
        self.database.query_once(statements::FORGET_RECENT, &[&OF_A_KIND]).await?;
        Ok(())
    }
}

/// The key of a counter's row.
fn key(Counted { bucket, key }: Counted) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    bytes[0] = match bucket {
        Bucket::Account => b'A',
        Bucket::Device => b'D',
        Bucket::UnknownName => b'U',
    };
    bytes[1..].copy_from_slice(&key.0);
    if bucket == Bucket::UnknownName {
        let [_, first, second, third, fourth, ..] = bytes;
        let shared = u32::from_be_bytes([first, second, third, fourth]) % UNKNOWN_NAMES;
        bytes[1..].fill(0);
        bytes[1..5].copy_from_slice(&shared.to_be_bytes());
    }
    bytes
}

/// The key as it is stored.
fn trimmed(key: &[u8; KEY]) -> &[u8] {
    if key[0] == b'U' { &key[..5] } else { key }
}

fn window_kind(kind: WindowKind) -> i16 {
    match kind {
        WindowKind::Subnet => 1,
        WindowKind::Home => 2,
        WindowKind::Site => 3,
        WindowKind::Devices => 4,
    }
}

fn request_kind(kind: RequestKind) -> i16 {
    match kind {
        RequestKind::MailFrom(kind) => 10 + window_kind(kind),
        RequestKind::MailFromUnknown => 20,
        RequestKind::AddressChange => 21,
        RequestKind::LockNotice => 22,
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
