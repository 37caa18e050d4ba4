//! Checks that a server is one that quash can use, when a store is opened.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::OpenError;
use crate::postgres::fault::message;
use crate::postgres::server::connect::{Connection, Target};
use crate::postgres::server::hosts::ConnectError;

/// The oldest version of PostgreSQL, as `server_version_num` counts.
const OLDEST: i32 = 140_000;

const ABOUT: &str = "SELECT CAST(current_setting('server_version_num') AS int), current_setting('server_version'), \
    pg_is_in_recovery(), current_setting('fsync'), current_setting('server_encoding'), \
    current_setting('full_page_writes'), current_setting('transaction_read_only')";

pub(in crate::postgres) const WAITS_FOR_STANDBY: &str =
    "SELECT current_setting('synchronous_standby_names') <> ''";

/// A commit that writes to the WAL and to no table: it takes no locks that others would wait for.
pub(in crate::postgres) const COMMIT_TEST: &str = "BEGIN; SELECT set_config('synchronous_commit', \
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true); \
    SELECT pg_logical_emit_message(true, 'quash', ''); COMMIT";

/// Connects to a server, and checks it.
///
/// # Errors
/// Each names the cause and what to do.
pub(in crate::postgres) async fn connect(target: &Target) -> Result<Connection, OpenError> {
    let unusable = |detail: String| OpenError::Unusable { store: target.shown().to_owned(), detail };
    let connection = target.connect().await.map_err(|error| unusable(unreachable(&error)))?;
    check(&connection).await.map_err(unusable)?;
    Ok(connection)
}

fn unreachable(error: &ConnectError) -> String {
    let code = match error {
        ConnectError::Postgres(error) => error.code(),
        ConnectError::NoPrimary(hosts) => hosts.iter().find_map(|(_, error)| match error {
            ConnectError::Postgres(error) => error.code(),
            _ => None,
        }),
        ConnectError::Silent(_) | ConnectError::Refused(_) => None,
    };
    let remedy = match code {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "check the user and the password of the URL, and the server's pg_hba.conf"
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => "create the database, owned by quash's user",
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => "grant the user CONNECT on the database",
        Some(&SqlState::TOO_MANY_CONNECTIONS) => "raise max_connections, or use a pooler",
        Some(&SqlState::CANNOT_CONNECT_NOW) => "the server is starting or stopping: try again",
        Some(_) => return error.to_string(),
        None if matches!(error, ConnectError::NoPrimary(_)) => {
            "start the primary or promote a standby, and check that hosts, ports and TLS of the URL are right"
        }
        None => "check that the server runs and that host, port and TLS of the URL are right",
    };
    format!("{error}: {remedy}")
}

async fn check(client: &Client) -> Result<(), String> {
    let none: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 0] = [];
    let rows = client.query_typed(ABOUT, &none).await.map_err(|error| message(&error))?;
    let about = rows.first().ok_or("the server says nothing about itself")?;
    let text = |column: usize| about.try_get::<_, String>(column).map_err(|error| message(&error));
    let number: i32 = about.try_get(0).map_err(|error| message(&error))?;
    if number < OLDEST {
        return Err(format!("it is PostgreSQL {}: quash needs version 14 or newer", text(1)?));
    }
    let is_replica: bool = about.try_get(2).map_err(|error| message(&error))?;
    if is_replica {
        return Err("it is a replica: name the primary, or several hosts with \
                    target_session_attrs=read-write"
            .into());
    }
    for (column, setting) in [(3, "fsync"), (5, "full_page_writes")] {
        if text(column)? != "on" {
            return Err(format!(
                "{setting} is off, so a crash of the server may lose or damage revocations: set {setting} = on"
            ));
        }
    }
    if text(4)? != "UTF8" {
        return Err(format!("its encoding is {}: create the database with ENCODING 'UTF8'", text(4)?));
    }
    if text(6)? != "off" {
        return Err("it only reads: set default_transaction_read_only = off for quash's user".into());
    }
    Ok(())
}
