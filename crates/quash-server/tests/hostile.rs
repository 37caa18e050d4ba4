//! Hostile requests: for any input, the response is one of the contract's, and nothing breaks.
//!
//! A80 to A82 need a connection: they are in `sockets/` and in the tests of the binary. A85 needs a paginated
//! list, which this server doesn't have.

use crate::support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Method};
use quash_core::model::{Entropy, Name, NumericNames, Right, Seeded, draw};
use quash_server::{HttpSettings, Registration};
use serde_json::{Value, json};

use support::{
    CLIENT_PATHS, Call, MAIL_PATHS, OWN_PATHS, PASSWORD, Plan, READ_PATHS, TOKEN_PATHS, World, secs,
};

/// The metadata of the endpoints for other services.
const METADATA: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn a43_only_post_changes_state() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.hashes();
    let before = world.sessions("dana").await;
    let body =
        json!({ "username": "dana", "password": PASSWORD, "refresh": pair.refresh, "token": pair.access });
    let overriding =
        ["x-http-method-override", "x-http-method", "x-method-override"].map(HeaderName::from_static);
    let own = Method::from_bytes(b"PROPFIND").expect("a method");
    for (path, _) in TOKEN_PATHS {
        for target in [path.to_owned(), format!("{path}/"), format!("{path}/?_method=POST")] {
            for method in [
                Method::GET,
                Method::HEAD,
                Method::PUT,
                Method::DELETE,
                Method::PATCH,
                Method::TRACE,
                own.clone(),
            ] {
                let call = Call::of(method.clone(), &target).bearer(&pair.access).json(&body);
                let call = overriding.iter().fold(call, |call, name| call.header(name.clone(), "POST"));
                let answer = world.send(call).await;
                assert_eq!(
                    (answer.status, answer.header("allow")),
                    (405, Some("POST, OPTIONS")),
                    "{method} {target}"
                );
                assert!(!answer.holds_a_token());
            }
        }
    }
    assert_eq!((world.hashes(), world.sessions("dana").await), (0, before));
    world.assert_live(&pair).await;
    insta::assert_snapshot!(world.send(Call::get("/api/token/refresh/")).await, @r#"
    405
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"detail":"Method \"GET\" not allowed."}
    "#);
    insta::assert_snapshot!(world.send(Call::of(Method::HEAD, "/api/token/refresh/")).await, @r#"
    405
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    "#);
}

#[tokio::test]
async fn a44_tokens_and_passwords_in_urls_are_ignored() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.hashes();
    let query = format!("refresh={0}&token={0}&username=dana&password=x", pair.refresh);
    for (path, field) in TOKEN_PATHS {
        let answer = world.send(Call::post(&format!("{path}/?{query}")).bearer(&pair.access)).await;
        assert_eq!(
            (answer.status, &answer.json()[field]),
            (400, &json!(["This field is required."])),
            "{path}"
        );
        assert_eq!(world.send(Call::post(&format!("{path}/{}", pair.refresh))).await.status, 404, "{path}");
    }
    assert_eq!(world.hashes(), 0);
    world.assert_live(&pair).await;
}

/// Hostile values for a string.
fn naughty() -> Vec<String> {
    let mut strings: Vec<String> = [
        "' OR '1'='1",
        "dana'--",
        "dana\"; DROP TABLE accounts; --",
        "dana' UNION SELECT * FROM accounts WHERE 'a'='a",
        "1; SELECT pg_sleep(10)",
        "%' AND folded LIKE '%",
        "$(touch /tmp/x) `id` | & ;",
        "{{7*7}} ${7*7} <%= 7*7 %> #{7*7}",
        "<script>alert(1)</script>",
        "../../../../etc/passwd",
        "\r\nSet-Cookie: a=b",
        "\u{1b}[31mred\u{7}\u{8}",
        "\u{202e}anad\u{202c}",
        "da\u{200b}na\u{feff}",
        "ＤＡＮＡ ﷺ ﬃ Å ẛ̣ İ ı ß",
        "👩‍👩‍👧‍👦 \u{1f1e9}\u{1f1ea} Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
        "NULL",
        "undefined",
        "NaN",
        "-0",
        "1e309",
        "0x7fffffffffffffff",
        "\\u0000 \\x00 %00",
        "eyJhbGciOiJub25lIn0.e30.",
        "..",
        ".",
        "a.b.c.d.e",
    ]
    .map(str::to_owned)
    .into();
    strings.extend(["x", "\u{fdfa}", "\u{301}", "\u{10ffff}", "."].map(|c| c.repeat(7_000)));
    strings
}

#[tokio::test]
async fn a84_a86_hostile_strings_are_only_compared() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for string in naughty() {
        let shown: String = string.chars().take(40).collect();
        assert_eq!(world.attempt(&string, PASSWORD).await.status, 401, "{shown:?}");
        assert!(matches!(world.attempt("dana", &string).await.status, 400 | 401), "{shown:?}");
        world.forgive("dana").await;
        assert!(matches!(world.attempt(&string, &string).await.status, 400 | 401 | 413), "{shown:?}");
        for answer in [
            world.refresh(&string).await,
            world.verify(&string).await,
            world.blacklist(&string).await,
            world.log_out(&pair.access, &string).await,
        ] {
            assert_eq!(answer.status, 401, "{shown:?}: {answer}");
        }
        for field in ["username", "refresh", "token", &string] {
            let answer = world.send(Call::post("/api/token/").json(&json!({ field: &string }))).await;
            assert!(matches!(answer.status, 400 | 413), "{shown:?}: {answer}");
        }
    }
    let long = "x".repeat(1024 * 1024);
    assert_eq!(world.attempt(&long, &long).await.status, 413);
    assert_eq!(world.refresh(&long).await.status, 413);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn a86_hostile_names_are_stored_unchanged() {
    let world = World::open().await;
    for name in naughty()
        .into_iter()
        .filter(|name| Name::parse_new(name, NumericNames::Refused).is_ok() && name != ".")
    {
        let new = quash_service::NewAccount {
            name: name.clone(),
            email: None,
            verified: false,
            subject: None,
            password: Some(quash_service::NewPassword::Plain(zeroize::Zeroizing::new(PASSWORD.to_owned()))),
            state: quash_service::NewState::Active,
            claims: None,
        };
        world.service.add_account(new).await.unwrap_or_else(|fault| panic!("{name:?}: {fault}"));
        let pair = world.sign_in(&name).await;
        assert_eq!(world.me(&pair.access).await.json()["username"], name.trim());
    }
}

#[tokio::test]
async fn every_route_handles_every_kind_of_token() {
    let world = World::open().await;
    let revoked = world.sign_in("dana").await;
    let expired = world.sign_in("dana").await;
    world.log_out(&revoked.access, &revoked.refresh).await;
    world.wait(secs(86_400));
    let (live, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let tokens = [
        ("none", None, 401),
        ("empty", Some(String::new()), 401),
        ("garbage", Some("garbage".into()), 401),
        ("another key's", Some(foreign(&live.access)), 401),
        ("of the wrong type", Some(other.refresh), 401),
        ("expired", Some(expired.access), 401),
        ("revoked", Some(revoked.access), 401),
        ("live", Some(live.access), 200),
    ];
    for (kind, token, status) in tokens {
        let with = |call: Call| match &token {
            Some(token) => call.header(AUTHORIZATION, format!("Bearer {token}")),
            None => call,
        };
        assert_eq!(world.send(with(Call::get("/v1/me"))).await.status, status, "{kind}");
        for path in READ_PATHS.into_iter().filter(|path| !path.starts_with("/v1/")) {
            assert_eq!(world.send(with(Call::get(path))).await.status, 200, "{kind}: {path}");
        }
        let body = json!({ "refresh": token, "token": token, "username": token, "password": token });
        for (path, _) in TOKEN_PATHS.into_iter().filter(|_| kind != "live") {
            let status = world.send(with(Call::post(path).json(&body))).await.status;
            assert!(matches!(status, 200 | 400 | 401), "{kind}: {path}: {status}");
            assert!(kind == "of the wrong type" || status != 200, "{kind}: {path}");
        }
        for path in CLIENT_PATHS {
            let of_a_user = with(Call::post(path).body("application/x-www-form-urlencoded", "token=x"));
            assert_eq!(world.send(of_a_user).await.status, 401, "{kind}: {path}: users aren't clients");
        }
        assert_eq!(
            world.send(with(Call::get(METADATA))).await.status,
            404,
            "{kind}: nobody has said where clients reach quash"
        );
    }
}

/// The token as another key would have signed it.
fn foreign(token: &str) -> String {
    use quash_core::token::{Algorithm, SigningKey};
    let key = SigningKey::new(Algorithm::EdDsa, &[9; 32], None).expect("a key");
    let (signed, _) = token.rsplit_once('.').expect("a token");
    let own = key.sign(support::claims(token).to_string().as_bytes()).expect("a signature");
    format!("{signed}.{}", own.rsplit_once('.').expect("a token").1)
}

#[tokio::test]
async fn headers_of_hostile_tokens_are_refused() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let (header, rest) = pair.access.split_once('.').expect("a token");
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("JSON");
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("eddsa")),
        ("alg", json!(1)),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' OR 1=1")),
        ("kid", json!(null)),
        ("kid", json!(["a"])),
        ("typ", json!("at+jwt")),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("jku", json!("https://evil.example/jwks.json")),
        ("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" })),
        ("x5u", json!("https://evil.example/x5u")),
        ("zip", json!("DEF")),
    ] {
        let mut altered = header.clone();
        altered[name] = value.clone();
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(altered.to_string()));
        assert_eq!(world.me(&token).await.status, 401, "{name}: {value}");
        assert_eq!(world.verify(&token).await.status, 401, "{name}: {value}");
    }
}

#[tokio::test]
async fn token_length_is_limited() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let padded = |length: usize| {
        let bare = world.forge(&pair.access, &json!({ "pad": "" })).len();
        (0..)
            .map(|n| {
                world.forge(&pair.access, &json!({ "pad": "x".repeat((length - bare) * 3 / 4 - 2 + n) }))
            })
            .find(|token| token.len() >= length)
    };
    let (longest, over) = (padded(8192).expect("a token"), padded(8193).expect("a token"));
    assert_eq!(longest.len(), 8192);
    assert_eq!(world.me(&longest).await.status, 200);
    assert_eq!(world.me(&over).await.status, 401);
    assert_eq!(world.verify(&over).await.status, 401);
}

/// Random choices that follow from a seed.
struct Dice(Seeded);

impl Dice {
    fn below(&self, end: usize) -> usize {
        usize::try_from(u64::from_le_bytes(draw(&self.0)) % end as u64).expect("a small number")
    }

    fn one_of<'a, T: ?Sized>(&self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn bytes(&self, at_most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.below(at_most + 1)];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Text like JSON: mostly well-formed, sometimes truncated or with a changed byte.
    fn json_ish(&self, tokens: &[&str]) -> Vec<u8> {
        let names = [
            "username",
            "password",
            "refresh",
            "token",
            "email",
            "flow",
            "code",
            "new_password",
            "\u{0}",
            "",
        ];
        let mut members = serde_json::Map::new();
        for _ in 0..self.below(5) {
            members.insert(self.one_of(&names).to_owned(), self.value(tokens, 0));
        }
        let mut text = Value::from(members).to_string().into_bytes();
        match self.below(6) {
            0 => text.truncate(self.below(text.len() + 1)),
            1 => {
                let place = self.below(text.len());
                text[place] = draw::<1>(&self.0)[0];
            }
            _ => {}
        }
        text
    }

    fn value(&self, tokens: &[&str], depth: usize) -> Value {
        match self.below(if depth < 20 { 9 } else { 6 }) {
            0 => Value::Null,
            1 => self.below(2).eq(&0).into(),
            2 => i64::from_le_bytes(draw(&self.0)).into(),
            3 => f64::from_le_bytes(draw(&self.0)).into(),
            4 => String::from_utf8_lossy(&self.bytes(40)).into_owned().into(),
            5 | 6 => self.one_of(tokens).into(),
            7 => vec![self.value(tokens, depth + 1)].into(),
            _ => json!({ "a": self.value(tokens, depth + 1) }),
        }
    }

    fn target(&self) -> String {
        let paths =
            ["/api/token", "/api/token/refresh", "/api/token/verify", "/api/token/blacklist", "/api/logout"];
        let own = OWN_PATHS.map(|(_, path, _)| path);
        let path = self.one_of(
            &[
                &paths[..],
                &READ_PATHS[..],
                &own[..],
                &["/v1/password", METADATA, "/v1/revocations", "/v1/revocations/query"],
                &["/admin/v1/accounts/batch", "/admin/v1/accounts/nobody"],
                &["/admin/v1/accounts/nobody/sessions"],
                &CLIENT_PATHS[..],
                &MAIL_PATHS[..],
            ]
            .concat(),
        );
        let tail: String = self.bytes(12).iter().map(|byte| format!("%{byte:02x}")).collect();
        match self.below(6) {
            0 => format!("{path}/{tail}"),
            1 => format!("{path}?{tail}"),
            2 => format!("/docs/errors/{tail}"),
            3 => format!("{path}/"),
            _ => path.to_owned(),
        }
    }

    fn call(&self, tokens: &[&str]) -> Call {
        let methods = [
            "POST", "POST", "POST", "POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
            "CONNECT", "BREW",
        ];
        let method = Method::from_bytes(self.one_of(&methods).as_bytes()).expect("a method");
        let mut call = Call::of(method, &self.target());
        let media_types = [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=X",
            "text/plain",
            "\u{e9}",
        ];
        if self.below(8) > 0 {
            call = call.header(
                CONTENT_TYPE,
                if self.below(3) > 0 { media_types[0] } else { self.one_of(&media_types) },
            );
        }
        if self.below(4) == 0 {
            let garbage: Vec<u8> =
                self.bytes(20).into_iter().filter(|byte| *byte >= 32 && *byte != 127).collect();
            let ranges = [
                &b"application/json;indent=4"[..],
                b"*/*;q=0",
                b"text/html, image/png",
                b"image/png;,=/*;q=\"",
                &garbage,
            ];
            call = call.header(ACCEPT, self.one_of(&ranges));
        }
        for _ in 0..self.below(3) {
            let garbage =
                self.bytes(20).into_iter().filter(|byte| *byte >= 32 && *byte != 127).collect::<Vec<_>>();
            let bearer =
                format!("{} {}", self.one_of(&["Bearer", "bearer", "Basic", ""]), self.one_of(tokens));
            call = call.header(AUTHORIZATION, if self.below(3) > 0 { bearer.into_bytes() } else { garbage });
        }
        let body = match self.below(4) {
            0 => self.bytes(200),
            1 => [
                &b"--X\r\nContent-Disposition: form-data; name=\"refresh\"\r\n"[..],
                &self.bytes(60),
                b"\r\n--X--\r\n",
            ]
            .concat(),
            _ => self.json_ish(tokens),
        };
        Call { body, ..call }
    }
}

#[tokio::test]
async fn random_requests_never_cause_server_errors() {
    let dice = Dice(Seeded::new(20_260_101));
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let rights = [Right::Introspect, Right::Revoke, Right::Accounts].into_iter().collect();
    let (_, secret) = world.service.add_client("shop", rights, None).await.expect("a client");
    let secret = secret.into_text();
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for round in 0..20 {
        let (pair, spent) = (world.sign_in("dana").await, world.sign_in("noor").await);
        world.refresh(&spent.refresh).await.pair();
        let tokens = [
            &pair.access[..],
            &pair.refresh,
            &spent.access,
            &spent.refresh,
            "a.b.c",
            "dana",
            PASSWORD,
            &secret,
        ];
        for _ in 0..100 {
            let call = dice.call(&tokens);
            let answer = world.send(call.clone()).await;
            assert!(answer.status < 500, "round {round}: {call:?}\n{answer}");
            *statuses.entry(answer.status).or_default() += 1;
        }
        world.wait(secs(20));
    }
    assert_eq!(statuses.values().sum::<usize>(), 2000);
    for status in [200, 400, 401, 404, 405, 406, 415] {
        assert!(statuses.contains_key(&status), "{status} was never met: {statuses:?}");
    }
}
