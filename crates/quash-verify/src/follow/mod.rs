//! Following an issuer over HTTP: how a verifier is built, and the tasks that feed it. What the entries mean is the
//! business of quash-core.

mod asking;
mod backoff;
mod carrier;
mod fault;
mod http;
mod keeping;
mod keys;
mod lease;
mod sse;
mod stream;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[cfg(feature = "test")]
use quash_core::model::Entropy;
use quash_core::model::{Clock, Seq};
use quash_core::watch::{Freshness, Revoked, feed};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

pub use carrier::{Carrier, Connection, Pieces, Soon};
pub use fault::{Fault, StartError};

use crate::clock::SystemClock;
use crate::introspection::Introspection;
use crate::shared::{Shared, State};
use crate::stale::WhenStale;
use crate::verifier::{Counts, Inner, Verifier};
use asking::Asking;
use backoff::Backoff;
use carrier::Sockets;
use http::Http;
use keeping::{Chosen, Keeping, Signals, Started};
use keys::Keys;
use lease::Leasing;
use stream::{Streaming, WITHIN};

/// What a verifier is to know of its issuer. The issuer tells the rest.
pub struct VerifierBuilder {
    addresses: Vec<String>,
    may_be_insecure: bool,
    credential: Zeroizing<String>,
    chosen: Chosen,
    when_stale: WhenStale,
    clock: Arc<dyn Clock>,
    start_within: Duration,
    /// The operating system's sockets, if there is none.
    carrier: Option<Arc<dyn Carrier>>,
    chance: Chance,
}

/// Where what is random comes from.
enum Chance {
    System,
    #[cfg(feature = "test")]
    Simulated(Box<dyn Entropy>),
}

/// How long [`VerifierBuilder::start`] waits for an issuer.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Messages that wait to be taken. Whoever sends more waits.
const MESSAGES: usize = 16;

impl Verifier {
    /// A verifier of the tokens that the quash at this address issues.
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), quash_verify::StartError> {
    /// use quash_verify::Verifier;
    /// let verifier = Verifier::builder("https://id.example.org").credential("qv_…").start().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(address: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder {
            addresses: vec![address.into()],
            may_be_insecure: false,
            credential: Zeroizing::default(),
            chosen: Chosen { audience: Vec::new(), secrets: Vec::new() },
            when_stale: WhenStale::default(),
            clock: Arc::new(SystemClock),
            start_within: START_WITHIN,
            carrier: None,
            chance: Chance::System,
        }
    }
}

impl VerifierBuilder {
    /// Another address of the same issuer, for when one doesn't answer.
    #[must_use]
    pub fn also_at(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Lets the credential and the feed travel in clear, for networks that nobody else is on.
    #[must_use]
    pub fn insecure_http(self) -> Self {
        Self { may_be_insecure: true, ..self }
    }

    /// What opens the issuer's feed: `quash verifier add NAME` prints it once.
    #[must_use]
    pub fn credential(self, credential: impl Into<String>) -> Self {
        Self { credential: Zeroizing::new(credential.into()), ..self }
    }

    /// A secret that tokens are signed with, where the issuer signs with one (HS256, HS384, HS512).
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.chosen.secrets.push(Zeroizing::new(secret.into()));
        self
    }

    /// Takes only tokens for this audience. May be called again for another: one of them must meet.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.chosen.audience.push(audience.into());
        self
    }

    /// How to go on while the verifier can't vouch for its answers. A route may choose another way.
    #[must_use]
    pub fn when_stale(self, when_stale: WhenStale) -> Self {
        Self { when_stale, ..self }
    }

    /// Where the time comes from; the operating system's clocks else.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// How long [`VerifierBuilder::start`] waits for the issuer; ten seconds else.
    #[must_use]
    pub fn start_within(self, start_within: Duration) -> Self {
        Self { start_within, ..self }
    }

    /// Has something else than the operating system's sockets carry what it asks: a unix socket, a proxy, a simulation.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use http::{Request, Response};
    /// use quash_verify::{Carrier, Connection, Fault, Pieces, Soon, Verifier, VerifierState};
    ///
    /// /// A network that nobody is on.
    /// struct Empty;
    ///
    /// impl Carrier for Empty {
    ///     fn carry(&self, _: Request<String>, _: Connection) -> Soon<'_, Result<Response<Box<dyn Pieces>>, Fault>> {
    ///         Box::pin(async { Err(Fault::Unreachable) })
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let builder = Verifier::builder("https://id.example.org").credential("qv_…").carrier(Arc::new(Empty));
    /// assert_eq!(builder.start_in_background().unwrap().state(), VerifierState::Boot);
    /// # }
    /// ```
    #[must_use]
    pub fn carrier(self, carrier: Arc<dyn Carrier>) -> Self {
        Self { carrier: Some(carrier), ..self }
    }

    /// Has this draw what is random, for a simulation in which everything follows from a seed. Never for real tokens.
    #[cfg(feature = "test")]
    #[must_use]
    pub fn entropy(self, entropy: impl Entropy + 'static) -> Self {
        Self { chance: Chance::Simulated(Box::new(entropy)), ..self }
    }

    /// Begins to follow the issuer, and waits until the verifier can vouch for its answers. Must be called inside a tokio
    /// runtime. If the time is up and something is known, the verifier is returned as it is, stale.
    ///
    /// # Errors
    /// It can't start, or the issuer wasn't heard in time.
    pub async fn start(self) -> Result<Verifier, StartError> {
        let start_within = self.start_within;
        let (verifier, mut started) = self.begin()?;
        let is_settled = |started: &Started| matches!(started, Started::Never(_) | Started::Fresh);
        // What has become of it is seen below, in time or not.
        let _ = tokio::time::timeout(start_within, started.wait_for(is_settled)).await;
        let started = *started.borrow();
        match started {
            Started::Fresh | Started::Known => Ok(verifier),
            Started::Never(error) | Started::NotYet(Some(error)) => Err(error),
            Started::NotYet(None) => Err(StartError::Away(Fault::Silent)),
        }
    }

    /// As [`VerifierBuilder::start`], but it doesn't wait: until the issuer is heard, every request is answered 503.
    ///
    /// # Errors
    /// Something is wrong that waiting won't mend.
    pub fn start_in_background(self) -> Result<Verifier, StartError> {
        self.begin().map(|(verifier, _)| verifier)
    }

    fn begin(self) -> Result<(Verifier, watch::Receiver<Started>), StartError> {
        let Self {
            addresses, may_be_insecure, credential, chosen, when_stale, clock, carrier, chance, ..
        } = self;
        let addresses =
            addresses.iter().map(|text| http::address(text, may_be_insecure)).collect::<Result<_, _>>()?;
        if credential.is_empty() {
            return Err(StartError::NoCredential);
        }
        let carrier = match carrier {
            Some(carrier) => carrier,
            None => Arc::new(Sockets::new()?),
        };
        let http = Arc::new(Http::new(carrier, addresses, &credential)?);
        let (keeping, messages) = mpsc::channel(MESSAGES);
        let keys = Arc::new(Keys::new(Arc::clone(&http), Arc::clone(&clock), keeping.clone()));
        let nothing = State {
            revoked: Revoked::empty(Seq::ZERO, feed::EMPTY),
            freshness: Freshness::Never,
            trust: None,
        };
        let shared = Arc::new(Shared::new(clock, chance.draw()?, Some(Arc::clone(&keys) as _), nothing));
        let (place, started) = (watch::Sender::new(None), watch::Sender::new(Started::NotYet(None)));
        let (lease, snapshot, back) = (Notify::new(), Notify::new(), watch::Sender::new(()));
        let signals = Arc::new(Signals { lease, snapshot, back, place, started });
        let unbound = Arc::new(AtomicBool::new(!when_stale.is_bound()));
        let leasing = Leasing {
            http: Arc::clone(&http),
            shared: Arc::clone(&shared),
            signals: Arc::clone(&signals),
            keeping: keeping.clone(),
            instance: chance
                .draw::<16>()?
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
            unbound: Arc::clone(&unbound),
            backoff: Backoff::new(u64::from_le_bytes(chance.draw()?)),
            nonces: u64::from_le_bytes(chance.draw()?),
            asked: 0,
        };
        let streaming = Streaming {
            http: Arc::clone(&http),
            keys: Arc::clone(&keys),
            shared: Arc::clone(&shared),
            signals: Arc::clone(&signals),
            keeping: keeping.clone(),
            backoff: Backoff::new(u64::from_le_bytes(chance.draw()?)),
            within: WITHIN,
        };
        let started = signals.started.subscribe();
        // The tasks end with the set, and the set with the last clone of the verifier.
        let mut tasks = JoinSet::new();
        tasks.spawn(Keeping::new(Arc::clone(&shared), signals, chosen).run(messages));
        tasks.spawn(streaming.run());
        tasks.spawn(leasing.run());
        tasks.spawn(keys.follow());
        let introspection = Some(Introspection::new(Arc::new(Asking { http, keeping }), chance.draw()?));
        let inner = Inner {
            shared,
            when_stale,
            unbound,
            introspection,
            counts: Counts::default(),
            _feed: Some(Box::new(tasks)),
        };
        Ok((Verifier { inner: Arc::new(inner) }, started))
    }
}

impl Chance {
    fn draw<const N: usize>(&self) -> Result<[u8; N], StartError> {
        let mut bytes = [0; N];
        match self {
            Self::System => aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StartError::NoEntropy)?,
            #[cfg(feature = "test")]
            Self::Simulated(entropy) => entropy.fill(&mut bytes),
        }
        Ok(bytes)
    }
}

impl std::fmt::Debug for VerifierBuilder {
    /// Without the credential and the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifierBuilder").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
