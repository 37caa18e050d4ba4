//! Tokens on the wire: minted tokens are read back, and nothing else is believed.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{
    CustomClaims, Generation, Invalid, Kid, Refusal, ScopeHasher, Seeded, Seq, SessionId, Timestamp,
    TokenPolicy, UserIdType, limits,
};
use quash_core::token::{
    Algorithm, Authentic, Bearer, Grant, Issued, KeyRing, Minting, RefreshKey, RefreshStamp, SigningKey,
    SlidingStamp, TokenType, Tokens, authenticate, mint,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Mint {
    key: SigningKey,
    refresh_key: SigningKey,
    ring: KeyRing,
    policy: TokenPolicy,
}

impl Mint {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::new(algorithm, &[9; 32], Kid::parse("k1").ok()).expect("a key");
        let refresh_key = SigningKey::new(Algorithm::Hs256, &[8; 32], Kid::parse("r1").ok()).expect("a key");
        let ring =
            KeyRing::new(1, vec![key.verifying().clone()]).with_refresh_key(refresh_key.verifying().clone());
        Self { key, refresh_key, ring, policy: TokenPolicy::default() }
    }

    fn grant(&self) -> Grant {
        let stamp = RefreshStamp {
            generation: Generation(3),
            seed: [5; 16],
            minted_at: NOW,
            expires_at: NOW + Duration::from_secs(86_400),
        };
        Grant {
            session: SessionId::from_bytes([0xab; 16]),
            bearer: Bearer { user_id: "1".into(), password_mark: None, claims: CustomClaims::default() },
            rsq: Seq::from_u64(17),
            ring: 0,
            settings: 0,
            ends_at: None,
            tokens: Tokens::Both(stamp),
        }
    }

    fn both(&self, grant: &Grant) -> (String, String) {
        let minting = Minting {
            policy: &self.policy,
            key: &self.key,
            refresh_key: &self.refresh_key,
            secret: &RefreshKey::new(&[1; 32]),
        };
        match mint(grant, minting, NOW, &Seeded::new(1)) {
            Ok(Issued::Both { access, refresh }) => (access, refresh),
            other => panic!("a pair: {other:?}"),
        }
    }

    fn sliding(&self, grant: Grant) -> String {
        let stamp = SlidingStamp {
            generation: Generation(0),
            seed: [5; 16],
            refresh_until: NOW + Duration::from_secs(86_400),
        };
        let grant = Grant { tokens: Tokens::Sliding(stamp), ..grant };
        let minting = Minting {
            policy: &self.policy,
            key: &self.key,
            refresh_key: &self.refresh_key,
            secret: &RefreshKey::new(&[1; 32]),
        };
        match mint(&grant, minting, NOW, &Seeded::new(1)) {
            Ok(Issued::Sliding { token }) => token,
            other => panic!("a sliding token: {other:?}"),
        }
    }

    fn sliding_payload(&self) -> String {
        payload(&self.sliding(self.grant()))
    }

    fn access(&self) -> String {
        self.both(&self.grant()).0
    }

    fn read(&self, text: &str) -> Result<Authentic, Invalid> {
        authenticate(text, &self.ring, &self.policy.names, &ScopeHasher::ours([0; 16]))
    }

    fn signed(&self, payload: &str) -> Result<(), Refusal> {
        let token = self.read(&self.key.sign(payload.as_bytes()).expect("a signature"))?;
        token.check(&[TokenType::Access], &self.policy, NOW)
    }
}

fn payload(text: &str) -> String {
    let part = text.split('.').nth(1).expect("a payload");
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("UTF-8")
}

#[test]
fn claims_are_in_simple_jwts_order() {
    let mint = Mint::new(Algorithm::Hs256);
    let (_, refresh) = mint.both(&mint.grant());
    let sid = "ab".repeat(16);
    let expected = format!(
        r#"{{"token_type":"refresh","exp":1800086400,"iat":1800000000,"jti":"~","user_id":"1","sid":"{sid}","rsq":17,"gen":3}}"#
    );
    let claims = payload(&refresh);
    let jti = mint.read(&refresh).expect("a token of ours").claims().jti.clone().expect("a jti");
    assert_eq!(jti.len(), 32);
    assert_eq!(claims.replace(&jti, "~"), expected);

    let mut mint = Mint::new(Algorithm::EdDsa);
    mint.policy.issuer = Some("https://auth.example".into());
    mint.policy.audience = vec!["api".into()];
    mint.policy.names.user_id = "sub".into();
    let claims = payload(&mint.access());
    assert!(
        claims.starts_with(r#"{"token_type":"access","exp":1800000300,"iat":1800000000,"jti":""#),
        "{claims}"
    );
    assert!(claims.ends_with(r#"","sub":"1","sid":"abababababababababababababababab","rsq":17,"aud":"api","iss":"https://auth.example"}"#));
}

#[test]
fn sliding_tokens_carry_the_end_of_their_exchange() {
    let mut mint = Mint::new(Algorithm::EdDsa);
    mint.policy.names.password_mark = Some("hash_password".into());
    mint.policy.names.user_id_type = UserIdType::Integer;
    let mut grant = mint.grant();
    grant.bearer.password_mark = Some("E01E".into());
    grant.bearer.claims = CustomClaims::parse(r#"{"plan":"gold","sub":"x"}"#).expect("claims");
    let claims = payload(&mint.sliding(grant));
    assert!(
        claims.starts_with(r#"{"token_type":"sliding","exp":1800000300,"iat":1800000000,"jti":""#),
        "{claims}"
    );
    let rest = r#"","refresh_exp":1800086400,"user_id":1,"hash_password":"E01E","sid":"abababababababababababababababab","rsq":17,"plan":"gold","sub":"x"}"#;
    assert!(claims.ends_with(rest), "{claims}");
}

#[test]
fn subjects_are_numbers_only_in_canonical_form() {
    let mut mint = Mint::new(Algorithm::EdDsa);
    mint.policy.names.user_id_type = UserIdType::Integer;
    for (user_id, written) in [
        ("0", "0"),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740992", "\"9007199254740992\""),
        ("007", "\"007\""),
        ("+1", "\"+1\""),
        ("-1", "\"-1\""),
        ("dana", "\"dana\""),
    ] {
        let mut grant = mint.grant();
        grant.bearer.user_id = user_id.into();
        let (access, _) = mint.both(&grant);
        assert!(payload(&access).contains(&format!(r#""user_id":{written},"#)), "{user_id}");
        assert_eq!(mint.read(&access).expect("a token of ours").claims().user_id.as_deref(), Some(user_id));
    }
}

#[test]
fn audiences_and_custom_claims_add_no_scope() {
    let mut mint = Mint::new(Algorithm::EdDsa);
    let plain = mint.read(&mint.access()).expect("a token of ours").scopes().len();
    assert_eq!(plain, 4, "key, session, subject, token");
    mint.policy.audience = vec!["api".into(), "shop".into()];
    let mut grant = mint.grant();
    grant.bearer.claims = CustomClaims::parse(r#"{"plan":"gold"}"#).expect("claims");
    let token = mint.read(&mint.both(&grant).0).expect("a token of ours");
    assert_eq!(token.scopes().len(), plain);
}

#[test]
fn access_tokens_never_outlive_their_session() {
    let mint = Mint::new(Algorithm::EdDsa);
    let grant = Grant { ends_at: Some(NOW + Duration::from_secs(10)), ..mint.grant() };
    for text in [mint.both(&grant).0, mint.sliding(grant)] {
        assert_eq!(mint.read(&text).expect("a token of ours").claims().exp, Some(NOW.as_secs() + 10));
    }
}

#[test]
fn tokens_are_valid_until_their_expiry_second() {
    let mut mint = Mint::new(Algorithm::EdDsa);
    let token = mint.read(&mint.access()).expect("a token of ours");
    let exp = NOW + Duration::from_secs(300);
    let at = |mint: &Mint, now| token.check(&[TokenType::Access], &mint.policy, now);
    assert_eq!(at(&mint, NOW), Ok(()));
    assert_eq!(at(&mint, exp - Duration::from_millis(1)), Ok(()));
    assert_eq!(at(&mint, exp), Err(Refusal::TokenExpired));
    assert_eq!(at(&mint, NOW - Duration::from_secs(1)), Err(Invalid::NotYet.into()));
    assert_eq!(
        token.check(&[TokenType::Refresh, TokenType::Sliding], &mint.policy, NOW),
        Err(Refusal::TokenOfWrongType)
    );
    assert_eq!(token.check_even_expired(&[TokenType::Access], &mint.policy, exp), Ok(()));
    mint.policy.leeway = Duration::from_secs(5);
    assert_eq!(at(&mint, exp + Duration::from_secs(4)), Ok(()));
    assert_eq!(at(&mint, exp + Duration::from_secs(5)), Err(Refusal::TokenExpired));
}

#[test]
fn tokens_of_signers_whose_clock_is_ahead_expire_in_time() {
    let mut mint = Mint::new(Algorithm::EdDsa);
    mint.policy.signers_ahead = limits::SIGNERS_AHEAD;
    let token = mint.read(&mint.access()).expect("a token");
    let exp = NOW + Duration::from_secs(300);
    let at = |mint: &Mint, now| token.check(&[TokenType::Access], &mint.policy, now);
    assert_eq!(at(&mint, NOW - limits::SIGNERS_AHEAD), Ok(()));
    assert_eq!(at(&mint, NOW - limits::SIGNERS_AHEAD - Duration::from_secs(1)), Err(Invalid::NotYet.into()));
    assert_eq!(at(&mint, exp), Err(Refusal::TokenExpired));
    mint.policy.leeway = Duration::from_secs(61);
    assert_eq!(at(&mint, NOW - Duration::from_secs(61)), Ok(()), "the longer of both");
}

#[test]
fn noncanonical_spellings_of_tokens_are_refused() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Hs256] {
        let mint = Mint::new(algorithm);
        let token = mint.access();
        assert!(mint.read(&token).is_ok());
        let [header, payload, signature] =
            token.split('.').collect::<Vec<_>>().try_into().expect("three parts");
        let last = signature.chars().last().expect("a signature");
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let siblings = alphabet.chars().filter(|other| *other != last).map(|other| {
            let mut sibling = signature.to_owned();
            sibling.pop();
            sibling.push(other);
            format!("{header}.{payload}.{sibling}")
        });
        let mut others: Vec<String> = siblings.collect();
        others.extend([
            format!("{token}="),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{token}.{signature}"),
            format!("{header}.{payload}"),
            format!("{header}.{payload}."),
            format!("{header}=.{payload}.{signature}"),
            format!("{token}\0"),
            token.replace(['-', '_'], "+"),
            token.to_uppercase(),
            token[..token.len() - 4].to_owned(),
            format!("{}{token}", "A".repeat(8192)),
            String::new(),
            "..".into(),
        ]);
        for other in others.iter().filter(|other| **other != token) {
            assert!(mint.read(other).is_err(), "{other}");
        }
    }
}

#[test]
fn unsupported_headers_are_refused() {
    let mint = Mint::new(Algorithm::Hs256);
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[9; 32]);
    let with_header = |header: &str| {
        let body = payload(&mint.access());
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
        let tag = aws_lc_rs::hmac::sign(&mac, text.as_bytes());
        mint.read(&format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))).map(|_| ())
    };
    assert_eq!(with_header(r#"{"typ":"JWT","kid":"k1","alg":"HS256"}"#), Ok(()), "another order is fine");
    assert_eq!(with_header(r#"{"alg":"HS256","kid":"k1"}"#), Ok(()));
    assert_eq!(
        with_header(r#"{"alg":"HS256","kid":"k1","jku":"http://127.0.0.1/","jwk":{}}"#),
        Ok(()),
        "never read"
    );
    for (header, invalid) in [
        (r#"{"alg":"none","kid":"k1"}"#, Invalid::Algorithm),
        (r#"{"alg":"hs256","kid":"k1"}"#, Invalid::Algorithm),
        (r#"{"alg":"EdDSA","kid":"k1"}"#, Invalid::Algorithm),
        (r#"{"kid":"k1"}"#, Invalid::Algorithm),
        (r#"{"alg":["HS256"],"kid":"k1"}"#, Invalid::Algorithm),
        (r#"{"alg":"HS256"}"#, Invalid::Key),
        (r#"{"alg":"HS256","kid":"k2"}"#, Invalid::Key),
        (r#"{"alg":"HS256","kid":7}"#, Invalid::Key),
        (r#"{"alg":"HS256","kid":"k1","crit":["exp"]}"#, Invalid::Header),
        (r#"{"alg":"HS256","kid":"k1","crit":[]}"#, Invalid::Header),
        (r#"{"alg":"HS256","kid":"k1","b64":false}"#, Invalid::Header),
        (r#"{"alg":"HS256","kid":"k1","typ":"logout+jwt"}"#, Invalid::HeaderType),
        (r#"{"alg":"HS256","kid":"k1","typ":1}"#, Invalid::HeaderType),
        (r#"{"alg":"HS256","kid":"k1","alg":"HS256"}"#, Invalid::Malformed),
        (r#"["HS256"]"#, Invalid::Malformed),
        ("", Invalid::Malformed),
    ] {
        assert_eq!(with_header(header), Err(invalid), "{header}");
    }
}

#[test]
fn claims_of_the_wrong_type_are_refused() {
    let mint = Mint::new(Algorithm::EdDsa);
    let good = |more: &str| {
        format!(
            r#"{{"token_type":"access","exp":1800000300,"iat":1800000000,"jti":"a","user_id":"1","sid":"{}","rsq":1{more}}}"#,
            "ab".repeat(16)
        )
    };
    assert_eq!(mint.signed(&good("")), Ok(()));
    assert_eq!(mint.signed(&good(r#","plan":{"name":"gold"}"#)), Ok(()));
    assert_eq!(
        mint.signed(&good("").replace("1800000300", "1800000300.9")),
        Ok(()),
        "RFC 7519 2 allows a fraction"
    );
    assert_eq!(
        mint.signed(&good("").replace("1800000300", "1800000000.9")),
        Err(Refusal::TokenExpired),
        "and it adds nothing"
    );
    for (from, to, refusal) in [
        (r#""exp":1800000300,"#, "", Refusal::TokenWithoutExp),
        (r#""jti":"a","#, "", Refusal::TokenWithoutId),
        (r#""token_type":"access","#, "", Refusal::TokenWithoutType),
        (r#""user_id":"1","#, "", Refusal::TokenWithoutUser),
        (r#","rsq":1"#, "", Invalid::Claim.into()),
        (r#""iat":1800000000,"#, "", Invalid::Claim.into()),
        ("access", "sliding", Refusal::TokenOfWrongType),
        ("access", "magic", Refusal::TokenOfWrongType),
        (r#""access""#, r#"["access"]"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":"1800000300""#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":-1"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":1e308"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":9223372036854775808"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":9007199254740992"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":1800000300000"#, Invalid::Lifetime.into()),
        (r#""exp":1800000300"#, r#""exp":null"#, Invalid::Claim.into()),
        (r#""jti":"a""#, r#""jti":"""#, Invalid::Claim.into()),
        (r#""jti":"a""#, r#""jti":7"#, Invalid::Claim.into()),
        (r#""jti":"a""#, r#""jti":"a","sub":7"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":-0.5"#, Invalid::Claim.into()),
        (r#""exp":1800000300"#, r#""exp":9007199254740991.5"#, Invalid::Claim.into()),
        (r#""rsq":1"#, r#""rsq":-1"#, Invalid::Claim.into()),
        ("abab", "ABAB", Invalid::Claim.into()),
        (r#""rsq":1"#, r#""rsq":1,"aud":[]"#, Invalid::Claim.into()),
        (r#""rsq":1"#, r#""rsq":1,"aud":[null]"#, Invalid::Claim.into()),
        (r#""rsq":1"#, r#""rsq":1,"nbf":1800000001"#, Invalid::NotYet.into()),
        (r#""rsq":1"#, r#""rsq":1,"rsq":1"#, Invalid::Malformed.into()),
        (r#""rsq":1"#, r#""rsq":1,"user_id":"2""#, Invalid::Malformed.into()),
        (r#""rsq":1"#, r#""rsq":1,"x":{"a":1,"a":1}"#, Invalid::Malformed.into()),
        (r#""rsq":1"#, r#""rsq":1,"x":"\ud800""#, Invalid::Malformed.into()),
    ] {
        assert_eq!(mint.signed(&good("").replace(from, to)), Err(refusal), "{from} -> {to}");
    }
    for text in ["", "null", "\"x\"", "[{}]", "{", "{} {}", "\u{feff}{}"] {
        assert_eq!(mint.signed(text), Err(Invalid::Malformed.into()), "{text}");
    }
    let members = |count: usize| (0..count).map(|n| format!(r#","c{n}":1"#)).collect::<String>();
    assert_eq!(mint.signed(&good(&members(128 - 7))), Ok(()), "the maximum number of claims");
    assert_eq!(mint.signed(&good(&members(128 - 6))), Err(Invalid::Malformed.into()));
}

#[test]
fn issuer_and_audience_are_compared_exactly() {
    let mut mint = Mint::new(Algorithm::EdDsa);
    mint.policy.issuer = Some("https://auth.example".into());
    mint.policy.audience = vec!["api".into(), "web".into()];
    let token = mint.read(&mint.access()).expect("a token of ours");
    let check = |issuer: Option<&str>, audience: &[&str]| {
        let audience = audience.iter().map(|audience| (*audience).to_owned()).collect();
        let policy = TokenPolicy { issuer: issuer.map(str::to_owned), audience, ..mint.policy.clone() };
        token.check(&[TokenType::Access], &policy, NOW)
    };
    assert_eq!(check(Some("https://auth.example"), &["web"]), Ok(()));
    assert_eq!(check(None, &[]), Ok(()));
    assert_eq!(check(Some("https://auth.example/"), &["api"]), Err(Invalid::Issuer.into()));
    assert_eq!(check(Some("https://auth.example"), &["API"]), Err(Invalid::Audience.into()));
    let bare = Mint::new(Algorithm::EdDsa);
    let bare = bare.read(&bare.access()).expect("a token of ours");
    assert_eq!(bare.check(&[TokenType::Access], &mint.policy, NOW), Err(Invalid::Issuer.into()));
}

#[test]
fn the_refresh_key_verifies_only_refresh_tokens() {
    let mint = Mint::new(Algorithm::EdDsa);
    let (access, refresh) = mint.both(&mint.grant());
    let token = mint.read(&refresh).expect("a refresh token");
    assert_eq!(token.kid().as_str(), "r1");
    assert_eq!(token.check(&[TokenType::Access], &mint.policy, NOW), Err(Refusal::TokenOfWrongType));
    assert!(mint.read(&access).is_ok());
    // The published keys contain neither the key nor its id.
    let published = KeyRing::new(1, vec![mint.key.verifying().clone()]);
    let by_published = authenticate(&refresh, &published, &mint.policy.names, &ScopeHasher::ours([0; 16]));
    assert_eq!(by_published.err(), Some(Invalid::Key));
    let jwks = serde_json::to_string(&mint.ring.jwks()).expect("JSON");
    assert!(!jwks.contains("r1"), "{jwks}");
    // A token of another type, or of none, under this key is refused; a refresh token in the old form is not.
    for payload in
        [payload(&access), mint.sliding_payload(), payload(&refresh).replace("\"refresh\"", "\"other\"")]
    {
        let forged = mint.refresh_key.sign(payload.as_bytes()).expect("a signature");
        assert_eq!(mint.read(&forged).err(), Some(Invalid::Key), "{payload}");
    }
    let old = mint.key.sign(payload(&refresh).as_bytes()).expect("a signature");
    assert_eq!(
        mint.read(&old).map(|token| token.check(&[TokenType::Refresh], &mint.policy, NOW)).ok(),
        Some(Ok(()))
    );
}
