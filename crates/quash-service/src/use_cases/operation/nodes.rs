//! Describes this node, lists the nodes over one store, and compares their settings, for operators.

use std::collections::BTreeSet;

use quash_store::{ListedNode, NodeDescription};

use crate::context::Service;
use crate::failure::Failure;

impl Service {
    /// Notes the version and the hash over the settings of this server, for operators. A node shows both to the
    /// others, and logs it if other nodes have other settings.
    ///
    /// # Errors
    /// The store can't be used now.
    pub async fn describe_node(&self, version: &str, settings: &str) -> Result<(), Failure> {
        let context = &*self.context;
        context.observed.serves(version, settings, context.clock.uptime());
        let Some(node) = &context.node else { return Ok(()) };
        let description = NodeDescription {
            id: node.id.clone(),
            host: node.label.host().unwrap_or_default().to_owned(),
            version: version.to_owned(),
            settings: settings.to_owned(),
        };
        context.feed.coordination.describe(&description).await?;
        let _ = node.digest.set(description.settings);
        self.compare_nodes().await
    }

    /// The nodes, the one that was started first at the beginning.
    ///
    /// # Errors
    /// The store can't be used now.
    pub async fn nodes(&self) -> Result<Vec<ListedNode>, Failure> {
        Ok(self.context.feed.coordination.nodes(self.context.clock.uptime()).await?)
    }

    /// Logs which nodes have other settings than this one, whenever these are others than before.
    pub(super) async fn compare_nodes(&self) -> Result<(), Failure> {
        let Some(node) = &self.context.node else { return Ok(()) };
        let Some(own) = node.digest.get() else { return Ok(()) };
        let nodes = self.nodes().await?;
        let differs = |other: &&ListedNode| other.leased_for.is_some() && other.node.settings != *own;
        let others: BTreeSet<String> = nodes
            .iter()
            .filter(differs)
            .map(|other| {
                let pid = other.label.pid().map(|pid| format!(" (process {pid})")).unwrap_or_default();
                format!("{}{pid}: {}", other.node.host, other.node.settings)
            })
            .collect();
        if !node.has_told(&others) && !others.is_empty() {
            let others = others.into_iter().collect::<Vec<_>>().join(", ");
            tracing::warn!(
                own,
                others,
                "other nodes have other settings: that is right during a change alone; see `quash node list`"
            );
        }
        Ok(())
    }
}
