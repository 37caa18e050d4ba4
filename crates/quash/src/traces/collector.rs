//! The client that sends traces to the collector. It logs when deliveries begin to fail, and when they succeed again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use crate::error::with_causes;

/// The longest that a delivery may take.
const DELIVERED_WITHIN: Duration = Duration::from_secs(5);

/// The bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    /// Deliveries are asked for by a thread without a runtime.
    runtime: Handle,
    fails: AtomicBool,
}

impl Collector {
    /// Makes the client. Its requests run in the current runtime.
    pub(super) fn new(authorization: Option<HeaderValue>) -> Result<Self, reqwest::Error> {
        let headers = authorization.map(|value| (AUTHORIZATION, value)).into_iter().collect();
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            // It may get the header unencrypted.
            .no_proxy()
            .timeout(DELIVERED_WITHIN)
            .build()?;
        Ok(Self { client, runtime: Handle::current(), fails: AtomicBool::new(false) })
    }

    /// Logs the first failure, and the first success after one.
    fn note(&self, failure: Option<&str>) {
        let failed = self.fails.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !failed => tracing::warn!(cause, "traces can't be delivered; they are dropped"),
            None if failed => tracing::info!("traces are delivered again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let mut answer = client.execute(request.try_into()?).await?;
            let (status, mut body) = (answer.status(), Vec::new());
            while let Some(chunk) = answer.chunk().await? {
                // It says how many spans were refused, in a few bytes.
                body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES - body.len())]);
            }
            Ok::<_, reqwest::Error>((status, Bytes::from(body)))
        });
        let answered = match sent.await {
            Ok(answered) => answered.map_err(HttpError::from),
            Err(error) => Err(HttpError::from(error)),
        };
        match &answered {
            Ok((status, _)) if status.is_success() => self.note(None),
            Ok((status, _)) => self.note(Some(&format!("the collector answered {status}"))),
            Err(error) => self.note(Some(&with_causes(&**error))),
        }
        let (status, body) = answered?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}
