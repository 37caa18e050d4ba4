//! Metrics of the HTTP layer: counters, and gauges that are read on request. Labels are routes and constants:
//! no label contains client input.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use quash_service::{Service, VerifierInfo, VerifierState};

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    latency: Histogram,
    head: Gauge,
    entries: Gauge,
    verifiers: Family<State, Gauge>,
    lag: Gauge,
    node: NodeMetrics,
}

/// Metrics of a process that shares its store with others.
#[derive(Default)]
struct NodeMetrics {
    leased: Gauge,
    renewed_before: Gauge<f64, AtomicU64>,
    read_before: Gauge<f64, AtomicU64>,
    in_doubt: Gauge,
    connections: Family<State, Gauge>,
    waiting: Gauge,
    errors: Counter,
}

/// Counts the log lines that were dropped because standard error blocked. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct DroppedLines(Counter);

impl DroppedLines {
    pub fn count(&self) {
        self.0.inc();
    }

    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Buckets from a lookup in memory to a request that times out, in seconds.
const LATENCY: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 30.0];

impl Metrics {
    pub(crate) fn new(service: &Service, dropped: &DroppedLines) -> Self {
        let mut registry = Registry::with_prefix("quash");
        let (requests, verifiers) = (Family::default(), Family::default());
        let (head, entries, lag) = (Gauge::default(), Gauge::default(), Gauge::default());
        let latency = Histogram::new(LATENCY);
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "The time to answer a request",
            Unit::Seconds,
            latency.clone(),
        );
        registry.register("log_head", "The newest number of the log that this process knows", head.clone());
        registry.register("revocations", "Revoked scopes that this process knows", entries.clone());
        registry.register(
            "verifiers",
            "Verifiers that requested a lease within the last hour, by state",
            verifiers.clone(),
        );
        registry.register(
            "verifier_lag",
            "Log entries that the slowest verifier with a lease has not confirmed",
            lag.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Log lines that standard error did not take in time",
            dropped.0.clone(),
        );
        service.register_metrics(&mut registry);
        let node = NodeMetrics::default();
        if service.is_node() {
            node.register(&mut registry);
        }
        Self { registry, requests, latency, head, entries, verifiers, lag, node }
    }

    /// Counts a response.
    pub(crate) fn answered(&self, route: &str, status: StatusCode, after: Duration) {
        self.requests.get_or_create(&Answered { route: route.to_owned(), status: status.as_u16() }).inc();
        self.latency.observe(after.as_secs_f64());
    }

    /// Renders all metrics as OpenMetrics text. If the verifiers can't be read, theirs are the previous values.
    pub(crate) async fn text(&self, service: &Service) -> String {
        let cursor = service.guard().cursor().as_u64();
        self.head.set(as_gauge(cursor));
        self.entries.set(as_gauge(service.guard().entries() as u64));
        match service.verifiers().await {
            Ok(seen) => self.set_verifiers(&seen, cursor),
            Err(failure) => tracing::warn!(%failure, "failed to read the verifiers for their metrics"),
        }
        self.node.set(service);
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn set_verifiers(&self, seen: &[VerifierInfo], cursor: u64) {
        for (state, name) in [
            (VerifierState::Confirmed, "leased"),
            (VerifierState::Stale, "stale"),
            (VerifierState::NotBound, "not_bound"),
        ] {
            let count = seen.iter().filter(|verifier| verifier.state == state).count();
            self.verifiers.get_or_create(&State { state: name }).set(as_gauge(count as u64));
        }
        let leased = seen.iter().filter(|verifier| verifier.state == VerifierState::Confirmed);
        let lag = leased.map(|verifier| cursor.saturating_sub(verifier.confirmed.as_u64())).max();
        self.lag.set(as_gauge(lag.unwrap_or_default()));
    }
}

impl NodeMetrics {
    fn register(&self, registry: &mut Registry) {
        let Self { leased, renewed_before, read_before, in_doubt, connections, waiting, errors } = self;
        registry.register("node_leased", "Whether this node's lease is valid: 0 or 1", leased.clone());
        registry.register_with_unit(
            "node_lease_age",
            "The time since this node's lease was renewed",
            Unit::Seconds,
            renewed_before.clone(),
        );
        registry.register_with_unit(
            "node_log_read_age",
            "The time since this node has read the end of the log",
            Unit::Seconds,
            read_before.clone(),
        );
        registry.register(
            "node_promotion_in_doubt",
            "Whether a promoted server may lack entries of the log: 0 or 1",
            in_doubt.clone(),
        );
        registry.register("store_connections", "Connections to the database, by state", connections.clone());
        registry.register(
            "store_connections_waiting",
            "Requests that wait for a connection to the database",
            waiting.clone(),
        );
        registry.register(
            "store_connection_errors",
            "Requests for a connection to the database that failed",
            errors.clone(),
        );
    }

    fn set(&self, service: &Service) {
        if let Some(status) = service.node_status() {
            self.leased.set(i64::from(status.is_leased));
            self.renewed_before.set(status.renewed_before.as_secs_f64());
            self.read_before.set(status.read_before.as_secs_f64());
            self.in_doubt.set(i64::from(status.is_in_doubt));
        }
        if let Some(connections) = service.store_connections() {
            for (state, count) in [("in_use", connections.in_use), ("idle", connections.idle)] {
                self.connections.get_or_create(&State { state }).set(as_gauge(count as u64));
            }
            self.waiting.set(as_gauge(connections.waiting as u64));
            self.errors.inner().store(connections.errors, Ordering::Relaxed);
        }
    }
}

fn as_gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
