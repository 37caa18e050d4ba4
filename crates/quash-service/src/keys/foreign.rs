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
use quash_core::token::{Algorithm, Expected, Family, ForeignKey, Issuer, KeyFault, KeyRing, KeySet, VerifyingKey};
use quash_verify::{Looked, MoreKeys};
use tokio::sync::{Mutex, mpsc};
use zeroize::Zeroizing;

use super::list::{IssuerKeySeen, IssuerSeen, KeysFrom};
use super::rings::{OwnKeys, Rings, TurnRing};
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
            Self::Public { key, kid } => f.debug_struct("Public").field("key", key).field("kid", kid).finish(),
            Self::Secret { algorithm, kid, .. } => f.debug_struct("Secret").field("algorithm", algorithm).field("kid", kid).finish(),
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
                    fixed.push(ForeignKey { key: (**key).clone().renamed(kid.clone()), named: kid.is_some(), issuer });
                }
                ForeignKeys::Secret { algorithm, secret, kid } => {
                    let named = kid.is_some();
                    let kid = kid.clone().or_else(|| kid_of(secret, master)).ok_or_else(|| fault(KeyFault::Empty))?;
                    let key = VerifyingKey::insecure_hmac(*algorithm, secret, kid).map_err(fault)?;
                    fixed.push(ForeignKey { key, named, issuer });
                }
                ForeignKeys::Address(address) => {
                    sets.push(Set { address: address.clone(), issuer, asked_at: None, answered_at: None, keys: None });
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
            origin: KeysFrom::Address { address: set.address.clone(), asked_at: set.asked_at, answered_at: set.answered_at },
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
            let mut changed = false;
            for set in &mut published.sets {
                changed |= self.renew(set).await;
            }
            if changed {
                self.turn(&published).await;
            }
        }
        if published.sets.iter().any(|set| set.keys.is_none()) { Looked::Away } else { Looked::Done }
    }

    /// Asks one address. What it published before holds until it publishes something else that can be read.
    async fn renew(&self, set: &mut Set) -> bool {
        let issuer = &set.issuer.name;
        set.asked_at = Some(self.clock.now());
        let read = match self.fetch.fetch(&set.address).await {
            Ok(text) => KeySet::parse(&text).map_err(|fault| format!("it {fault}")),
            Err(fault) => Err(fault.to_string()),
        };
        let found = match read {
            Ok(found) => found,
            Err(fault) => {
                tracing::warn!(issuer, fault, "the key set of an issuer could not be had; what was known of it goes on");
                return false;
            }
        };
        set.answered_at = set.asked_at;
        for (place, fault) in &found.skipped {
            tracing::warn!(issuer, place, %fault, "a key in the set of an issuer is not used");
        }
        // A secret that stands at an address is none.
        let keys = found.keys.into_iter().filter(|key| key.key.algorithm().family() != Family::Hmac);
        let keys: Vec<_> = keys.map(|key| ForeignKey { key: key.key, named: key.named, issuer: Arc::clone(&set.issuer) }).collect();
        let same = set.keys.as_ref().is_some_and(|known| is_same(known, &keys));
        if !same {
            tracing::info!(issuer, keys = keys.len(), "the key set of an issuer was read");
            set.keys = Some(keys);
        }
        !same
    }

    /// Lets the guard see what is known, and waits until it does.
    async fn turn(&self, published: &Published) {
        let fetched = published.sets.iter().flat_map(|set| set.keys.iter().flatten()).cloned();
        if self.rings.turn_foreign(self.fixed.iter().cloned().chain(fetched).collect()).await.is_err() {
            tracing::warn!("the keys of other issuers were read, and the guard does not see them yet");
        }
    }
}

impl MoreKeys for Foreign {
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        Box::pin(self.look_now(AT_MOST_EVERY))
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
        let (foreign, _) = Foreign::new(&[setup], OwnKeys::default(), &master, &scopes, fetch, clock, turn).expect("no key is wrong");
        for (now, asked, answered) in [(5, 5, 5), (8, 5, 5), (20, 20, 5)] {
            scene.0.store(now, Ordering::SeqCst);
            if now > 10 {
                foreign.look_now(AT_MOST_EVERY).await;
            }
            let [seen] = foreign.seen().await.try_into().expect("one issuer");
            let (asked_at, answered_at) = (Some(Timestamp::from_secs(asked)), Some(Timestamp::from_secs(answered)));
            let address = "https://partner.example/jwks".to_owned();
            assert_eq!(seen.origin, KeysFrom::Address { address, asked_at, answered_at }, "at {now}");
            assert_eq!(seen.keys, [IssuerKeySeen { kid: None, algorithm: Algorithm::EdDsa }]);
        }
    }
}
