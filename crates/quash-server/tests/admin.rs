//! The credentials of the admin API: each operation of the router refuses every credential without its right.

use crate::support;

use http::Method;
use http::header::AUTHORIZATION;
use quash_core::model::{Right, Rights, Timestamp};
use quash_server::{HttpSettings, admin_operations};
use quash_service::{ClientAuthor, NewClient};
use support::{Answer, Call, Plan, World, secs};

/// The operations of the admin API, each with a path without parameters.
pub(crate) fn operations(world: &World) -> Vec<(Method, String, Right)> {
    let operations = admin_operations(world.service.clone(), HttpSettings::default());
    let filled =
        |path: String| path.replace("{subject}", "dana").replace("{name}", "key").replace("{kid}", "kid");
    operations.into_iter().map(|(method, path, right)| (method, filled(path), right)).collect()
}

/// Adds a client, and returns its secret.
pub(crate) async fn secret(world: &World, name: &str, rights: &[Right]) -> String {
    let rights = rights.iter().copied().collect();
    let (_, secret) = world.service.add_client(name, rights, None).await.expect("a client");
    secret.into_text().to_string()
}

async fn call(world: &World, method: &Method, path: &str, header: Option<&str>) -> Answer {
    let mut call = Call::of(method.clone(), path);
    if *method != Method::GET {
        call = call.body("application/json", "{}");
    }
    if let Some(header) = header {
        call = call.header(AUTHORIZATION, header);
    }
    world.send(call).await
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().expect("a code").to_owned())
}

#[tokio::test]
async fn every_admin_operation_is_listed() {
    let world = World::open().await;
    let listed: Vec<_> = operations(&world)
        .into_iter()
        .map(|(method, path, right)| format!("{method} {path} {}", right.as_str()))
        .collect();
    for operation in [
        "PATCH /admin/v1/accounts/dana accounts",
        "POST /admin/v1/accounts/batch accounts",
        "GET /admin/v1/accounts/dana/sessions accounts",
        "GET /admin/v1/clients clients",
        "POST /admin/v1/clients/key/secret clients",
        "GET /admin/v1/keys read",
        "POST /admin/v1/keys/rotate keys",
        "POST /admin/v1/keys/kid/revoke keys",
        "GET /admin/v1/audit audit",
    ] {
        assert!(listed.iter().any(|listed| listed == operation), "{operation}: {listed:#?}");
    }
    let document = world.send(Call::get("/openapi.json")).await.json();
    let paths = document["paths"].as_object().expect("paths");
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/admin/")) {
        for (method, operation) in item.as_object().expect("a path") {
            let right = operation["security"][0]["credential"][0].as_str();
            assert!(right.is_some(), "{method} {path} names no right");
        }
    }
}

#[tokio::test]
async fn admin_operations_need_a_valid_credential() {
    let world = World::open().await;
    let all: Vec<_> = Right::ALL.into_iter().filter(|right| *right != Right::RevokeAsPublic).collect();
    let valid = secret(&world, "all", &all).await;
    let removed = secret(&world, "removed", &all).await;
    world.service.remove_client("removed", |_| true, None).await.expect("it was there");
    let expires_at = Some(Timestamp::from_secs(support::START + 60));
    let new =
        NewClient { name: "expired", rights: all.iter().copied().collect(), namespace: None, expires_at };
    let (_, expired) =
        world.service.create_client(new, ClientAuthor::Operator, None).await.expect("a client");
    let expired = expired.into_text();
    let access = world.attempt("dana", support::PASSWORD).await.pair().access;
    assert_eq!(
        call(&world, &Method::GET, "/admin/v1/keys", Some(&format!("Bearer {}", *expired))).await.status,
        200
    );
    world.clock.go_on(secs(60));
    let invalid = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some(valid.clone()),
        Some(format!("Basic {valid}")),
        Some(format!("Bearer {valid} {valid}")),
        Some(format!("Bearer {}", &valid[..valid.len() - 1])),
        // The last of six characters of a checksum is never a B.
        Some(format!("Bearer {}B", &valid[..valid.len() - 1])),
        Some(format!("Bearer qc_{}", "A".repeat(43))),
        Some(format!("Bearer {removed}")),
        Some(format!("Bearer {}", *expired)),
        Some(format!("Bearer {access}")),
    ];
    for (method, path, _) in operations(&world) {
        let accepted = call(&world, &method, &path, Some(&format!("Bearer {valid}"))).await;
        assert!(![401, 403].contains(&accepted.status), "{method} {path}: {accepted}");
        for header in &invalid {
            let answer = call(&world, &method, &path, header.as_deref()).await;
            assert_eq!(code(&answer), (401, "credential_not_valid".into()), "{method} {path} {header:?}");
        }
    }
}

#[tokio::test]
async fn admin_operations_need_their_right_in_no_namespace() {
    let mut plan = Plan::default();
    plan.policy.tokens.namespaces = super::revocations::namespaces();
    let world = World::planned(plan).await;
    let (_, limited) = world.service.add_namespace_client("site", "shop", None).await.expect("a client");
    let limited = limited.into_text();
    let rights = |but: Option<Right>| -> Vec<Right> {
        Right::ALL
            .into_iter()
            .filter(|right| *right != Right::RevokeAsPublic && Some(*right) != but)
            .collect()
    };
    for (n, (method, path, right)) in operations(&world).into_iter().enumerate() {
        let secret = secret(&world, &format!("client{n}"), &rights(Some(right))).await;
        for credential in [secret.as_str(), limited.as_str()] {
            let answer = call(&world, &method, &path, Some(&format!("Bearer {credential}"))).await;
            assert_eq!(code(&answer), (403, "right_required".into()), "{method} {path}");
            let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
            assert!(detail.contains(&format!("the right `{}`", right.as_str())), "{method} {path}: {detail}");
        }
    }
    assert_eq!(rights(None).into_iter().collect::<Rights>().iter().count(), Right::ALL.len() - 1);
}
