//! The one task that owns the keeper. Frames, leases and keys reach it as messages; what it makes of them is a matter of
//! their order alone.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Seq;
use quash_core::token::{KeyRing, VerifyingKey};
use quash_core::watch::frame::{Cursor, FeedPolicy, Frame, FrameFault, Snapshot};
use quash_core::watch::{Astray, Lease};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::fault::StartError;
use crate::keeper::Keeper;
use crate::shared::Shared;
use crate::trust::Terms;
use crate::verifier::VerifierState;

/// What reaches the task.
pub(crate) enum Message {
    /// Everything that the log remembers.
    Snapshot(Box<Snapshot>, Taken),
    /// A snapshot that can't be understood.
    NotUnderstood(FrameFault, Taken),
    /// What the issuer's tokens say from now on.
    Policy(Box<FeedPolicy>, Taken),
    /// The next entries.
    Frame(Frame, Taken),
    /// Somebody waits for a number.
    Wanted(Seq),
    /// A lease, and for how long it holds.
    Lease(Lease, Duration),
    /// The issuer has refused a token that nothing is known of here.
    Refused(oneshot::Sender<()>),
    /// The keys that the issuer publishes.
    Keys(Vec<VerifyingKey>, oneshot::Sender<()>),
}

/// Whoever sent something waits for what became of it.
pub(crate) type Taken = oneshot::Sender<Result<(), Untaken>>;

/// Why something isn't taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Untaken {
    #[error(transparent)]
    Astray(#[from] Astray),
    #[error(transparent)]
    NotUnderstood(#[from] FrameFault),
    #[error(transparent)]
    Secret(StartError),
    #[error("it does not end where it says")]
    OtherEnd,
}

/// What the tasks tell each other besides.
pub(crate) struct Signals {
    /// A lease is wanted at once.
    pub(crate) lease: Notify,
    /// A snapshot is needed.
    pub(crate) snapshot: Notify,
    /// The issuer has answered a question about a lease, after it had answered none for a while.
    pub(crate) back: watch::Sender<()>,
    /// How far the set has come, in the form that the issuer knows its own numbers by.
    pub(crate) place: watch::Sender<Option<Cursor>>,
    /// How starting has gone.
    pub(crate) started: watch::Sender<Started>,
}

/// How starting has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Started {
    /// Nothing is known yet; the last thing that went wrong, if anything did.
    NotYet(Option<StartError>),
    /// It can't start.
    Never(StartError),
    /// Something is known.
    Known,
    /// What is known can be vouched for.
    Fresh,
}

/// What an application has chosen.
pub(crate) struct Chosen {
    pub(crate) audience: Vec<String>,
    pub(crate) secrets: Vec<Zeroizing<Vec<u8>>>,
}

pub(crate) struct Keeping {
    shared: Arc<Shared>,
    signals: Arc<Signals>,
    chosen: Chosen,
    keeper: Option<Keeper>,
    policy: Option<FeedPolicy>,
    published: Vec<VerifyingKey>,
    secrets: Vec<VerifyingKey>,
    wanted: Option<Seq>,
    /// The issuer says something that can't be understood: its leases don't count.
    is_deaf: bool,
}

impl Keeping {
    pub(crate) fn new(shared: Arc<Shared>, signals: Arc<Signals>, chosen: Chosen) -> Self {
        let (published, secrets) = (Vec::new(), Vec::new());
        Self {
            shared,
            signals,
            chosen,
            keeper: None,
            policy: None,
            published,
            secrets,
            wanted: None,
            is_deaf: false,
        }
    }

    /// Takes messages for as long as somebody sends some.
    pub(crate) async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.recv().await {
            self.take(message);
            self.report();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Snapshot(snapshot, taken) => self.answer(taken, |keeping| keeping.begin_anew(*snapshot)),
            Message::NotUnderstood(fault, taken) => self.answer(taken, |_| Err(fault.into())),
            Message::Policy(policy, taken) => self.answer(taken, |keeping| keeping.agree(&policy)),
            Message::Frame(frame, taken) => self.answer(taken, |keeping| keeping.follow(frame)),
            Message::Wanted(seq) => {
                // Each is larger than the one before; one that isn't so has been spoilt on its way, or the one before has.
                self.wanted = Some(seq);
                self.answer_wanted();
            }
            Message::Lease(lease, term) => self.grant(lease, term),
            Message::Refused(taken) => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.doubt();
                }
                self.signals.lease.notify_one();
                let _ = taken.send(());
            }
            Message::Keys(keys, taken) => {
                if !are_same(&keys, &self.published) {
                    tracing::info!(keys = keys.len(), "the issuer's keys were read");
                    self.published = keys;
                    let ring = self.ring();
                    if let Some(keeper) = &mut self.keeper {
                        keeper.turn_ring(ring);
                    }
                }
                // Whoever waited may have gone.
                let _ = taken.send(());
            }
        }
    }

    /// What can't be understood may revoke anything: nothing is vouched for until something is understood again.
    fn answer(&mut self, taken: Taken, take: impl FnOnce(&mut Self) -> Result<(), Untaken>) {
        let outcome = take(self);
        if let Err(untaken @ (Untaken::NotUnderstood(_) | Untaken::Secret(_))) = &outcome {
            tracing::error!(%untaken, "what the issuer says can't be used: the verifier is stale");
            if let Some(keeper) = &mut self.keeper {
                keeper.doubt();
            }
        }
        let _ = taken.send(outcome);
    }

    fn begin_anew(&mut self, snapshot: Snapshot) -> Result<(), Untaken> {
        let Snapshot { policy, cursor, revoked } = snapshot;
        let terms = self.read(&policy)?;
        let ring = self.ring();
        match &mut self.keeper {
            Some(keeper) => keeper.take(revoked, terms, ring)?,
            None if ring.keys().next().is_none() => return Err(Untaken::Secret(StartError::SecretNeeded)),
            None => {
                let (shared, term) = (Arc::clone(&self.shared), policy.term());
                self.keeper = Some(Keeper::tenant(shared, revoked, term, terms, ring));
            }
        }
        self.policy = Some(policy);
        self.arrive(cursor);
        Ok(())
    }

    fn agree(&mut self, policy: &FeedPolicy) -> Result<(), Untaken> {
        let terms = self.read(policy)?;
        if self.policy.as_ref().is_some_and(|known| !known.hashes_as(policy)) {
            // Entries would be looked up under other keys than they are kept under.
            return Err(Untaken::OtherEnd);
        }
        let ring = self.ring();
        if let Some(keeper) = self.keeper.as_mut().filter(|_| self.policy.as_ref() != Some(policy)) {
            keeper.agree(terms, ring);
            self.policy = Some(policy.clone());
        }
        Ok(())
    }

    fn follow(&mut self, frame: Frame) -> Result<(), Untaken> {
        let entries = frame.entries()?;
        let Some(keeper) = &mut self.keeper else { return Err(Untaken::OtherEnd) };
        keeper.follow(&entries)?;
        match keeper.cursor().cmp(&frame.cursor.seq()) {
            std::cmp::Ordering::Less => Err(Untaken::OtherEnd),
            std::cmp::Ordering::Equal => {
                self.arrive(frame.cursor);
                Ok(())
            }
            std::cmp::Ordering::Greater => Ok(()),
        }
    }

    fn grant(&mut self, lease: Lease, term: Duration) {
        let Some(keeper) = self.keeper.as_mut().filter(|_| !self.is_deaf) else { return };
        if let Err(astray) = keeper.grant(lease, term) {
            tracing::warn!(%astray, "a snapshot is taken");
            self.signals.snapshot.notify_one();
        } else if lease.head > keeper.cursor() {
            self.shared.poked.notify_one();
        }
    }

    /// What tokens must say under a policy; the secrets that it names are bound.
    fn read(&mut self, policy: &FeedPolicy) -> Result<Terms, Untaken> {
        self.is_deaf = true;
        let terms = Terms { policy: policy.tokens(self.chosen.audience.clone())?, scopes: policy.scopes()? };
        let mut bound = Vec::new();
        for secret in &self.chosen.secrets {
            match policy.secret(secret) {
                Ok(Some(key)) => bound.push(key),
                Ok(None) => return Err(Untaken::Secret(StartError::SecretUnknown)),
                Err(fault) => return Err(Untaken::Secret(StartError::SecretUnusable(fault))),
            }
        }
        if bound.is_empty() && policy.names_secrets() {
            return Err(Untaken::Secret(StartError::SecretNeeded));
        }
        self.secrets = bound;
        self.is_deaf = false;
        Ok(terms)
    }

    fn ring(&self) -> KeyRing {
        KeyRing::new(0, self.published.iter().chain(&self.secrets).cloned().collect())
    }

    fn arrive(&mut self, cursor: Cursor) {
        self.signals.place.send_replace(Some(cursor));
        self.answer_wanted();
    }

    /// Whoever waits for a number learns from a lease that it has arrived.
    fn answer_wanted(&mut self) {
        let cursor = self.keeper.as_ref().map(Keeper::cursor);
        if self.wanted.is_some() && cursor >= self.wanted {
            self.wanted = None;
            self.signals.lease.notify_one();
        }
    }

    fn report(&self) {
        let started = match self.shared.standing() {
            VerifierState::Boot => return,
            VerifierState::Stale => Started::Known,
            VerifierState::Fresh | VerifierState::Behind => Started::Fresh,
        };
        self.signals.started.send_if_modified(|known| std::mem::replace(known, started) != started);
    }
}

fn are_same(one: &[VerifyingKey], other: &[VerifyingKey]) -> bool {
    let is_same = |(one, other): (&VerifyingKey, &VerifyingKey)| {
        one.is_same_key(other) && one.kid() == other.kid() && one.algorithm() == other.algorithm()
    };
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}
