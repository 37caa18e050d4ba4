//! The request for the nodes over one database, and the shape of its reply.

use quash_core::model::Timestamp;
use quash_service::{ListedNode, Service};
use serde::{Deserialize, Serialize};

use super::lookup::failed;
use crate::error::CommandError;
use crate::moment::Moment;

/// The nodes over one database.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct NodesShown {
    /// The one that was started first at the beginning.
    pub(crate) nodes: Vec<NodeShown>,
}

/// A process that serves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct NodeShown {
    /// Its random id.
    pub(crate) instance: String,
    pub(crate) host: String,
    /// Its process id there.
    pub(crate) pid: Option<u32>,
    pub(crate) version: String,
    pub(crate) started_at: Moment,
    /// A hash over its settings, without secrets, paths of files and addresses.
    pub(crate) settings: String,
    /// `leased`, or `expired` if it hasn't renewed its lease in time: it is gone, frozen or cut off.
    pub(crate) state: String,
    /// The milliseconds since which the answering process has seen no renewal of the lease.
    pub(crate) lease_age_ms: u64,
    /// The time until which the lease is valid at the latest, unless it is renewed; `null` if it has expired.
    #[serde(default)]
    pub(crate) leased_until: Option<Moment>,
}

/// Executes the request.
///
/// # Errors
/// The database can't be read now.
pub(super) async fn execute(service: &Service) -> Result<NodesShown, CommandError> {
    let nodes = service.nodes().await.map_err(|failure| failed(&failure))?;
    Ok(NodesShown { nodes: nodes.into_iter().map(|node| NodeShown::new(node, service.now())).collect() })
}

impl NodeShown {
    fn new(listed: ListedNode, now: Timestamp) -> Self {
        let ListedNode { node, label, started_at, renewed_before, leased_for } = listed;
        Self {
            instance: quash_core::hex::encode(&node.id.number),
            host: node.host,
            pid: label.pid(),
            version: node.version,
            started_at: Moment(started_at),
            settings: node.settings,
            state: if leased_for.is_some() { "leased" } else { "expired" }.into(),
            lease_age_ms: u64::try_from(renewed_before.as_millis()).unwrap_or(u64::MAX),
            leased_until: leased_for.map(|left| Moment(now + left)),
        }
    }
}
