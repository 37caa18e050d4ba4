//! The thread that follows the issuer. It has its own runtime, blocks every signal, and never touches a
//! Python object or the GIL.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use quash_verify::{
    Accepted, AskError, Named, Receipt, RevokeError, StartError, TokenGuard, Verifier, VerifierState,
    VerifyError, WhenStale,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, SetOnce};

use super::outbox::{self, Outbox};
use crate::config::Config;
use crate::errors::Failure;
use crate::local_issuer::Issuer;
use crate::revocations::Batch;

/// A running follower, as the threads of Python see it.
pub(crate) struct Follower {
    /// The verifier once it is made, or the reason why it can't be.
    made: Arc<SetOnce<Result<Verifier, Failure>>>,
    handle: Handle,
    stop: Arc<Notify>,
    thread: Mutex<Option<Thread>>,
    /// The time after the start during which checks wait for the issuer.
    start_within: Duration,
    /// The verifier has become fresh, or has data and got no lease in time.
    is_settled: AtomicBool,
    outbox: Outbox,
    /// An issuer in this process, for tests.
    test: Option<Arc<Issuer>>,
}

struct Thread {
    handle: JoinHandle<()>,
    /// Receives once the thread is about to end.
    ended: mpsc::Receiver<()>,
}

/// The most that `close()` waits for the issuer and for the thread.
const LEAVE_WITHIN: Duration = Duration::from_millis(100);
const END_WITHIN: Duration = Duration::from_millis(50);
/// The most that `close()` waits for revocations on their way.
const SEND_WITHIN: Duration = Duration::from_millis(50);
/// The time after which revocations that the issuer hasn't confirmed are sent again. It doubles up to the
/// longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a pause checks whether the issuer can be reached again.
const PAUSE_STEP: Duration = Duration::from_millis(500);

impl Follower {
    /// Starts the thread, which makes the verifier. That takes tens of milliseconds, for which no caller must
    /// hold the GIL or block an event loop.
    ///
    /// # Errors
    /// Returns an error if the system provides no thread.
    pub(crate) fn start(config: &Config, credential: &str) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| Failure::NoThread)?;
        let runtime_handle = runtime.handle().clone();
        let (made, stop) = (Arc::new(SetOnce::new()), Arc::new(Notify::new()));
        let (making, stopped) = (Arc::clone(&made), Arc::clone(&stop));
        let (ending, ended) = mpsc::channel();
        let source = config.source(credential);
        let run = move || {
            runtime.block_on(async {
                // Nothing else sets it.
                let _ = making.set(source.begin().map_err(Failure::Start));
                stopped.notified().await;
            });
            runtime.shutdown_background();
            let _ = ending.send(());
        };
        let thread = quash_fork::with_signals_blocked(|| {
            std::thread::Builder::new().name("quash-verify".into()).spawn(run)
        });
        Ok(Self {
            made,
            handle: runtime_handle,
            stop,
            thread: Mutex::new(Some(Thread { handle: thread.map_err(|_| Failure::NoThread)?, ended })),
            start_within: config.start_within,
            is_settled: AtomicBool::new(false),
            outbox: Outbox::default(),
            test: config.test.clone(),
        })
    }

    /// Returns the verifier; `None` until it is made.
    #[inline]
    pub(crate) fn verifier(&self) -> Option<&Verifier> {
        self.made.get().and_then(|made| made.as_ref().ok())
    }

    /// Decides on a token with local data; `None` where the caller must wait. The first checks wait until the
    /// verifier has started.
    #[inline]
    pub(crate) fn check_now(
        &self,
        token: &str,
        when_stale: WhenStale,
    ) -> Option<Result<Accepted, VerifyError>> {
        if self.is_settled() { self.verifier()?.check_now_when_stale(token, when_stale) } else { None }
    }

    /// Returns a token that local data suffices to accept; `None` otherwise.
    #[inline]
    pub(crate) fn accept_now(&self, token: &str, when_stale: WhenStale) -> Option<Accepted> {
        if self.is_settled() { self.verifier()?.accept_now(token, when_stale) } else { None }
    }

    fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Waits until the verifier has data, for what remains of the time that a start may take.
    ///
    /// # Errors
    /// Returns an error if the verifier can't start, or not in time.
    pub(crate) async fn settled(&self) -> Result<&Verifier, Failure> {
        let verifier = self.made.wait().await.as_ref().map_err(Clone::clone)?;
        if self.is_settled() {
            return Ok(verifier);
        }
        match verifier.settled(self.start_within).await {
            Err(StartError::Unavailable(_)) => Err(Failure::Denied(VerifyError::Stale)),
            Err(error) => Err(Failure::Start(error)),
            Ok(_) => {
                self.is_settled.store(true, Ordering::Relaxed);
                Ok(verifier)
            }
        }
    }

    /// Checks a token, waiting for the issuer where that is necessary.
    ///
    /// # Errors
    /// Returns an error if the token isn't accepted.
    pub(crate) async fn check(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, Failure> {
        self.settled().await?.check_when_stale(token, when_stale).await.map_err(Failure::Denied)
    }

    /// Checks a token like [`Follower::check`], and returns a guard that watches it.
    ///
    /// # Errors
    /// Returns an error if the token isn't accepted.
    pub(crate) async fn watch(&self, token: &str, when_stale: WhenStale) -> Result<TokenGuard, Failure> {
        self.settled().await?.watch_when_stale(token, when_stale).await.map_err(Failure::Denied)
    }

    /// Decides about names with local data; `None` where the caller must wait, as in [`Follower::check_now`].
    #[inline]
    pub(crate) fn ask_now(&self, named: &Named<'_>, when_stale: WhenStale) -> Option<Result<(), AskError>> {
        if self.is_settled() { self.verifier()?.ask_now(named, when_stale) } else { None }
    }

    /// Decides about names, waiting for the issuer where that is necessary.
    ///
    /// # Errors
    /// Returns an error if a revocation covers them or can't be ruled out, or if the namespace is unknown.
    pub(crate) async fn ask(&self, named: &Named<'_>, when_stale: WhenStale) -> Result<(), Failure> {
        Ok(self.settled().await?.ask(named, when_stale).await?)
    }

    /// Revokes. Doesn't wait for data: the issuer may accept revocations before the verifier is fresh.
    ///
    /// # Errors
    /// Returns an error if the issuer refuses the revocations, or doesn't confirm them in time.
    pub(crate) async fn revoke(&self, batch: &Batch, waits: bool) -> Result<Receipt, Failure> {
        let verifier = self.made.wait().await.as_ref().map_err(Clone::clone)?;
        let revoked = match &self.test {
            Some(issuer) => issuer.revoke(batch, waits),
            None => {
                verifier
                    .revoke(batch.namespace.as_deref(), &batch.revocations, batch.key.as_deref(), waits)
                    .await
            }
        };
        revoked.map_err(Failure::Revoke)
    }

    /// Sends revocations from the follower's thread until the issuer has accepted or refused them.
    ///
    /// # Errors
    /// Returns an error if the verifier can't start, or if too many wait.
    pub(crate) fn revoke_later(self: &Arc<Self>, batch: Batch) -> Result<(), Failure> {
        if let Some(Err(failure)) = self.made.get() {
            return Err(failure.clone());
        }
        if self.outbox.push(batch).ok_or(Failure::OutboxFull(outbox::CAPACITY))? {
            let on = Arc::clone(self);
            self.spawn(async move { on.send_outbox().await });
        }
        Ok(())
    }

    async fn send_outbox(&self) {
        let mut pause = FIRST_PAUSE;
        while let Some(batch) = self.outbox.first() {
            let revocations = batch.revocations.len();
            match self.revoke(&batch, false).await {
                Ok(_) => pause = FIRST_PAUSE,
                Err(Failure::Revoke(fault @ RevokeError::Unavailable(_))) => {
                    let waiting = self.outbox.len();
                    tracing::warn!(%fault, waiting, "the issuer hasn't confirmed revocations; trying again");
                    self.outbox.pause();
                    self.pause(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(fault) => {
                    let fault = match fault {
                        Failure::Revoke(fault) => fault.to_string(),
                        Failure::Start(fault) => fault.to_string(),
                        _ => "the verifier can't start".to_owned(),
                    };
                    let namespace = &batch.namespace;
                    tracing::error!(%fault, namespace, revocations, "dropped revocations that can't be sent");
                }
            }
            self.outbox.remove_first();
        }
    }

    /// Waits, but no longer than until the verifier has become fresh: the issuer answers again.
    async fn pause(&self, span: Duration) {
        let mut was_fresh = self.is_fresh();
        let mut waited = Duration::ZERO;
        while waited < span {
            tokio::time::sleep(PAUSE_STEP).await;
            waited += PAUSE_STEP;
            let is_fresh = self.is_fresh();
            if is_fresh && !was_fresh {
                return;
            }
            was_fresh = is_fresh;
        }
    }

    fn is_fresh(&self) -> bool {
        self.verifier().is_some_and(|verifier| verifier.state() == VerifierState::Fresh)
    }

    /// Waits until an entry is known here, and returns whether it is.
    pub(crate) async fn caught_up(&self, seq: u64, within: Duration) -> Result<bool, Failure> {
        Ok(self.settled().await?.caught_up(seq, within).await)
    }

    /// Returns the id of this process's verifier, as leases report it.
    pub(crate) fn instance(&self) -> Option<String> {
        self.verifier()?.instance().map(str::to_owned)
    }

    /// Runs a task on the follower's thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    /// Gives the lease back and ends the thread, in a fifth of a second at most. The caller must not hold the
    /// GIL.
    pub(crate) fn close(&self) {
        let mut left = SEND_WITHIN.as_millis();
        while self.outbox.is_busy() && left > 0 {
            std::thread::sleep(Duration::from_millis(1));
            left -= 1;
        }
        if let Some(verifier) = self.verifier().cloned() {
            let (left, leaving) = mpsc::channel();
            self.spawn(async move {
                verifier.leave().await;
                let _ = left.send(());
            });
            let _ = leaving.recv_timeout(LEAVE_WITHIN);
        }
        self.stop.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.ended.recv_timeout(END_WITHIN).is_ok()) {
            // It has nothing left to do.
            let _ = thread.handle.join();
        }
        let lost = self.outbox.len();
        if lost > 0 {
            tracing::error!(lost, "the process ends with revocations that the issuer hasn't confirmed");
        }
    }
}

impl Drop for Follower {
    /// Ends the thread of a verifier that Python has dropped.
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}
