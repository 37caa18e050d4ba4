//! The task that owns the publisher. Frames, leases and keys reach it as messages, so their order alone
//! decides the result.

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

/// A message to the task.
pub(crate) enum Message {
    /// Everything that the log remembers.
    Snapshot(Box<Snapshot>, Taken),
    /// A snapshot that can't be understood.
    NotUnderstood(FrameFault, Taken),
    /// The issuer's policy from now on.
    Policy(Box<FeedPolicy>, Taken),
    /// The next entries.
    Frame(Frame, Taken),
    /// The issuer waits until every verifier has applied this entry.
    Wanted(Seq),
    /// A lease, and its term.
    Lease(Lease, Duration),
    /// The issuer has refused a token that no known entry revokes.
    Refused(oneshot::Sender<()>),
    /// The keys that the issuer publishes.
    Keys(Vec<VerifyingKey>, oneshot::Sender<()>),
}

/// The reply to the sender of a message.
pub(crate) type Taken = oneshot::Sender<Result<(), Untaken>>;

/// The reason why a message isn't applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Untaken {
    #[error(transparent)]
    Astray(#[from] Astray),
    #[error(transparent)]
    NotUnderstood(#[from] FrameFault),
    #[error(transparent)]
    Secret(StartError),
    #[error("it contradicts what is known of the log")]
    OtherEnd,
}

/// The tasks' other signals.
pub(crate) struct Signals {
    /// A lease must be requested at once.
    pub(crate) lease: Notify,
    /// A snapshot is needed.
    pub(crate) snapshot: Notify,
    /// The issuer has answered a lease request after a time without answers.
    pub(crate) back: watch::Sender<()>,
    /// The newest known place in the log, as the issuer writes it.
    pub(crate) place: watch::Sender<Option<Cursor>>,
    /// The progress of starting.
    pub(crate) started: watch::Sender<Started>,
}

/// The progress of starting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Started {
    /// Nothing is known yet; the last error, if there was one.
    NotYet(Option<StartError>),
    /// The verifier can't start.
    Never(StartError),
    /// Revocations are known, but no lease is current.
    Known,
    /// A lease is current.
    Fresh,
}

/// The application's configuration.
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
    /// The issuer sends something that can't be understood, so its leases don't count.
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

    /// Applies messages until all senders are gone.
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
                // The issuer sends increasing numbers. If this one isn't larger than the last, one of the two
                // was damaged in transit.
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
                    tracing::info!(keys = keys.len(), "fetched the issuer's keys");
                    self.published = keys;
                    let ring = self.ring();
                    if let Some(keeper) = &mut self.keeper {
                        keeper.turn_ring(ring);
                    }
                }
                // The receiver may be gone.
                let _ = taken.send(());
            }
        }
    }

    /// Applies a message and replies. A message that can't be understood may revoke anything, so older leases
    /// don't count until one is understood again.
    fn answer(&mut self, taken: Taken, take: impl FnOnce(&mut Self) -> Result<(), Untaken>) {
        let outcome = take(self);
        if let Err(untaken @ (Untaken::NotUnderstood(_) | Untaken::Secret(_))) = &outcome {
            tracing::error!(%untaken, "cannot use the issuer's feed; the verifier is stale");
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
            // The set's keys were hashed in another way, so lookups would miss them.
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
            tracing::warn!(%astray, "the lease contradicts the known log; taking a snapshot");
            self.signals.snapshot.notify_one();
        } else if lease.head > keeper.cursor() {
            self.shared.poked.notify_one();
        }
    }

    /// Reads a policy, and binds the secrets that it names.
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

    /// Requests a lease once the wanted entry is known: the request confirms the entry to the issuer.
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
