//! Adds, replaces and revokes signing keys. Adds and removes the credentials of clients, and the secrets.
//! Stores settings.

use quash_core::model::{
    Client, ClientEdit, ClientName, KeyRecord, KeyState, Kid, NewEntry, Receipt, Sealed, SecretDigest,
    Timestamp,
};

use super::Work;
use crate::postgres::fault::PostgresError;
use crate::postgres::rows;
use crate::postgres::statements;

impl Work<'_> {
    pub(super) async fn add_key(
        &self,
        key: &KeyRecord,
        replaces: Option<&(Kid, KeyState)>,
    ) -> Result<Receipt, PostgresError> {
        match (key.state, replaces) {
            (KeyState::Current, Some(replaced)) => self.retire_key(replaced).await?,
            (KeyState::Current | KeyState::Next { .. }, None) => {}
            (KeyState::Next { .. }, Some(_)) | (KeyState::Retiring { .. } | KeyState::Revoked { .. }, _) => {
                return Err(PostgresError::Conflict);
            }
        }
        self.insert_key(key).await
    }

    async fn insert_key(&self, key: &KeyRecord) -> Result<Receipt, PostgresError> {
        let (state, state_at) = rows::stored_key_state(key.state);
        self.transaction
            .write_one(
                statements::ADD_KEY,
                &[
                    &key.kid.as_str(),
                    &key.algorithm.as_str(),
                    &state,
                    &state_at,
                    &key.secret.0,
                    &key.created_at.as_millis(),
                    &key.source.as_str(),
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    /// Makes a key in the state `from` current, and the replaced one not.
    pub(super) async fn make_current(
        &self,
        kid: &Kid,
        from: &str,
        replaces: Option<&(Kid, KeyState)>,
    ) -> Result<Receipt, PostgresError> {
        if let Some(replaced) = replaces {
            if *kid == replaced.0 {
                return Err(PostgresError::Conflict);
            }
            self.retire_key(replaced).await?;
        }
        self.transaction.write_one(statements::MAKE_CURRENT, &[&kid.as_str(), &from]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn drop_key(&self, kid: &Kid) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::DROP_KEY, &[&kid.as_str()]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn revoke_key(
        &mut self,
        kid: &Kid,
        secret: &Sealed,
        entry: &NewEntry,
    ) -> Result<Receipt, PostgresError> {
        let values = (kid.as_str(), entry.at.as_millis());
        self.transaction.write_one(statements::REVOKE_KEY, &[&values.0, &values.1, &secret.0]).await?;
        self.append_all(&[entry]).await
    }

    pub(super) async fn add_revoked_key(
        &mut self,
        key: &KeyRecord,
        entry: &NewEntry,
    ) -> Result<Receipt, PostgresError> {
        if !key.state.is_revoked() {
            return Err(PostgresError::Conflict);
        }
        self.insert_key(key).await?;
        self.append_all(&[entry]).await
    }

    async fn retire_key(&self, (kid, state): &(Kid, KeyState)) -> Result<(), PostgresError> {
        match state {
            KeyState::Retiring { until } => {
                let values = (kid.as_str(), until.as_millis());
                self.transaction.write_one(statements::RETIRE_KEY, &[&values.0, &values.1]).await
            }
            // `Current` would leave two current keys; replacing a key neither revokes it nor makes it the
            // next one.
            KeyState::Current | KeyState::Next { .. } | KeyState::Revoked { .. } => {
                Err(PostgresError::Conflict)
            }
        }
    }

    pub(super) async fn add_client(
        &self,
        client: &Client,
        digest: SecretDigest,
    ) -> Result<Receipt, PostgresError> {
        let Client { name, rights, created_at, namespace, expires_at, version } = client;
        let digest = digest.0.as_slice();
        self.transaction
            .write_one(
                statements::ADD_CLIENT,
                &[
                    &name.as_str(),
                    &digest,
                    &rights.to_string(),
                    &created_at.as_millis(),
                    namespace,
                    &expires_at.map(Timestamp::as_millis),
                    &rows::stored(*version)?,
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    pub(super) async fn change_client(&self, edit: &ClientEdit) -> Result<Receipt, PostgresError> {
        let ClientEdit { client, rights, expires_at, digest, .. } = edit;
        self.transaction
            .write_one(
                statements::CHANGE_CLIENT,
                &[
                    &client.name.as_str(),
                    &client.created_at.as_millis(),
                    &client.namespace,
                    &rows::stored(client.version)?,
                    &rights.to_string(),
                    &expires_at.map(Timestamp::as_millis),
                    &digest.as_ref().map(|digest| digest.0.as_slice()),
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    pub(super) async fn use_clients(
        &self,
        used: &[(ClientName, Timestamp)],
    ) -> Result<Receipt, PostgresError> {
        let (names, times): (Vec<&str>, Vec<i64>) =
            used.iter().map(|(name, at)| (name.as_str(), at.as_millis())).unzip();
        self.transaction.execute(statements::USE_CLIENTS, &[&names, &times]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn remove_client(&self, client: &Client) -> Result<Receipt, PostgresError> {
        let Client { name, rights, created_at, namespace, version, .. } = client;
        self.transaction
            .write_one(
                statements::REMOVE_CLIENT,
                &[
                    &name.as_str(),
                    &rights.to_string(),
                    &created_at.as_millis(),
                    namespace,
                    &rows::stored(*version)?,
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    pub(super) async fn add_secret(&self, name: &str, secret: &Sealed) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::ADD_SECRET, &[&name, &secret.0]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn remember(&self, name: &str, value: &str) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::REMEMBER, &[&name, &value]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn apply_settings(
        &mut self,
        from: u64,
        values: &[(&'static str, String)],
        entry: Option<&NewEntry>,
    ) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::APPLY_SETTINGS, &[&rows::stored(from)?]).await?;
        for (name, value) in values {
            self.remember(name, value).await?;
        }
        match entry {
            Some(entry) => self.append_all(&[entry]).await,
            None => Ok(Receipt::default()),
        }
    }
}
