//! The transport of requests to an issuer: the operating system's connections, or those of an application.
//!
//! [`VerifierBuilder::transport`](crate::VerifierBuilder::transport) takes another transport: a Unix socket, a
//! proxy or a simulated network.
//!
//! ```
//! use std::sync::Arc;
//! use http::{Request, Response};
//! use quash_verify::transport::{BodyStream, BoxFuture, Connection, IssuerError, Transport};
//! use quash_verify::{Verifier, VerifierState};
//!
//! /// A network without any issuer.
//! struct Empty;
//!
//! impl Transport for Empty {
//!     fn send(
//!         &self,
//!         _: Request<String>,
//!         _: Connection,
//!     ) -> BoxFuture<'_, Result<Response<Box<dyn BodyStream>>, IssuerError>> {
//!         Box::pin(async { Err(IssuerError::Unreachable) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let builder = Verifier::builder("https://id.example.org").credential("qv_…");
//! let verifier = builder.transport(Arc::new(Empty)).start_in_background().unwrap();
//! assert_eq!(verifier.state(), VerifierState::Boot);
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

pub use super::fault::IssuerError;
use super::fault::StartError;

/// A transport for requests to an issuer.
pub trait Transport: Send + Sync {
    /// Sends a request and returns its response.
    ///
    /// # Errors
    /// Returns an error if no response arrives.
    fn send(
        &self,
        request: Request<String>,
        connection: Connection,
    ) -> BoxFuture<'_, Result<Response<Box<dyn BodyStream>>, IssuerError>>;
}

/// The body of a response, as it arrives.
pub trait BodyStream: Send {
    /// Returns the next piece, or `None` after the last.
    ///
    /// # Errors
    /// Returns an error if the connection breaks.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, IssuerError>>;
}

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The connection that a request is sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Connection {
    /// An idle connection, if there is one.
    Kept,
    /// A new connection. An idle one may be dead without the operating system knowing.
    New,
}

/// The operating system's connections.
pub(crate) struct Sockets {
    kept: Client,
    new: Client,
}

/// The limit for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Sockets {
    /// Creates clients that follow no redirects: the credential would be sent to the new address, too.
    /// Without an https address, the machine's certificates aren't read, which takes milliseconds.
    pub(crate) fn new(addresses: &[String]) -> Result<Self, StartError> {
        let needs_tls = addresses.iter().any(|address| address.starts_with("https:"));
        let tls = tls(needs_tls).ok_or(StartError::Certificates)?;
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .no_proxy()
                .user_agent("quash-verify")
        };
        let kept = builder().build().map_err(|_| StartError::Certificates)?;
        let new = builder().pool_max_idle_per_host(0).build().map_err(|_| StartError::Certificates)?;
        Ok(Self { kept, new })
    }
}

/// Returns the TLS configuration of all clients. Without `needs_tls` it trusts no certificate.
fn tls(needs_tls: bool) -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let builder = if needs_tls {
        builder.with_platform_verifier().ok()?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut tls = builder.with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(tls)
}

impl Transport for Sockets {
    fn send(
        &self,
        request: Request<String>,
        connection: Connection,
    ) -> BoxFuture<'_, Result<Response<Box<dyn BodyStream>>, IssuerError>> {
        Box::pin(async move {
            let client = if connection == Connection::New { &self.new } else { &self.kept };
            let request = request.try_into().map_err(|_| IssuerError::Unreachable)?;
            let answer = client.execute(request).await.map_err(|error| {
                if error.is_timeout() { IssuerError::TimedOut } else { IssuerError::Unreachable }
            })?;
            let mut carried = Response::new(());
            *carried.status_mut() = answer.status();
            Ok(carried.map(|()| Box::new(answer) as Box<dyn BodyStream>))
        })
    }
}

impl BodyStream for reqwest::Response {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, IssuerError>> {
        Box::pin(async { self.chunk().await.map_err(|_| IssuerError::Unreachable) })
    }
}
