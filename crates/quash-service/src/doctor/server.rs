//! Checks of the running server and of the nodes.

use std::collections::BTreeSet;

use super::{EngineKind, Facts, NodeFacts, Verdict, listed};

pub(super) fn server(facts: &Facts) -> Option<Verdict> {
    if facts.stored()?.server.is_some() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::note(
        "no server runs on this data directory",
        "clients get no answer, and upkeep, mails and seals wait",
        "start it with `quash serve`, or name its data directory with --data-dir",
    ))
}

pub(super) fn server_version(facts: &Facts) -> Option<Verdict> {
    let server = facts.stored()?.server.as_ref()?;
    if server.version == facts.settings.as_ref()?.version {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!(
            "the server runs version {}, and this command is {}",
            server.version,
            facts.settings.as_ref()?.version
        ),
        "fixes of the installed version aren't in force until the server is restarted",
        "restart the server, or use the command of its version",
    ))
}

pub(super) fn server_settings(facts: &Facts) -> Option<Verdict> {
    let server = facts.stored()?.server.as_ref()?;
    if server.settings == facts.settings.as_ref()?.digest {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!(
            "the server's settings are {}, and this command reads {}",
            server.settings,
            facts.settings.as_ref()?.digest
        ),
        "settings were changed since the server was started, or it has other variables or flags: findings about \
         settings may not be about the server's",
        "restart the server, or run this command with the same --config, --set and environment",
    ))
}

pub(super) fn expired_nodes(facts: &Facts) -> Option<Verdict> {
    let expired = |node: &&NodeFacts| !node.is_leased;
    let nodes: Vec<_> = facts.stored()?.nodes.iter().filter(expired).map(|node| &*node.label).collect();
    if nodes.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("the leases of the nodes {} have expired", listed(nodes)),
        "such a node is gone, frozen or cut off from the database, and answers 503",
        "restart it, or check its connection to the database; one that is gone is forgotten by itself",
    ))
}

/// Judges whether all nodes with a lease have the same value.
fn judge_equal(
    facts: &Facts,
    value: fn(&NodeFacts) -> &str,
    what: &str,
    reason: &'static str,
    remedy: &'static str,
) -> Option<Verdict> {
    if facts.settings.as_ref()?.engine != EngineKind::Postgres {
        return Some(Verdict::Fine);
    }
    let values: BTreeSet<_> = facts.stored()?.nodes.iter().filter(|node| node.is_leased).map(value).collect();
    if values.len() < 2 {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(format!("nodes have different {what}: {}", listed(values)), reason, remedy))
}

pub(super) fn node_settings(facts: &Facts) -> Option<Verdict> {
    judge_equal(
        facts,
        |node| &node.settings,
        "settings",
        "a user's experience depends on the node that answers; that is right during a change alone",
        "give all nodes the same settings, and restart them; `quash node list` shows them",
    )
}

pub(super) fn node_versions(facts: &Facts) -> Option<Verdict> {
    judge_equal(
        facts,
        |node| &node.version,
        "versions",
        "that is right during an upgrade alone",
        "upgrade all nodes; `quash node list` shows them",
    )
}
