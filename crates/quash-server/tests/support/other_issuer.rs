//! Another issuer. Its tokens open sessions without a password, and so without another thread.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::Timestamp;
use quash_core::token::{Algorithm, Expected};
use quash_service::{ForeignKeys, ForeignSetup};
use serde_json::json;
use zeroize::Zeroizing;

const SECRET: &[u8] = b"a secret that another issuer signs with, long enough";

/// The settings by which quash accepts this issuer.
pub(crate) fn setup() -> ForeignSetup {
    ForeignSetup {
        name: "other".into(),
        keys: ForeignKeys::Secret {
            algorithm: Algorithm::Hs256,
            secret: Zeroizing::new(SECRET.to_vec()),
            kid: None,
        },
        max_lifetime: Duration::from_secs(30 * 86_400),
        namespace: None,
        dropped: Vec::new(),
        iss: Expected::Anything,
        aud: Expected::Anything,
    }
}

/// A refresh token for a user.
pub(crate) fn token(name: &str, now: Timestamp, jti: &str) -> String {
    let now = now.as_secs();
    let claims =
        json!({ "token_type": "refresh", "exp": now + 86_400, "iat": now, "jti": jti, "user_id": name });
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims.to_string()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
}
