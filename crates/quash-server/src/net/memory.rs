//! Accounts for the memory of connections and their unfinished requests: one budget for the process, with a
//! share for each connection. When the budget is exhausted, the connections that have been unfinished longest
//! are closed. A client that sends its request promptly is served, however many others never finish theirs.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Version;
use tokio::sync::Notify;

// The flat amounts are measured (docs/decisions/0034-close-longest-unfinished-connections.md).
/// The bytes that a connection costs before it sends anything: its task.
const CONNECTION_BYTES: usize = 8 * 1024;
/// The additional bytes that TLS costs.
const TLS_BYTES: usize = 16 * 1024;
/// The additional bytes that HTTP costs from the first byte on: its buffers.
const HTTP_BYTES: usize = 18 * 1024;
/// The bytes that a pending request costs besides its head and its body: its task and what it waits for.
const REQUEST_BYTES: usize = 20 * 1024;
/// The maximum bytes that one connection may hold, its requests included.
const SHARE_BYTES: usize = 3 * 1024 * 1024;
/// The maximum bytes that a connection holds for one request with a short body.
const MODEST_BYTES: usize = 64 * 1024;
/// The maximum bytes of unread input that TLS and HTTP together buffer for one connection.
const INPUT_BYTES: usize = 32 * 1024;
/// The maximum bytes that a client may send before a TLS handshake is complete.
const HANDSHAKE_BYTES: usize = 16 * 1024;

/// The memory budget of a server. Clones share it.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Budget>);

struct Budget {
    most: usize,
    used: AtomicUsize,
    /// The bytes that closing connections still hold.
    lingering: AtomicUsize,
    /// Counts events on requests, to order connections by the time for which they have been unfinished.
    events: AtomicU64,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    /// Set while an exhausted budget has been logged.
    is_logged: AtomicBool,
}

/// The account of one connection. Clones share it; dropping the last one frees all its bytes.
#[derive(Clone)]
pub(crate) struct MemoryAccount(Arc<Owner>);

struct Owner {
    id: u64,
    budget: Arc<Budget>,
    connection: Arc<Connection>,
}

struct Connection {
    state: Mutex<State>,
    closing: Notify,
}

#[derive(Default)]
struct State {
    held: usize,
    /// The bytes that were held when the connection was told to close.
    lingering: usize,
    /// The part of `held` for input that belongs to no request yet, or that a request hasn't read.
    input: usize,
    /// The part of `held` for responses that the client hasn't taken.
    unsent: usize,
    under_way: usize,
    /// The number of pending requests whose body hasn't ended.
    bodies: usize,
    /// The event since which the client has something unfinished.
    since: u64,
    /// Pending responses of unknown length. Their clients are authenticated, so the connection is outside the
    /// budget.
    streaming: usize,
    /// The event at which a request last began or ended.
    last: u64,
    is_handshake: bool,
    /// Set once a byte of HTTP has arrived.
    is_http: bool,
    /// Set for HTTP/2, where input between two requests needn't be a head.
    is_h2: bool,
    is_closed: bool,
}

/// Not enough memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// Bytes that are held until this is dropped.
pub(crate) struct Charge {
    account: MemoryAccount,
    bytes: usize,
    is_body: bool,
}

/// A pending request, until this is dropped.
pub(crate) struct PendingRequestCharge {
    charge: Charge,
    is_streaming: bool,
}

impl Memory {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Budget {
            most,
            used: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            events: AtomicU64::new(0),
            connections: Mutex::default(),
            is_logged: AtomicBool::new(false),
        }))
    }

    /// Opens the account of a new connection.
    pub(crate) fn open(&self, is_handshake: bool) -> MemoryAccount {
        let budget = Arc::clone(&self.0);
        let id = budget.events.fetch_add(1, Ordering::Relaxed);
        let held = CONNECTION_BYTES + if is_handshake { TLS_BYTES } else { 0 };
        let state = State { held, last: id, is_handshake, ..State::default() };
        let connection = Arc::new(Connection { state: Mutex::new(state), closing: Notify::new() });
        lock(&budget.connections).insert(id, Arc::clone(&connection));
        budget.used.fetch_add(held, Ordering::Relaxed);
        let account = MemoryAccount(Arc::new(Owner { id, budget, connection }));
        account.0.budget.make_room();
        account
    }

    #[cfg(test)]
    fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl Budget {
    /// Closes connections until the budget is met: first those whose client has something unfinished, oldest
    /// first; then idle ones; finally those that wait for the server. Frees a sixteenth more than needed, so
    /// that a flood doesn't trigger a search at each byte.
    fn make_room(&self) {
        if self.used.load(Ordering::Relaxed) <= self.most {
            return;
        }
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            let mebibytes = self.most / (1024 * 1024);
            tracing::warn!(
                "connections and unfinished requests exceed their {mebibytes} MiB; closing those that have waited longest"
            );
        }
        let connections = lock(&self.connections);
        let mut victims: Vec<_> = connections
            .values()
            .filter_map(|connection| {
                let state = lock(&connection.state);
                (state.streaming == 0 && !state.is_closed).then(|| (state.rank(), connection))
            })
            .collect();
        victims.sort_unstable_by_key(|(rank, _)| *rank);
        for (_, victim) in victims {
            if self.used.load(Ordering::Relaxed) <= self.most - self.most / 16 {
                break;
            }
            self.close(victim);
        }
    }

    /// Tells a connection to close and wakes its tasks. Until they have ended, its memory counts as
    /// lingering.
    fn close(&self, connection: &Connection) {
        let mut state = lock(&connection.state);
        state.is_closed = true;
        state.lingering = std::mem::take(&mut state.held);
        self.lingering.fetch_add(state.lingering, Ordering::Relaxed);
        self.free(state.lingering);
        drop(state);
        connection.closing.notify_waiters();
    }

    /// The bytes held by all connections, closing ones included.
    fn total(&self) -> usize {
        self.used.load(Ordering::Relaxed) + self.lingering.load(Ordering::Relaxed)
    }

    fn free(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        if before - bytes < self.most / 2 && self.is_logged.load(Ordering::Relaxed) {
            self.is_logged.store(false, Ordering::Relaxed);
        }
    }
}

impl State {
    /// The position in the order in which connections are closed.
    fn rank(&self) -> (u8, u64) {
        match (self.is_unfinished(), self.under_way) {
            (true, _) => (0, self.since),
            (false, 0) => (1, self.last),
            (false, _) => (2, self.last),
        }
    }

    /// Returns whether the client has yet to complete a request or to take a response.
    fn is_unfinished(&self) -> bool {
        self.bodies > 0 || self.unsent > 0 || self.is_in_a_head()
    }

    /// Returns whether a request has begun to arrive and its head isn't complete.
    fn is_in_a_head(&self) -> bool {
        self.under_way == 0 && self.input > 0 && !self.is_h2
    }

    /// Runs an action after which the client may have something unfinished.
    fn track_unfinished<T>(&mut self, budget: &Budget, act: impl FnOnce(&mut Self) -> T) -> T {
        let was_unfinished = self.is_unfinished();
        let done = act(self);
        if !was_unfinished && self.is_unfinished() {
            self.since = budget.events.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    fn take(&mut self, budget: &Budget, bytes: usize) {
        self.held += bytes;
        if self.streaming == 0 {
            budget.used.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Frees bytes, unless closing the connection has already freed them.
    fn give(&mut self, budget: &Budget, bytes: usize) {
        if !self.is_closed {
            self.held -= bytes;
            if self.streaming == 0 {
                budget.free(bytes);
            }
        }
    }

    /// Records the start of a response of unknown length: the connection is outside the budget until it ends.
    fn begin_streaming(&mut self, budget: &Budget) {
        if self.streaming == 0 {
            budget.free(self.held);
        }
        self.streaming += 1;
    }

    fn end_streaming(&mut self, budget: &Budget) {
        self.streaming -= 1;
        if self.streaming == 0 {
            budget.used.fetch_add(self.held, Ordering::Relaxed);
        }
    }

    fn give_input(&mut self, budget: &Budget) {
        let input = std::mem::take(&mut self.input);
        self.give(budget, input);
    }
}

impl MemoryAccount {
    /// Charges the bytes that a request needs.
    ///
    /// # Errors
    /// The connection has exhausted its share, or has to close.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge, Full> {
        let mut charge = Charge { account: self.clone(), bytes: 0, is_body: false };
        charge.grow_to(bytes)?;
        Ok(charge)
    }

    /// Opens the charge of a body that hasn't ended.
    pub(crate) fn body(&self) -> Charge {
        self.state().track_unfinished(&self.0.budget, |state| state.bodies += 1);
        Charge { account: self.clone(), bytes: 0, is_body: true }
    }

    /// Records the start of a request with a head of this many bytes.
    ///
    /// # Errors
    /// The connection has exhausted its share, or has to close.
    pub(crate) fn begin(&self, head: usize, version: Version) -> Result<PendingRequestCharge, Full> {
        let charge = self.charge(REQUEST_BYTES + head)?;
        let mut state = self.state();
        state.give_input(&self.0.budget);
        state.under_way += 1;
        state.is_h2 = version == Version::HTTP_2;
        state.last = self.0.budget.events.fetch_add(1, Ordering::Relaxed);
        drop(state);
        Ok(PendingRequestCharge { charge, is_streaming: false })
    }

    /// Waits until the connection has to close.
    pub(crate) async fn closing(&self) {
        loop {
            let closing = self.0.connection.closing.notified();
            if self.is_closed() {
                return;
            }
            closing.await;
        }
    }

    /// Returns whether the connection has to close.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Returns whether a request has begun to arrive and its head isn't complete.
    pub(crate) fn is_in_a_head(&self) -> bool {
        self.state().is_in_a_head()
    }

    /// Records the end of the TLS handshake.
    pub(crate) fn handshake_done(&self) {
        let mut state = self.state();
        state.is_handshake = false;
        state.give_input(&self.0.budget);
    }

    /// Returns whether reading must wait until other connections have closed. A connection that holds little
    /// waits only if they hold much.
    pub(crate) fn must_wait_for_memory(&self) -> bool {
        let (total, most) = (self.0.budget.total(), self.0.budget.most);
        total > most && (total > most + most / 4 || self.state().held > MODEST_BYTES)
    }

    /// Charges bytes that were read.
    ///
    /// # Errors
    /// The TLS handshake is too long.
    pub(crate) fn read(&self, bytes: usize) -> io::Result<()> {
        let mut state = self.state();
        if state.is_closed {
            return Ok(());
        }
        if !state.is_handshake && !std::mem::replace(&mut state.is_http, true) {
            state.take(&self.0.budget, HTTP_BYTES);
        }
        let more = bytes.min(INPUT_BYTES - state.input);
        if state.is_handshake && state.input + more > HANDSHAKE_BYTES {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.track_unfinished(&self.0.budget, |state| state.input += more);
        state.take(&self.0.budget, more);
        drop(state);
        self.0.budget.make_room();
        Ok(())
    }

    /// Frees the bytes of responses that the client has taken.
    pub(crate) fn wrote(&self, bytes: usize) {
        let mut state = self.state();
        let taken = bytes.min(state.unsent);
        state.unsent -= taken;
        state.give(&self.0.budget, taken);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.connection.state)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        lock(&self.budget.connections).remove(&self.id);
        let mut state = lock(&self.connection.state);
        let held = state.held;
        state.give(&self.budget, held);
        self.budget.lingering.fetch_sub(state.lingering, Ordering::Relaxed);
    }
}

impl Charge {
    /// Raises the charge to this many bytes.
    ///
    /// # Errors
    /// The connection has exhausted its share, or has to close.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        let mut state = self.account.state();
        if state.is_closed || state.held + more > SHARE_BYTES {
            return Err(Full);
        }
        state.take(&self.account.0.budget, more);
        drop(state);
        self.bytes += more;
        self.account.0.budget.make_room();
        if self.account.is_closed() { Err(Full) } else { Ok(()) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut state = self.account.state();
        state.bodies -= usize::from(self.is_body);
        state.give(&self.account.0.budget, self.bytes);
    }
}

impl PendingRequestCharge {
    /// Records the request's response, with its length in bytes if it is known.
    pub(crate) fn answered(&mut self, length: Option<u64>) {
        let budget = &self.charge.account.0.budget;
        let mut state = self.charge.account.state();
        match length {
            None => {
                self.is_streaming = true;
                state.begin_streaming(budget);
            }
            Some(length) if !state.is_closed => {
                let bytes = usize::try_from(length).unwrap_or(usize::MAX).min(SHARE_BYTES);
                state.track_unfinished(budget, |state| state.unsent += bytes);
                state.take(budget, bytes);
            }
            Some(_) => {}
        }
        drop(state);
        budget.make_room();
    }
}

impl Drop for PendingRequestCharge {
    fn drop(&mut self) {
        let budget = &self.charge.account.0.budget;
        let mut state = self.charge.account.state();
        state.under_way -= 1;
        if self.is_streaming {
            state.end_streaming(budget);
        }
        state.last = budget.events.fetch_add(1, Ordering::Relaxed);
        state.give_input(budget);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
