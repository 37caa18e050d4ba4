//! The metrics, and their list in the reference.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use quash_core::model::Rights;

use crate::support::{Call, World};

const REFERENCE: &str = "docs/reference/http.md";

/// The names in the table of `/metrics`, without their labels.
fn listed() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let reference = fs::read_to_string(root.join(REFERENCE)).expect("the reference");
    let (_, section) = reference.split_once("### `GET /metrics`").expect("a section about the metrics");
    let section = section.split("\n#").next().unwrap_or_default();
    let names = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2));
    names.map(|name| name.split('{').next().unwrap_or_default().to_owned()).collect()
}

/// The names of the samples: those of a counter end in `_total`, of the program in `_info`.
fn exposed(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let name = |(name, kind): (&str, &str)| match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    };
    types.map(name).collect()
}

#[tokio::test]
async fn the_reference_lists_exactly_all_metrics() {
    let world = World::open().await;
    let (_, secret) = world.service.add_client("api", Rights::VERIFIER, None).await.expect("a verifier");
    let secret = secret.into_text().to_string();
    // A route has figures from its first answer on.
    world.send(Call::get("/livez")).await;
    let text = world.send(Call::get("/metrics").bearer(&secret)).await.text().to_owned();
    let mut listed = listed();
    // A server without TLS has no certificate; `observability.rs` of the binary looks at those of nodes.
    assert!(listed.remove("quash_certificate_until_timestamp_seconds"));
    listed.retain(|name| !["quash_node_", "quash_store_"].iter().any(|start| name.starts_with(start)));
    let exposed = exposed(&text);
    let unlisted: Vec<_> = exposed.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&exposed).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "{REFERENCE} lacks {unlisted:?}; not exposed: {gone:?}\n{text}"
    );
}
