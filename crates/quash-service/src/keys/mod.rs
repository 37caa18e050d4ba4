//! The keys of this store: made on first start or named by the settings, and opened on every start. The keys
//! of other issuers are in `foreign.rs`.

mod after_restore;
mod foreign;
mod loaded_keys;
pub(crate) mod make;
pub(crate) mod opened;
mod rings;
mod seen;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Actor, Change, Clock, Entropy, KeyRecord, KeySource, KeyState, Kid, draw};
use quash_core::token::{Algorithm, Family, KeyFault, RefreshKey, SigningKey};
use quash_store::{Store, StoreError};
use tokio::sync::{Mutex, RwLock, RwLockReadGuard};
use zeroize::Zeroizing;

use crate::failure::{Failure, StartError, Unavailable};
use crate::vault::MasterKey;
pub(crate) use loaded_keys::LoadedKeys;
use opened::of_material;
pub use seen::{IssuerInfo, IssuerKeyInfo, IssuerKeySource, KeyInfo, KeyList};

pub use after_restore::{KeysRevokedAgain, revoke_after_restore};
pub use foreign::{FetchFault, FetchKeys, FetchNothing, ForeignKeys, ForeignSetup};
pub(crate) use foreign::{FetchOnDemand, Foreign};
pub(crate) use opened::{OpenedKeys, opened};
pub(crate) use rings::{OwnKeys, RingUpdate, Rings};

/// The operator's choices about keys.
#[derive(Clone)]
pub struct KeySetup {
    /// The algorithm that signs new tokens.
    pub algorithm: Algorithm,
    /// The private key or secret in the settings. `None` to use a generated key.
    pub signing: Option<Zeroizing<Vec<u8>>>,
    /// The age at which a generated key is replaced. `None` to keep it.
    pub rotate_every: Option<Duration>,
    /// Other issuers, whose tokens are accepted.
    pub foreign: Vec<ForeignSetup>,
    pub refresh_tokens: RefreshSigning,
}

/// The key that signs refresh tokens. Tokens of both forms are accepted in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RefreshSigning {
    /// A key that is never published, so that no verifier accepts a refresh token as an access token. With a
    /// shared secret this is the same as [`RefreshSigning::LikeAccess`].
    #[default]
    Unpublished,
    /// The key that signs access tokens, as in Simple JWT.
    LikeAccess,
}

/// The keys that a process signs and derives with.
pub(crate) struct Keys {
    pub(crate) refresh: RefreshKey,
    /// The key that signs refresh tokens. `None` if the one for access tokens does.
    pub(crate) refresh_signing: Option<SigningKey>,
    /// Write-locked during a key rotation, so that nothing is signed meanwhile. `None` if a key of the
    /// settings was revoked.
    pub(crate) signing: RwLock<Option<SigningKey>>,
    pub(crate) loaded_keys: Mutex<LoadedKeys>,
    pub(crate) rings: Arc<Rings>,
    pub(crate) master: MasterKey,
    pub(crate) algorithm: Algorithm,
    pub(crate) rotate_every: Option<Duration>,
}

/// The opened keys of a store.
pub(crate) struct Opened {
    /// The key that derives the ids of refresh tokens.
    pub(crate) refresh: RefreshKey,
    /// The key of [`RefreshSigning::Unpublished`].
    pub(crate) refresh_signing: SigningKey,
    /// The key that signs access tokens.
    pub(crate) signing: SigningKey,
    /// The keys that verify tokens.
    pub(crate) own: OwnKeys,
}

/// The rule for a start whose settings name another signing key or algorithm than the current one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CurrentKey {
    /// It changes the current key.
    BySettings,
    /// It keeps the current key, if there is one, and logs the difference.
    Stays,
}

/// The dependencies for opening the keys.
struct SessionOpening<'a> {
    store: &'a dyn Store,
    master: &'a MasterKey,
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

const REFRESH: &str = "refresh";

impl fmt::Debug for KeySetup {
    /// Omits the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signing = if self.signing.is_some() { "of the settings" } else { "made here" };
        let Self { algorithm, rotate_every, foreign, refresh_tokens, .. } = self;
        let mut shown = f.debug_struct("KeySetup");
        shown
            .field("algorithm", algorithm)
            .field("signing", &signing)
            .field("rotate_every", rotate_every)
            .field("foreign", foreign);
        shown.field("refresh_tokens", refresh_tokens);
        shown.finish()
    }
}

impl KeySetup {
    /// Generated keys only, and no other issuers.
    pub fn of(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            signing: None,
            rotate_every: None,
            foreign: Vec::new(),
            refresh_tokens: RefreshSigning::default(),
        }
    }
}

impl Keys {
    pub(crate) fn new(setup: &KeySetup, opened: Opened, rings: Arc<Rings>, master: MasterKey) -> Self {
        let Opened { refresh, refresh_signing, signing, .. } = opened;
        let signing = RwLock::new(Some(signing));
        let KeySetup { algorithm, rotate_every, refresh_tokens, .. } = *setup;
        // A verifier with a shared secret expects to verify refresh tokens too.
        let unpublished = refresh_tokens == RefreshSigning::Unpublished && algorithm.family() != Family::Hmac;
        let refresh_signing = unpublished.then_some(refresh_signing);
        Self {
            refresh,
            refresh_signing,
            signing,
            loaded_keys: Mutex::default(),
            rings,
            master,
            algorithm,
            rotate_every,
        }
    }

    /// The signing key. While a caller holds it, it isn't replaced.
    ///
    /// # Errors
    /// There is no signing key: the settings must name another.
    pub(crate) async fn signing(&self) -> Result<RwLockReadGuard<'_, SigningKey>, Failure> {
        let signing = RwLockReadGuard::try_map(self.signing.read().await, Option::as_ref);
        signing.map_err(|_| Failure::Unavailable(Unavailable::NoSigningKey))
    }
}

/// Opens the keys of a store, and makes missing ones. If the settings have another algorithm or key than
/// before, the current key changes; the old one verifies until the last token that it signed has expired.
pub(crate) async fn open(
    setup: &KeySetup,
    current_key: CurrentKey,
    store: &dyn Store,
    master: &MasterKey,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Opened, StartError> {
    let opening = SessionOpening { store, master, clock, entropy };
    let refresh = opening.refresh().await?;
    let records = store.keys().await?;
    match &setup.signing {
        _ if current_key == CurrentKey::Stays && current(&records).is_some() => opening.tell(&records, setup),
        None => opening.make_current(&records, setup.algorithm).await?,
        Some(secret) => opening.take_current(&records, setup.algorithm, secret).await?,
    }
    let OpenedKeys { signing, own } = opened(&store.keys().await?, master)?;
    let signing = signing.ok_or(StartError::NoSigningKey)?;
    let refresh_signing = refresh_signing_key(master).map_err(StartError::SigningKey)?;
    Ok(Opened { refresh, refresh_signing, signing, own })
}

/// Derives the key of [`RefreshSigning::Unpublished`] and its kid from the master key. It doesn't rotate,
/// because only this process has it, and a refresh token must also have a genuine id.
fn refresh_signing_key(master: &MasterKey) -> Result<SigningKey, KeyFault> {
    let kid: [u8; 16] = master.derive("the kid of refresh tokens");
    let secret: Zeroizing<[u8; 32]> = Zeroizing::new(master.derive("refresh tokens"));
    SigningKey::new(Algorithm::Hs256, &*secret, make::kid(&kid))
}

fn current(records: &[KeyRecord]) -> Option<&KeyRecord> {
    records.iter().find(|record| record.state == KeyState::Current)
}

impl SessionOpening<'_> {
    /// Logs that the current key isn't the one that the settings name.
    fn tell(&self, records: &[KeyRecord], setup: &KeySetup) {
        let source = if setup.signing.is_some() { KeySource::Settings } else { KeySource::Made };
        let fits = |record: &KeyRecord| record.algorithm == setup.algorithm && record.source == source;
        if let Some(record) = current(records).filter(|record| !fits(record)) {
            tracing::warn!(
                kid = %record.kid,
                algorithm = record.algorithm.as_str(),
                "the settings name another signing key or algorithm than the nodes sign with; start with --apply-settings to change it"
            );
        }
    }

    /// Ensures that the current key is a generated one for this algorithm. A retiring key is reused.
    async fn make_current(&self, records: &[KeyRecord], algorithm: Algorithm) -> Result<(), StartError> {
        let fits = |record: &&KeyRecord| record.algorithm == algorithm && record.source == KeySource::Made;
        if current(records).as_ref().is_some_and(fits) {
            return Ok(());
        }
        let is_retiring = |record: &&KeyRecord| matches!(record.state, KeyState::Retiring { .. });
        if let Some(before) = records.iter().rev().filter(is_retiring).find(fits) {
            return self.resume(before, records).await;
        }
        let secret = make::secret(algorithm, self.entropy).ok_or(StartError::NoSigningKey)?;
        self.add(algorithm, &secret, KeySource::Made, records).await
    }

    /// Ensures that the current key is this one. Keys are compared by their material, not by their ids.
    async fn take_current(
        &self,
        records: &[KeyRecord],
        algorithm: Algorithm,
        secret: &[u8],
    ) -> Result<(), StartError> {
        let wanted = SigningKey::insecure_new(algorithm, secret, make::random_kid(self.entropy))
            .map_err(StartError::SigningKey)?;
        // RFC 8725 3.1: each key is for exactly one algorithm. A secret counts as a different key for each
        // algorithm, with a kid of its own, so that a site can move from HS256 to HS512 with one secret. A
        // key pair would be published twice under one kid.
        let is_other_key =
            |record: &KeyRecord| algorithm.family() == Family::Hmac && record.algorithm != algorithm;
        let same = of_material(wanted.verifying(), records, self.master)?;
        // Refused for every algorithm: an attacker with the key can sign with any of them.
        if same.iter().any(|record| record.state.is_revoked()) {
            return Err(StartError::RevokedKey);
        }
        match same.into_iter().find(|record| !is_other_key(record)) {
            Some(record) if record.algorithm != algorithm => {
                Err(StartError::OfAnotherAlgorithm(record.algorithm))
            }
            Some(KeyRecord { state: KeyState::Current, .. }) => Ok(()),
            // A key in the state `Next` was generated here, so the settings can't name it.
            Some(record) => self.resume(record, records).await,
            None => self.add(algorithm, secret, KeySource::Settings, records).await,
        }
    }

    async fn add(
        &self,
        algorithm: Algorithm,
        secret: &[u8],
        source: KeySource,
        records: &[KeyRecord],
    ) -> Result<(), StartError> {
        let record = make::record(
            algorithm,
            secret,
            source,
            KeyState::Current,
            self.master,
            self.entropy,
            self.clock.now(),
        );
        let replaces = self.replaced(records).await?;
        self.store
            .commit(Change::AddKey {
                key: record.map_err(StartError::SigningKey)?,
                replaces,
                actor: Actor::Rule,
            })
            .await?;
        Ok(())
    }

    async fn resume(&self, record: &KeyRecord, records: &[KeyRecord]) -> Result<(), StartError> {
        let replaces = self.replaced(records).await?;
        self.store
            .commit(Change::ResumeKey { kid: record.kid.clone(), at: self.clock.now(), replaces })
            .await?;
        Ok(())
    }

    /// The current key, if there is one, with its next state: it verifies until the last token that it could
    /// have signed has expired.
    async fn replaced(&self, records: &[KeyRecord]) -> Result<Option<(Kid, KeyState)>, StartError> {
        let longest = self.store.head().await?.longest_lifetime;
        Ok(current(records)
            .map(|old| (old.kid.clone(), KeyState::Retiring { until: self.clock.now() + longest })))
    }

    async fn refresh(&self) -> Result<RefreshKey, StartError> {
        let sealed = match self.store.secret(REFRESH).await? {
            Some(sealed) => sealed,
            None => {
                let secret: Zeroizing<[u8; 32]> = Zeroizing::new(draw(self.entropy));
                let sealed = self.master.seal(REFRESH, &*secret, self.entropy);
                match self.store.commit(Change::AddSecret { name: REFRESH, secret: sealed.clone() }).await {
                    Ok(_) => sealed,
                    Err(StoreError::Conflict) => {
                        self.store.secret(REFRESH).await?.ok_or(StartError::WrongMasterKey)?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let secret = self.master.open(REFRESH, &sealed).map_err(|_| StartError::WrongMasterKey)?;
        let secret: &[u8; 32] = secret.as_slice().try_into().map_err(|_| StartError::WrongMasterKey)?;
        Ok(RefreshKey::new(secret))
    }
}
