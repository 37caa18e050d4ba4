//! The OpenAPI document: it is committed, it lists each method of the router, and it refers to nothing that is missing.
//! `support/documented.rs` compares each response of all tests with it.

use crate::support;

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use quash_server::{HttpSettings, Paths, RefreshCookie, Registration, openapi, paths};
use quash_verify::{SchemeCase, TokenHeader};
use serde_json::Value;

use support::{Call, Plan, World};

/// The document of a server with default settings that also allow to register.
async fn committed() -> (World, Value) {
    let world = World::open().await;
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let document = openapi(world.service.clone(), settings);
    (world, document)
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the variable by which insta's snapshots are renewed, too")]
async fn the_stored_openapi_document_is_current() {
    let (_, document) = committed().await;
    let current = format!("{document:#}\n");
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&place, &current).expect("a document to write");
    }
    assert!(
        std::fs::read_to_string(&place).is_ok_and(|stored| stored == current),
        "docs/reference/openapi.json is out of date; it is renewed by: INSTA_UPDATE=always cargo xtask test the_stored_openapi"
    );
}

#[tokio::test]
async fn each_method_of_the_router_is_documented() {
    let (world, document) = committed().await;
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let open = World::planned(Plan { settings: settings.clone(), ..Plan::default() }).await;
    for path in paths(world.service.clone(), settings) {
        let documented = path.replace("{*", "{");
        let item = [documented.clone(), format!("{documented}/")]
            .into_iter()
            .find_map(|path| document["paths"].get(&path))
            .unwrap_or_else(|| panic!("{path} isn't documented"));
        // No endpoint has this method, so the refusal lists those that it has.
        let refusal = open.send(Call::of(Method::PUT, &path.replace(['{', '}', '*'], ""))).await;
        let allowed = refusal.header("allow").unwrap_or_else(|| panic!("{path}: {refusal}"));
        let allowed: BTreeSet<_> =
            allowed.split(',').map(str::trim).filter(|name| *name != "HEAD").map(str::to_lowercase).collect();
        let listed: BTreeSet<_> = item.as_object().expect("a path").keys().cloned().collect();
        assert_eq!(listed, allowed, "{path}");
    }
}

#[tokio::test]
async fn references_and_operation_ids_are_sound() {
    let (_, document) = committed().await;
    let mut references = Vec::new();
    walk(&document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            references.push(reference.to_owned());
        }
    });
    let mut used = BTreeSet::new();
    for reference in references {
        let place = reference.strip_prefix('#').expect("a reference into the document");
        assert!(document.pointer(place).is_some(), "{reference} is missing");
        used.insert(reference);
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(used.contains(&format!("#/components/schemas/{name}")), "{name} is unused");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{method} {path} repeats the id {id}");
            assert!(operation["summary"].is_string() && operation["security"].is_array(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_document_follows_the_settings() {
    let paths = Paths::parse(&[("token".into(), "/auth/jwt/create/".into())], "/api").expect("paths");
    let settings = HttpSettings {
        paths,
        username_field: "email".into(),
        refresh_cookie: RefreshCookie::On,
        token_header: TokenHeader {
            name: http::HeaderName::from_static("x-auth"),
            schemes: vec!["JWT".into()],
            case: SchemeCase::default(),
        },
        ..HttpSettings::default()
    };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let answer = world.send(Call::get("/openapi.json")).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let document = answer.json();
    assert!(document["paths"].get("/auth/jwt/create/").is_some());
    assert!(
        document["paths"].get("/api/token/").is_none() && document["paths"].get("/v1/registration").is_none()
    );
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["SignIn"]["required"], serde_json::json!(["email", "password"]));
    assert!(schemas["SignIn"]["properties"].get("email").is_some());
    assert_eq!(schemas["RefreshToken"].get("required"), None);
    assert_eq!(document["components"]["securitySchemes"]["accessToken"]["name"], "x-auth");
    let refused = &document["paths"]["/auth/jwt/create/"]["post"]["responses"]["403"];
    assert!(refused["description"].as_str().is_some_and(|text| text.contains("cross_site")), "{refused}");
}

#[tokio::test]
async fn the_page_shows_each_operation_and_schema() {
    let (world, document) = committed().await;
    let page = world.send(Call::get("/docs")).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    // The policy of all pages: no script, and nothing of another origin.
    assert_eq!(
        page.header("content-security-policy"),
        Some(
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    );
    assert!(!page.text().contains("<script") && !page.text().contains(" style="), "{page}");
    let own = world.send(Call::get("/openapi.json")).await.json();
    for (path, item) in own["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path") {
            let heading = format!("<summary><code>{} {path}</code>", method.to_uppercase());
            let id = operation["operationId"].as_str().expect("an id");
            assert!(page.text().contains(&heading), "{heading}");
            assert!(page.text().contains(&format!("<details id=\"{id}\">")), "{id}");
        }
    }
    for name in own["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(page.text().contains(&format!("<details id=\"schema-{name}\">")), "{name}");
    }
    assert!(
        document["paths"].as_object().map(|paths| paths.len())
            > own["paths"].as_object().map(|paths| paths.len())
    );
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}
