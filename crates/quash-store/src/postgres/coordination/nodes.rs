//! The rows of `node`: what operators see of the processes of the issuer.

use std::time::Duration;

use quash_core::model::{InstanceId, Timestamp};
use tokio_postgres::Row;

use super::super::fault::PostgresError;
use super::super::params::Param;
use super::super::transaction::Database;
use super::sights::Sights;
use crate::StoreError;
use crate::coordination::{ListedNode, NodeDescription};

const DESCRIBE: &str = "INSERT INTO node (instance, host, version, settings_digest) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (instance) DO UPDATE SET version = excluded.version, settings_digest = excluded.settings_digest";

const NODES: &str = "SELECT instance, coalesce(host, ''), coalesce(version, ''), \
    CAST(extract(epoch FROM started_at) * 1000 AS bigint), coalesce(settings_digest, '') FROM node \
    ORDER BY started_at, instance";

/// Those of processes without a lease, which can't come back.
const FORGET: &str = "DELETE FROM node n WHERE started_at < now() - interval '1 hour' AND NOT EXISTS \
    (SELECT 1 FROM lease l WHERE l.name = '' AND l.instance = n.instance)";

impl Database {
    pub(super) async fn describe_node(&self, node: &NodeDescription) -> Result<(), StoreError> {
        let NodeDescription { id, host, version, settings } = node;
        let values: [&dyn Param; 4] =
            [&id.number.as_slice(), &host.as_str(), &version.as_str(), &settings.as_str()];
        self.query_once(DESCRIBE, &values).await?;
        Ok(())
    }

    /// The nodes that have a lease, or had one within the last hour, and haven't given it back.
    pub(super) async fn nodes(
        &self,
        sights: &Sights,
        now: Duration,
    ) -> Result<Vec<ListedNode>, PostgresError> {
        let found = self.query(NODES, &[]).await?;
        let read = |row: &Row| -> Result<(NodeDescription, Timestamp), PostgresError> {
            let number: &[u8] = row.try_get(0)?;
            let number = number.try_into().map_err(|_| PostgresError::Value("the number of a process"))?;
            let node = NodeDescription {
                id: InstanceId::of_node(number),
                host: row.try_get(1)?,
                version: row.try_get(2)?,
                settings: row.try_get(4)?,
            };
            Ok((node, Timestamp::from_millis(row.try_get(3)?)))
        };
        let read = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let listed = |(node, started_at): (NodeDescription, Timestamp)| {
            let (label, renewed_before, leased_for) = sights.holder(&node.id, now)?;
            Some(ListedNode { node, label, started_at, renewed_before, leased_for })
        };
        Ok(read.into_iter().filter_map(listed).collect())
    }

    pub(super) async fn forget_nodes(&self) -> Result<(), StoreError> {
        self.query_once(FORGET, &[]).await?;
        Ok(())
    }
}
