//! The thread that follows the issuer. It has its own runtime, blocks every signal, and never touches a
//! Python object or the GIL.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use quash_verify::{Accepted, Denied, StartError, TokenGuard, Verifier, WhenStale};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::config::Config;
use crate::errors::Failure;

/// A running follower, as the threads of Python see it.
pub(crate) struct Follower {
    verifier: Verifier,
    handle: Handle,
    stop: Arc<Notify>,
    /// Receives once the thread is about to end.
    ended: Mutex<mpsc::Receiver<()>>,
    /// How long after the start checks wait for the issuer.
    start_within: Duration,
    /// The verifier has become fresh, or has data and got no lease in time.
    is_settled: AtomicBool,
}

/// The most that `close()` waits for the issuer and for the thread.
const LEAVE_WITHIN: Duration = Duration::from_millis(100);
const END_WITHIN: Duration = Duration::from_millis(30);

impl Follower {
    /// Starts the thread.
    ///
    /// # Errors
    /// Returns an error if the configuration can't work, or if the system provides no thread.
    pub(crate) fn start(config: &Config, credential: &str) -> Result<Self, Failure> {
        let (started, starting) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let builder = config.source(credential);
        let thread = move || {
            // Errors in `send` mean that the starting thread is gone, and with it every use of the verifier.
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(_) => return drop(started.send(Err(Failure::NoThread))),
            };
            runtime.block_on(async {
                let began = builder.begin().map(|verifier| (verifier, Handle::current()));
                let began = began.map_err(Failure::Start);
                let is_running = began.is_ok();
                if started.send(began).is_ok() && is_running {
                    stopped.notified().await;
                }
            });
            runtime.shutdown_background();
            let _ = ending.send(());
        };
        quash_fork::with_signals_blocked(|| {
            std::thread::Builder::new().name("quash-verify".into()).spawn(thread)
        })
        .map_err(|_| Failure::NoThread)?;
        let (verifier, handle) = starting.recv().map_err(|_| Failure::NoThread)??;
        let start_within = config.start_within;
        Ok(Self {
            verifier,
            handle,
            stop,
            ended: Mutex::new(ended),
            start_within,
            is_settled: AtomicBool::new(false),
        })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Decides on a token with local data; `None` where the caller must wait. The first checks wait until the
    /// verifier has started.
    #[inline]
    pub(crate) fn check_now(&self, token: &str, when_stale: WhenStale) -> Option<Result<Accepted, Denied>> {
        if self.is_settled() { self.verifier.check_now_when_stale(token, when_stale) } else { None }
    }

    fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Waits until the verifier has data, for what remains of the time that a start may take.
    ///
    /// # Errors
    /// Returns an error if the verifier can't start, or not in time.
    pub(crate) async fn settled(&self) -> Result<(), Failure> {
        if self.is_settled() {
            return Ok(());
        }
        match self.verifier.settled(self.start_within).await {
            Err(StartError::Away(_)) => Err(Failure::Denied(Denied::Stale)),
            Err(error) => Err(Failure::Start(error)),
            Ok(_) => {
                self.is_settled.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Checks a token, waiting for the issuer where that is necessary.
    ///
    /// # Errors
    /// Returns an error if the token isn't accepted.
    pub(crate) async fn check(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, Failure> {
        self.settled().await?;
        self.verifier.check_when_stale(token, when_stale).await.map_err(Failure::Denied)
    }

    /// Checks a token like [`Follower::check`], and returns a guard that watches it.
    ///
    /// # Errors
    /// Returns an error if the token isn't accepted.
    pub(crate) async fn watch(&self, token: &str) -> Result<TokenGuard, Failure> {
        self.settled().await?;
        self.verifier.watch(token).await.map_err(Failure::Denied)
    }

    /// Returns the id of this process's verifier, as leases report it.
    pub(crate) fn instance(&self) -> Option<String> {
        self.verifier.instance().map(str::to_owned)
    }

    /// Runs a task on the follower's thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    /// Gives the lease back and ends the thread, in a fifth of a second at most. The caller must not hold the
    /// GIL.
    pub(crate) fn close(&self) {
        let (left, leaving) = mpsc::channel();
        let verifier = self.verifier.clone();
        self.spawn(async move {
            verifier.leave().await;
            let _ = left.send(());
        });
        let _ = leaving.recv_timeout(LEAVE_WITHIN);
        self.stop.notify_one();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(END_WITHIN);
    }
}

impl Drop for Follower {
    /// Ends the thread of a verifier that Python has dropped.
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}
