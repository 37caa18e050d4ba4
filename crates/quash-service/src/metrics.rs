//! Metrics of the use cases. Labels are fixed words: none contains a client's input.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use quash_core::model::{SecretDigest, Timestamp};
use quash_store::StoreError;

use crate::failure::Failure;
use crate::mail::MailerError;

pub(crate) struct Metrics {
    attempts: Family<AttemptOutcome, Counter>,
    exchanges: Family<ExchangeOutcome, Counter>,
    propagation: Histogram,
    commits: Family<CommitOutcome, Counter>,
    commit_duration: Histogram,
    mails: Family<MailOutcome, Counter>,
    last_mail: Gauge,
    /// The secrets that could read the metrics when the store answered last.
    readers: Mutex<Vec<SecretDigest>>,
}

/// The attempts to sign in at this process since its start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SignIns {
    pub succeeded: u64,
    pub refused: u64,
    pub unavailable: u64,
}

/// The work of this process at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// The passwords that are hashed now.
    pub hashes_running: usize,
    /// The passwords that wait for a hashing thread.
    pub hashes_waiting: usize,
    /// The streams of the feed that are open.
    pub feed_streams: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct AttemptOutcome {
    outcome: Outcome,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ExchangeOutcome {
    outcome: Exchanged,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CommitOutcome {
    outcome: Committed,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct MailOutcome {
    outcome: Sent,
}

/// The outcome of a change at the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the labels")]
enum Committed {
    written,
    /// Another change came first.
    conflict,
    unavailable,
    /// It may be written.
    unknown,
}

/// The outcome of an attempt to send a mail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the labels")]
enum Sent {
    sent,
    /// It will be tried again.
    not_now,
    /// It was dropped.
    refused,
    /// It may have been sent.
    unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the labels")]
enum Outcome {
    good,
    refused,
    unavailable,
}

/// The outcome of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the labels")]
pub(crate) enum Exchanged {
    /// The token was spent.
    rotated,
    /// The successor was returned again, or the kind of token is never spent.
    answered,
    /// The token ended a session.
    ended,
}

/// The most secrets that are known to read the metrics.
const READERS: usize = 64;
/// From a commit in memory to a disk or database that hardly answers, in seconds.
const COMMIT: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// From one millisecond to longer than any lease.
const PROPAGATION: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0, 25.0];

impl Metrics {
    /// The attempts to sign in so far.
    pub(crate) fn sign_ins(&self) -> SignIns {
        let count = |outcome| self.attempts.get_or_create(&AttemptOutcome { outcome }).get();
        SignIns {
            succeeded: count(Outcome::good),
            refused: count(Outcome::refused),
            unavailable: count(Outcome::unavailable),
        }
    }

    pub(crate) fn new() -> Self {
        let metrics = Self {
            attempts: Family::default(),
            exchanges: Family::default(),
            propagation: Histogram::new(PROPAGATION),
            commits: Family::default(),
            commit_duration: Histogram::new(COMMIT),
            mails: Family::default(),
            last_mail: Gauge::default(),
            readers: Mutex::default(),
        };
        // Rates begin at zero, not at the first occurrence.
        for outcome in [Outcome::good, Outcome::refused, Outcome::unavailable] {
            drop(metrics.attempts.get_or_create(&AttemptOutcome { outcome }));
        }
        for outcome in [Exchanged::rotated, Exchanged::answered, Exchanged::ended] {
            drop(metrics.exchanges.get_or_create(&ExchangeOutcome { outcome }));
        }
        for outcome in [Committed::written, Committed::conflict, Committed::unavailable, Committed::unknown] {
            drop(metrics.commits.get_or_create(&CommitOutcome { outcome }));
        }
        for outcome in [Sent::sent, Sent::not_now, Sent::refused, Sent::unknown] {
            drop(metrics.mails.get_or_create(&MailOutcome { outcome }));
        }
        metrics
    }

    /// Counts an attempt to sign in.
    pub(crate) fn attempted<T>(&self, result: &Result<T, Failure>) {
        let outcome = match result {
            Ok(_) => Outcome::good,
            Err(Failure::Refused(_)) => Outcome::refused,
            Err(Failure::Unavailable(_)) => Outcome::unavailable,
        };
        self.attempts.get_or_create(&AttemptOutcome { outcome }).inc();
    }

    /// Counts an exchange.
    pub(crate) fn exchanged(&self, outcome: Exchanged) {
        self.exchanges.get_or_create(&ExchangeOutcome { outcome }).inc();
    }

    /// Records a verifier's confirmation of an entry that a request waited for.
    pub(crate) fn confirmed(&self, after: Duration) {
        self.propagation.observe(after.as_secs_f64());
    }

    /// Notes whether a secret may read the metrics. If the store doesn't say, it may if it could before: the metrics are
    /// needed most while the store is away.
    pub(crate) fn may_read(&self, digest: SecretDigest, found: Option<bool>) -> bool {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = readers.contains(&digest);
        match found {
            None => return is_known,
            Some(true) if is_known => {}
            Some(true) => {
                let surplus = (readers.len() + 1).saturating_sub(READERS);
                readers.drain(..surplus);
                readers.push(digest);
            }
            Some(false) => readers.retain(|reader| *reader != digest),
        }
        found == Some(true)
    }

    /// Counts a commit of a use case.
    pub(crate) fn committed<T>(&self, result: &Result<T, StoreError>, after: Duration) {
        let outcome = match result {
            Ok(_) => Committed::written,
            Err(StoreError::Conflict) => Committed::conflict,
            Err(StoreError::Unknown(_)) => Committed::unknown,
            Err(_) => Committed::unavailable,
        };
        self.commits.get_or_create(&CommitOutcome { outcome }).inc();
        self.commit_duration.observe(after.as_secs_f64());
    }

    /// Counts an attempt to send a mail.
    pub(crate) fn mailed(&self, result: &Result<(), MailerError>, now: Timestamp) {
        let outcome = match result {
            Ok(()) => {
                self.last_mail.set(now.as_secs());
                Sent::sent
            }
            Err(MailerError::NotNow(_)) => Sent::not_now,
            Err(MailerError::Never(_)) => Sent::refused,
            Err(MailerError::Doubtful(_)) => Sent::unknown,
        };
        self.mails.get_or_create(&MailOutcome { outcome }).inc();
    }
}

impl Metrics {
    /// Adds these metrics to the registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Self { attempts, exchanges, propagation, commits, commit_duration, mails, last_mail, readers: _ } =
            self;
        registry.register("sign_ins", "Attempts to sign in", attempts.clone());
        registry.register(
            "exchanges",
            "Exchanges of refresh and sliding tokens, by outcome",
            exchanges.clone(),
        );
        let help = "Time that each verifier took to confirm an entry that a request waited for";
        registry.register_with_unit("propagation", help, Unit::Seconds, propagation.clone());
        registry.register("commits", "Changes that use cases committed, by outcome", commits.clone());
        let help = "Time that the store took to commit a change of a use case";
        registry.register_with_unit("commit_duration", help, Unit::Seconds, commit_duration.clone());
        registry.register("mails", "Attempts to send a mail, by outcome", mails.clone());
        let help = "The time of the last mail that was sent, or 0";
        registry.register_with_unit("last_mail_timestamp", help, Unit::Seconds, last_mail.clone());
    }
}
