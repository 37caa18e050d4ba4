//! Lock-out: how often a password may be guessed. What is counted here decides which attempts are evaluated at all; what
//! follows from too many failures is `decide/lock.rs` in quash-core.
//!
//! Counters are in memory. A lock is in the store, and holds here from the moment of the last failure.

mod tallies;
mod turns;
mod windows;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use quash_core::model::{Account, Clock, DeviceId, LockoutPolicy, Standing, Subject, Timestamp, limits};
use tokio::sync::mpsc;

use crate::failure::Unavailable;
use crate::network::{Network, Width};
pub(crate) use tallies::Counted;
use tallies::{Key, Tallies, Whose};
use turns::{AGAIN_AFTER, Asked, Turns};
pub use windows::Allowance;
use windows::Windows;

/// What is counted of attempts, and who must be locked for it.
pub(crate) struct Lockout {
    shared: Arc<Shared>,
}

/// An account that must be locked.
pub(crate) struct Order {
    pub(crate) subject: Subject,
    /// When the last failure was.
    pub(crate) at: Timestamp,
}

/// How many accounts may wait to be locked. Each has cost several hashes; that many at once would take minutes to make.
const ORDERS: usize = 1024;

struct Shared {
    secret: hmac::Key,
    clock: Arc<dyn Clock>,
    counts: Mutex<Counts>,
    orders: mpsc::Sender<Order>,
}

struct Counts {
    tallies: Tallies,
    turns: Turns,
    /// Those of IPv4 addresses and /64s, of /56s and of /48s.
    networks: [Windows; Width::ALL.len()],
    devices: Windows,
}

/// An attempt's turn to be evaluated. It ends when this is dropped, or when it is said how the attempt ended.
pub(crate) struct Turn {
    shared: Arc<Shared>,
    counted: Counted,
    state: State,
}

/// An attempt of an address, counted in each of its networks, or of an account's known devices. It ends when this is dropped,
/// or when it is said that it failed.
pub(crate) struct Passage {
    shared: Arc<Shared>,
    counted_in: Vec<(Through, Key)>,
}

/// What passages are counted in.
#[derive(Clone, Copy)]
enum Through {
    Networks(Width),
    Devices,
}

/// What a turn was got by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Got {
    /// At once.
    AtOnce,
    /// By waiting: what was loaded before may be old.
    AfterWaiting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
}

impl Lockout {
    /// Counts nothing yet. Accounts that must be locked come out of the channel.
    pub(crate) fn new(
        policy: LockoutPolicy,
        secret: &[u8; 32],
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Order>) {
        let (orders, ordered) = mpsc::channel(ORDERS);
        let networks = Width::ALL
            .map(|width| Windows::new(policy.network_failures * width.times(), policy.network_window));
        let devices = Windows::new(limits::DEVICE_FAILURES, limits::DEVICE_WINDOW);
        let counts =
            Mutex::new(Counts { tallies: Tallies::new(policy), turns: Turns::default(), networks, devices });
        let secret = hmac::Key::new(HMAC_SHA256, secret);
        (Self { shared: Arc::new(Shared { secret, clock, counts, orders }) }, ordered)
    }

    /// Lets an attempt from an address pass, if it is known where it comes from.
    ///
    /// # Errors
    /// One of its networks has failed too often.
    pub(crate) fn pass(&self, address: Option<IpAddr>) -> Result<Option<Passage>, Unavailable> {
        let Some(address) = address else { return Ok(None) };
        let networks = Network::all_of(address)
            .map(|network| (Through::Networks(network.width()), Key(network.bytes())));
        self.begin(networks).map(Some).map_err(|retry_after| Unavailable::NetworkThrottled { retry_after })
    }

    /// Lets an attempt of one of an account's known devices pass. `None`: all of them together have failed too often, or as
    /// many as may still fail are under way.
    pub(crate) fn pass_device(&self, subject: &Subject) -> Option<Passage> {
        self.begin([(Through::Devices, self.shared.key("devices", subject.as_str()))]).ok()
    }

    fn begin(&self, counted_in: impl IntoIterator<Item = (Through, Key)>) -> Result<Passage, Duration> {
        let uptime = self.shared.clock.uptime();
        let mut passage = Passage { shared: Arc::clone(&self.shared), counted_in: Vec::new() };
        for (through, key) in counted_in {
            through.of(&mut self.shared.counts()).begin(key, uptime)?;
            passage.counted_in.push((through, key));
        }
        Ok(passage)
    }

    /// What an attempt is counted by: the account, whatever it is called at whatever door, else the folded name.
    pub(crate) fn counted(&self, account: Option<&Account>, folded: &str) -> Counted {
        match account {
            Some(account) => self.of_account(&account.subject),
            None => Counted { whose: Whose::Nobody, key: self.shared.key("name", folded) },
        }
    }

    /// What an attempt from a known device is counted by: the device.
    pub(crate) fn counted_by_device(&self, subject: &Subject, device: DeviceId) -> Counted {
        // The id has a fixed length: no two devices of two accounts are spelt alike.
        Counted {
            whose: Whose::Device,
            key: self.shared.key("device", &format!("{device}{}", subject.as_str())),
        }
    }

    /// Waits until an attempt may be evaluated.
    ///
    /// # Errors
    /// Too many are waiting already.
    pub(crate) async fn turn(&self, counted: Counted) -> Result<(Turn, Got), Unavailable> {
        let shared = Arc::clone(&self.shared);
        let asked = shared.ask(|turns, slots| turns.ask(counted, slots), counted);
        let mut turn = match asked {
            Asked::Granted => return Ok((Turn { shared, counted, state: State::Running }, Got::AtOnce)),
            Asked::Crowded => return Err(Unavailable::Crowded { retry_after: AGAIN_AFTER }),
            Asked::Wait(freed) => {
                let turn = Turn { shared, counted, state: State::Waiting };
                freed.await;
                turn
            }
        };
        while let Asked::Wait(freed) =
            turn.shared.ask(|turns, slots| turns.ask_again(counted, slots), counted)
        {
            freed.await;
        }
        turn.state = State::Running;
        Ok((turn, Got::AfterWaiting))
    }

    /// Whether attempts are refused whatever the password. The account's lock doesn't keep out those from known devices.
    pub(crate) fn is_locked(&self, counted: Counted, account: Option<&Account>, now: Timestamp) -> bool {
        let stored = account.is_some_and(|account| account.standing(now) == Standing::Locked);
        (stored && counted.whose == Whose::Account)
            || self.shared.counts().tallies.is_locked(counted, self.shared.clock.uptime())
    }

    /// Forgets what was counted against an account.
    pub(crate) fn clear(&self, subject: &Subject) {
        self.shared.counts().tallies.clear(self.of_account(subject));
    }

    /// What an address may still fail: as much as that of its networks which has the least left.
    pub(crate) fn allowance(&self, address: IpAddr) -> Option<Allowance> {
        let (mut counts, uptime) = (self.shared.counts(), self.shared.clock.uptime());
        let mut of = |network: Network| {
            Through::Networks(network.width()).of(&mut counts).allowance(Key(network.bytes()), uptime)
        };
        Network::all_of(address).map(&mut of).min_by_key(|allowance| allowance.left)
    }

    fn of_account(&self, subject: &Subject) -> Counted {
        Counted { whose: Whose::Account, key: self.shared.key("account", subject.as_str()) }
    }
}

impl Turn {
    /// What the attempt is counted by.
    pub(crate) fn counted(&self) -> Counted {
        self.counted
    }

    /// The password was right: what was counted is forgotten.
    pub(crate) fn succeeded(self) {
        self.shared.counts().tallies.clear(self.counted);
    }

    /// The password was wrong, or that of an account which may not be used. The one failure too many locks at once, and
    /// orders that the store be told; that of a known device locks the device alone, here and not in the store.
    pub(crate) fn failed(self, account: Option<&Account>, now: Timestamp) {
        let account = account.filter(|_| self.counted.whose == Whose::Account);
        let locks = account.map_or(0, |account| account.locks);
        let is_locked = self.shared.counts().tallies.failed(self.counted, locks, self.shared.clock.uptime());
        if let Some(account) = account.filter(|_| is_locked)
            && self.shared.orders.try_send(Order { subject: account.subject.clone(), at: now }).is_err()
        {
            tracing::error!(subject = %account.subject, "too many accounts are being locked: this one is until the server ends");
        }
    }
}

impl Passage {
    /// The attempt was refused as one with a wrong password is.
    pub(crate) fn failed(self) {
        let uptime = self.shared.clock.uptime();
        for (through, key) in &self.counted_in {
            through.of(&mut self.shared.counts()).failed(*key, uptime);
        }
    }
}

impl Through {
    fn of(self, counts: &mut Counts) -> &mut Windows {
        match self {
            Self::Networks(width) => &mut counts.networks[width as usize],
            Self::Devices => &mut counts.devices,
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        for (through, key) in &self.counted_in {
            through.of(&mut self.shared.counts()).end(*key);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let turns = &mut self.shared.counts().turns;
        match self.state {
            State::Waiting => turns.give_up(self.counted),
            State::Running => turns.end(self.counted),
        }
    }
}

impl Shared {
    /// A panic elsewhere can't have left a count half written.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, ask: impl FnOnce(&mut Turns, u32) -> Asked, counted: Counted) -> Asked {
        let mut counts = self.counts();
        let slots = counts.tallies.slots(counted, self.clock.uptime());
        ask(&mut counts.turns, slots)
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
