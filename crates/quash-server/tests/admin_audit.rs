//! `GET /admin/v1/audit`: the audit, newest first, by account, event, actor and time.

use crate::support;

use quash_core::model::Right;
use serde_json::{Value, json};
use support::{Answer, Call, PASSWORD, World, secs};

use super::admin::secret;

async fn world() -> (World, String) {
    let world = World::open().await;
    let secret = secret(&world, "auditor", &[Right::Audit]).await;
    for name in ["dana", "noor", "dana"] {
        world.clock.go_on(secs(60));
        world.attempt(name, PASSWORD).await.pair();
    }
    (world, secret)
}

async fn page(world: &World, secret: &str, query: &str) -> Value {
    let answer = get(world, secret, query).await;
    assert_eq!(answer.status, 200, "{query}: {answer}");
    answer.json()
}

async fn get(world: &World, secret: &str, query: &str) -> Answer {
    world.send(Call::get(&format!("/admin/v1/audit?{query}")).bearer(secret)).await
}

/// The events of a page, each with the account that it concerns.
fn events(page: &Value) -> Vec<String> {
    let told = |entry: &Value| {
        let subject = entry["subject"].as_str().unwrap_or("-");
        format!("{} {subject}", entry["event"].as_str().expect("an event"))
    };
    page["items"].as_array().expect("a list").iter().map(told).collect()
}

#[tokio::test]
async fn entries_are_listed_newest_first() {
    let (world, auditor) = world().await;
    let all = page(&world, &auditor, "").await;
    let newest = ["signed_in dana", "signed_in noor", "signed_in dana", "client_added -"];
    assert_eq!(events(&all)[..4], newest);
    let first = &all["items"][0];
    assert_eq!((&first["actor"], &first["at"]), (&json!("owner"), &json!("2027-01-15T08:03:00.000Z")));
    assert_eq!(all["items"][3]["name"], "auditor");
    for (query, expected) in [
        ("account=noor&event=signed_in", &["signed_in noor"][..]),
        ("event=client_added", &["client_added -"]),
        ("actor=operator&event=client_added", &["client_added -"]),
        ("event=signed_in&from=2027-01-15T08:02:00Z", &["signed_in dana", "signed_in noor"]),
        ("event=signed_in&until=2027-01-15T08:02:00Z", &["signed_in dana"]),
        ("event=signed_in&from=2027-01-15T08:02:00Z&until=2027-01-15T08:03:00Z", &["signed_in noor"]),
        ("actor=client:none", &[]),
        ("account=none", &[]),
    ] {
        assert_eq!(events(&page(&world, &auditor, query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps() {
    let (world, auditor) = world().await;
    let all = events(&page(&world, &auditor, "").await);
    let (mut paged, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = page(&world, &auditor, &query).await;
        paged.extend(events(&page));
        // A new entry doesn't shift the pages.
        world.attempt("noor", PASSWORD).await.pair();
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&cursor={next}");
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let (world, auditor) = world().await;
    for name in ["account", "event", "actor", "from", "until", "cursor", "limit"] {
        let answer = get(&world, &auditor, &format!("{name}=")).await;
        assert_eq!(answer.status, 400, "{name}: {answer}");
        assert!(answer.json()["errors"][name].is_array(), "{name}: {answer}");
    }
    for query in ["limit=0", "limit=201", "limit=+1", "event=none", "actor=client:", "from=1", "cursor=AAAA"]
    {
        assert_eq!(get(&world, &auditor, query).await.status, 400, "{query}");
    }
}
