//! The bounded pool of hashing threads: one thread for each slot, and a queue of at most two seconds of work.
//! Each network may have a few places in the queue. Strangers may fill three quarters of it; known requesters
//! have a queue of their own, which alternates with that of the strangers.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::Clock;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::arena::Arena;
use super::priority;
use crate::network::Network;
use crate::traced::part;

/// The number of passwords hashed at once, and the length of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashSettings {
    /// The number of concurrent hashes, by default one for each core.
    pub slots: usize,
    /// The longest expected wait of a job that joins its queue.
    pub longest_wait: Duration,
    /// The most places in the queue for one network: an IPv4 address or an IPv6 /64. A /56 has twice as many,
    /// a /48 four times.
    pub places_per_network: usize,
}

/// The origin of a job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requester {
    /// The client's address, if its networks' places are to be counted.
    pub(crate) address: Option<IpAddr>,
    pub(crate) queue: Reserve,
}

/// The part of the queue that a job may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Reserve {
    /// The queue without the reserve.
    #[default]
    Without,
    /// A queue of its own, which gets every second slot that is freed: for known devices, proofs from mails,
    /// and operators.
    With,
}

/// A reason why a job can't join the queue.
pub(crate) enum QueueFull {
    Queue { retry_after: Duration },
    Network { retry_after: Duration },
}

pub(crate) struct Pool {
    shared: Arc<PoolState>,
}

struct PoolState {
    settings: HashSettings,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    work: Condvar,
}

struct Queue {
    /// Jobs that may not use the reserve.
    common: VecDeque<Job>,
    /// Jobs that may use the reserve.
    preferred: VecDeque<Job>,
    /// Set if the job begun last was a favoured one.
    preferred_last: bool,
    busy: usize,
    places: HashMap<Network, usize>,
    /// The duration of a hash, smoothed over the last few.
    typical: Duration,
    closed: bool,
}

struct Job {
    networks: Vec<Network>,
    queue: Reserve,
    run: Box<Run>,
}

/// Does the work, and returns a function that sends the result. `None` if the requester has gone and no work
/// was done.
type Run = dyn FnOnce(&mut Arena) -> Option<SendAnswer> + Send;
type SendAnswer = Box<dyn FnOnce()>;

/// The time for which an idle slot keeps its memory.
const ARENA_KEPT: Duration = Duration::from_secs(10);
/// The divisor for the reserve: a quarter of the longest wait.
const RESERVED: u32 = 4;
/// The least expected duration of a hash. It bounds the queue's length, whatever was measured.
const LEAST: Duration = Duration::from_millis(5);

impl Default for HashSettings {
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(1, usize::from);
        Self { slots, longest_wait: Duration::from_secs(2), places_per_network: 4 }
    }
}

impl Requester {
    /// An operator: no network is counted, and the reserve may be used.
    pub(crate) const OPERATOR: Self = Self { address: None, queue: Reserve::With };

    /// A requester at this address, on a known or an unknown device of the account.
    pub(crate) fn new(address: Option<IpAddr>, is_known: bool) -> Self {
        Self { address, queue: if is_known { Reserve::With } else { Reserve::Without } }
    }
}

impl Pool {
    pub(crate) fn start(settings: HashSettings, clock: Arc<dyn Clock>) -> Self {
        let shared =
            Arc::new(PoolState { settings, clock, queue: Mutex::new(Queue::new()), work: Condvar::new() });
        for slot in 0..settings.slots.max(1) {
            let shared = Arc::clone(&shared);
            let work = move || {
                let lowered = priority::lower();
                if let Err(error) = lowered.as_ref()
                    && slot == 0
                {
                    tracing::info!(%error, "failed to lower the priority of the hashing threads");
                }
                shared.work();
            };
            let started = std::thread::Builder::new().name(format!("hash-{slot}")).spawn(work);
            if let Err(error) = started {
                tracing::error!(%error, slot, "failed to start a hashing thread");
            }
        }
        Self { shared }
    }

    /// The jobs that run, and those that wait.
    pub(crate) fn jobs(&self) -> (usize, usize) {
        let queue = self.shared.queue();
        (queue.busy, queue.common.len() + queue.preferred.len())
    }

    /// Runs a job in a slot, or refuses it if the queue is full.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        requester: Requester,
        job: impl FnOnce(&mut Arena) -> T + Send + 'static,
    ) -> Result<T, QueueFull> {
        let (answer, answered) = oneshot::channel();
        let Requester { address, queue } = requester;
        self.shared.join(Job {
            networks: address.into_iter().flat_map(Network::all_of).collect(),
            queue,
            run: Box::new(move |arena| {
                if answer.is_closed() {
                    return None;
                }
                let result = job(arena);
                Some(Box::new(move || drop(answer.send(result))))
            }),
        })?;
        let answered = answered.instrument(part!("hash"));
        answered.await.map_err(|_| QueueFull::Queue { retry_after: self.shared.settings.longest_wait })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.work.notify_all();
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            common: VecDeque::new(),
            preferred: VecDeque::new(),
            preferred_last: false,
            busy: 0,
            places: HashMap::new(),
            typical: Duration::from_millis(30),
            closed: false,
        }
    }

    /// The expected wait of a job that joins now. A preferred job waits only for the preferred ones and for as
    /// many common ones, because the kinds alternate: common jobs that have become slower take no place from it.
    fn wait(&self, slots: usize, reserve: Reserve) -> Duration {
        let common = match reserve {
            Reserve::Without => self.common.len(),
            Reserve::With => self.common.len().min(self.preferred.len() + 1),
        };
        let ahead = u32::try_from(common + self.preferred.len() + self.busy).unwrap_or(u32::MAX);
        self.typical.max(LEAST).saturating_mul(ahead) / u32::try_from(slots.max(1)).unwrap_or(1)
    }

    fn has_place(&self, network: Network, per_network: usize) -> bool {
        self.places.get(&network).is_none_or(|taken| *taken < per_network * network.width().times() as usize)
    }

    /// Takes the next job. While jobs of both kinds wait, the kinds alternate.
    fn next(&mut self) -> Option<Job> {
        let (first, second) = match self.preferred_last {
            true => (&mut self.common, &mut self.preferred),
            false => (&mut self.preferred, &mut self.common),
        };
        let job = first.pop_front().or_else(|| second.pop_front())?;
        self.preferred_last = job.queue == Reserve::With;
        self.busy += 1;
        Some(job)
    }
}

impl PoolState {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, job: Job) -> Result<(), QueueFull> {
        let HashSettings { slots, longest_wait, places_per_network } = self.settings;
        let mut queue = self.queue();
        let wait = queue.wait(slots, job.queue);
        let longest = match job.queue {
            Reserve::Without => longest_wait - longest_wait / RESERVED,
            Reserve::With => longest_wait,
        };
        if wait > longest {
            return Err(QueueFull::Queue { retry_after: wait });
        }
        if !job.networks.iter().all(|network| queue.has_place(*network, places_per_network)) {
            return Err(QueueFull::Network { retry_after: wait.max(Duration::from_secs(1)) });
        }
        for network in &job.networks {
            *queue.places.entry(*network).or_default() += 1;
        }
        match job.queue {
            Reserve::Without => queue.common.push_back(job),
            Reserve::With => queue.preferred.push_back(job),
        }
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut arena = Arena::default();
        while let Some(Job { networks, run, .. }) = self.next(&mut arena) {
            let started = self.clock.uptime();
            // A panic in a hash must not cost the slot: the job's answer is dropped, and its requester is
            // asked to retry.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut arena)));
            if done.is_err() {
                arena = Arena::default();
            }
            let took = self.clock.uptime().saturating_sub(started);
            let send_answer = done.unwrap_or_default();
            // The job's places are freed before its requester gets the answer, so that its next request finds
            // them.
            self.leave(&networks, send_answer.is_some().then_some(took));
            if let Some(send_answer) = send_answer {
                send_answer();
            }
        }
    }

    fn next(&self, arena: &mut Arena) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.next() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            let (woken, timeout) =
                self.work.wait_timeout(queue, ARENA_KEPT).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() {
                *arena = Arena::default();
            }
        }
    }

    /// Frees the places of a job. `took` is the duration of work that was done; an abandoned job has none.
    fn leave(&self, networks: &[Network], took: Option<Duration>) {
        let mut queue = self.queue();
        queue.busy -= 1;
        if let Some(took) = took {
            queue.typical = (queue.typical * 7 + took) / 8;
        }
        for network in networks {
            if let Some(places) = queue.places.get_mut(network) {
                *places -= 1;
                if *places == 0 {
                    queue.places.remove(network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use quash_core::model::Timestamp;

    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
        fn uptime(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn pool(longest_wait: Duration) -> Pool {
        Pool::start(HashSettings { slots: 1, longest_wait, places_per_network: 2 }, Arc::new(Stopped))
    }

    fn at(address: &str) -> Requester {
        Requester::new(Some(address.parse().expect("an address")), false)
    }

    impl Pool {
        fn waiting(&self) -> usize {
            self.jobs().1
        }
    }

    /// Jobs that are queued behind one that waits for a gate.
    struct Blocked {
        pool: Arc<Pool>,
        gate: mpsc::Sender<()>,
        jobs: tokio::task::JoinSet<(usize, Result<(), QueueFull>)>,
        begun: Arc<Mutex<Vec<usize>>>,
    }

    impl Blocked {
        async fn new(pool: Pool) -> Self {
            let (gate, opened) = mpsc::channel::<()>();
            let (pool, begun) = (Arc::new(pool), Arc::default());
            let mut jobs = tokio::task::JoinSet::new();
            let first = Arc::clone(&pool);
            jobs.spawn(async move {
                (0, first.run(Requester::default(), move |_| opened.recv().unwrap_or_default()).await)
            });
            let blocked = Self { pool, gate, jobs, begun };
            while blocked.pool.shared.queue().busy == 0 {
                tokio::task::yield_now().await;
            }
            blocked
        }

        /// Queues a job, and returns whether it found a place.
        async fn queue(&mut self, requester: Requester) -> bool {
            let (pool, begun, number) = (Arc::clone(&self.pool), Arc::clone(&self.begun), self.jobs.len());
            let before = self.pool.waiting();
            let job = move |_: &mut Arena| begun.lock().expect("a list").push(number);
            let running = self.jobs.spawn(async move { (number, pool.run(requester, job).await) });
            while !running.is_finished() && self.pool.waiting() == before {
                tokio::task::yield_now().await;
            }
            !running.is_finished()
        }

        /// Opens the gate, and returns the order in which the jobs were begun.
        async fn open(self) -> Vec<usize> {
            drop(self.gate);
            self.jobs.join_all().await;
            self.begun.lock().expect("a list").clone()
        }
    }

    #[tokio::test]
    async fn each_network_has_its_own_places() {
        let mut blocked = Blocked::new(pool(Duration::from_secs(3600))).await;
        let mut queued = Vec::new();
        for address in [
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::1",
            "2001:db8:1::1",
            "192.0.2.1",
            "192.0.2.1",
            "192.0.2.1",
        ] {
            queued.push(blocked.queue(at(address)).await);
        }
        assert_eq!(queued, [true, true, false, true, true, true, false]);
        let pool = Arc::clone(&blocked.pool);
        blocked.open().await;
        assert!(pool.run(at("192.0.2.1"), |_| true).await.is_ok(), "places are given back");
        assert!(pool.shared.queue().places.is_empty());
    }

    #[tokio::test]
    async fn wider_networks_have_places_of_their_own() {
        let mut blocked = Blocked::new(pool(Duration::from_secs(3600))).await;
        let mut queued = Vec::new();
        // A /56 has four places, the /48 has eight.
        for subnet in [0x000, 0x001, 0x002, 0x003, 0x004, 0x100, 0x101, 0x200, 0x201, 0x300] {
            queued.push(blocked.queue(at(&format!("2001:db8:1:{subnet:x}::1"))).await);
        }
        assert_eq!(queued, [true, true, true, true, false, true, true, true, true, false]);
        assert!(blocked.queue(at("2001:db8:2::1")).await, "another /48");
        blocked.open().await;
    }

    #[tokio::test]
    async fn a_quarter_of_the_queue_is_reserved() {
        // The time of four hashes.
        let mut blocked = Blocked::new(pool(Duration::from_millis(120))).await;
        let preferred = Requester { queue: Reserve::With, ..Requester::default() };
        let mut queued = Vec::new();
        for requester in [Requester::default(); 4].into_iter().chain([preferred; 3]) {
            queued.push(blocked.queue(requester).await);
        }
        assert_eq!(queued, [true, true, true, false, true, true, false]);
        assert_eq!(blocked.open().await, [5, 1, 6, 2, 3], "the favoured ones go first");
    }

    #[tokio::test]
    async fn hashes_that_become_slower_leave_the_reserve() {
        let mut blocked = Blocked::new(pool(Duration::from_millis(120))).await;
        for _ in 0..3 {
            assert!(blocked.queue(Requester::default()).await);
        }
        // The queue of strangers has become longer than two thirds more than the longest wait.
        blocked.pool.shared.queue().typical = Duration::from_millis(50);
        let preferred = Requester { queue: Reserve::With, ..Requester::default() };
        assert!(!blocked.queue(Requester::default()).await);
        assert!(blocked.queue(preferred).await, "a known device");
        assert!(!blocked.queue(preferred).await, "it would wait for the first one, and for two strangers");
        blocked.open().await;
    }

    #[tokio::test]
    async fn favoured_and_common_jobs_alternate() {
        let mut blocked = Blocked::new(pool(Duration::from_secs(3600))).await;
        for queue in [Reserve::Without, Reserve::Without, Reserve::With, Reserve::With, Reserve::With] {
            assert!(blocked.queue(Requester { queue, ..Requester::default() }).await);
        }
        assert_eq!(blocked.open().await, [3, 1, 4, 2, 5]);
    }

    #[tokio::test]
    async fn abandoned_jobs_do_not_make_hashes_look_cheap() {
        let mut blocked = Blocked::new(pool(Duration::from_secs(3600))).await;
        for _ in 0..100 {
            assert!(blocked.queue(Requester::default()).await);
        }
        blocked.jobs.shutdown().await;
        let pool = Arc::clone(&blocked.pool);
        let before = pool.shared.queue().typical;
        drop(blocked.gate);
        while pool.waiting() > 0 || pool.shared.queue().busy > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.shared.queue().typical, before * 7 / 8, "of the first job alone");
    }

    #[test]
    fn queue_length_is_bounded_for_very_fast_hashes() {
        let mut queue = Queue { typical: Duration::ZERO, ..Queue::new() };
        queue.busy = 400;
        for reserve in [Reserve::Without, Reserve::With] {
            assert_eq!(queue.wait(1, reserve), Duration::from_secs(2));
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_slot() {
        let pool = pool(Duration::from_secs(3600));
        let stranger = Requester::default();
        assert!(pool.run(stranger, |_| panic!("a hash that fails")).await.map(|never: ()| never).is_err());
        assert!(pool.run(stranger, |_| true).await.is_ok());
    }
}
