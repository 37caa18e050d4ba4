//! Presents tokens to a verifier repeatedly, and asserts rules that hold for every answer under every fault of
//! the connection to the issuer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::Refusal;
use quash_verify::{Verifier, VerifyError, WhenStale};
use tokio::task::JoinHandle;

use super::support::Pair;
use super::wait::{pass, uptime};

/// The length of a lease in these tests: the shortest that the setting allows.
pub(crate) const TERM: Duration = Duration::from_secs(1);

/// Sessions whose tokens are presented.
pub(crate) struct PresentedSessions {
    seen: Arc<Seen>,
    presenting: JoinHandle<()>,
}

struct Seen {
    sessions: Mutex<Vec<Session>>,
    /// The violations so far.
    faults: Mutex<Vec<String>>,
    accepted: AtomicUsize,
    stale: AtomicUsize,
    /// The longest time between the end of a session and an acceptance of its token.
    latest: Mutex<Duration>,
    done: AtomicBool,
}

/// A session and its state.
#[derive(Clone)]
struct Session {
    pair: Pair,
    state: State,
    /// The verifier has refused it as ended.
    refused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    /// The call that ends it is under way, or may have succeeded.
    Ending,
    /// The call that ended it was answered at this moment.
    Ended(Duration),
}

/// The pause between two rounds, in which every token is presented.
const EVERY: Duration = Duration::from_millis(1);

impl PresentedSessions {
    /// Presents tokens to this verifier until [`PresentedSessions::check`].
    pub(crate) fn to(verifier: &Verifier) -> Self {
        let seen = Arc::new(Seen {
            sessions: Mutex::default(),
            faults: Mutex::default(),
            accepted: AtomicUsize::new(0),
            stale: AtomicUsize::new(0),
            latest: Mutex::default(),
            done: AtomicBool::new(false),
        });
        let (watching, verifier) = (Arc::clone(&seen), verifier.clone());
        let presenting = tokio::spawn(async move {
            while !watching.done.load(Ordering::SeqCst) {
                let sessions = watching.sessions().len();
                for place in 0..sessions {
                    watching.present(place, &verifier).await;
                }
                pass(EVERY).await;
            }
        });
        Self { seen, presenting }
    }

    /// Adds a session whose token is presented from now on.
    pub(crate) fn add(&self, pair: Pair) -> usize {
        let mut sessions = self.seen.sessions();
        sessions.push(Session { pair, state: State::Live, refused: false });
        sessions.len() - 1
    }

    /// Notes that a session is about to be ended.
    pub(crate) fn ending(&self, place: usize) -> Pair {
        let mut sessions = self.seen.sessions();
        sessions[place].state = State::Ending;
        sessions[place].pair.clone()
    }

    /// Notes that the call that ended it was answered.
    pub(crate) fn ended(&self, place: usize) {
        self.seen.sessions()[place].state = State::Ended(uptime());
    }

    /// Notes that all sessions are about to be ended.
    pub(crate) fn all_ending(&self) {
        let is_live = |session: &&mut Session| session.state == State::Live;
        self.seen.sessions().iter_mut().filter(is_live).for_each(|session| session.state = State::Ending);
    }

    /// Returns whether the verifier has refused the token of each ended session.
    pub(crate) fn knows_all(&self) -> bool {
        self.seen
            .sessions()
            .iter()
            .all(|session| session.refused || !matches!(session.state, State::Ended(_)))
    }

    /// Notes that all sessions about to be ended have ended.
    pub(crate) fn all_ended(&self) {
        let ending = |session: &&mut Session| session.state == State::Ending;
        self.seen
            .sessions()
            .iter_mut()
            .filter(ending)
            .for_each(|session| session.state = State::Ended(uptime()));
    }

    /// Returns the access tokens of ended sessions.
    pub(crate) fn tokens_of_ended(&self) -> Vec<String> {
        let sessions = self.seen.sessions();
        let ended = sessions.iter().filter(|session| matches!(session.state, State::Ended(_)));
        ended.map(|session| session.pair.access.clone()).collect()
    }

    /// Returns the access tokens of sessions that are about to be ended.
    pub(crate) fn tokens_about_to_end(&self) -> Vec<String> {
        let sessions = self.seen.sessions();
        let ending = sessions.iter().filter(|session| session.state == State::Ending);
        ending.map(|session| session.pair.access.clone()).collect()
    }

    /// Returns the numbers of acceptances and of uncertain answers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.seen.accepted.load(Ordering::SeqCst), self.seen.stale.load(Ordering::SeqCst))
    }

    /// Stops, and fails the test if there was a violation. Returns the longest time between an end and an
    /// acceptance.
    pub(crate) async fn check(self) -> Duration {
        self.seen.done.store(true, Ordering::SeqCst);
        self.presenting.await.expect("it presents");
        let faults = self.seen.faults.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(faults.is_empty(), "{} faults, such as: {:#?}", faults.len(), &faults[..faults.len().min(5)]);
        *self.seen.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    async fn present(&self, place: usize, verifier: &Verifier) {
        let Session { pair, state, .. } = self.sessions()[place].clone();
        let before = uptime();
        let decided = verifier.check_when_stale(&pair.access, WhenStale::Deny).await;
        let mut sessions = self.sessions();
        let session = &mut sessions[place];
        match decided {
            Ok(_) => {
                self.accepted.fetch_add(1, Ordering::SeqCst);
                self.note_accepted(place, state, before);
                if session.refused {
                    self.fault(format!("session {place} came back: {:?}", verifier.metrics()));
                }
            }
            Err(VerifyError::Refused(Refusal::TokenRevoked(_))) => {
                session.refused = true;
                if session.state == State::Live {
                    self.fault(format!("session {place} is live, and called ended"));
                }
            }
            Err(VerifyError::Refused(refusal)) => {
                self.fault(format!("session {place} is refused with {refusal:?}"))
            }
            Err(_) => {
                self.stale.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Checks an acceptance that was decided after `before`.
    fn note_accepted(&self, place: usize, state: State, before: Duration) {
        let State::Ended(at) = state else { return };
        let late = before.saturating_sub(at);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = late.max(*latest);
        if late >= TERM {
            self.fault(format!("session {place} was let in {late:?} after it had ended"));
        }
    }

    fn fault(&self, fault: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
