//! Metrics of the use cases. Labels are fixed words: none contains a client's input.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::failure::Failure;

pub(crate) struct Metrics {
    attempts: Family<AttemptOutcome, Counter>,
    exchanges: Family<ExchangeOutcome, Counter>,
    propagation: Histogram,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct AttemptOutcome {
    outcome: Outcome,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ExchangeOutcome {
    outcome: Exchanged,
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

/// From one millisecond to longer than any lease.
const PROPAGATION: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0, 25.0];

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            attempts: Family::default(),
            exchanges: Family::default(),
            propagation: Histogram::new(PROPAGATION),
        }
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
}

impl Metrics {
    /// Adds these metrics to the registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Self { attempts, exchanges, propagation } = self;
        registry.register("sign_ins", "Attempts to sign in", attempts.clone());
        registry.register(
            "exchanges",
            "Exchanges of refresh and sliding tokens, by outcome",
            exchanges.clone(),
        );
        let help = "Time that each verifier took to confirm an entry that a request waited for";
        registry.register_with_unit("propagation", help, Unit::Seconds, propagation.clone());
    }
}
