//! The pages that links in mails open, in a real browser: usable by keyboard alone and without scripts, with
//! no request to another origin, and without violations found by axe.

mod chromium;
#[path = "../support/mod.rs"]
mod support;

use serde_json::json;

use chromium::{Browser, Scripts, tools};
use support::Server;
use support::smtp::{Behaviour, Smtp};

const PASSWORD: &str = "a password of dana's";
const NEW_PASSWORD: &str = "another password of hers";

/// Starts a server that sends mails.
fn start(smtp: &Smtp, more: &[&str]) -> Server {
    let settings = [
        "mail.host=127.0.0.1".to_owned(),
        format!("mail.port={}", smtp.address.port()),
        "mail.encryption=none".to_owned(),
        "mail.from=no-reply@id.example".to_owned(),
        "http.public_url=https://id.example".to_owned(),
        "registration.enabled=true".to_owned(),
    ];
    let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    let server = Server::start(&flags);
    let add = ["account", "add", "dana", "--email", "dana@example.org", "--password-stdin"];
    let added = server.run(&[&add[..], more].concat(), PASSWORD);
    assert!(added.status.success(), "{}", added.stderr);
    server
}

/// Returns the address of the page in the next mail's link, with the server's own address.
fn page(server: &Server, smtp: &Smtp, path: &str) -> String {
    format!("{}{path}?token={}", server.url, smtp.next().token())
}

fn keeps_to_itself(browser: &Browser, server: &Server) {
    assert!(browser.requests.len() >= 2, "the page and its stylesheet: {:?}", browser.requests);
    for url in &browser.requests {
        assert!(url.starts_with(&format!("{}/", server.url)), "a request to another origin: {url}");
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn the_reset_page_works_by_keyboard_without_scripts() {
    let Some(tools) = tools() else { return };
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(&smtp, &["--verified"]);
    server.post_json("/v1/password-reset", &json!({ "username": "dana" }), None);
    let mut browser = Browser::start(&tools, Scripts::Disabled);
    browser.open(&page(&server, &smtp, "/reset"));
    // The cursor is in the field, and Enter submits the form.
    browser.type_text("short");
    browser.press_and_wait("Enter");
    let html = browser.html();
    assert!(
        html.contains("The new password has fewer than 8 characters.")
            && html.contains("aria-invalid=\"true\""),
        "{html}"
    );
    browser.type_text(NEW_PASSWORD);
    browser.press("Tab");
    browser.press_and_wait(" ");
    let html = browser.html();
    assert!(html.contains("Your password has been changed"), "{html}");
    keeps_to_itself(&browser, &server);
    server.sign_in("dana", NEW_PASSWORD);
}

#[test]
fn the_confirmation_page_works_by_keyboard_without_scripts() {
    let Some(tools) = tools() else { return };
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(&smtp, &[]);
    let refused = server.post_json("/api/token/", &json!({ "username": "dana", "password": PASSWORD }), None);
    assert_eq!(refused.body["code"], "email_not_verified");
    let mut browser = Browser::start(&tools, Scripts::Disabled);
    browser.open(&page(&server, &smtp, "/verify"));
    browser.press("Tab");
    browser.press_and_wait("Enter");
    let html = browser.html();
    assert!(html.contains("Your e-mail address is confirmed"), "{html}");
    keeps_to_itself(&browser, &server);
    server.sign_in("dana", PASSWORD);
}

#[test]
fn axe_finds_no_violations_on_any_page() {
    let Some(tools) = tools() else { return };
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(&smtp, &[]);
    let mut browser = Browser::start(&tools, Scripts::Run);
    let look = |browser: &mut Browser, title: &str| {
        let html = browser.html();
        assert!(html.contains(title), "{title}: {html}");
        assert_eq!(browser.violations(), [""; 0], "{title}");
    };
    server.post_json("/v1/email-verification", &json!({ "username": "dana" }), None);
    let verify = page(&server, &smtp, "/verify");
    browser.open(&verify);
    look(&mut browser, "Confirm your e-mail address");
    browser.press("Tab");
    browser.press_and_wait("Enter");
    look(&mut browser, "Your e-mail address is confirmed");
    browser.open(&verify);
    look(&mut browser, "This link is not valid any more");
    server.post_json("/v1/password-reset", &json!({ "username": "dana" }), None);
    let reset = page(&server, &smtp, "/reset");
    browser.open(&reset);
    look(&mut browser, "Choose a new password");
    browser.type_text("short");
    browser.press_and_wait("Enter");
    look(&mut browser, "Error: Choose a new password");
    for scheme in ["light", "dark"] {
        browser.prefer_colour_scheme(scheme);
        for (path, title) in [
            ("/", "It is ready."),
            ("/docs", "Operations"),
            ("/docs/errors/", "Errors"),
            ("/docs/errors/claim_missing", "quash account set"),
        ] {
            browser.open(&format!("{}{path}", server.url));
            look(&mut browser, title);
        }
        browser.open(&reset);
        look(&mut browser, "Choose a new password");
    }
    let register = |email: &str| {
        let body = json!({ "username": "maximilian", "email": email, "password": PASSWORD });
        assert_eq!(server.post_json("/v1/registration", &body, None).status, 202);
        page(&server, &smtp, "/verify")
    };
    let (first, second) = (register("max@example.org"), register("lee@example.org"));
    browser.open(&first);
    look(&mut browser, "maximilian");
    browser.press("Tab");
    browser.press_and_wait("Enter");
    look(&mut browser, "Your e-mail address is confirmed");
    browser.open(&second);
    browser.press("Tab");
    browser.press_and_wait("Enter");
    look(&mut browser, "This name or address has been taken");
    keeps_to_itself(&browser, &server);
}
