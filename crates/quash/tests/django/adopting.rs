//! Tokens of a Django site at a quash that accepts them: verified, adopted once, and ended.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;

use serde_json::json;

use crate::guide;
use crate::hostile::with;
use crate::python::{PyJwt, python};
use crate::quash_dir::{PASSWORD, QuashDir, add_account, sessions};
use crate::site::Site;
use crate::support::{Answer, Pair, Server, claims, request};

const AT_ONCE: usize = 16;

#[test]
fn concurrent_requests_adopt_a_django_pair_once() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    site.configure(r#"SIMPLE_JWT = {"TOKEN_OBTAIN_SERIALIZER": "serializers.WithClaims"}"#);
    let theirs = site.start().sign_in();
    let settings = guide::settings("# quash.toml, with the site's secret");
    let quash = dir.quash(&settings);
    add_account(&quash, "dana", "1");

    for token in [&theirs.access, &theirs.refresh] {
        let verified = verify(&quash, token);
        assert_eq!((verified.status, verified.text.as_str()), (200, "{}"));
    }
    assert_eq!(quash.get("/v1/me", Some(&theirs.access)).body["username"], "dana");
    assert!(sessions(&quash, "dana").is_empty(), "none of that opens one");

    let pairs = all_at_once(&quash, &theirs.refresh);
    let [session] = sessions(&quash, "dana").try_into().expect("one session");
    assert_eq!((&session["state"], &session["generation"]), (&json!("live"), &json!(1)), "{session}");
    let told: BTreeSet<String> =
        pairs.iter().flat_map(|pair| [&pair.access, &pair.refresh]).map(|it| claim(it, "sid")).collect();
    assert_eq!(
        told,
        BTreeSet::from([session["sid"].as_str().expect("an id").to_owned()]),
        "all tokens are of it"
    );
    let successors: BTreeSet<String> = pairs.iter().map(|pair| claim(&pair.refresh, "jti")).collect();
    assert_eq!(successors.len(), 1, "one successor");
    for pair in &pairs {
        assert_eq!(quash.get("/v1/me", Some(&pair.access)).status, 200);
    }
    let said = claims(&pairs[0].access);
    assert_eq!(
        (&said["name"], &said["groups"]),
        (&json!("dana"), &json!(["staff", "night shift"])),
        "its claims are kept: {said}"
    );

    // Once more within the grace, and then after it.
    let again = pair(&refresh(&quash, &theirs.refresh));
    assert_eq!(claim(&again.refresh, "jti"), claim(&pairs[0].refresh, "jti"));
    drop(quash);
    let quash = dir.quash(&format!("{settings}\n[rotation]\ngrace = \"1ms\"\n"));
    let reused = refresh(&quash, &theirs.refresh);
    assert_eq!((reused.status, reused.body["reason"].as_str()), (401, Some("reuse")), "{}", reused.text);
    for pair in [&pairs[0], &again] {
        assert_eq!(quash.get("/v1/me", Some(&pair.access)).status, 401);
        assert_eq!(refresh(&quash, &pair.refresh).status, 401);
    }
    assert_eq!(sessions(&quash, "dana")[0]["ended_reason"], "reuse");
}

#[test]
fn adopted_sessions_behave_like_any_other() {
    let Some(python) = python() else { return };
    let (dir, site) = site(&python);
    let theirs = site.start().sign_in();
    let quash = dir.quash(&guide::settings("# quash.toml, with the site's secret"));
    add_account(&quash, "dana", "1");
    let first = pair(&refresh(&quash, &theirs.refresh));
    let second = pair(&refresh(&quash, &first.refresh));
    assert_eq!(refused_as(&verify(&quash, &theirs.refresh)), "Token is blacklisted");
    // By now, Django's token is older than the parent.
    let reused = refresh(&quash, &theirs.refresh);
    assert_eq!((reused.status, reused.body["reason"].as_str()), (401, Some("reuse")), "{}", reused.text);
    assert_eq!(quash.get("/v1/me", Some(&second.access)).status, 401);
    // Django's access token is independent of the session that Django's refresh token has opened.
    assert_eq!(quash.get("/v1/me", Some(&theirs.access)).status, 200);
}

#[test]
fn django_tokens_ended_at_quash_are_refused_there() {
    let Some(python) = python() else { return };
    let (dir, site) = site(&python);
    let node = site.start();
    let [fresh, adopted, logged_out, adopted_and_logged_out] = [(); 4].map(|()| node.sign_in());
    let quash = dir.quash(&guide::settings("# quash.toml, with the site's secret"));
    add_account(&quash, "dana", "1");

    let blacklist =
        |token: &str| quash.post_json("/api/token/blacklist/", &json!({ "refresh": token }), None);
    let log_out = |pair: &Pair| {
        quash.post_json("/api/logout/", &json!({ "refresh": pair.refresh }), Some(&pair.access))
    };
    let is_over = |refresh_token: &str| {
        assert_eq!(refused_as(&verify(&quash, refresh_token)), "Token is blacklisted");
        assert_eq!(refused_as(&refresh(&quash, refresh_token)), "Token is blacklisted");
        assert_eq!(refused_as(&blacklist(refresh_token)), "Token is blacklisted", "a second time");
    };

    assert_eq!(blacklist(&fresh.refresh).status, 200);
    is_over(&fresh.refresh);
    assert_eq!(
        quash.get("/v1/me", Some(&fresh.access)).status,
        200,
        "the guide says that it can't be reached"
    );

    let ours = pair(&refresh(&quash, &adopted.refresh));
    assert_eq!(blacklist(&adopted.refresh).status, 200);
    is_over(&adopted.refresh);
    assert_eq!(
        quash.get("/v1/me", Some(&ours.access)).status,
        401,
        "the session that it has opened has ended"
    );
    assert_eq!(refresh(&quash, &ours.refresh).status, 401);

    assert_eq!(log_out(&logged_out).status, 200);
    is_over(&logged_out.refresh);
    assert_eq!(quash.get("/v1/me", Some(&logged_out.access)).status, 401, "presented with it, it is reached");
    assert_eq!(refused_as(&verify(&quash, &logged_out.access)), "Token is blacklisted");

    let ours = pair(&refresh(&quash, &adopted_and_logged_out.refresh));
    assert_eq!(log_out(&adopted_and_logged_out).status, 200);
    is_over(&adopted_and_logged_out.refresh);
    for access in [&adopted_and_logged_out.access, &ours.access] {
        assert_eq!(quash.get("/v1/me", Some(access)).status, 401);
    }
    // The site that signed them doesn't learn of it.
    assert_eq!(node.post("/api/token/verify/", &json!({ "token": fresh.refresh })).status, 200);
}

#[test]
fn django_tokens_are_refused_without_the_setting() {
    let Some(python) = python() else { return };
    let (dir, site) = site(&python);
    let theirs = site.start().sign_in();
    let settings = guide::settings("# quash.toml, with the site's secret");
    let until = settings.lines().find(|line| line.starts_with("foreign_tokens")).expect("it is set");
    for (taking, expected) in [
        ("foreign_tokens = \"reject\"", 401),
        ("foreign_tokens = \"until 2026-01-01\"", 401),
        ("", 401),
        (until, 200),
        ("foreign_tokens = \"accept\"", 200),
    ] {
        let quash = dir.quash(&settings.replace(until, taking));
        if quash.run(&["account", "show", "dana"], "").code() != 0 {
            add_account(&quash, "dana", "1");
        }
        let ours = quash.sign_in("dana", PASSWORD);
        assert_eq!(
            verify(&quash, &ours.access).status,
            200,
            "{taking:?}: one of ours, under the same secret"
        );
        let answers = [
            verify(&quash, &theirs.access),
            verify(&quash, &theirs.refresh),
            quash.get("/v1/me", Some(&theirs.access)),
        ];
        assert_eq!(answers.map(|answer| answer.status), [expected; 3], "{taking:?}");
        if expected == 401 {
            assert_eq!(refused_as(&refresh(&quash, &theirs.refresh)), "Token is invalid", "{taking:?}");
        }
    }
}

#[test]
fn rsa_tokens_of_a_site_are_accepted() {
    let Some(python) = python() else { return };
    let (dir, site) = site(&python);
    let key = PyJwt::start(&python).make("rsa");
    dir.write("site.key", &key.pkcs8);
    dir.write("site.pub", &key.public);
    let read = |name: &str| format!("open({:?}).read()", dir.path().join(name));
    site.configure(&format!(
        "SIMPLE_JWT = {{\"ALGORITHM\": \"RS256\", \"SIGNING_KEY\": {}, \"VERIFYING_KEY\": {}}}",
        read("site.key"),
        read("site.pub")
    ));
    let jwk = with(&key.jwk, &json!({ "alg": "RS256", "use": "sig" }));
    site.write("jwks.json", &json!({ "keys": [jwk] }).to_string());
    let node = site.start();

    for keys in [
        "algorithm = \"RS256\"\npublic_key_file = \"site.pub\"".to_owned(),
        format!("algorithm = \"RS256\"\npublic_key = '{}'", key.jwk),
        format!("jwks_url = \"{}/.well-known/jwks.json\"", node.url),
    ] {
        let dir = QuashDir::new();
        dir.write("site.pub", &key.public);
        let quash = dir.quash(&format!(
            "[tokens]\nforeign_tokens = \"accept\"\n[foreign.django]\n{keys}\nmax_lifetime = \"1d\"\n"
        ));
        add_account(&quash, "dana", "1");
        let theirs = node.sign_in();
        assert_eq!(verify(&quash, &theirs.access).status, 200, "{keys}");
        let ours = pair(&refresh(&quash, &theirs.refresh));
        assert_eq!(quash.get("/v1/me", Some(&ours.access)).status, 200, "{keys}");
        let of_another = PyJwt::start(&python).make("rsa");
        let forged =
            PyJwt::start(&python).sign(&claims(&theirs.access), &of_another.pkcs8, "RS256", &json!({}));
        assert_eq!(refused_as(&verify(&quash, &forged)), "Token is invalid", "{keys}");
    }
}

#[test]
fn django_sliding_tokens_open_a_session() {
    let Some(python) = python() else { return };
    let (dir, site) = site(&python);
    let node = site.start();
    let signed_in = node.post("/api/token/sliding/", &json!({ "username": "dana", "password": PASSWORD }));
    let theirs = signed_in.body["token"].as_str().expect("a token");
    let settings = guide::settings("# quash.toml, with the site's secret");
    let quash =
        dir.quash(&settings.replacen("[tokens]\n", "[tokens]\nauth_token_classes = [\"sliding\"]\n", 1));
    add_account(&quash, "dana", "1");

    assert_eq!(verify(&quash, theirs).status, 200);
    assert_eq!(quash.get("/v1/me", Some(theirs)).status, 200);
    let renew =
        |token: &str| quash.post_json("/api/token/sliding/refresh/", &json!({ "token": token }), None);
    let renewed = renew(theirs);
    let ours = renewed.body["token"].as_str().unwrap_or_else(|| panic!("{}", renewed.text));
    assert_eq!(
        claims(ours)["refresh_exp"],
        claims(theirs)["refresh_exp"],
        "it can be renewed as long as theirs could"
    );
    assert_eq!(
        claim(renew(theirs).body["token"].as_str().expect("a token"), "jti"),
        claim(ours, "jti"),
        "one session"
    );
    let [session] = sessions(&quash, "dana").try_into().expect("one session");
    assert_eq!(session["sid"], claims(ours)["sid"]);

    let ended = quash.run(&["session", "end", session["sid"].as_str().expect("an id")], "");
    assert!(ended.status.success(), "{}", ended.stderr);
    for token in [ours, theirs] {
        assert_eq!((quash.get("/v1/me", Some(token)).status, renew(token).status), (401, 401), "{token}");
    }
}

#[test]
fn the_shared_secret_is_optional_from_the_start() {
    let Some(python) = python() else { return };
    let (dir, site) = site(&python);
    let theirs = site.start().sign_in();
    let shared = guide::settings("# quash.toml, with the site's secret");
    let (tokens, foreign) = shared.split_once("[foreign").expect("another issuer");
    let taking = tokens.lines().find(|line| line.starts_with("foreign_tokens")).expect("it is set");
    let settings = guide::settings("# quash.toml, with keys that nodes fetch");
    let quash = dir.quash(&format!("{settings}{taking}\n[foreign{foreign}"));
    add_account(&quash, "dana", "1");
    site.configure(&guide::block_for("# settings.py of a node", &quash.url));
    let node = site.start();

    assert_eq!(node.orders(&theirs.access).status, 401, "its front end refreshes");
    let ours = pair(&refresh(&quash, &theirs.refresh));
    assert_eq!(node.orders(&ours.access).status, 200);
}

fn site(python: &Path) -> (QuashDir, Site) {
    let dir = QuashDir::new();
    let site = Site::new(python, &dir);
    (dir, site)
}

fn all_at_once(quash: &Server, token: &str) -> Vec<Pair> {
    let start = Barrier::new(AT_ONCE);
    let body = json!({ "refresh": token }).to_string();
    let one = || {
        start.wait();
        let headers = [("Content-Type", "application/json")];
        pair(
            &request(quash.address, "POST", "/api/token/refresh/", &headers, body.as_bytes())
                .expect("an answer"),
        )
    };
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        requests.into_iter().map(|request| request.join().expect("an answer")).collect()
    })
}

fn refresh(quash: &Server, token: &str) -> Answer {
    quash.post_json("/api/token/refresh/", &json!({ "refresh": token }), None)
}

fn verify(quash: &Server, token: &str) -> Answer {
    quash.post_json("/api/token/verify/", &json!({ "token": token }), None)
}

fn pair(answer: &Answer) -> Pair {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let token = |member: &str| answer.body[member].as_str().expect("a token").to_owned();
    Pair { access: token("access"), refresh: token("refresh") }
}

fn refused_as(answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (401, Some("token_not_valid")),
        "{}",
        answer.text
    );
    answer.body["detail"].as_str().expect("a text").to_owned()
}

fn claim(token: &str, name: &str) -> String {
    claims(token)[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned()
}
