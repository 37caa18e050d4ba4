//! The keys of this store: made on first start or named by the settings, opened on every start. Those of other issuers
//! are next door.

mod foreign;
mod list;
mod make;

use std::fmt;
use std::time::Duration;

use quash_core::model::{Change, Clock, Entropy, KeyRecord, KeySource, KeyState, draw};
use quash_core::token::{Algorithm, Family, RefreshKey, SigningKey, VerifyingKey};
use quash_store::{Store, StoreError};
use zeroize::Zeroizing;

use crate::failure::StartError;
use crate::vault::MasterKey;

pub use foreign::{FetchFault, FetchKeys, FetchNothing, ForeignKeys, ForeignSetup};
pub(crate) use foreign::{Foreign, TurnRing};
pub use list::{IssuerKeySeen, IssuerSeen, KeySeen, KeysFrom, KeysSeen};

/// What an operator has chosen about keys.
#[derive(Clone)]
pub struct KeySetup {
    /// What new tokens are signed with.
    pub algorithm: Algorithm,
    /// The private key or secret that the settings name; `None`: one is made.
    pub signing: Option<Zeroizing<Vec<u8>>>,
    /// Other issuers, whose tokens are taken.
    pub foreign: Vec<ForeignSetup>,
}

/// What a process signs and derives with.
pub(crate) struct Keys {
    pub(crate) signing: SigningKey,
    /// All that verify, the one that signs first.
    pub(crate) verifying: Vec<VerifyingKey>,
    pub(crate) refresh: RefreshKey,
}

/// What opening the keys hangs on.
struct Opening<'a> {
    store: &'a dyn Store,
    master: &'a MasterKey,
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

const REFRESH: &str = "refresh";

impl fmt::Debug for KeySetup {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signing = if self.signing.is_some() { "of the settings" } else { "made here" };
        let Self { algorithm, foreign, .. } = self;
        f.debug_struct("KeySetup").field("algorithm", algorithm).field("signing", &signing).field("foreign", foreign).finish()
    }
}

impl KeySetup {
    /// Keys of our own alone, made here.
    pub fn of(algorithm: Algorithm) -> Self {
        Self { algorithm, signing: None, foreign: Vec::new() }
    }
}

/// Opens the keys of a store, making those that are missing. Another algorithm or another key in the settings than
/// before means another current key; the old one goes on verifying until the last token it signed has expired.
pub(crate) async fn open(
    setup: &KeySetup,
    store: &dyn Store,
    master: &MasterKey,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Keys, StartError> {
    let opening = Opening { store, master, clock, entropy };
    let refresh = opening.refresh().await?;
    let records = store.keys().await?;
    match &setup.signing {
        None => opening.make_current(&records, setup.algorithm).await?,
        Some(secret) => opening.take_current(&records, setup.algorithm, secret).await?,
    }
    let mut verifying = Vec::new();
    let mut signing = None;
    for record in &store.keys().await? {
        let key = opening.key(record)?;
        verifying.push(key.verifying().clone());
        if record.state == KeyState::Current {
            signing = Some(key);
        }
    }
    let signing = signing.ok_or(StartError::NoSigningKey)?;
    // The key that signs is the one most asked for.
    verifying.sort_by_key(|key| key.kid() != signing.verifying().kid());
    Ok(Keys { signing, verifying, refresh })
}

fn current(records: &[KeyRecord]) -> Option<&KeyRecord> {
    records.iter().find(|record| record.state == KeyState::Current)
}

impl Opening<'_> {
    /// Sees to a current key that was made here, for this algorithm: one that is retiring is as good as a new one.
    async fn make_current(&self, records: &[KeyRecord], algorithm: Algorithm) -> Result<(), StartError> {
        let fits = |record: &&KeyRecord| record.algorithm == algorithm && record.source == KeySource::Made;
        if current(records).as_ref().is_some_and(fits) {
            return Ok(());
        }
        if let Some(before) = records.iter().rev().find(fits) {
            return self.resume(before, records).await;
        }
        let secret = make::secret(algorithm, self.entropy).ok_or(StartError::NoSigningKey)?;
        self.add(algorithm, &secret, KeySource::Made, records).await
    }

    /// Sees to it that the current key is this one. Keys are compared by what they are, not by what they are called.
    async fn take_current(&self, records: &[KeyRecord], algorithm: Algorithm, secret: &[u8]) -> Result<(), StartError> {
        let wanted = SigningKey::insecure_new(algorithm, secret, make::random_kid(self.entropy)).map_err(StartError::SigningKey)?;
        // RFC 8725 3.1: each key is for exactly one algorithm. A secret is another key for each, with a kid of its own: a
        // site that goes from HS256 to HS512 has one secret. A key pair would be published twice under one kid.
        let is_other_key = |record: &KeyRecord| algorithm.family() == Family::Hmac && record.algorithm != algorithm;
        for record in records.iter().filter(|record| !is_other_key(record)) {
            if self.key(record)?.verifying().is_same_key(wanted.verifying()) {
                return match record.state {
                    _ if record.algorithm != algorithm => Err(StartError::OfAnotherAlgorithm(record.algorithm)),
                    KeyState::Current => Ok(()),
                    KeyState::Retiring { .. } => self.resume(record, records).await,
                };
            }
        }
        self.add(algorithm, secret, KeySource::Settings, records).await
    }

    fn key(&self, record: &KeyRecord) -> Result<SigningKey, StartError> {
        let secret = self.master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
        // How long a secret must be was asked when it came.
        let key = SigningKey::insecure_new(record.algorithm, &secret, Some(record.kid.clone()));
        key.map_err(|fault| StartError::Key(record.kid.clone(), fault))
    }

    async fn add(&self, algorithm: Algorithm, secret: &[u8], source: KeySource, records: &[KeyRecord]) -> Result<(), StartError> {
        let key = SigningKey::insecure_new(algorithm, secret, make::random_kid(self.entropy)).map_err(StartError::SigningKey)?;
        let kid = key.verifying().kid().clone();
        let sealed = self.master.seal(kid.as_str(), secret, self.entropy);
        let record = KeyRecord { kid, algorithm, state: KeyState::Current, secret: sealed, created_at: self.clock.now(), source };
        let retiring = self.retiring().await?;
        let replaces = current(records).map(|old| (old.kid.clone(), retiring));
        self.store.commit(Change::AddKey { key: record, replaces }).await?;
        Ok(())
    }

    async fn resume(&self, record: &KeyRecord, records: &[KeyRecord]) -> Result<(), StartError> {
        let replaced = current(records).ok_or(StartError::NoSigningKey)?;
        let replaces = (replaced.kid.clone(), self.retiring().await?);
        self.store.commit(Change::ResumeKey { kid: record.kid.clone(), at: self.clock.now(), replaces }).await?;
        Ok(())
    }

    /// A key verifies until the last token that it could have signed has expired.
    async fn retiring(&self) -> Result<KeyState, StartError> {
        let longest = Duration::from_millis(self.store.longest_lifetime().await?);
        Ok(KeyState::Retiring { until: self.clock.now() + longest })
    }

    async fn refresh(&self) -> Result<RefreshKey, StartError> {
        let sealed = match self.store.secret(REFRESH).await? {
            Some(sealed) => sealed,
            None => {
                let secret: Zeroizing<[u8; 32]> = Zeroizing::new(draw(self.entropy));
                let sealed = self.master.seal(REFRESH, &*secret, self.entropy);
                match self.store.commit(Change::AddSecret { name: REFRESH, secret: sealed.clone() }).await {
                    Ok(_) => sealed,
                    Err(StoreError::Conflict) => self.store.secret(REFRESH).await?.ok_or(StartError::WrongMasterKey)?,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let secret = self.master.open(REFRESH, &sealed).map_err(|_| StartError::WrongMasterKey)?;
        let secret: &[u8; 32] = secret.as_slice().try_into().map_err(|_| StartError::WrongMasterKey)?;
        Ok(RefreshKey::new(secret))
    }
}
