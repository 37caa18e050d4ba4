//! The keys of other issuers: from the settings, or fetched from an address where they can change. The binary
//! does the fetching.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use quash_core::model::{Clock, Kid, Namespace, ScopeHasher, Timestamp};
use quash_core::token::{
    Algorithm, Expected, Family, ForeignKey, Issuer, KeyFault, KeyRing, KeySet, VerifyingKey,
};
use quash_core::watch::frame::keys_beyond_policy;
use quash_verify::issuer::{KeyFetch, KeyFetcher};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::make::kid;
use super::rings::{OwnKeys, RingUpdate, Rings};
use super::seen::{IssuerInfo, IssuerKeyInfo, IssuerKeySource};
use crate::failure::StartError;
use crate::vault::MasterKey;

/// Another issuer, whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct ForeignSetup {
    /// The issuer's name in the settings.
    pub name: String,
    /// The source of its keys.
    pub keys: ForeignKeys,
    /// The longest accepted lifetime of its tokens.
    pub max_lifetime: Duration,
    /// The namespace of its tokens; `None` if their subjects are our accounts.
    pub namespace: Option<Namespace>,
    /// The claims that are dropped when a token is adopted.
    pub dropped: Vec<String>,
    /// The required `iss` of its tokens.
    pub iss: Expected<String>,
    /// The accepted values of its tokens' `aud`.
    pub aud: Expected<Vec<String>>,
}

/// The source of an issuer's keys.
#[derive(Clone)]
pub enum ForeignKeys {
    /// A public key in the settings. Tokens must name it if it has a kid.
    Public {
        key: Box<VerifyingKey>,
        /// The kid that tokens name it by.
        kid: Option<Kid>,
    },
    /// A secret in the settings.
    Secret {
        algorithm: Algorithm,
        secret: Zeroizing<Vec<u8>>,
        /// The kid that tokens name it by.
        kid: Option<Kid>,
    },
    /// The address of a JWK set.
    Address(String),
}

impl fmt::Debug for ForeignKeys {
    /// Omits the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public { key, kid } => {
                f.debug_struct("Public").field("key", key).field("kid", kid).finish()
            }
            Self::Secret { algorithm, kid, .. } => {
                f.debug_struct("Secret").field("algorithm", algorithm).field("kid", kid).finish()
            }
            Self::Address(address) => f.debug_tuple("Address").field(address).finish(),
        }
    }
}

/// Fetches the JWK set published at an address.
#[async_trait]
pub trait FetchKeys: Send + Sync {
    /// Fetches the document at an address.
    ///
    /// # Errors
    /// The document is unavailable or too long.
    async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchFault>;
}

/// Fetches nothing, for settings in which no issuer has an address.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchNothing;

#[async_trait]
impl FetchKeys for FetchNothing {
    async fn fetch(&self, _address: &str) -> Result<Vec<u8>, FetchFault> {
        Err(FetchFault("no addresses are fetched here".into()))
    }
}

/// The reason why a document can't be fetched, as a text for the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchFault(pub String);

/// All keys of other issuers, and the means to refresh them.
pub(crate) struct Foreign {
    fixed: Vec<ForeignKey>,
    fetch: Arc<dyn FetchKeys>,
    clock: Arc<dyn Clock>,
    rings: Arc<Rings>,
    published: Mutex<Published>,
}

/// The key sets fetched from addresses.
struct Published {
    sets: Vec<Set>,
    looked: Option<Duration>,
}

struct Set {
    address: String,
    issuer: Arc<Issuer>,
    asked_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    keys: Option<Vec<ForeignKey>>,
}

/// The interval at which addresses are fetched while no key is missing.
const EVERY: Duration = Duration::from_secs(300);
/// The shortest interval between fetches, which limits those that an attacker causes with invented kids.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// The timeout of one fetch.
const WITHIN: Duration = Duration::from_secs(6);

impl Foreign {
    /// Sorts the issuers' keys, and builds the first ring: our own keys, and other issuers' keys from the
    /// settings.
    pub(crate) fn new(
        setups: &[ForeignSetup],
        own: OwnKeys,
        master: &MasterKey,
        scopes: &ScopeHasher,
        fetch: Arc<dyn FetchKeys>,
        clock: Arc<dyn Clock>,
        updates: mpsc::Sender<RingUpdate>,
    ) -> Result<(Self, KeyRing), StartError> {
        let (mut fixed, mut sets) = (Vec::new(), Vec::new());
        for setup in setups {
            let issuer = Arc::new(Issuer {
                name: setup.name.clone(),
                scopes: scopes.in_namespace(setup.namespace.as_ref().map_or("", |namespace| &namespace.name)),
                max_lifetime: setup.max_lifetime,
                iss: setup.iss.clone(),
                aud: setup.aud.clone(),
                namespace: setup.namespace.clone(),
                dropped: setup.dropped.clone(),
            });
            let fault = |fault| StartError::ForeignKey(setup.name.clone(), fault);
            match &setup.keys {
                ForeignKeys::Public { key, kid } => {
                    fixed.push(ForeignKey {
                        key: (**key).clone().renamed(kid.clone()),
                        token_kid: kid.clone(),
                        issuer,
                    });
                }
                ForeignKeys::Secret { algorithm, secret, kid } => {
                    let token_kid = kid.clone();
                    let kid = kid
                        .clone()
                        .or_else(|| kid_of(secret, master))
                        .ok_or_else(|| fault(KeyFault::Empty))?;
                    let key = VerifyingKey::insecure_hmac(*algorithm, secret, kid).map_err(fault)?;
                    fixed.push(ForeignKey { key, token_kid, issuer });
                }
                ForeignKeys::Address(address) => {
                    sets.push(Set {
                        address: address.clone(),
                        issuer,
                        asked_at: None,
                        answered_at: None,
                        keys: None,
                    });
                }
            }
        }
        let refresh = super::refresh_signing_key(master).map_err(StartError::SigningKey)?;
        let (rings, first) = Rings::new(own, refresh.verifying().clone(), fixed.clone(), updates);
        let published = Mutex::new(Published { sets, looked: None });
        Ok((Self { fixed, fetch, clock, rings: Arc::new(rings), published }, first))
    }

    pub(crate) fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    /// Returns whether any issuer's keys are at an address.
    pub(crate) async fn has_addresses(&self) -> bool {
        !self.published.lock().await.sets.is_empty()
    }

    /// Fetches the key sets for as long as the process runs.
    pub(crate) async fn follow(&self) {
        loop {
            self.fetch_now(AT_MOST_EVERY).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// The issuers, ordered by name, with their known keys.
    pub(crate) async fn seen(&self) -> Vec<IssuerInfo> {
        self.fetch_now(Duration::MAX).await;
        let fixed = self.fixed.iter().map(|key| IssuerInfo {
            name: key.issuer.name.clone(),
            origin: IssuerKeySource::Settings,
            keys: vec![IssuerKeyInfo::new(key)],
        });
        let published = self.published.lock().await;
        let published = published.sets.iter().map(|set| IssuerInfo {
            name: set.issuer.name.clone(),
            origin: IssuerKeySource::Address {
                address: set.address.clone(),
                asked_at: set.asked_at,
                answered_at: set.answered_at,
            },
            keys: set.keys.iter().flatten().map(IssuerKeyInfo::new).collect(),
        });
        let mut issuers: Vec<_> = fixed.chain(published).collect();
        issuers.sort_by(|one, other| one.name.cmp(&other.name));
        issuers
    }

    /// Fetches the key sets, unless this was done within `recently`. Concurrent callers wait for the same
    /// result.
    async fn fetch_now(&self, recently: Duration) -> KeyFetch {
        let mut published = self.published.lock().await;
        let now = self.clock.uptime();
        let looked = published.looked.is_some_and(|looked| now.saturating_sub(looked) < recently);
        if !looked {
            published.looked = Some(now);
            let mut fetches = JoinSet::new();
            for (place, set) in published.sets.iter_mut().enumerate() {
                set.asked_at = Some(self.clock.now());
                let (fetch, address) = (Arc::clone(&self.fetch), set.address.clone());
                fetches.spawn(async move {
                    let fetched = tokio::time::timeout(WITHIN, fetch.fetch(&address)).await;
                    (place, fetched.unwrap_or_else(|_| Err(FetchFault("the request timed out".into()))))
                });
            }
            // Each key set is applied as it arrives, so that an unresponsive issuer delays no other.
            while let Some(fetched) = fetches.join_next().await {
                let Ok((place, fetched)) = fetched else { continue };
                if published.sets.get_mut(place).is_some_and(|set| set.take(fetched)) {
                    self.updates(&published).await;
                }
            }
        }
        if published.sets.iter().any(|set| set.keys.is_none()) {
            KeyFetch::Unavailable
        } else {
            KeyFetch::Done
        }
    }

    /// Passes the known keys to the guard, and waits until it has them.
    async fn updates(&self, published: &Published) {
        let fetched = published.sets.iter().flat_map(|set| set.keys.iter().flatten()).cloned();
        let keys: Vec<_> = self.fixed.iter().cloned().chain(fetched).collect();
        let beyond = keys_beyond_policy(&keys);
        if beyond > 0 {
            tracing::warn!(
                beyond,
                "namespaces have more keys than the feed carries; verifiers lack the last ones of those with the most"
            );
        }
        if self.rings.update_foreign(keys).await.is_err() {
            tracing::warn!("fetched other issuers' keys, but the guard has not applied them in time");
        }
    }
}

impl Set {
    /// Applies a fetched key set, and returns whether the keys have changed. The previous keys stay valid
    /// until another readable set is fetched.
    fn take(&mut self, fetched: Result<Vec<u8>, FetchFault>) -> bool {
        let issuer = &self.issuer.name;
        let read = match fetched {
            Ok(text) => KeySet::parse(&text).map_err(|fault| format!("it {fault}")),
            Err(fault) => Err(fault.to_string()),
        };
        let found = match read {
            Ok(found) => found,
            Err(fault) => {
                tracing::warn!(issuer, fault, "failed to fetch the issuer's JWKS; keeping the cached keys");
                return false;
            }
        };
        self.answered_at = self.asked_at;
        for (place, fault) in &found.skipped {
            tracing::warn!(issuer, place, %fault, "ignored a key in an issuer's JWKS");
        }
        // A published secret isn't secret.
        let keys = found.keys.into_iter().filter(|key| key.key.algorithm().family() != Family::Hmac);
        let keys: Vec<_> = keys
            .map(|key| ForeignKey {
                token_kid: key.token_kid(),
                key: key.key,
                issuer: Arc::clone(&self.issuer),
            })
            .collect();
        let same = self.keys.as_ref().is_some_and(|known| is_same(known, &keys));
        if !same {
            tracing::info!(issuer, keys = keys.len(), "an issuer's JWKS has changed");
            self.keys = Some(keys);
        }
        !same
    }
}

/// Fetches key sets when a token names an unknown key.
pub(crate) struct FetchOnDemand(pub(crate) Arc<Foreign>);

impl KeyFetcher for FetchOnDemand {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = KeyFetch> + Send + '_>> {
        let foreign = Arc::clone(&self.0);
        // A separate task, so that a client that disconnects or whose key was found doesn't cancel a fetch
        // that others wait for.
        let looking = tokio::spawn(async move { foreign.fetch_now(AT_MOST_EVERY).await });
        Box::pin(async { looking.await.unwrap_or(KeyFetch::Unavailable) })
    }
}

impl IssuerKeyInfo {
    /// Omits the key itself. A secret without a kid in tokens has an id made by quash, which isn't shown.
    fn new(key: &ForeignKey) -> Self {
        Self { kid: key.token_kid.clone(), algorithm: key.key.algorithm() }
    }
}

fn is_same(known: &[ForeignKey], found: &[ForeignKey]) -> bool {
    let pairs = || known.iter().zip(found);
    known.len() == found.len()
        && pairs().all(|(one, other)| {
            one.key.is_same_key(&other.key)
                && one.key.kid() == other.key.kid()
                && one.key.algorithm() == other.key.algorithm()
                && one.token_kid == other.token_kid
        })
}

/// The id of a secret without a kid: the same at each start, and no help in guessing the secret.
fn kid_of(secret: &[u8], master: &MasterKey) -> Option<Kid> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &master.derive::<32>("foreign kids"));
    let id = hmac::sign(&key, secret);
    kid(id.as_ref().first_chunk()?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use quash_core::model::Seeded;

    use super::*;

    /// A clock that a test moves, and an address that answers until the tenth second.
    #[derive(Default)]
    struct FakeIssuer(AtomicI64);

    impl FakeIssuer {
        fn secs(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Clock for FakeIssuer {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.secs())
        }
        fn uptime(&self) -> Duration {
            Duration::from_secs(self.secs().unsigned_abs())
        }
    }

    #[async_trait]
    impl FetchKeys for FakeIssuer {
        async fn fetch(&self, _address: &str) -> Result<Vec<u8>, FetchFault> {
            if self.secs() > 10 {
                return Err(FetchFault("away".into()));
            }
            Ok(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#.to_vec())
        }
    }

    /// One address that never answers, and others that do.
    struct Silent;

    #[async_trait]
    impl FetchKeys for Silent {
        async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchFault> {
            match address {
                "silent" => std::future::pending().await,
                _ => FakeIssuer::default().fetch(address).await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_issuers_do_not_delay_others() {
        let master = MasterKey::new(&Seeded::new(1));
        let setup = |name: &str| ForeignSetup {
            name: name.into(),
            keys: ForeignKeys::Address(name.into()),
            max_lifetime: Duration::from_secs(60),
            namespace: None,
            dropped: Vec::new(),
            iss: Expected::Anything,
            aud: Expected::Anything,
        };
        let setups = [setup("silent"), setup("partner")];
        let scopes = ScopeHasher::ours(master.derive("scopes"));
        let (updates, mut rings) = mpsc::channel(1);
        let (fetch, clock) = (Arc::new(Silent), Arc::new(FakeIssuer::default()));
        let (foreign, _) = Foreign::new(&setups, OwnKeys::default(), &master, &scopes, fetch, clock, updates)
            .expect("no key is wrong");
        let foreign = Arc::new(foreign);
        let looking = FetchOnDemand(Arc::clone(&foreign));
        let (mut looked, turned) = (looking.fetch(), async {
            let RingUpdate { ring, seen } = rings.recv().await.expect("a ring");
            seen.send(()).expect("it is waited for");
            ring.keys().count()
        });
        tokio::select! {
            biased;
            _ = &mut looked => panic!("one of them is silent"),
            keys = turned => assert_eq!(keys, 1, "the partner's"),
        }
        assert_eq!(looked.await, KeyFetch::Unavailable);
        assert!(foreign.published.lock().await.sets[1].keys.is_some());
    }

    #[tokio::test]
    async fn cached_issuer_keys_outlive_failed_fetches() {
        let (scene, master) = (Arc::new(FakeIssuer::default()), MasterKey::new(&Seeded::new(1)));
        let setup = ForeignSetup {
            name: "partner".into(),
            keys: ForeignKeys::Address("https://partner.example/jwks".into()),
            max_lifetime: Duration::from_secs(60),
            namespace: None,
            dropped: Vec::new(),
            iss: Expected::Anything,
            aud: Expected::Anything,
        };
        let scopes = ScopeHasher::ours(master.derive("scopes"));
        let (fetch, clock) = (Arc::clone(&scene) as Arc<dyn FetchKeys>, Arc::clone(&scene) as Arc<dyn Clock>);
        let (updates, rings) = mpsc::channel(1);
        // No guard takes rings here.
        drop(rings);
        let (foreign, _) =
            Foreign::new(&[setup], OwnKeys::default(), &master, &scopes, fetch, clock, updates)
                .expect("no key is wrong");
        for (now, asked, answered) in [(5, 5, 5), (8, 5, 5), (20, 20, 5)] {
            scene.0.store(now, Ordering::SeqCst);
            if now > 10 {
                foreign.fetch_now(AT_MOST_EVERY).await;
            }
            let [seen] = foreign.seen().await.try_into().expect("one issuer");
            let (asked_at, answered_at) =
                (Some(Timestamp::from_secs(asked)), Some(Timestamp::from_secs(answered)));
            let address = "https://partner.example/jwks".to_owned();
            assert_eq!(seen.origin, IssuerKeySource::Address { address, asked_at, answered_at }, "at {now}");
            assert_eq!(seen.keys, [IssuerKeyInfo { kid: None, algorithm: Algorithm::EdDsa }]);
        }
    }
}
