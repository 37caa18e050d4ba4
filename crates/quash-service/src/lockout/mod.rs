//! Lockout: limits password guesses. The counters (`quash-store/src/counters/`) decide which attempts are
//! evaluated; `decide/lock.rs` in quash-core decides the consequences of too many failures.
//!
//! A lock is in the store, and is effective here from the moment of the last failure.

#[cfg(test)]
mod sharing;
mod slots;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use quash_core::model::{Account, AccountStatus, Clock, DeviceId, LockoutPolicy, Subject, Timestamp, limits};
use quash_store::{
    AGAIN_AFTER, ASK_AGAIN, Allowance, Bucket, Counted, CounterKey, Counters, EVALUATED_WITHIN, RequestKind,
    RequestLimit, StoreError, Window, WindowKind,
};
use tokio::sync::mpsc;

use crate::failure::{Failure, Unavailable};
use crate::network::Network;
use slots::SlotQueues;

/// The counters of attempts, and the orders to lock accounts.
pub(crate) struct Lockout {
    shared: Arc<LockoutState>,
}

/// An account to be locked.
pub(crate) struct Order {
    pub(crate) subject: Subject,
    /// The time of the last failure.
    pub(crate) at: Timestamp,
}

/// The most accounts waiting to be locked. Each has cost several hashes, so this many take minutes to cause.
const ORDERS: usize = 1024;

struct LockoutState {
    policy: LockoutPolicy,
    secret: hmac::Key,
    clock: Arc<dyn Clock>,
    counters: Arc<dyn Counters>,
    queues: Mutex<SlotQueues>,
    orders: mpsc::Sender<Order>,
}

/// An attempt's slot for evaluation. It is freed on drop, and by the methods that report the attempt's
/// outcome.
pub(crate) struct Slot {
    shared: Arc<LockoutState>,
    counted: Counted,
    state: State,
    /// The uptime before the place was asked for.
    since: Duration,
}

/// A permit for an attempt, counted in each network of its address, or among an account's known devices. It
/// is returned on drop, and by [`Permit::failed`].
pub(crate) struct Permit {
    shared: Arc<LockoutState>,
    counted_in: Vec<Window>,
}

/// The way a slot was obtained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Acquired {
    /// Without waiting.
    AtOnce,
    /// After waiting: state loaded before may be outdated.
    AfterWaiting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
}

impl Lockout {
    /// Limits attempts by these counters. The channel receives the accounts to be locked.
    pub(crate) fn new(
        policy: LockoutPolicy,
        counters: Arc<dyn Counters>,
        secret: &[u8; 32],
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Order>) {
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (secret, queues) = (hmac::Key::new(HMAC_SHA256, secret), Mutex::default());
        (Self { shared: Arc::new(LockoutState { policy, secret, clock, counters, queues, orders }) }, ordered)
    }

    /// Permits an attempt from an address. Returns `None` if the address is unknown.
    ///
    /// # Errors
    /// One of the address's networks has failed too often, or the counters are unavailable.
    pub(crate) async fn pass(&self, address: Option<IpAddr>) -> Result<Option<Permit>, Failure> {
        let Some(address) = address else { return Ok(None) };
        let windows = Network::all_of(address).map(|network| self.shared.window(network));
        let begun = self.begin(windows).await?;
        begun.map(Some).map_err(|retry_after| Unavailable::NetworkThrottled { retry_after }.into())
    }

    /// Permits an attempt from one of an account's known devices. `None` if these devices have together used
    /// up their failures, or could use them up with the attempts in progress.
    ///
    /// # Errors
    /// The counters are unavailable.
    pub(crate) async fn pass_device(&self, subject: &Subject) -> Result<Option<Permit>, Failure> {
        let window = Window {
            kind: WindowKind::Devices,
            key: self.shared.key("devices", subject.as_str()),
            most: limits::DEVICE_FAILURES,
            span: limits::DEVICE_WINDOW,
        };
        Ok(self.begin([window]).await?.ok())
    }

    async fn begin(
        &self,
        windows: impl IntoIterator<Item = Window>,
    ) -> Result<Result<Permit, Duration>, StoreError> {
        let uptime = self.shared.clock.uptime();
        let mut permit = Permit { shared: Arc::clone(&self.shared), counted_in: Vec::new() };
        for window in windows {
            if let Err(retry_after) = self.shared.counters.begin(window, uptime).await? {
                return Ok(Err(retry_after));
            }
            permit.counted_in.push(window);
        }
        Ok(Ok(permit))
    }

    /// The counter of an attempt: the account's, whichever name and endpoint are used, or else that of the
    /// folded name.
    pub(crate) fn counted(&self, account: Option<&Account>, folded: &str) -> Counted {
        match account {
            Some(account) => self.of_account(&account.subject),
            None => Counted { bucket: Bucket::UnknownName, key: self.shared.key("name", folded) },
        }
    }

    /// The counter of an attempt from a known device: the device's.
    pub(crate) fn counted_by_device(&self, subject: &Subject, device: DeviceId) -> Counted {
        // The id has a fixed length, so devices of different accounts give different texts.
        Counted {
            bucket: Bucket::Device,
            key: self.shared.key("device", &format!("{device}{}", subject.as_str())),
        }
    }

    /// Waits until an attempt may be evaluated.
    ///
    /// # Errors
    /// Too many attempts are waiting already, or the counters are unavailable.
    pub(crate) async fn turn(&self, counted: Counted) -> Result<(Slot, Acquired), Failure> {
        let shared = Arc::clone(&self.shared);
        let since = shared.clock.uptime();
        let is_waited_for = shared.queues().is_waited_for(counted);
        if !is_waited_for && shared.reserve(counted, since).await? {
            return Ok((Slot { shared, counted, state: State::Running, since }, Acquired::AtOnce));
        }
        let has_room = shared.queues().enter(counted);
        if !has_room {
            return Err(Unavailable::AccountQueueFull { retry_after: AGAIN_AFTER }.into());
        }
        let mut turn = Slot { shared, counted, state: State::Waiting, since };
        loop {
            let freed = turn.shared.queues().freed(counted);
            turn.since = turn.shared.clock.uptime();
            if turn.shared.reserve(counted, turn.since).await? {
                break;
            }
            if turn.shared.counters.is_shared() {
                let _ = tokio::time::timeout(ASK_AGAIN, freed).await;
            } else {
                freed.await;
            }
        }
        turn.shared.queues().leave(counted);
        turn.state = State::Running;
        Ok((turn, Acquired::AfterWaiting))
    }

    /// Returns whether attempts are refused even with the right password. The account's lock doesn't apply to
    /// known devices.
    ///
    /// # Errors
    /// The counters are unavailable.
    pub(crate) async fn is_locked(
        &self,
        counted: Counted,
        account: Option<&Account>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let stored = account.is_some_and(|account| account.status(now) == AccountStatus::Locked);
        let is_locked = stored && counted.bucket == Bucket::Account;
        Ok(is_locked || self.shared.counters.is_locked(counted, self.shared.clock.uptime()).await?)
    }

    /// Resets an account's failures.
    pub(crate) async fn clear(&self, subject: &Subject) {
        self.shared.clear(self.of_account(subject)).await;
    }

    /// The failures that an address has left: those of its network with the fewest left. `None` if the counters
    /// are unavailable.
    pub(crate) async fn allowance(&self, address: IpAddr) -> Option<Allowance> {
        let uptime = self.shared.clock.uptime();
        let mut fewest: Option<Allowance> = None;
        for network in Network::all_of(address) {
            let allowance = self.shared.counters.allowance(self.shared.window(network), uptime).await.ok()?;
            if fewest.is_none_or(|fewest| allowance.left < fewest.left) {
                fewest = Some(allowance);
            }
        }
        fewest
    }

    /// Counts a request for a mail, before anything is looked up or written for it, and returns whether the
    /// client may make it. Clients with unknown networks share one count. A request whose mail is never sent also
    /// counts.
    ///
    /// # Errors
    /// The counters are unavailable.
    pub(crate) async fn may_ask_for_mail(&self, address: Option<IpAddr>) -> Result<bool, Failure> {
        let limits = mail_limits(address);
        Ok(self.shared.counters.take(&limits, self.shared.clock.uptime()).await?)
    }

    /// Like [`Lockout::may_ask_for_mail`], for the mails of a change of address. They go to an address that
    /// the user types and to the account's own, so they also count against the account, from every network.
    ///
    /// # Errors
    /// The counters are unavailable.
    pub(crate) async fn may_change_address(
        &self,
        address: Option<IpAddr>,
        subject: &Subject,
    ) -> Result<bool, Failure> {
        let mut limits = mail_limits(address);
        limits.push(RequestLimit {
            kind: RequestKind::AddressChange,
            key: self.shared.key("address change", subject.as_str()),
            most: limits::ADDRESS_CHANGES,
            span: limits::MAIL_COUNTED,
        });
        Ok(self.shared.counters.take(&limits, self.shared.clock.uptime()).await?)
    }

    /// Returns whether an owner may be notified of a lock, and counts the notice.
    ///
    /// # Errors
    /// The counters are unavailable.
    pub(crate) async fn may_notify(&self, subject: &Subject) -> Result<bool, Failure> {
        let limit = RequestLimit {
            kind: RequestKind::LockNotice,
            key: self.shared.key("notice", subject.as_str()),
            most: 1,
            span: limits::LOCK_NOTICE_INTERVAL,
        };
        Ok(self.shared.counters.take(&[limit], self.shared.clock.uptime()).await?)
    }

    /// Forgets what no longer counts.
    ///
    /// # Errors
    /// The counters are unavailable.
    pub(crate) async fn upkeep(&self) -> Result<(), StoreError> {
        self.shared.counters.upkeep().await
    }

    fn of_account(&self, subject: &Subject) -> Counted {
        Counted { bucket: Bucket::Account, key: self.shared.key("account", subject.as_str()) }
    }
}

/// The limits on requests for mails from an address.
fn mail_limits(address: Option<IpAddr>) -> Vec<RequestLimit> {
    let span = limits::MAIL_COUNTED;
    let Some(address) = address else {
        let (kind, key) = (RequestKind::MailFromUnknown, CounterKey([0; 16]));
        return vec![RequestLimit { kind, key, most: limits::MAILS_WITHOUT_NETWORK, span }];
    };
    let limit = |network: Network| RequestLimit {
        kind: RequestKind::MailFrom(network.width().window_kind()),
        key: CounterKey(network.bytes()),
        most: limits::MAILS_PER_NETWORK * network.width().times(),
        span,
    };
    Network::all_of(address).map(limit).collect()
}

impl Slot {
    /// The counter of the attempt.
    pub(crate) fn counted(&self) -> Counted {
        self.counted
    }

    /// Checks that the attempt's place can't have expired. One that took longer is not answered with its outcome: more
    /// attempts than the limit could be evaluated.
    ///
    /// # Errors
    /// The attempt took too long.
    pub(crate) fn in_time(&self) -> Result<(), Failure> {
        let took = self.shared.clock.uptime().saturating_sub(self.since);
        if self.shared.counters.is_shared() && took > EVALUATED_WITHIN {
            return Err(Unavailable::AccountQueueFull { retry_after: AGAIN_AFTER }.into());
        }
        Ok(())
    }

    /// Reports a right password: the failures are reset.
    pub(crate) async fn succeeded(self) {
        self.shared.clear(self.counted).await;
    }

    /// Reports a wrong password, or the right one of an account that may not be used. The last permitted
    /// failure locks at once and orders the lock in the store. A known device's failures lock only the
    /// device, and only its counter.
    ///
    /// # Errors
    /// The counters are unavailable: the attempt mustn't be answered.
    pub(crate) async fn failed(self, account: Option<&Account>, now: Timestamp) -> Result<(), Failure> {
        let account = if self.counted.bucket == Bucket::Account { account } else { None };
        let locks = account.map_or(0, |account| account.locks);
        let uptime = self.shared.clock.uptime();
        let is_locked = self.shared.counters.failed(self.counted, locks, uptime).await?;
        if is_locked
            && let Some(account) = account
            && self.shared.orders.try_send(Order { subject: account.subject.clone(), at: now }).is_err()
        {
            tracing::error!(subject = %account.subject, "too many accounts are waiting to be locked; this one is locked by its counter only");
        }
        Ok(())
    }
}

impl Permit {
    /// Reports an attempt that was refused as one with a wrong password.
    ///
    /// # Errors
    /// The counters are unavailable: the attempt mustn't be answered.
    pub(crate) async fn failed(self) -> Result<(), Failure> {
        let uptime = self.shared.clock.uptime();
        for window in &self.counted_in {
            self.shared.counters.failed_in(*window, uptime).await?;
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for window in &self.counted_in {
            self.shared.counters.end(*window);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        match self.state {
            State::Waiting => self.shared.queues().leave(self.counted),
            State::Running => {
                // A place that may have expired isn't given back: another attempt's would be.
                if self.in_time().is_ok() {
                    self.shared.counters.release(self.counted);
                }
                self.shared.queues().wake(self.counted);
            }
        }
    }
}

impl LockoutState {
    /// A poisoned lock is safe to use: a panic in other code can't have left a queue half written.
    fn queues(&self) -> MutexGuard<'_, SlotQueues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reserve(&self, counted: Counted, now: Duration) -> Result<bool, StoreError> {
        self.counters.reserve(counted, now).await
    }

    /// Resets failures. A failure to do so is only logged, because it is stricter, never more lenient.
    async fn clear(&self, counted: Counted) {
        if let Err(error) = self.counters.clear(counted).await {
            tracing::warn!(%error, "failed to reset a counter of failed attempts");
        }
    }

    fn window(&self, network: Network) -> Window {
        let width = network.width();
        Window {
            kind: width.window_kind(),
            key: CounterKey(network.bytes()),
            most: self.policy.network_failures * width.times(),
            span: self.policy.network_window,
        }
    }

    fn key(&self, kind: &str, text: &str) -> CounterKey {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(kind.as_bytes());
        context.update(b":");
        context.update(text.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&context.sign().as_ref()[..16]);
        CounterKey(key)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use quash_store::MemoryCounters;

    use super::*;

    const HOUR: Duration = limits::MAIL_COUNTED;

    fn network(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(0x0800_0000 + n)))
    }

    async fn counted(counters: &MemoryCounters, network: Option<IpAddr>, at: Duration) -> usize {
        let mut counted = 0;
        for _ in 0..2000 {
            let taken = counters.take(&mail_limits(network), at).await.expect("an answer");
            counted += usize::from(taken);
        }
        counted
    }

    #[tokio::test]
    async fn a71_each_network_has_its_own_hourly_allowance() {
        let counters = MemoryCounters::new(LockoutPolicy::default());
        let most = limits::MAILS_PER_NETWORK as usize;
        assert_eq!(counted(&counters, network(1), HOUR).await, most);
        assert_eq!(counted(&counters, network(2), HOUR).await, most);
        assert_eq!(counted(&counters, network(1), HOUR * 2 - Duration::from_millis(1)).await, 0);
        assert_eq!(counted(&counters, network(1), HOUR * 2).await, most);
    }

    #[tokio::test]
    async fn wider_networks_have_limits_of_their_own() {
        let counters = MemoryCounters::new(LockoutPolicy::default());
        let most = limits::MAILS_PER_NETWORK as usize;
        for (subnets, expected, what) in [
            (0..1_u32, most, "a /64"),
            (1..9, most, "its /56 has as many again"),
            (0x100..0x110, 2 * most, "another /56"),
            (0x200..0x210, 0, "their /48 has no more"),
        ] {
            let mut all = 0;
            for n in subnets {
                all += counted(&counters, format!("2001:db8:1:{n:x}::1").parse().ok(), HOUR).await;
            }
            assert_eq!(all, expected, "{what}");
        }
    }

    #[tokio::test]
    async fn peers_without_a_network_share_an_allowance() {
        let counters = MemoryCounters::new(LockoutPolicy::default());
        assert_eq!(counted(&counters, None, HOUR).await, limits::MAILS_WITHOUT_NETWORK as usize);
        assert_eq!(counted(&counters, network(1), HOUR).await, limits::MAILS_PER_NETWORK as usize);
        assert!(counters.take(&mail_limits(None), HOUR * 2).await.expect("an answer"));
    }
}
