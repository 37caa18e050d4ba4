//! The in-memory signing keys.

use std::collections::BTreeMap;

use quash_core::model::{KeyRecord, KeyState, Kid, Receipt, Sealed, Timestamp};

use super::outcome::{WRITTEN, guard};
use crate::StoreError;

#[derive(Clone, Debug, Default)]
pub(super) struct Keys(BTreeMap<Kid, KeyRecord>);

impl Keys {
    pub(super) fn add(
        &mut self,
        key: &KeyRecord,
        replaces: Option<&(Kid, KeyState)>,
    ) -> Result<Receipt, StoreError> {
        guard(!self.0.contains_key(&key.kid))?;
        match key.state {
            KeyState::Current => self.replace(replaces)?,
            KeyState::Next { .. } => {
                guard(replaces.is_none())?;
                guard(self.0.values().all(|other| !matches!(other.state, KeyState::Next { .. })))?;
            }
            KeyState::Retiring { .. } | KeyState::Revoked { .. } => return Err(StoreError::Conflict),
        }
        self.0.insert(key.kid.clone(), key.clone());
        Ok(WRITTEN)
    }

    pub(super) fn promote(
        &mut self,
        kid: &Kid,
        replaces: Option<&(Kid, KeyState)>,
    ) -> Result<Receipt, StoreError> {
        guard(self.0.get(kid).is_some_and(|key| matches!(key.state, KeyState::Next { .. })))?;
        self.make_current(kid, replaces)
    }

    pub(super) fn resume(
        &mut self,
        kid: &Kid,
        replaces: Option<&(Kid, KeyState)>,
    ) -> Result<Receipt, StoreError> {
        guard(self.0.get(kid).is_some_and(|key| matches!(key.state, KeyState::Retiring { .. })))?;
        self.make_current(kid, replaces)
    }

    pub(super) fn drop(&mut self, kid: &Kid) -> Result<Receipt, StoreError> {
        guard(
            self.0
                .get(kid)
                .is_some_and(|key| matches!(key.state, KeyState::Retiring { .. } | KeyState::Next { .. })),
        )?;
        self.0.remove(kid);
        Ok(WRITTEN)
    }

    pub(super) fn revoke(&mut self, kid: &Kid, secret: &Sealed, at: Timestamp) -> Result<(), StoreError> {
        let key = self.0.get_mut(kid).filter(|key| !key.state.is_revoked()).ok_or(StoreError::Conflict)?;
        key.state = KeyState::Revoked { at };
        key.secret = secret.clone();
        Ok(())
    }

    pub(super) fn add_revoked(&mut self, key: &KeyRecord) -> Result<(), StoreError> {
        guard(key.state.is_revoked() && !self.0.contains_key(&key.kid))?;
        self.0.insert(key.kid.clone(), key.clone());
        Ok(())
    }

    /// All keys, oldest first.
    pub(super) fn all(&self) -> Vec<KeyRecord> {
        let mut keys: Vec<_> = self.0.values().cloned().collect();
        keys.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
        keys
    }

    fn make_current(&mut self, kid: &Kid, replaces: Option<&(Kid, KeyState)>) -> Result<Receipt, StoreError> {
        self.replace(replaces)?;
        if let Some(key) = self.0.get_mut(kid) {
            key.state = KeyState::Current;
        }
        Ok(WRITTEN)
    }

    /// Retires the current key if it matches `replaces`.
    fn replace(&mut self, replaces: Option<&(Kid, KeyState)>) -> Result<(), StoreError> {
        let current = self.0.values().find(|key| key.state == KeyState::Current);
        guard(current.map(|key| &key.kid) == replaces.map(|(kid, _)| kid))?;
        guard(replaces.is_none_or(|(_, state)| matches!(state, KeyState::Retiring { .. })))?;
        if let Some((kid, state)) = replaces
            && let Some(replaced) = self.0.get_mut(kid)
        {
            replaced.state = *state;
        }
        Ok(())
    }
}
