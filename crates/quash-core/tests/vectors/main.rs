//! Vectors of other projects: signatures, keys and JSON, each with its required verdict. They are read in
//! place: `QUASH_VECTORS` names the folder, by default `../shared/vectors` next to the project. If the folder
//! is missing, the tests print a notice and check nothing. Where our verdict differs from a label, the case
//! states the reason.

mod cookbook;
mod ed25519;
mod email;
mod json;
mod wycheproof;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::ScopeHasher;
use quash_core::token::{
    Expected, ForeignKey, Issuer, KeyRing, KeySet, KeySetFault, SetKey, Unverified, VerifyingKey,
};
use serde_json::{Value, json};

/// Returns a folder of vectors, or prints a notice and returns `None`.
#[expect(clippy::disallowed_methods, reason = "a test reads where the vectors are, and no setting")]
#[expect(clippy::print_stderr, reason = "a skipped test must be noticed")]
fn folder(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = std::env::var_os("QUASH_VECTORS").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED: there are no vectors at {}; set QUASH_VECTORS to the folder that contains `{name}`",
        folder.display()
    );
    None
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().unwrap_or_else(|| panic!("{member} is no list"))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} is no text"))
}

fn hex(text: &str) -> Vec<u8> {
    let mut bytes = vec![0; text.len() / 2];
    quash_core::hex::decode_to(&text.to_ascii_lowercase(), &mut bytes).expect("hex");
    bytes
}

fn base64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The key ring of a JWK or a JWK set, each key as another issuer's: our own keys always have an id, and
/// tokens name it.
fn ring(keys: &Value) -> Result<KeyRing, KeySetFault> {
    let set = if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) };
    let set = KeySet::parse(set.to_string().as_bytes())?;
    let issuer = Arc::new(Issuer {
        name: "vectors".into(),
        scopes: ScopeHasher::ours([0; 16]),
        max_lifetime: Duration::ZERO,
        iss: Expected::Anything,
        aud: Expected::Anything,
        namespace: None,
        dropped: Vec::new(),
    });
    let foreign = |found: SetKey| ForeignKey {
        token_kid: found.token_kid(),
        key: found.key,
        issuer: Arc::clone(&issuer),
    };
    Ok(KeyRing::with_foreign(1, Vec::new(), set.keys.into_iter().map(foreign).collect()))
}

/// Returns whether one of these keys has signed a text.
fn is_signed(jws: &str, keys: &Value) -> bool {
    let Ok(ring) = ring(keys) else { return false };
    Unverified::parse(jws).is_ok_and(|token| token.verify(&ring).is_ok())
}

/// Returns whether a key has made a signature.
fn verifies(key: &VerifyingKey, message: &str, signature: &str) -> bool {
    key.verifies(&hex(message), &hex(signature))
}
