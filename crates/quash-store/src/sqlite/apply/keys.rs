//! Adds, replaces and revokes signing keys. Adds and removes the credentials of clients, and the
//! secrets. Stores settings.

use quash_core::model::{
    Client, ClientEdit, ClientName, KeyRecord, KeyState, Kid, NewEntry, Receipt, Sealed, SecretDigest,
    Timestamp,
};
use rusqlite::{Connection, named_params};

use super::log::append;
use crate::sqlite::fault::SqliteError;
use crate::sqlite::write::{write, write_one};
use crate::sqlite::{rows, statements};

pub(super) fn add_key(
    conn: &Connection,
    key: &KeyRecord,
    replaces: Option<&(Kid, KeyState)>,
) -> Result<Receipt, SqliteError> {
    match (key.state, replaces) {
        (KeyState::Current, Some(replaced)) => retire_key(conn, replaced)?,
        (KeyState::Current | KeyState::Next { .. }, None) => {}
        (KeyState::Next { .. }, Some(_)) | (KeyState::Retiring { .. } | KeyState::Revoked { .. }, _) => {
            return Err(SqliteError::Conflict);
        }
    }
    insert_key(conn, key)
}

fn insert_key(conn: &Connection, key: &KeyRecord) -> Result<Receipt, SqliteError> {
    let (state, state_at) = rows::stored_key_state(key.state);
    let values = named_params! {
        ":kid": key.kid.as_str(),
        ":algorithm": key.algorithm.as_str(),
        ":state": state,
        ":state_at": state_at,
        ":secret": key.secret.0,
        ":created_at": key.created_at.as_millis(),
        ":source": key.source.as_str(),
    };
    write_one(conn, statements::ADD_KEY, values)
}

/// Makes a key in the state `from` current, and the replaced one not.
pub(super) fn make_current(
    conn: &Connection,
    kid: &Kid,
    from: &str,
    replaces: Option<&(Kid, KeyState)>,
) -> Result<Receipt, SqliteError> {
    if let Some(replaced) = replaces {
        if *kid == replaced.0 {
            return Err(SqliteError::Conflict);
        }
        retire_key(conn, replaced)?;
    }
    write_one(conn, statements::MAKE_CURRENT, named_params! { ":kid": kid.as_str(), ":from": from })
}

pub(super) fn drop_key(conn: &Connection, kid: &Kid) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::DROP_KEY, named_params! { ":kid": kid.as_str() })
}

pub(super) fn revoke_key(
    conn: &Connection,
    kid: &Kid,
    secret: &Sealed,
    entry: &NewEntry,
) -> Result<Receipt, SqliteError> {
    let values = named_params! {
        ":kid": kid.as_str(), ":state_at": entry.at.as_millis(), ":secret": secret.0,
    };
    write_one(conn, statements::REVOKE_KEY, values)?;
    append(conn, entry).map(Receipt::appended)
}

pub(super) fn add_revoked_key(
    conn: &Connection,
    key: &KeyRecord,
    entry: &NewEntry,
) -> Result<Receipt, SqliteError> {
    if !key.state.is_revoked() {
        return Err(SqliteError::Conflict);
    }
    insert_key(conn, key)?;
    append(conn, entry).map(Receipt::appended)
}

fn retire_key(conn: &Connection, (kid, state): &(Kid, KeyState)) -> Result<(), SqliteError> {
    match state {
        KeyState::Retiring { until } => {
            let values = named_params! { ":kid": kid.as_str(), ":state_at": until.as_millis() };
            write_one(conn, statements::RETIRE_KEY, values)?;
            Ok(())
        }
        // `Current` would leave two current keys; replacing a key neither revokes it nor makes it the next
        // one.
        KeyState::Current | KeyState::Next { .. } | KeyState::Revoked { .. } => Err(SqliteError::Conflict),
    }
}

pub(super) fn add_client(
    conn: &Connection,
    client: &Client,
    digest: SecretDigest,
) -> Result<Receipt, SqliteError> {
    let Client { name, rights, created_at, namespace, expires_at, version } = client;
    let values = named_params! {
        ":name": name.as_str(),
        ":digest": digest.0,
        ":rights": rights.to_string(),
        ":created_at": created_at.as_millis(),
        ":namespace": namespace,
        ":expires_at": expires_at.map(Timestamp::as_millis),
        ":version": rows::stored(*version)?,
    };
    write_one(conn, statements::ADD_CLIENT, values)
}

pub(super) fn change_client(conn: &Connection, edit: &ClientEdit) -> Result<Receipt, SqliteError> {
    let ClientEdit { client, rights, expires_at, digest, .. } = edit;
    let values = named_params! {
        ":rights": rights.to_string(),
        ":expires_at": expires_at.map(Timestamp::as_millis),
        ":digest": digest.map(|digest| digest.0),
        ":name": client.name.as_str(),
        ":created_at": client.created_at.as_millis(),
        ":namespace": client.namespace,
        ":version": rows::stored(client.version)?,
    };
    write_one(conn, statements::CHANGE_CLIENT, values)
}

pub(super) fn use_clients(
    conn: &Connection,
    used: &[(ClientName, Timestamp)],
) -> Result<Receipt, SqliteError> {
    for (name, at) in used {
        let values = named_params! { ":name": name.as_str(), ":last_used_at": at.as_millis() };
        write(conn, statements::USE_CLIENT, values)?;
    }
    Ok(Receipt::default())
}

pub(super) fn remove_client(conn: &Connection, client: &Client) -> Result<Receipt, SqliteError> {
    let Client { name, rights, created_at, namespace, version, .. } = client;
    let values = named_params! {
        ":name": name.as_str(),
        ":rights": rights.to_string(),
        ":created_at": created_at.as_millis(),
        ":namespace": namespace,
        ":version": rows::stored(*version)?,
    };
    write_one(conn, statements::REMOVE_CLIENT, values)
}

pub(super) fn add_secret(conn: &Connection, name: &str, secret: &Sealed) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::ADD_SECRET, named_params! { ":name": name, ":secret": secret.0 })
}

pub(super) fn remember(conn: &Connection, name: &str, value: &str) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::REMEMBER, named_params! { ":name": name, ":value": value })
}

pub(super) fn apply_settings(
    conn: &Connection,
    from: u64,
    values: &[(&'static str, String)],
    entry: Option<&NewEntry>,
) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::APPLY_SETTINGS, named_params! { ":settings": rows::stored(from)? })?;
    for (name, value) in values {
        remember(conn, name, value)?;
    }
    entry.map_or(Ok(Receipt::default()), |entry| append(conn, entry).map(Receipt::appended))
}
