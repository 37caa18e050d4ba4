//! The task that owns the publisher. Frames, leases and keys reach it as messages, so their order alone
//! decides the result.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{ForeignTokens, Seq, TokenPolicy};
use quash_core::token::{ForeignKey, KeyRing, VerifyingKey};
use quash_core::watch::frame::{Cursor, FeedPolicy, Frame, FrameFault, Snapshot};
use quash_core::watch::{FeedError, Lease};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::fault::{IssuerError, StartError};
use crate::shared::VerifierShared;
use crate::shared::publisher::Publisher;
use crate::shared::trust::{Terms, Trust};
use crate::state::VerifierState;

/// A message to the task.
pub(crate) enum Message {
    /// Everything that the log remembers.
    Snapshot(Box<Snapshot>, Reply),
    /// A snapshot that can't be understood.
    NotUnderstood(FrameFault, Reply),
    /// The issuer's policy from now on.
    Policy(Box<FeedPolicy>, Reply),
    /// The next entries.
    Frame(Frame, Reply),
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
pub(crate) type Reply = oneshot::Sender<Result<(), ApplyError>>;

/// The reason why a message isn't applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    FeedError(#[from] FeedError),
    #[error(transparent)]
    NotUnderstood(#[from] FrameFault),
    /// The application's configuration doesn't fit the issuer's.
    #[error(transparent)]
    Config(StartError),
    #[error("it contradicts what is known of the log")]
    Inconsistent,
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

impl Started {
    /// Returns whether the verifier has started.
    ///
    /// # Errors
    /// Returns the reason why it hasn't.
    pub(crate) fn outcome(self) -> Result<(), StartError> {
        match self {
            Self::Fresh | Self::Known => Ok(()),
            Self::Never(error) | Self::NotYet(Some(error)) => Err(error),
            Self::NotYet(None) => Err(StartError::Unavailable(IssuerError::TimedOut)),
        }
    }
}

/// The application's configuration.
pub(crate) struct ApplicationConfig {
    pub(crate) audience: Vec<String>,
    pub(crate) secrets: Vec<Zeroizing<Vec<u8>>>,
    /// The namespace whose tokens are verified; `None` for the issuer's own.
    pub(crate) namespace: Option<String>,
}

pub(crate) struct PublisherTask {
    shared: Arc<VerifierShared>,
    signals: Arc<Signals>,
    config: ApplicationConfig,
    publisher: Option<Publisher>,
    policy: Option<FeedPolicy>,
    published: Vec<VerifyingKey>,
    secrets: Vec<VerifyingKey>,
    /// The keys of the namespace.
    foreign: Vec<ForeignKey>,
    wanted: Option<Seq>,
    /// The issuer sends something that can't be understood, so its leases don't count.
    ignores_leases: bool,
}

impl PublisherTask {
    pub(crate) fn new(shared: Arc<VerifierShared>, signals: Arc<Signals>, config: ApplicationConfig) -> Self {
        let (published, secrets, foreign) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            shared,
            signals,
            config,
            publisher: None,
            policy: None,
            published,
            secrets,
            foreign,
            wanted: None,
            ignores_leases: false,
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
            Message::Snapshot(snapshot, reply) => {
                self.answer(reply, |publisher_task| publisher_task.apply_snapshot(*snapshot))
            }
            Message::NotUnderstood(fault, reply) => self.answer(reply, |_| Err(fault.into())),
            Message::Policy(policy, reply) => {
                self.answer(reply, |publisher_task| publisher_task.apply_policy(&policy))
            }
            Message::Frame(frame, reply) => self.answer(reply, |publisher_task| publisher_task.follow(frame)),
            Message::Wanted(seq) => {
                // The issuer sends increasing numbers. If this one isn't larger than the last, one of the two
                // was damaged in transit.
                self.wanted = Some(seq);
                self.confirm_wanted();
            }
            Message::Lease(lease, term) => self.grant(lease, term),
            Message::Refused(reply) => {
                if let Some(publisher) = &mut self.publisher {
                    publisher.invalidate_leases();
                }
                self.signals.lease.notify_one();
                let _ = reply.send(());
            }
            Message::Keys(keys, reply) => {
                if !are_same(&keys, &self.published) {
                    tracing::info!(keys = keys.len(), "fetched the issuer's keys");
                    self.published = keys;
                    let ring = self.ring();
                    if let Some(publisher) = &mut self.publisher {
                        publisher.set_ring(ring);
                    }
                }
                // The receiver may be gone.
                let _ = reply.send(());
            }
        }
    }

    /// Applies a message and replies. A message that can't be understood may revoke anything, so older leases
    /// don't count until one is understood again.
    fn answer(&mut self, reply: Reply, take: impl FnOnce(&mut Self) -> Result<(), ApplyError>) {
        let outcome = take(self);
        if let Err(untaken @ (ApplyError::NotUnderstood(_) | ApplyError::Config(_))) = &outcome {
            tracing::error!(%untaken, "cannot use the issuer's feed; the verifier is stale");
            if let Some(publisher) = &mut self.publisher {
                publisher.invalidate_leases();
            }
        }
        let _ = reply.send(outcome);
    }

    fn apply_snapshot(&mut self, snapshot: Snapshot) -> Result<(), ApplyError> {
        let Snapshot { policy, cursor, revoked } = snapshot;
        let terms = self.read(&policy)?;
        let ring = self.ring();
        match &mut self.publisher {
            Some(publisher) => publisher.take(revoked, terms, ring)?,
            None if ring.keys().next().is_none() && self.config.namespace.is_none() => {
                return Err(ApplyError::Config(StartError::SecretNeeded));
            }
            None => {
                let (shared, term) = (Arc::clone(&self.shared), policy.term());
                self.publisher = Some(Publisher::for_verifier(shared, revoked, term, terms, ring));
            }
        }
        self.policy = Some(policy);
        self.note_cursor(cursor);
        Ok(())
    }

    fn apply_policy(&mut self, policy: &FeedPolicy) -> Result<(), ApplyError> {
        let terms = self.read(policy)?;
        if self.policy.as_ref().is_some_and(|known| !known.hashes_as(policy)) {
            // The set's keys were hashed in another way, so lookups would miss them.
            return Err(ApplyError::Inconsistent);
        }
        let ring = self.ring();
        if let Some(publisher) = self.publisher.as_mut().filter(|_| self.policy.as_ref() != Some(policy)) {
            publisher.set_policy(terms, ring);
            self.policy = Some(policy.clone());
        }
        Ok(())
    }

    fn follow(&mut self, frame: Frame) -> Result<(), ApplyError> {
        let entries = frame.entries()?;
        let Some(publisher) = &mut self.publisher else { return Err(ApplyError::Inconsistent) };
        publisher.follow(&entries)?;
        match publisher.cursor().cmp(&frame.cursor.seq()) {
            std::cmp::Ordering::Less => Err(ApplyError::Inconsistent),
            std::cmp::Ordering::Equal => {
                self.note_cursor(frame.cursor);
                Ok(())
            }
            std::cmp::Ordering::Greater => Ok(()),
        }
    }

    fn grant(&mut self, lease: Lease, term: Duration) {
        let Some(publisher) = self.publisher.as_mut().filter(|_| !self.ignores_leases) else { return };
        if let Err(astray) = publisher.grant(lease, term) {
            tracing::warn!(%astray, "the lease contradicts the known log; taking a snapshot");
            self.signals.snapshot.notify_one();
        } else if lease.head > publisher.cursor() {
            self.shared.missing_entry.notify_one();
        }
    }

    /// Reads a policy, and binds the keys that it names.
    fn read(&mut self, policy: &FeedPolicy) -> Result<Terms, ApplyError> {
        self.ignores_leases = true;
        let mut terms =
            Terms { policy: policy.tokens(self.config.audience.clone())?, scopes: policy.scopes()? };
        match &self.config.namespace {
            Some(namespace) => {
                self.foreign = self.namespace_keys(policy, namespace)?;
                // The issuer's own setting concerns what it accepts itself.
                terms.policy = TokenPolicy { foreign: ForeignTokens::Accept, ..terms.policy };
            }
            None => self.secrets = self.own_secrets(policy)?,
        }
        self.ignores_leases = false;
        Ok(terms)
    }

    fn own_secrets(&self, policy: &FeedPolicy) -> Result<Vec<VerifyingKey>, ApplyError> {
        let mut bound = Vec::new();
        for secret in &self.config.secrets {
            match policy.secret(secret) {
                Ok(Some(key)) => bound.push(key),
                Ok(None) => return Err(ApplyError::Config(StartError::SecretUnknown)),
                Err(fault) => return Err(ApplyError::Config(StartError::SecretUnusable(fault))),
            }
        }
        if bound.is_empty() && policy.names_secrets() {
            return Err(ApplyError::Config(StartError::SecretNeeded));
        }
        Ok(bound)
    }

    /// Missing keys aren't an error: the site's own code may verify the tokens, and ask about their names.
    fn namespace_keys(&self, policy: &FeedPolicy, namespace: &str) -> Result<Vec<ForeignKey>, ApplyError> {
        let found = policy.namespace_keys(namespace, &self.config.secrets, &self.config.audience)?;
        let found = found.ok_or(ApplyError::Config(StartError::UnknownNamespace))?;
        if found.unusable > 0 {
            let keys = found.unusable;
            tracing::warn!(
                namespace,
                keys,
                "refusing tokens of the namespace's keys that can't be used here: pass their secrets with secret(..)"
            );
        }
        Ok(found.keys)
    }

    fn ring(&self) -> KeyRing {
        let ring = match self.config.namespace {
            Some(_) => KeyRing::with_foreign(0, Vec::new(), self.foreign.clone()),
            None => KeyRing::new(0, self.published.iter().chain(&self.secrets).cloned().collect()),
        };
        match &self.shared.state.load().trust {
            Some(Trust { ring: earlier, terms, .. }) => {
                ring.succeeding(earlier, terms.policy.longest_lifetime_ever, self.shared.clock.now())
            }
            None => ring,
        }
    }

    fn note_cursor(&mut self, cursor: Cursor) {
        self.signals.place.send_replace(Some(cursor));
        self.confirm_wanted();
    }

    /// Requests a lease once the wanted entry is known: the request confirms the entry to the issuer.
    fn confirm_wanted(&mut self) {
        let cursor = self.publisher.as_ref().map(Publisher::cursor);
        if self.wanted.is_some() && cursor >= self.wanted {
            self.wanted = None;
            self.signals.lease.notify_one();
        }
    }

    fn report(&self) {
        let started = match self.shared.verifier_state() {
            VerifierState::Boot | VerifierState::Left => return,
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
