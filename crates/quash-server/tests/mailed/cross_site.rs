//! Requests that pages of other sites make browsers send.

use http::HeaderName;
use http::header::{HOST, ORIGIN};
use quash_server::{HttpSettings, Origin, PublicUrl, Registration};
use serde_json::json;

use crate::support::{Call, MAIL_PATHS, Plan, World};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

async fn open() -> World {
    let settings = HttpSettings {
        public_url: PublicUrl::parse("https://id.example.org").ok(),
        cors_origins: vec![Origin::parse("https://app.example.org").expect("an origin")],
        registration: Registration::Open,
        ..HttpSettings::default()
    };
    World::planned(Plan { settings, ..Plan::default() }).await
}

#[tokio::test]
async fn a74_cross_site_pages_cannot_send_mail_requests() {
    let world = open().await;
    let pair = world.sign_in("dana").await;
    let hostile: [&[(HeaderName, &str)]; 11] = [
        &[(SITE, "cross-site"), (ORIGIN, "null")],
        &[(SITE, "none"), (ORIGIN, "null")],
        &[(SITE, "cross-site")],
        &[(SITE, "same-site")],
        &[(SITE, "cross-site"), (ORIGIN, "https://evil.example")],
        &[(SITE, "same-origin"), (ORIGIN, "https://evil.example")],
        &[(ORIGIN, "https://evil.example")],
        &[(ORIGIN, "null")],
        &[(ORIGIN, "https://id.example.org.evil.example")],
        &[(ORIGIN, "https://id.example.org"), (ORIGIN, "https://evil.example")],
        &[(SITE, "same-origin"), (SITE, "cross-site")],
    ];
    for path in MAIL_PATHS {
        for headers in hostile {
            let call = Call::post(path)
                .bearer(&pair.access)
                .header(HOST, "id.example.org")
                .json(&json!({ "email": "dana@example.org" }));
            let call = headers.iter().fold(call, |call, (name, value)| call.header(name.clone(), value));
            let answer = world.send(call).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (403, Some("cross_site")),
                "{path} {headers:?}"
            );
        }
    }
    assert!(world.mails().await.is_empty());
}

#[tokio::test]
async fn a74_own_pages_named_origins_and_programs_may_send() {
    let world = open().await;
    let friendly: [&[(HeaderName, &str)]; 8] = [
        &[],
        &[(SITE, "same-origin"), (ORIGIN, "null")],
        &[(SITE, "same-origin"), (ORIGIN, "https://id.example.org")],
        &[(ORIGIN, "https://id.example.org")],
        &[(SITE, "none")],
        &[(SITE, "cross-site"), (ORIGIN, "https://app.example.org")],
        &[(ORIGIN, "https://app.example.org")],
        &[(SITE, "same-origin"), (ORIGIN, "http://127.0.0.1:7827"), (HOST, "127.0.0.1:7827")],
    ];
    for headers in friendly {
        let call = Call::post("/v1/password-reset").json(&json!({ "username": "nobody" }));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name.clone(), value));
        assert_eq!(world.send(call).await.status, 202, "{headers:?}");
    }
    // Users follow the link from their mail reader's site.
    let call = Call::get("/reset?token=none").header(SITE, "cross-site");
    assert_eq!(world.send(call).await.status, 400);
}

#[tokio::test]
async fn a74_simple_form_bodies_are_not_json() {
    let world = open().await;
    for media_type in ["text/plain", "text/plain; charset=utf-8", ""] {
        let call =
            Call::post("/v1/password-reset").body(media_type, json!({ "username": "dana" }).to_string());
        assert_eq!(world.send(call).await.status, 415, "{media_type}");
    }
}
