//! What carries a question to an issuer and its answer back: connections of the operating system, or the network of a
//! simulation. What is asked and what becomes of it is told elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::Client;
use reqwest::redirect::Policy;

use super::fault::{Fault, StartError};

/// Carries requests.
pub trait Carrier: Send + Sync {
    /// Carries one, and brings what is answered.
    ///
    /// # Errors
    /// No answer comes.
    fn carry(
        &self,
        request: Request<String>,
        connection: Connection,
    ) -> Soon<'_, Result<Response<Box<dyn Pieces>>, Fault>>;
}

/// The body of an answer, as it arrives.
pub trait Pieces: Send {
    /// The next piece, or none after the last.
    ///
    /// # Errors
    /// It breaks off.
    fn next(&mut self) -> Soon<'_, Result<Option<Bytes>, Fault>>;
}

/// What is there some time.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// On which connection a question goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// One that has been used before, if there is one.
    Kept,
    /// One of its own: a connection that nobody has used for a while may be dead without a word.
    New,
}

/// The connections of the operating system.
pub(crate) struct Sockets {
    kept: Client,
    new: Client,
}

/// To a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

impl Sockets {
    /// Connections that follow nobody to another address: the credential would go there, too.
    pub(crate) fn new() -> Result<Self, StartError> {
        let builder = || {
            Client::builder()
                .redirect(Policy::none())
                .connect_timeout(CONNECT_WITHIN)
                .no_proxy()
                .user_agent("quash-verify")
        };
        let kept = builder().build().map_err(|_| StartError::NoClient)?;
        let new = builder().pool_max_idle_per_host(0).build().map_err(|_| StartError::NoClient)?;
        Ok(Self { kept, new })
    }
}

impl Carrier for Sockets {
    fn carry(
        &self,
        request: Request<String>,
        connection: Connection,
    ) -> Soon<'_, Result<Response<Box<dyn Pieces>>, Fault>> {
        Box::pin(async move {
            let client = if connection == Connection::New { &self.new } else { &self.kept };
            let request = request.try_into().map_err(|_| Fault::Unreachable)?;
            let answer = client
                .execute(request)
                .await
                .map_err(|error| if error.is_timeout() { Fault::Silent } else { Fault::Unreachable })?;
            let mut carried = Response::new(());
            *carried.status_mut() = answer.status();
            Ok(carried.map(|()| Box::new(answer) as Box<dyn Pieces>))
        })
    }
}

impl Pieces for reqwest::Response {
    fn next(&mut self) -> Soon<'_, Result<Option<Bytes>, Fault>> {
        Box::pin(async { self.chunk().await.map_err(|_| Fault::Unreachable) })
    }
}
