//! The verifier's builder: its configuration, and the start of the tasks that follow the issuer.

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

use crate::clock::SystemClock;
use crate::follow::backoff::Backoff;
use crate::follow::fault::StartError;
use crate::follow::following::Following;
use crate::follow::http::{Http, address};
use crate::follow::introspect::IntrospectionClient;
use crate::follow::keys::Keys;
use crate::follow::lease::Leasing;
use crate::follow::process::Process;
use crate::follow::publisher_task::{ApplicationConfig, PublisherTask, Signals, Started};
use crate::follow::stream::{Streaming, WITHIN};
use crate::follow::transport::{Sockets, Transport};
use crate::introspection::Introspection;
use crate::shared::{State, VerifierShared};
use crate::stale::WhenStale;
use crate::state::Counts;
use crate::verifier::{Inner, Verifier};

/// The configuration of a [`Verifier`]. The issuer provides the rest, such as keys and policy.
pub struct VerifierBuilder {
    addresses: Vec<String>,
    may_be_insecure: bool,
    credential: Zeroizing<String>,
    config: ApplicationConfig,
    when_stale: WhenStale,
    clock: Arc<dyn Clock>,
    start_within: Duration,
    /// `None` for the operating system's connections.
    transport: Option<Arc<dyn Transport>>,
    entropy_source: EntropySource,
}

/// The source of random bytes.
enum EntropySource {
    System,
    #[cfg(feature = "test")]
    Simulated(Box<dyn Entropy>),
}

/// The default limit of [`VerifierBuilder::start`].
const START_WITHIN: Duration = Duration::from_secs(10);
/// The capacity of the channel to the keeping task.
const MESSAGES: usize = 16;

impl Verifier {
    /// Returns a builder for a verifier of the tokens that the quash server at this address issues.
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
            config: ApplicationConfig { audience: Vec::new(), secrets: Vec::new(), namespace: None },
            when_stale: WhenStale::default(),
            clock: Arc::new(SystemClock),
            start_within: START_WITHIN,
            transport: None,
            entropy_source: EntropySource::System,
        }
    }
}

impl VerifierBuilder {
    /// Adds another address of the same issuer, which is used when one doesn't answer.
    #[must_use]
    pub fn also_at(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Allows plain HTTP: the credential and the feed are sent in clear text. Only for private networks.
    #[must_use]
    pub fn insecure_http(self) -> Self {
        Self { may_be_insecure: true, ..self }
    }

    /// Sets the credential for the issuer's feed. `quash verifier add NAME` prints it once.
    #[must_use]
    pub fn credential(self, credential: impl Into<String>) -> Self {
        Self { credential: Zeroizing::new(credential.into()), ..self }
    }

    /// Adds a secret that the issuer, or with [`VerifierBuilder::namespace`] that of the namespace, signs with
    /// (HS256, HS384, HS512).
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.config.secrets.push(Zeroizing::new(secret.into()));
        self
    }

    /// Accepts the tokens of this namespace instead of the issuer's own: those of another system, such as
    /// Django with Simple JWT, that lets quash revoke them. The user ids in a namespace may be those of other
    /// users in quash, so a verifier accepts either. [`Accepted::named`](crate::Accepted::named) has the
    /// names in a token.
    ///
    /// The issuer's settings have the keys, under `[foreign.<name>]`. Public keys arrive with the feed. A
    /// secret must be passed with [`VerifierBuilder::secret`]; tokens signed with any other are refused.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.config.namespace = Some(name.into());
        self
    }

    /// Accepts only tokens for this audience. Further calls add audiences; a token must name at least one of
    /// them.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.config.audience.push(audience.into());
        self
    }

    /// Sets the policy for the time while the verifier is stale. A route may have its own.
    #[must_use]
    pub fn when_stale(self, when_stale: WhenStale) -> Self {
        Self { when_stale, ..self }
    }

    /// Sets the source of time. The default is the operating system's clocks.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets how long [`VerifierBuilder::start`] waits for the issuer. The default is ten seconds.
    #[must_use]
    pub fn start_within(self, start_within: Duration) -> Self {
        Self { start_within, ..self }
    }

    /// Sets the transport for requests to the issuer, in place of the operating system's connections: a Unix
    /// socket, a proxy or a simulation. The module [`transport`](crate::transport) has an example.
    #[must_use]
    pub fn transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport: Some(transport), ..self }
    }

    /// Sets the source of random bytes, for a simulation that is reproducible from a seed. Never for real
    /// tokens.
    #[cfg(feature = "test")]
    #[must_use]
    pub fn entropy(self, entropy: impl Entropy + 'static) -> Self {
        Self { entropy_source: EntropySource::Simulated(Box::new(entropy)), ..self }
    }

    /// Starts following the issuer, and waits until the verifier is fresh. If revocations are known but no
    /// lease arrives in time, returns the verifier as it is, stale. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Returns an error if the verifier can't start, or if the issuer doesn't answer in time.
    pub async fn start(self) -> Result<Verifier, StartError> {
        let start_within = self.start_within;
        let (verifier, mut started) = self.begin()?;
        let is_settled = |started: &Started| matches!(started, Started::Never(_) | Started::Fresh);
        // The state below tells whether the verifier has started, in time or not.
        let _ = tokio::time::timeout(start_within, started.wait_for(is_settled)).await;
        let started = *started.borrow();
        started.outcome().map(|()| verifier)
    }

    /// Like [`VerifierBuilder::start`], but doesn't wait. Every request is answered 503 until the issuer has
    /// answered; [`Verifier::settled`] waits for that.
    ///
    /// # Errors
    /// Returns an error if the configuration can't work, however long one waits.
    pub fn start_in_background(self) -> Result<Verifier, StartError> {
        self.begin().map(|(verifier, _)| verifier)
    }

    fn begin(self) -> Result<(Verifier, watch::Receiver<Started>), StartError> {
        let Self {
            addresses,
            may_be_insecure,
            credential,
            config,
            when_stale,
            clock,
            transport,
            entropy_source,
            ..
        } = self;
        let addresses: Vec<_> =
            addresses.iter().map(|text| address(text, may_be_insecure)).collect::<Result<_, _>>()?;
        if credential.is_empty() {
            return Err(StartError::NoCredential);
        }
        let transport = match transport {
            Some(transport) => transport,
            None => Arc::new(Sockets::new(&addresses)?),
        };
        let http = Arc::new(Http::new(transport, addresses, &credential)?);
        let (publisher_task, messages) = mpsc::channel(MESSAGES);
        let keys = Arc::new(Keys::new(Arc::clone(&http), Arc::clone(&clock), publisher_task.clone()));
        let nothing = State {
            revoked: Revoked::empty(Seq::ZERO, feed::EMPTY),
            freshness: Freshness::Never,
            trust: None,
        };
        // A namespace's keys arrive with the feed alone.
        let fetcher = config.namespace.is_none().then(|| Arc::clone(&keys) as _);
        let shared = Arc::new(VerifierShared::new(clock, entropy_source.draw()?, fetcher, nothing));
        let (place, started) = (watch::Sender::new(None), watch::Sender::new(Started::NotYet(None)));
        let (lease, snapshot, back) = (Notify::new(), Notify::new(), watch::Sender::new(()));
        let signals = Arc::new(Signals { lease, snapshot, back, place, started });
        let unbound = Arc::new(AtomicBool::new(!when_stale.is_bound()));
        let began_at = shared.clock.uptime();
        let process = Arc::new(Process::new(entropy_source.draw()?));
        let leasing = Leasing {
            http: Arc::clone(&http),
            shared: Arc::clone(&shared),
            signals: Arc::clone(&signals),
            publisher_task: publisher_task.clone(),
            process: Arc::clone(&process),
            unbound: Arc::clone(&unbound),
            backoff: Backoff::new(u64::from_le_bytes(entropy_source.draw()?)),
            nonces: u64::from_le_bytes(entropy_source.draw()?),
            asked: 0,
        };
        let streaming = Streaming {
            http: Arc::clone(&http),
            keys: Arc::clone(&keys),
            shared: Arc::clone(&shared),
            signals: Arc::clone(&signals),
            publisher_task: publisher_task.clone(),
            backoff: Backoff::new(u64::from_le_bytes(entropy_source.draw()?)),
            within: WITHIN,
        };
        let started = signals.started.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(PublisherTask::new(Arc::clone(&shared), Arc::clone(&signals), config).run(messages));
        tasks.spawn(streaming.run());
        tasks.spawn(leasing.run());
        tasks.spawn(keys.follow());
        let following = Some(Following::new(Arc::clone(&http), process, tasks, signals, began_at));
        let answers = Arc::clone(&http.answers);
        let introspect = Arc::new(IntrospectionClient { http, publisher_task });
        let introspection =
            Some(Introspection::new(introspect, Arc::clone(&shared.clock), answers, entropy_source.draw()?));
        let inner = Inner {
            shared,
            when_stale,
            unbound,
            introspection,
            counts: Counts::default(),
            has_left: AtomicBool::new(false),
            following,
        };
        Ok((Verifier { inner: Arc::new(inner) }, started))
    }
}

impl EntropySource {
    fn draw<const N: usize>(&self) -> Result<[u8; N], StartError> {
        let mut bytes = [0; N];
        match self {
            Self::System => fill_from_system(&mut bytes)?,
            #[cfg(feature = "test")]
            Self::Simulated(entropy) => entropy.fill(&mut bytes),
        }
        Ok(bytes)
    }
}

/// Fills a buffer from the kernel (decision 0041): the first bytes from the crypto library would take about
/// 40 ms of CPU in each process.
#[cfg(target_os = "linux")]
fn fill_from_system(bytes: &mut [u8]) -> Result<(), StartError> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(length) => filled += length,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(StartError::NoEntropy),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn fill_from_system(bytes: &mut [u8]) -> Result<(), StartError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| StartError::NoEntropy)
}

impl std::fmt::Debug for VerifierBuilder {
    /// Omits the credential and the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifierBuilder").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_fill_the_whole_buffer() {
        let mut long = [0; 4096];
        fill_from_system(&mut long).expect("random bytes");
        assert!(long.chunks(16).all(|part| part.iter().any(|byte| *byte != 0)));
        assert_ne!(EntropySource::System.draw::<16>(), EntropySource::System.draw::<16>());
    }
}
