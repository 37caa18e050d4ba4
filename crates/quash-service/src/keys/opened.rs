//! Keys of the store, opened: what signs, what verifies, and what is kept of a key that was struck.

use quash_core::model::{Entropy, KeyRecord, KeyState, Kid, Sealed};
use quash_core::token::{Family, KeyRing, KeySet, SigningKey, VerifyingKey};

use super::rings::OwnKeys;
use crate::failure::StartError;
use crate::vault::MasterKey;

/// The keys of a store.
pub(crate) struct OpenedKeys {
    /// What signs.
    pub(crate) signing: Option<SigningKey>,
    /// What verifies.
    pub(crate) own: OwnKeys,
}

/// Opens the keys of a store.
///
/// # Errors
/// One can't be opened, or is none.
pub(crate) fn opened(records: &[KeyRecord], master: &MasterKey) -> Result<OpenedKeys, StartError> {
    let (mut signing, mut own) = (None, OwnKeys::default());
    for record in records {
        match record.state {
            KeyState::Current => {
                let key = signs(record, master)?;
                own.keys.insert(0, key.verifying().clone());
                signing = Some(key);
            }
            KeyState::Next { .. } | KeyState::Retiring { .. } => own.keys.push(verifying(record, master)?),
            KeyState::Struck { .. } => {
                own.keys.push(verifying(record, master)?);
                own.struck.push(record.kid.clone());
            }
        }
    }
    Ok(OpenedKeys { signing, own })
}

/// What verifies with a key.
///
/// # Errors
/// It can't be opened, or is none.
pub(crate) fn verifying(record: &KeyRecord, master: &MasterKey) -> Result<VerifyingKey, StartError> {
    match record.state {
        KeyState::Struck { .. } if record.algorithm.family() != Family::Hmac => {
            let half =
                master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
            let key = KeySet::parse(&half).ok().and_then(|set| set.keys.into_iter().next());
            key.map(|key| key.key).ok_or_else(|| StartError::StruckHalf(record.kid.clone()))
        }
        _ => Ok(signs(record, master)?.verifying().clone()),
    }
}

/// The keys of this material.
///
/// # Errors
/// One can't be opened, or is none.
pub(crate) fn of_material<'a>(
    wanted: &VerifyingKey,
    records: impl IntoIterator<Item = &'a KeyRecord>,
    master: &MasterKey,
) -> Result<Vec<&'a KeyRecord>, StartError> {
    let mut same = Vec::new();
    for record in records {
        if verifying(record, master)?.is_same_key(wanted) {
            same.push(record);
        }
    }
    Ok(same)
}

/// The keys of this material that weren't struck. Those that were needn't open.
///
/// # Errors
/// As [`of_material`].
pub(crate) fn unstruck<'a>(
    wanted: &VerifyingKey,
    records: &'a [KeyRecord],
    master: &MasterKey,
) -> Result<Vec<&'a KeyRecord>, StartError> {
    of_material(wanted, records.iter().filter(|record| !record.state.is_struck()), master)
}

/// What is kept of keys that are struck: of a pair, what verifies. A secret verifies with itself.
///
/// # Errors
/// One can't be opened, or is none.
pub(crate) fn kept_after_strike(
    records: &[&KeyRecord],
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Result<Vec<(Kid, Sealed)>, StartError> {
    records.iter().map(|record| Ok((record.kid.clone(), kept_of(record, master, entropy)?))).collect()
}

fn kept_of(record: &KeyRecord, master: &MasterKey, entropy: &dyn Entropy) -> Result<Sealed, StartError> {
    if record.algorithm.family() == Family::Hmac {
        return Ok(record.secret.clone());
    }
    let set = KeyRing::new(0, vec![verifying(record, master)?]).jwks();
    let half = serde_json::to_vec(&set).map_err(|_| StartError::StruckHalf(record.kid.clone()))?;
    Ok(master.seal(record.kid.as_str(), &half, entropy))
}

fn signs(record: &KeyRecord, master: &MasterKey) -> Result<SigningKey, StartError> {
    let secret = master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
    // How long a secret must be was asked when it came.
    let key = SigningKey::insecure_new(record.algorithm, &secret, Some(record.kid.clone()));
    key.map_err(|fault| StartError::Key(record.kid.clone(), fault))
}
