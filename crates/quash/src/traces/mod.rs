//! Traces: the span of each request with the spans of its parts, sent to a collector by OTLP over HTTP.

mod collector;
mod request;

use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use quash_service::TRACED;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::error::CommandError;
use crate::settings::TraceSettings;
use collector::Collector;

/// The longest that a process that ends waits for the collector.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The sender of traces.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts the thread that sends traces. Its requests run in the current runtime.
    ///
    /// # Errors
    /// The client for the collector can't be made.
    pub(crate) fn start(settings: &TraceSettings) -> Result<Self, CommandError> {
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::failure(format!("the client for traces can't be made: {error}"))
        };
        let collector = Collector::new(settings.authorization.clone()).map_err(|error| failed(&error))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(settings.url.clone())
            .build()
            .map_err(|error| failed(&error))?;
        let resource = Resource::builder()
            .with_service_name("quash")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let part = f64::from(settings.sampled_percent) / 100.0;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(part)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// Returns the layer that takes the spans of requests from the log.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("quash"))
            .with_location(false)
            .with_threads(false)
            .with_filter(Targets::new().with_target(TRACED, LevelFilter::INFO))
    }

    /// Sends the spans that are left.
    pub(crate) async fn end(self) {
        // It waits for a thread whose requests need this runtime.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(END_WITHIN)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces may not have been delivered");
        }
    }
}

/// Adds the span of each request.
pub(crate) fn traced(router: Router) -> Router {
    router.layer(from_fn(request::traced))
}
