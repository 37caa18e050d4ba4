//! The pages that links in mails open.

use quash_core::model::MailKind;
use serde_json::json;

use super::{NEW_PASSWORD, danas_link, reset};
use crate::support::{Answer, Call, PASSWORD, World, link};

async fn send(world: &World, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    world.send(Call::post(path).body("application/x-www-form-urlencoded", body)).await
}

#[tokio::test]
async fn a66_fetching_a_link_does_not_use_it() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    for _ in 0..3 {
        let page = world.send(Call::get(&format!("/reset?token={link}"))).await;
        assert_eq!(
            (page.status, page.header("referrer-policy"), page.header("cache-control")),
            (200, Some("no-referrer"), Some("no-store"))
        );
        let head = world.send(Call::of(http::Method::HEAD, &format!("/reset?token={link}"))).await;
        assert_eq!(head.status, 200);
    }
    assert_eq!(send(&world, "/reset", &[("token", &link), ("new_password", NEW_PASSWORD)]).await.status, 200);
    assert_eq!(world.send(Call::get(&format!("/reset?token={link}"))).await.status, 400);
    world.assert_live(&world.attempt("dana", NEW_PASSWORD).await.pair()).await;
}

#[tokio::test]
async fn a76_pages_are_unframeable_uncached_and_self_contained() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    let good = world.send(Call::get(&format!("/reset?token={link}"))).await;
    let done = send(&world, "/reset", &[("token", &link), ("new_password", NEW_PASSWORD)]).await;
    let bad = world.send(Call::get("/verify?token=none")).await;
    assert_eq!((good.status, done.status, bad.status), (200, 200, 400));
    for page in [good, done, bad] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(page.header("content-security-policy").unwrap_or_default(), @"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
        }
        assert_eq!(
            (page.header("cache-control"), page.header("x-content-type-options")),
            (Some("no-store"), Some("nosniff"))
        );
        for text in ["://", "<script", "src=", "style=", " on", "http-equiv"] {
            assert!(text == " on" || !page.text().contains(text), "{text}: {page}");
        }
        assert!(
            page.text().starts_with("<!doctype html>\n<html lang=\"en\">")
                && page.text().contains("href=\"pages.css\"")
        );
    }
    let style = world.send(Call::get("/pages.css")).await;
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(!style.text().contains("url(") && !style.text().contains("@import"));
}

#[tokio::test]
async fn forms_show_errors_at_their_field() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    let long = "x".repeat(1025);
    for (password, words) in [
        ("short", "The new password has fewer than 8 characters."),
        ("", "This field may not be blank."),
        (&long, "Ensure this field has no more than 1024 characters."),
    ] {
        let page = send(&world, "/reset", &[("token", &link), ("new_password", password)]).await;
        assert_eq!(page.status, 400);
        assert!(page.text().contains(&format!("<p class=\"error\" id=\"error\">{words}</p>")), "{page}");
        assert!(
            page.text().contains("aria-invalid=\"true\"")
                && page.text().contains("aria-describedby=\"rules error\""),
            "{page}"
        );
        assert!(page.text().contains(&format!("name=\"token\" value=\"{link}\"")), "nothing is lost: {page}");
        assert!(password.is_empty() || !page.text().contains(password), "but the password: {page}");
    }
    assert_eq!(reset(&world, &link).await.status, 200);
}

#[tokio::test]
async fn addresses_are_confirmed_with_a_button() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    world.post("/v1/email-verification", &json!({ "username": "max" })).await;
    let verification = link(&world.mails().await[0]);
    let page = world.send(Call::get(&format!("/verify?token={verification}"))).await;
    assert!(
        page.status == 200 && page.text().contains("<button type=\"submit\">Confirm this address</button>"),
        "{page}"
    );
    assert_eq!(send(&world, "/email", &[("token", &verification)]).await.status, 400);
    assert_eq!(send(&world, "/verify", &[("token", &verification)]).await.status, 200);
    assert_eq!(send(&world, "/verify", &[("token", &verification)]).await.status, 400);
    let pair = world.sign_in("max").await;
    world
        .send(
            Call::post("/v1/me/email")
                .bearer(&pair.access)
                .json(&json!({ "email": "new@example.org", "password": PASSWORD })),
        )
        .await;
    let email =
        world.mails().await.into_iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail");
    assert_eq!(world.send(Call::get(&format!("/email?token={}", link(&email)))).await.status, 200);
    assert_eq!(send(&world, "/email", &[("token", &link(&email))]).await.status, 200);
    world.assert_dead(&pair).await;
    assert_eq!(world.me(&world.sign_in("max").await.access).await.json()["email"], "new@example.org");
}

#[tokio::test]
async fn a77_redirect_parameters_are_ignored() {
    let world = World::open().await;
    for next in [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "%2f%2fevil.example",
        "javascript:alert(1)",
        "http:///evil.example",
        "/%09/evil.example",
        "//a@evil.example",
    ] {
        let link = danas_link(&world).await;
        for name in ["next", "return", "return_to", "redirect_uri", "url"] {
            let page = world.send(Call::get(&format!("/reset?token={link}&{name}={next}"))).await;
            assert!(
                page.status == 200
                    && page.header("location").is_none()
                    && !page.text().contains("evil")
                    && !page.text().contains("alert"),
                "{page}"
            );
        }
        let referer =
            Call::post(&format!("/reset?next={next}")).header(http::header::REFERER, "https://evil.example/");
        let body = format!("token={link}&new_password=another+horse,+another+staple&next={next}");
        let page = world.send(referer.body("application/x-www-form-urlencoded", body)).await;
        assert!(
            page.status == 200 && page.header("location").is_none() && !page.text().contains("evil"),
            "{page}"
        );
        world.wait(crate::support::secs(3600));
    }
}

#[tokio::test]
async fn url_parameters_are_escaped_on_pages() {
    let world = World::open().await;
    for token in
        ["%3Cscript%3Ealert(1)%3C/script%3E", "%22%3E%3Cimg%20src=x%3E", "%00", "%ff", "a&token=b", ""]
    {
        let page = world.send(Call::get(&format!("/reset?token={token}"))).await;
        assert!(
            page.status == 400 && !page.text().contains("alert") && !page.text().contains("<img"),
            "{page}"
        );
        let page = world
            .send(
                Call::post("/reset")
                    .body("application/x-www-form-urlencoded", format!("token={token}&new_password=short")),
            )
            .await;
        assert!(
            page.status == 400 && !page.text().contains("<script") && !page.text().contains("<img"),
            "{page}"
        );
    }
    assert_eq!(world.send(Call::get("/reset")).await.status, 400);
    assert_eq!(world.send(Call::post("/reset").body("text/plain", "x")).await.status, 415);
    assert_eq!(
        world.send(Call::of(http::Method::PUT, "/reset")).await.header("allow"),
        Some("GET, HEAD, POST")
    );
}

#[tokio::test]
async fn pages_report_an_unavailable_store() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    world.store.break_part(crate::support::Part::Rows, crate::support::FaultyStore::away());
    let page = world.send(Call::get(&format!("/reset?token={link}"))).await;
    assert!(
        page.status == 503 && page.header("retry-after").is_some() && page.text().contains("still valid"),
        "{page}"
    );
}
