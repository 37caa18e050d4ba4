//! Opens the keys of a store: the signing key, the verifying keys, and the remains of revoked keys.

use quash_core::model::{Entropy, KeyRecord, KeyState, Kid, Sealed};
use quash_core::token::{Family, KeyRing, KeySet, SigningKey, VerifyingKey};

use super::rings::OwnKeys;
use crate::failure::StartError;
use crate::vault::MasterKey;

/// The opened keys of a store.
pub(crate) struct OpenedKeys {
    /// The signing key.
    pub(crate) signing: Option<SigningKey>,
    /// The verifying keys.
    pub(crate) own: OwnKeys,
}

/// Opens the keys of a store.
///
/// # Errors
/// A key can't be opened, or is invalid.
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
            KeyState::Revoked { .. } => {
                own.keys.push(verifying(record, master)?);
                own.revoked.push(record.kid.clone());
            }
        }
    }
    Ok(OpenedKeys { signing, own })
}

/// The verifying half of a key.
///
/// # Errors
/// The key can't be opened, or is invalid.
pub(crate) fn verifying(record: &KeyRecord, master: &MasterKey) -> Result<VerifyingKey, StartError> {
    match record.state {
        KeyState::Revoked { .. } if record.algorithm.family() != Family::Hmac => {
            let half =
                master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
            let key = KeySet::parse(&half).ok().and_then(|set| set.keys.into_iter().next());
            key.map(|key| key.key).ok_or_else(|| StartError::RevokedHalf(record.kid.clone()))
        }
        _ => Ok(signs(record, master)?.verifying().clone()),
    }
}

/// The keys with this material.
///
/// # Errors
/// A key can't be opened, or is invalid.
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

/// The unrevoked keys with this material. Revoked keys aren't opened.
///
/// # Errors
/// As for [`of_material`].
pub(crate) fn unrevoked<'a>(
    wanted: &VerifyingKey,
    records: &'a [KeyRecord],
    master: &MasterKey,
) -> Result<Vec<&'a KeyRecord>, StartError> {
    of_material(wanted, records.iter().filter(|record| !record.state.is_revoked()), master)
}

/// The remains of keys that are revoked: of a pair, the public key; a secret entirely, because it verifies
/// with itself.
///
/// # Errors
/// A key can't be opened, or is invalid.
pub(crate) fn kept_after_revocation(
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
    let half = serde_json::to_vec(&set).map_err(|_| StartError::RevokedHalf(record.kid.clone()))?;
    Ok(master.seal(record.kid.as_str(), &half, entropy))
}

fn signs(record: &KeyRecord, master: &MasterKey) -> Result<SigningKey, StartError> {
    let secret = master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
    // The length of a secret was checked when it was added.
    let key = SigningKey::insecure_new(record.algorithm, &secret, Some(record.kid.clone()));
    key.map_err(|fault| StartError::Key(record.kid.clone(), fault))
}
