//! The bounded pool: as many hashes at a time as there are slots, a queue of so many as can be hashed in two seconds,
//! and no more than a few places in it for one network.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::Clock;
use tokio::sync::oneshot;

use super::arena::Arena;
use crate::network::Network;

/// How many passwords may be hashed at a time, and how many may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashSettings {
    /// Hashes at a time: one for each core.
    pub slots: usize,
    /// The longest wait that may be expected of whoever joins the queue.
    pub longest_wait: Duration,
    /// Places in the queue that one network may have.
    pub places_per_network: usize,
}

/// Why there is no place.
pub(crate) enum Full {
    Queue { retry_after: Duration },
    Network { retry_after: Duration },
}

pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    settings: HashSettings,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    work: Condvar,
}

struct Queue {
    jobs: VecDeque<Job>,
    busy: usize,
    places: HashMap<Network, usize>,
    /// What one hash takes, smoothed over the last few.
    typical: Duration,
    closed: bool,
}

struct Job {
    network: Option<Network>,
    run: Box<dyn FnOnce(&mut Arena) + Send>,
}

/// How long a slot keeps its memory when nobody signs in.
const ARENA_KEPT: Duration = Duration::from_secs(10);

impl Default for HashSettings {
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(1, usize::from);
        Self { slots, longest_wait: Duration::from_secs(2), places_per_network: 4 }
    }
}

impl Pool {
    pub(crate) fn start(settings: HashSettings, clock: Arc<dyn Clock>) -> Self {
        let queue = Queue { jobs: VecDeque::new(), busy: 0, places: HashMap::new(), typical: Duration::from_millis(30), closed: false };
        let shared = Arc::new(Shared { settings, clock, queue: Mutex::new(queue), work: Condvar::new() });
        for slot in 0..settings.slots.max(1) {
            let shared = Arc::clone(&shared);
            let started = std::thread::Builder::new().name(format!("hash-{slot}")).spawn(move || shared.work());
            if let Err(error) = started {
                tracing::error!(%error, slot, "a slot for hashing passwords could not be started");
            }
        }
        Self { shared }
    }

    /// Runs a job in a slot, or says that there is no place for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        network: Option<IpAddr>,
        job: impl FnOnce(&mut Arena) -> T + Send + 'static,
    ) -> Result<T, Full> {
        let (answer, answered) = oneshot::channel();
        let network = network.map(Network::from);
        self.shared.join(Job {
            network,
            run: Box::new(move |arena| {
                // Whoever asked may have gone: then nobody waits for the hash, and it needn't be made.
                if !answer.is_closed() {
                    let _ = answer.send(job(arena));
                }
            }),
        })?;
        answered.await.map_err(|_| Full::Queue { retry_after: self.shared.settings.longest_wait })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, job: Job) -> Result<(), Full> {
        let mut queue = self.queue();
        let ahead = u32::try_from(queue.jobs.len() + queue.busy).unwrap_or(u32::MAX);
        let wait = queue.typical.saturating_mul(ahead) / u32::try_from(self.settings.slots.max(1)).unwrap_or(1);
        if wait > self.settings.longest_wait {
            return Err(Full::Queue { retry_after: wait });
        }
        if let Some(network) = job.network {
            let places = queue.places.entry(network).or_default();
            if *places >= self.settings.places_per_network {
                return Err(Full::Network { retry_after: wait.max(Duration::from_secs(1)) });
            }
            *places += 1;
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut arena = Arena::default();
        while let Some(job) = self.next(&mut arena) {
            let started = self.clock.uptime();
            let network = job.network;
            // A panic in a hash must not cost the slot: the job's answer is dropped, and its asker told to come again.
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (job.run)(&mut arena))).is_err();
            if panicked {
                arena = Arena::default();
            }
            self.leave(network, self.clock.uptime().saturating_sub(started));
        }
    }

    fn next(&self, arena: &mut Arena) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.busy += 1;
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            let (woken, timeout) = self.work.wait_timeout(queue, ARENA_KEPT).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() {
                *arena = Arena::default();
            }
        }
    }

    fn leave(&self, network: Option<Network>, took: Duration) {
        let mut queue = self.queue();
        queue.busy -= 1;
        queue.typical = (queue.typical * 7 + took) / 8;
        if let Some(network) = network
            && let Some(places) = queue.places.get_mut(&network)
        {
            *places -= 1;
            if *places == 0 {
                queue.places.remove(&network);
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

    #[tokio::test]
    async fn one_network_has_so_many_places_and_others_have_theirs() {
        let pool = pool(Duration::from_secs(3600));
        let (open, gate) = mpsc::channel::<()>();
        let one: IpAddr = "2001:db8::1".parse().expect("an address");
        let same: IpAddr = "2001:db8::2".parse().expect("an address");
        let other: IpAddr = "2001:db8:1::1".parse().expect("an address");
        let first = pool.run(Some(one), move |_| gate.recv().is_ok());
        let second = pool.run(Some(same), |_| true);
        let third = pool.run(Some(one), |_| true);
        let elsewhere = pool.run(Some(other), |_| true);
        let open_after = async {
            tokio::task::yield_now().await;
            open.send(()).expect("the first job waits");
        };
        let (first, second, third, elsewhere, ()) = tokio::join!(first, second, third, elsewhere, open_after);
        assert!(first.is_ok() && second.is_ok() && elsewhere.is_ok());
        assert!(matches!(third, Err(Full::Network { .. })));
        assert!(pool.run(Some(one), |_| true).await.is_ok(), "places are given back");
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_sent_away() {
        let pool = pool(Duration::from_millis(30));
        let (open, gate) = mpsc::channel::<()>();
        let first = pool.run(None, move |_| gate.recv().is_ok());
        let second = pool.run(None, |_| true);
        let third = pool.run(None, |_| true);
        let open_after = async {
            tokio::task::yield_now().await;
            open.send(()).expect("the first job waits");
        };
        let (first, second, third, ()) = tokio::join!(first, second, third, open_after);
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(third, Err(Full::Queue { .. })));
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_slot() {
        let pool = pool(Duration::from_secs(3600));
        assert!(pool.run(None, |_| panic!("a hash that fails")).await.map(|never: ()| never).is_err());
        assert!(pool.run(None, |_| true).await.is_ok());
    }
}
