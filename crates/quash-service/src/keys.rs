//! The keys of this store: made on first start, opened on every start.

use quash_core::model::{Change, Clock, Entropy, KeyRecord, KeyState, Kid, draw};
use quash_core::token::{Algorithm, KeyRing, RefreshKey, SigningKey};
use quash_store::{Store, StoreError};
use zeroize::Zeroizing;

use crate::desk::StartError;
use crate::vault::MasterKey;

/// What a process signs and derives with.
pub(crate) struct Keys {
    pub(crate) signing: SigningKey,
    pub(crate) ring: KeyRing,
    pub(crate) refresh: RefreshKey,
}

const REFRESH: &str = "refresh";

/// Opens the keys of a store, making those that are missing. Another algorithm than before means a new key; the old
/// one goes on verifying until the last token it signed has expired.
pub(crate) async fn open(
    store: &dyn Store,
    master: &MasterKey,
    algorithm: Algorithm,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Keys, StartError> {
    let refresh = open_refresh(store, master, entropy).await?;
    let mut records = store.keys().await?;
    if current(&records).is_none_or(|record| record.algorithm != algorithm) {
        add_key(store, master, algorithm, current(&records), clock, entropy).await?;
        records = store.keys().await?;
    }
    let mut verifying = Vec::new();
    let mut signing = None;
    for record in &records {
        let key = open_key(record, master)?;
        verifying.push(key.verifying().clone());
        if record.state == KeyState::Current {
            signing = Some(key);
        }
    }
    // The key that signs is the one most asked for.
    verifying.reverse();
    let signing = signing.ok_or(StartError::NoSigningKey)?;
    Ok(Keys { signing, ring: KeyRing::new(1, verifying), refresh })
}

fn current(records: &[KeyRecord]) -> Option<&KeyRecord> {
    records.iter().find(|record| record.state == KeyState::Current)
}

fn open_key(record: &KeyRecord, master: &MasterKey) -> Result<SigningKey, StartError> {
    let secret = master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
    SigningKey::new(record.algorithm, &secret, Some(record.kid.clone())).map_err(|fault| StartError::Key(record.kid.clone(), fault))
}

async fn add_key(
    store: &dyn Store,
    master: &MasterKey,
    algorithm: Algorithm,
    replaces: Option<&KeyRecord>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StartError> {
    let now = clock.now();
    let secret: Zeroizing<Vec<u8>> = Zeroizing::new(match algorithm {
        Algorithm::EdDsa => draw::<32>(entropy).to_vec(),
        Algorithm::Hs256 => draw::<64>(entropy).to_vec(),
    });
    let random_kid = draw::<16>(entropy).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let random_kid = Kid::parse(&random_kid).ok();
    let key = SigningKey::new(algorithm, &secret, random_kid).map_err(|_| StartError::NoSigningKey)?;
    let kid = key.verifying().kid().clone();
    let sealed = master.seal(kid.as_str(), &secret, entropy);
    let record = KeyRecord { kid, algorithm, state: KeyState::Current, secret: sealed, created_at: now };
    let longest = std::time::Duration::from_millis(store.longest_lifetime().await?);
    let retiring = KeyState::Retiring { until: now + longest };
    store.commit(Change::AddKey { key: record, replaces: replaces.map(|old| (old.kid.clone(), retiring)) }).await?;
    Ok(())
}

async fn open_refresh(store: &dyn Store, master: &MasterKey, entropy: &dyn Entropy) -> Result<RefreshKey, StartError> {
    let sealed = match store.secret(REFRESH).await? {
        Some(sealed) => sealed,
        None => {
            let secret: Zeroizing<[u8; 32]> = Zeroizing::new(draw(entropy));
            let sealed = master.seal(REFRESH, &*secret, entropy);
            match store.commit(Change::AddSecret { name: REFRESH, secret: sealed.clone() }).await {
                Ok(_) => sealed,
                Err(StoreError::Conflict) => store.secret(REFRESH).await?.ok_or(StartError::WrongMasterKey)?,
                Err(error) => return Err(error.into()),
            }
        }
    };
    let secret = master.open(REFRESH, &sealed).map_err(|_| StartError::WrongMasterKey)?;
    let secret: &[u8; 32] = secret.as_slice().try_into().map_err(|_| StartError::WrongMasterKey)?;
    Ok(RefreshKey::new(secret))
}
