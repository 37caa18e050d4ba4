//! Describes a server, for the checks of an installation.

use tokio_postgres::types::{ToSql, Type};

use crate::OpenError;
use crate::postgres::fault::message;
use crate::postgres::server::connect::Target;
use crate::postgres::server::requirements;

/// A PostgreSQL server as quash's user sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresServer {
    pub major_version: i32,
    /// The setting of this name for quash's user.
    pub synchronous_commit: String,
    pub is_superuser: bool,
    /// The number of connected standbys.
    pub standbys: i64,
    /// Whether a commit waits for a standby.
    pub waits_for_standby: bool,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// Whether the server is on this machine.
    pub is_local: bool,
}

const ABOUT: &str = "SELECT CAST(current_setting('server_version_num') AS int) / 10000, \
    current_setting('synchronous_commit'), current_setting('is_superuser') = 'on', \
    (SELECT count(*) FROM pg_stat_replication), current_setting('synchronous_standby_names') <> '', \
    COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
    COALESCE(inet_client_addr() IS NULL OR inet_client_addr() = inet_server_addr(), true)";

/// Connects to the server, and describes it.
///
/// # Errors
/// It can't be reached, or isn't one that quash can use.
pub(in crate::postgres) async fn describe(target: &Target) -> Result<PostgresServer, OpenError> {
    let failed = |error| OpenError::Unusable { store: target.shown().to_owned(), detail: message(&error) };
    let connection = requirements::connect(target).await?;
    let none: [(&(dyn ToSql + Sync), Type); 0] = [];
    let rows = connection.query_typed(ABOUT, &none).await.map_err(failed)?;
    let row = rows.first().ok_or_else(|| OpenError::Unusable {
        store: target.shown().to_owned(),
        detail: "the server says nothing about itself".into(),
    })?;
    Ok(PostgresServer {
        major_version: row.try_get(0).map_err(failed)?,
        synchronous_commit: row.try_get(1).map_err(failed)?,
        is_superuser: row.try_get(2).map_err(failed)?,
        standbys: row.try_get(3).map_err(failed)?,
        waits_for_standby: row.try_get(4).map_err(failed)?,
        is_encrypted: row.try_get(5).map_err(failed)?,
        is_local: row.try_get(6).map_err(failed)?,
    })
}
