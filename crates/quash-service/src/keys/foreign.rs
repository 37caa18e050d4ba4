//! The keys of other issuers: those that the settings hold, and those that are published at an address and change
//! there. How an address is asked is the binary's business.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use quash_core::model::{Clock, Kid, ScopeHasher, Timestamp};
use quash_core::token::{
    Algorithm, Expected, Family, ForeignKey, Issuer, KeyFault, KeyRing, KeySet, VerifyingKey,
};
use quash_verify::{Looked, MoreKeys};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::rings::{OwnKeys, Rings, TurnRing};
use super::seen::{IssuerKeySeen, IssuerSeen, KeysFrom};
use crate::failure::StartError;
use crate::vault::MasterKey;

/// Another issuer, whose tokens are taken.
#[derive(Clone, Debug)]
pub struct ForeignSetup {
    /// What the settings call it.
    pub name: String,
    /// Where its keys are.
    pub keys: ForeignKeys,
    /// A token that would hold longer than this is refused.
    pub max_lifetime: Duration,
    /// The namespace of its tokens; empty for ours, whose subjects are our accounts.
    pub namespace: String,
    /// What its tokens' `iss` must be.
    pub iss: Expected<String>,
    /// Of which its tokens' `aud` must meet one.
    pub aud: Expected<Vec<String>>,
}

/// Where the keys of an issuer are.
#[derive(Clone)]
pub enum ForeignKeys {
    /// In the settings: a public key. Tokens name it if it has a kid of its own.
    Public {
        /// The key.
        key: Box<VerifyingKey>,
        /// The kid that tokens name it by.
        kid: Option<Kid>,
    },
    /// In the settings: a secret.
    Secret {
        /// What it is used with.
        algorithm: Algorithm,
        /// The secret.
        secret: Zeroizing<Vec<u8>>,
        /// The kid that tokens name it by.
        kid: Option<Kid>,
    },
    /// At an address, as a JWK set.
    Address(String),
}

impl fmt::Debug for ForeignKeys {
    /// Without the secret.
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

/// What asks an address for the set of keys that is published there.
#[async_trait]
pub trait FetchKeys: Send + Sync {
    /// What stands there.
    ///
    /// # Errors
    /// It can't be had, or is too long.
    async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchFault>;
}

/// What asks nobody: for where no issuer publishes its keys at an address.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchNothing;

#[async_trait]
impl FetchKeys for FetchNothing {
    async fn fetch(&self, _address: &str) -> Result<Vec<u8>, FetchFault> {
        Err(FetchFault("no address is asked here".into()))
    }
}

/// Why what stands at an address can't be had, in words for the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchFault(pub String);

/// All keys of other issuers, and the way to newer ones.
pub(crate) struct Foreign {
    fixed: Vec<ForeignKey>,
    fetch: Arc<dyn FetchKeys>,
    clock: Arc<dyn Clock>,
    rings: Arc<Rings>,
    published: Mutex<Published>,
}

/// What was had from the addresses.
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

/// How often the addresses are asked, where nobody misses a key.
const EVERY: Duration = Duration::from_secs(300);
/// Whoever sends tokens with made-up kids can't have them asked more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// How long one address may take, whatever fetches it.
const WITHIN: Duration = Duration::from_secs(6);

impl Foreign {
    /// Sorts the issuers' keys, and gives the ring of what is known without asking anybody: of our own, and of theirs that
    /// the settings hold.
    pub(crate) fn new(
        setups: &[ForeignSetup],
        own: OwnKeys,
        master: &MasterKey,
        scopes: &ScopeHasher,
        fetch: Arc<dyn FetchKeys>,
        clock: Arc<dyn Clock>,
        turn: mpsc::Sender<TurnRing>,
    ) -> Result<(Self, KeyRing), StartError> {
        let (mut fixed, mut sets) = (Vec::new(), Vec::new());
        for setup in setups {
            let issuer = Arc::new(Issuer {
                name: setup.name.clone(),
                scopes: scopes.in_namespace(&setup.namespace),
                max_lifetime: setup.max_lifetime,
                iss: setup.iss.clone(),
                aud: setup.aud.clone(),
            });
            let fault = |fault| StartError::ForeignKey(setup.name.clone(), fault);
            match &setup.keys {
                ForeignKeys::Public { key, kid } => {
                    fixed.push(ForeignKey {
                        key: (**key).clone().renamed(kid.clone()),
                        named: kid.is_some(),
                        issuer,
                    });
                }
                ForeignKeys::Secret { algorithm, secret, kid } => {
                    let named = kid.is_some();
                    let kid = kid
                        .clone()
                        .or_else(|| kid_of(secret, master))
                        .ok_or_else(|| fault(KeyFault::Empty))?;
                    let key = VerifyingKey::insecure_hmac(*algorithm, secret, kid).map_err(fault)?;
                    fixed.push(ForeignKey { key, named, issuer });
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
        let (rings, first) = Rings::new(own, refresh.verifying().clone(), fixed.clone(), turn);
        let published = Mutex::new(Published { sets, looked: None });
        Ok((Self { fixed, fetch, clock, rings: Arc::new(rings), published }, first))
    }

    /// What makes rings.
    pub(crate) fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    /// Whether there is anybody to ask.
    pub(crate) async fn has_addresses(&self) -> bool {
        !self.published.lock().await.sets.is_empty()
    }

    /// Asks the addresses for as long as the process runs.
    pub(crate) async fn follow(&self) {
        loop {
            self.look_now(AT_MOST_EVERY).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// The issuers in the order of their names, with what is known of their keys.
    pub(crate) async fn seen(&self) -> Vec<IssuerSeen> {
        self.look_now(Duration::MAX).await;
        let fixed = self.fixed.iter().map(|key| IssuerSeen {
            name: key.issuer.name.clone(),
            origin: KeysFrom::Settings,
            keys: vec![IssuerKeySeen::new(key)],
        });
        let published = self.published.lock().await;
        let published = published.sets.iter().map(|set| IssuerSeen {
            name: set.issuer.name.clone(),
            origin: KeysFrom::Address {
                address: set.address.clone(),
                asked_at: set.asked_at,
                answered_at: set.answered_at,
            },
            keys: set.keys.iter().flatten().map(IssuerKeySeen::new).collect(),
        });
        let mut issuers: Vec<_> = fixed.chain(published).collect();
        issuers.sort_by(|one, other| one.name.cmp(&other.name));
        issuers
    }

    /// Asks the addresses, unless that was done within `recently`. Who comes meanwhile waits for the same answer.
    async fn look_now(&self, recently: Duration) -> Looked {
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
                    (place, fetched.unwrap_or_else(|_| Err(FetchFault("it does not answer".into()))))
                });
            }
            // Each answer counts when it comes: an issuer that doesn't answer delays no other one.
            while let Some(fetched) = fetches.join_next().await {
                let Ok((place, fetched)) = fetched else { continue };
                if published.sets.get_mut(place).is_some_and(|set| set.take(fetched)) {
                    self.turn(&published).await;
                }
            }
        }
        if published.sets.iter().any(|set| set.keys.is_none()) { Looked::Away } else { Looked::Done }
    }

    /// Lets the guard see what is known, and waits until it does.
    async fn turn(&self, published: &Published) {
        let fetched = published.sets.iter().flat_map(|set| set.keys.iter().flatten()).cloned();
        if self.rings.turn_foreign(self.fixed.iter().cloned().chain(fetched).collect()).await.is_err() {
            tracing::warn!("the keys of other issuers were read, and the guard does not see them yet");
        }
    }
}

impl Set {
    /// Takes what was fetched, and returns whether the keys have changed. What was published before holds until something
    /// else is published that can be read.
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
            tracing::warn!(issuer, place, %fault, "a key in the set of an issuer is not used");
        }
        // A secret that stands at an address is none.
        let keys = found.keys.into_iter().filter(|key| key.key.algorithm().family() != Family::Hmac);
        let keys: Vec<_> = keys
            .map(|key| ForeignKey { key: key.key, named: key.named, issuer: Arc::clone(&self.issuer) })
            .collect();
        let same = self.keys.as_ref().is_some_and(|known| is_same(known, &keys));
        if !same {
            tracing::info!(issuer, keys = keys.len(), "the key set of an issuer was read");
            self.keys = Some(keys);
        }
        !same
    }
}

/// What looks for keys when a token names one that isn't known.
pub(crate) struct Looking(pub(crate) Arc<Foreign>);

impl MoreKeys for Looking {
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        let foreign = Arc::clone(&self.0);
        // In a task: a client that hangs up, or whose key has been found, must not stop what others wait for.
        let looking = tokio::spawn(async move { foreign.look_now(AT_MOST_EVERY).await });
        Box::pin(async { looking.await.unwrap_or(Looked::Away) })
    }
}

impl IssuerKeySeen {
    /// A key without what it verifies with. The id of a secret that tokens don't name is of quash's own making.
    fn new(key: &ForeignKey) -> Self {
        Self { kid: key.named.then(|| key.key.kid().clone()), algorithm: key.key.algorithm() }
    }
}

fn is_same(known: &[ForeignKey], found: &[ForeignKey]) -> bool {
    let pairs = || known.iter().zip(found);
    known.len() == found.len()
        && pairs().all(|(one, other)| {
            one.key.is_same_key(&other.key)
                && one.key.kid() == other.key.kid()
                && one.key.algorithm() == other.key.algorithm()
                && one.named == other.named
        })
}

/// The id of a secret that has none: the same at each start, and of no use to whoever wants to guess the secret.
fn kid_of(secret: &[u8], master: &MasterKey) -> Option<Kid> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &master.derive::<32>("foreign kids"));
    let id = hmac::sign(&key, secret);
    let text: String = id.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Kid::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use quash_core::model::Seeded;

    use super::*;

    /// A clock that a test moves, and an address that answers until the tenth second.
    #[derive(Default)]
    struct Scene(AtomicI64);

    impl Scene {
        fn secs(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Clock for Scene {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.secs())
        }
        fn uptime(&self) -> Duration {
            Duration::from_secs(self.secs().unsigned_abs())
        }
    }

    #[async_trait]
    impl FetchKeys for Scene {
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
                _ => Scene::default().fetch(address).await,
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
            namespace: String::new(),
            iss: Expected::Anything,
            aud: Expected::Anything,
        };
        let setups = [setup("silent"), setup("partner")];
        let scopes = ScopeHasher::ours(master.derive("scopes"));
        let (turn, mut rings) = mpsc::channel(1);
        let (fetch, clock) = (Arc::new(Silent), Arc::new(Scene::default()));
        let (foreign, _) = Foreign::new(&setups, OwnKeys::default(), &master, &scopes, fetch, clock, turn)
            .expect("no key is wrong");
        let foreign = Arc::new(foreign);
        let looking = Looking(Arc::clone(&foreign));
        let (mut looked, turned) = (looking.look(), async {
            let TurnRing { ring, seen } = rings.recv().await.expect("a ring");
            seen.send(()).expect("it is waited for");
            ring.keys().count()
        });
        tokio::select! {
            biased;
            _ = &mut looked => panic!("one of them is silent"),
            keys = turned => assert_eq!(keys, 1, "the partner's"),
        }
        assert_eq!(looked.await, Looked::Away);
        assert!(foreign.published.lock().await.sets[1].keys.is_some());
    }

    #[tokio::test]
    async fn what_an_address_has_answered_goes_on_when_it_is_away() {
        let (scene, master) = (Arc::new(Scene::default()), MasterKey::new(&Seeded::new(1)));
        let setup = ForeignSetup {
            name: "partner".into(),
            keys: ForeignKeys::Address("https://partner.example/jwks".into()),
            max_lifetime: Duration::from_secs(60),
            namespace: String::new(),
            iss: Expected::Anything,
            aud: Expected::Anything,
        };
        let scopes = ScopeHasher::ours(master.derive("scopes"));
        let (fetch, clock) = (Arc::clone(&scene) as Arc<dyn FetchKeys>, Arc::clone(&scene) as Arc<dyn Clock>);
        let (turn, rings) = mpsc::channel(1);
        // Nobody has a guard here.
        drop(rings);
        let (foreign, _) = Foreign::new(&[setup], OwnKeys::default(), &master, &scopes, fetch, clock, turn)
            .expect("no key is wrong");
        for (now, asked, answered) in [(5, 5, 5), (8, 5, 5), (20, 20, 5)] {
            scene.0.store(now, Ordering::SeqCst);
            if now > 10 {
                foreign.look_now(AT_MOST_EVERY).await;
            }
            let [seen] = foreign.seen().await.try_into().expect("one issuer");
            let (asked_at, answered_at) =
                (Some(Timestamp::from_secs(asked)), Some(Timestamp::from_secs(answered)));
            let address = "https://partner.example/jwks".to_owned();
            assert_eq!(seen.origin, KeysFrom::Address { address, asked_at, answered_at }, "at {now}");
            assert_eq!(seen.keys, [IssuerKeySeen { kid: None, algorithm: Algorithm::EdDsa }]);
        }
    }
}
