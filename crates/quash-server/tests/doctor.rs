//! The checks of an installation at the admin API.

use crate::support;

use std::sync::Arc;

use async_trait::async_trait;
use quash_core::model::Right;
use quash_service::doctor::{BackupFile, CHECKS, FactSource, Facts};
use serde_json::Value;

use support::{Call, World, secs};

/// A machine on which a password hash takes long.
struct SlowMachine;

#[async_trait]
impl FactSource for SlowMachine {
    async fn facts(&self) -> Facts {
        Facts { hash_time: Some(secs(2)), ..Facts::default() }
    }

    fn backup(&self, _: &str) -> Option<BackupFile> {
        None
    }
}

async fn secret(world: &World, name: &str, right: Right) -> String {
    let added = world.service.add_client(name, [right].into_iter().collect(), None).await;
    added.expect("a client").1.into_text().to_string()
}

async fn diagnosis(world: &World, secret: &str) -> Value {
    let answer = world.send(Call::get("/admin/v1/doctor").bearer(secret)).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

fn level<'a>(diagnosis: &'a Value, check: &str) -> &'a str {
    let checks = diagnosis["checks"].as_array().expect("checks");
    let found = checks.iter().find(|shown| shown["check"] == check).expect("a check");
    found["level"].as_str().expect("a level")
}

#[tokio::test]
async fn clients_with_the_right_read_see_all_checks() {
    let world = World::open().await;
    let (reader, other) =
        (secret(&world, "reader", Right::Read).await, secret(&world, "other", Right::Accounts).await);
    let code = async |secret: &str| {
        let answer = world.send(Call::get("/admin/v1/doctor").bearer(secret)).await;
        answer.json()["code"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(code(&other).await, "right_required");
    assert_eq!(code("qc_unknown").await, "credential_not_valid");
    let first = diagnosis(&world, &reader).await;
    assert_eq!(first["checks"].as_array().map(Vec::len), Some(CHECKS.len()));
    assert_eq!((level(&first, "signing_key"), level(&first, "access_lifetime")), ("ok", "skipped"));
    // The facts are gathered anew after ten seconds.
    world.service.set_fact_source(Arc::new(SlowMachine));
    assert_eq!(diagnosis(&world, &reader).await, first);
    world.wait(secs(10));
    let second = diagnosis(&world, &reader).await;
    assert_eq!((level(&first, "password_cost"), level(&second, "password_cost")), ("skipped", "warning"));
}
