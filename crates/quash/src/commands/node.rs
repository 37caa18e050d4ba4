//! `quash node`: the processes over one PostgreSQL database.

use clap::Subcommand;

use super::context::{CommandContext, unexpected};
use crate::control::{NodeShown, NodesShown, Reply, Request};
use crate::data_dir::IfMissing;
use crate::error::CommandError;
use crate::output;

#[derive(Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes with their versions, settings and leases. With SQLite there are none
    List,
}

pub(super) async fn run(command: NodeCommand, context: &CommandContext) -> Result<(), CommandError> {
    let NodeCommand::List = command;
    let Reply::Nodes(nodes) = context.ask(IfMissing::Refuse, Request::Nodes).await? else {
        return Err(unexpected());
    };
    context.print(&nodes, || listed(&nodes))
}

fn listed(NodesShown { nodes }: &NodesShown) -> String {
    let Some(first) = nodes.first() else {
        return "no node is registered: servers over PostgreSQL are, while they run".into();
    };
    let row = |node: &NodeShown| {
        let pid = node.pid.map(|pid| pid.to_string()).unwrap_or_default();
        // A killed node holds its lease until then.
        let until = node.leased_until.map(|until| format!(" until {}", until.to_the_second()));
        let lease = format!(
            "{}{}, no renewal for {} s",
            node.state,
            until.unwrap_or_default(),
            node.lease_age_ms / 1000
        );
        [
            node.host.clone(),
            pid,
            node.version.clone(),
            node.started_at.to_the_second(),
            node.settings.clone(),
            lease,
        ]
    };
    let head = ["host", "process", "version", "started", "settings", "lease"];
    let table = output::table(head, nodes.iter().map(row));
    if nodes.iter().all(|node| node.settings == first.settings) {
        table
    } else {
        format!("{table}\nthe settings differ: that is right during a change alone")
    }
}
