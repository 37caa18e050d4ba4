//! Metrics of the HTTP layer: counters, and gauges that are read on request. Labels are routes and constants:
//! no label contains client input.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use quash_core::model::Timestamp;
use quash_service::{Load, Service, VerifierInfo, VerifierState};

use crate::net::tls::Tls;
use crate::process_usage::ProcessUsage;

pub(crate) struct Metrics {
    registry: Registry,
    /// Without quash's prefix: dashboards for any program read these.
    of_process: Registry,
    requests: Family<Answered, Counter>,
    latency: Family<Route, Histogram, fn() -> Histogram>,
    head: Gauge,
    entries: Gauge,
    verifiers: Family<State, Gauge>,
    lag: Gauge,
    hashes: Family<State, Gauge>,
    feed_streams: Gauge,
    rotation_due: Gauge,
    certificate: Option<(Tls, Gauge)>,
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

/// The parts of the metrics that the program knows.
#[derive(Clone, Debug, Default)]
pub struct ProgramMetrics {
    /// The log lines that were dropped.
    pub dropped: DroppedLines,
    /// The certificate of a server with TLS.
    pub certificate: Option<Tls>,
    /// The program's version.
    pub version: &'static str,
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
struct Route {
    route: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// The longest wait for the store, which may be away.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// Buckets from a lookup in memory to a request that times out, in seconds.
const LATENCY: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 30.0];

impl Metrics {
    pub(crate) fn new(service: &Service, program: &ProgramMetrics) -> Self {
        let mut registry = Registry::with_prefix("quash");
        let (requests, verifiers) = (Family::default(), Family::default());
        let (head, entries, lag) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (hashes, feed_streams, rotation_due) = (Family::default(), Gauge::default(), Gauge::default());
        let latency: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCY));
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "The time to answer a request, by route",
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
            program.dropped.0.clone(),
        );
        registry.register(
            "hashes",
            "Passwords that are hashed, and those that wait, by state",
            hashes.clone(),
        );
        registry.register("feed_streams", "Open streams of the feed", feed_streams.clone());
        registry.register_with_unit(
            "rotation_due_timestamp",
            "The time at which the next signing key is due, or 0 if keys don't rotate by themselves",
            Unit::Seconds,
            rotation_due.clone(),
        );
        let certificate = program.certificate.clone().map(|tls| (tls, Gauge::default()));
        if let Some((_, until)) = &certificate {
            let help = "The end of the certificate's validity";
            registry.register_with_unit("certificate_until_timestamp", help, Unit::Seconds, until.clone());
        }
        registry.register("build", "The program", Info::new([("version", program.version)]));
        let mut of_process = Registry::default();
        of_process.register_collector(Box::new(ProcessUsage));
        service.register_metrics(&mut registry);
        let node = NodeMetrics::default();
        if service.is_node() {
            node.register(&mut registry);
        }
        Self {
            registry,
            of_process,
            requests,
            latency,
            head,
            entries,
            verifiers,
            lag,
            hashes,
            feed_streams,
            rotation_due,
            certificate,
            node,
        }
    }

    /// Counts a response.
    pub(crate) fn answered(&self, route: &str, status: StatusCode, after: Duration) {
        self.requests.get_or_create(&Answered { route: route.to_owned(), status: status.as_u16() }).inc();
        self.latency.get_or_create(&Route { route: route.to_owned() }).observe(after.as_secs_f64());
    }

    /// Renders all metrics as OpenMetrics text. If the store can't be read, its figures are the
    /// previous ones.
    pub(crate) async fn text(&self, service: &Service) -> String {
        let cursor = service.guard().cursor().as_u64();
        self.head.set(as_gauge(cursor));
        self.entries.set(as_gauge(service.guard().entries() as u64));
        let (seen, due) = tokio::join!(answered(service.verifiers()), answered(service.rotation_due()));
        match seen {
            Some(Ok(seen)) => self.set_verifiers(&seen, cursor),
            Some(Err(failure)) => tracing::debug!(%failure, "failed to read the verifiers for their metrics"),
            None => {}
        }
        let Load { hashes_running, hashes_waiting, feed_streams } = service.load();
        for (state, count) in [("running", hashes_running), ("waiting", hashes_waiting)] {
            self.hashes.get_or_create(&State { state }).set(as_gauge(count as u64));
        }
        self.feed_streams.set(as_gauge(feed_streams as u64));
        match due {
            Some(Ok(due)) => drop(self.rotation_due.set(due.map_or(0, Timestamp::as_secs))),
            Some(Err(failure)) => tracing::debug!(%failure, "failed to read the keys for their metrics"),
            None => {}
        }
        if let Some((tls, until)) = &self.certificate {
            until.set(tls.valid_until().as_secs());
        }
        self.node.set(service);
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &self.of_process))
            .and_then(|()| encode_eof(&mut text));
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

/// Waits for the store, but not longer than a scrape has time.
async fn answered<T>(read: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(STORE_WAIT, read).await.ok()
}

fn as_gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
