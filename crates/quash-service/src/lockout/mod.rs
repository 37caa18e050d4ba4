//! Lockout: limits password guesses. The counters here decide which attempts are evaluated; `decide/lock.rs`
//! in quash-core decides the consequences of too many failures.
//!
//! Counters are in memory. A lock is in the store, and is effective here from the moment of the last failure.

mod slots;
mod tallies;
mod windows;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use quash_core::model::{Account, AccountStatus, Clock, DeviceId, LockoutPolicy, Subject, Timestamp, limits};
use tokio::sync::mpsc;

use crate::failure::Unavailable;
use crate::network::{Network, Width};
use slots::{AGAIN_AFTER, SlotAnswer, SlotQueues};
pub(crate) use tallies::Counted;
use tallies::{Bucket, Key, Tallies};
pub use windows::Allowance;
use windows::Windows;

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
    secret: hmac::Key,
    clock: Arc<dyn Clock>,
    counts: Mutex<Counts>,
    orders: mpsc::Sender<Order>,
}

struct Counts {
    tallies: Tallies,
    queues: SlotQueues,
    /// For IPv4 addresses and /64s, for /56s and for /48s.
    networks: [Windows; Width::ALL.len()],
    devices: Windows,
}

/// An attempt's slot for evaluation. It is freed on drop, and by the methods that report the attempt's
/// outcome.
pub(crate) struct Slot {
    shared: Arc<LockoutState>,
    counted: Counted,
    state: State,
}

/// A permit for an attempt, counted in each network of its address, or among an account's known devices. It
/// is returned on drop, and by [`Permit::failed`].
pub(crate) struct Permit {
    shared: Arc<LockoutState>,
    counted_in: Vec<(LimitKind, Key)>,
}

/// The kind of limit that counts a permit.
#[derive(Clone, Copy)]
enum LimitKind {
    Networks(Width),
    Devices,
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
    /// Creates empty counters. The channel receives the accounts to be locked.
    pub(crate) fn new(
        policy: LockoutPolicy,
        secret: &[u8; 32],
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Order>) {
        let (orders, ordered) = mpsc::channel(ORDERS);
        let networks = Width::ALL
            .map(|width| Windows::new(policy.network_failures * width.times(), policy.network_window));
        let devices = Windows::new(limits::DEVICE_FAILURES, limits::DEVICE_WINDOW);
        let counts = Mutex::new(Counts {
            tallies: Tallies::new(policy),
            queues: SlotQueues::default(),
            networks,
            devices,
        });
        let secret = hmac::Key::new(HMAC_SHA256, secret);
        (Self { shared: Arc::new(LockoutState { secret, clock, counts, orders }) }, ordered)
    }

    /// Permits an attempt from an address. Returns `None` if the address is unknown.
    ///
    /// # Errors
    /// One of the address's networks has failed too often.
    pub(crate) fn pass(&self, address: Option<IpAddr>) -> Result<Option<Permit>, Unavailable> {
        let Some(address) = address else { return Ok(None) };
        let networks = Network::all_of(address)
            .map(|network| (LimitKind::Networks(network.width()), Key(network.bytes())));
        self.begin(networks).map(Some).map_err(|retry_after| Unavailable::NetworkThrottled { retry_after })
    }

    /// Permits an attempt from one of an account's known devices. `None` if these devices have together used
    /// up their failures, or could use them up with the attempts in progress.
    pub(crate) fn pass_device(&self, subject: &Subject) -> Option<Permit> {
        self.begin([(LimitKind::Devices, self.shared.key("devices", subject.as_str()))]).ok()
    }

    fn begin(&self, counted_in: impl IntoIterator<Item = (LimitKind, Key)>) -> Result<Permit, Duration> {
        let uptime = self.shared.clock.uptime();
        let mut permit = Permit { shared: Arc::clone(&self.shared), counted_in: Vec::new() };
        for (kind, key) in counted_in {
            kind.of(&mut self.shared.counts()).begin(key, uptime)?;
            permit.counted_in.push((kind, key));
        }
        Ok(permit)
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
    /// Too many attempts are waiting already.
    pub(crate) async fn turn(&self, counted: Counted) -> Result<(Slot, Acquired), Unavailable> {
        let shared = Arc::clone(&self.shared);
        let answer = shared.ask(|queues, slots| queues.ask(counted, slots), counted);
        let mut turn = match answer {
            SlotAnswer::Granted => {
                return Ok((Slot { shared, counted, state: State::Running }, Acquired::AtOnce));
            }
            SlotAnswer::Crowded => return Err(Unavailable::Crowded { retry_after: AGAIN_AFTER }),
            SlotAnswer::Wait(freed) => {
                let turn = Slot { shared, counted, state: State::Waiting };
                freed.await;
                turn
            }
        };
        while let SlotAnswer::Wait(freed) =
            turn.shared.ask(|queues, slots| queues.ask_again(counted, slots), counted)
        {
            freed.await;
        }
        turn.state = State::Running;
        Ok((turn, Acquired::AfterWaiting))
    }

    /// Returns whether attempts are refused even with the right password. The account's lock doesn't apply to
    /// known devices.
    pub(crate) fn is_locked(&self, counted: Counted, account: Option<&Account>, now: Timestamp) -> bool {
        let stored = account.is_some_and(|account| account.status(now) == AccountStatus::Locked);
        (stored && counted.bucket == Bucket::Account)
            || self.shared.counts().tallies.is_locked(counted, self.shared.clock.uptime())
    }

    /// Resets an account's failures.
    pub(crate) fn clear(&self, subject: &Subject) {
        self.shared.counts().tallies.clear(self.of_account(subject));
    }

    /// The failures that an address has left: those of its network with the fewest left.
    pub(crate) fn allowance(&self, address: IpAddr) -> Option<Allowance> {
        let (mut counts, uptime) = (self.shared.counts(), self.shared.clock.uptime());
        let mut of = |network: Network| {
            LimitKind::Networks(network.width()).of(&mut counts).allowance(Key(network.bytes()), uptime)
        };
        Network::all_of(address).map(&mut of).min_by_key(|allowance| allowance.left)
    }

    fn of_account(&self, subject: &Subject) -> Counted {
        Counted { bucket: Bucket::Account, key: self.shared.key("account", subject.as_str()) }
    }
}

impl Slot {
    /// The counter of the attempt.
    pub(crate) fn counted(&self) -> Counted {
        self.counted
    }

    /// Reports a right password: the failures are reset.
    pub(crate) fn succeeded(self) {
        self.shared.counts().tallies.clear(self.counted);
    }

    /// Reports a wrong password, or the right one of an account that may not be used. The last permitted
    /// failure locks at once and orders the lock in the store. A known device's failures lock only the
    /// device, and only in this process.
    pub(crate) fn failed(self, account: Option<&Account>, now: Timestamp) {
        let account = if self.counted.bucket == Bucket::Account { account } else { None };
        let locks = account.map_or(0, |account| account.locks);
        let is_locked = self.shared.counts().tallies.failed(self.counted, locks, self.shared.clock.uptime());
        if is_locked
            && let Some(account) = account
            && self.shared.orders.try_send(Order { subject: account.subject.clone(), at: now }).is_err()
        {
            tracing::error!(subject = %account.subject, "too many accounts are waiting to be locked; this one is locked in this process only");
        }
    }
}

impl Permit {
    /// Reports an attempt that was refused as one with a wrong password.
    pub(crate) fn failed(self) {
        let uptime = self.shared.clock.uptime();
        for (kind, key) in &self.counted_in {
            kind.of(&mut self.shared.counts()).failed(*key, uptime);
        }
    }
}

impl LimitKind {
    fn of(self, counts: &mut Counts) -> &mut Windows {
        match self {
            Self::Networks(width) => &mut counts.networks[width as usize],
            Self::Devices => &mut counts.devices,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for (kind, key) in &self.counted_in {
            kind.of(&mut self.shared.counts()).end(*key);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let queues = &mut self.shared.counts().queues;
        match self.state {
            State::Waiting => queues.give_up(self.counted),
            State::Running => queues.end(self.counted),
        }
    }
}

impl LockoutState {
    /// A poisoned lock is safe to use: a panic in other code can't have left a count half written.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, ask: impl FnOnce(&mut SlotQueues, u32) -> SlotAnswer, counted: Counted) -> SlotAnswer {
        let mut counts = self.counts();
        let slots = counts.tallies.slots(counted, self.clock.uptime());
        ask(&mut counts.queues, slots)
    }

    fn key(&self, kind: &str, text: &str) -> Key {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(kind.as_bytes());
        context.update(b":");
        context.update(text.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&context.sign().as_ref()[..16]);
        Key(key)
    }
}
