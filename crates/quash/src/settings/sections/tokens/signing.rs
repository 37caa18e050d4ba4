//! The signing of tokens: the algorithm, and a key of the operator.

use quash_core::token::{Algorithm, Family, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key, Optional};
use crate::settings::engine::kind::{Public, Secret, Switch, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::strength::{Checked, ShortSecrets, check, remedy};

/// All algorithms, by their names in RFC 7518 3.1 and RFC 8037 3.1; EdDSA with Ed25519 has its own name in
/// RFC 9864 2.2.
pub(in crate::settings) const ALGORITHMS: Words<Algorithm> = {
    const fn named(algorithm: Algorithm) -> (&'static str, Algorithm) {
        (algorithm.as_str(), algorithm)
    }
    Words(&[
        named(Algorithm::EdDsa),
        named(Algorithm::Es256),
        named(Algorithm::Es384),
        named(Algorithm::Rs256),
        named(Algorithm::Rs384),
        named(Algorithm::Rs512),
        named(Algorithm::Ps256),
        named(Algorithm::Ps384),
        named(Algorithm::Ps512),
        named(Algorithm::Hs256),
        named(Algorithm::Hs384),
        named(Algorithm::Hs512),
        ("Ed25519", Algorithm::EdDsa),
    ])
};

pub(super) const ALGORITHM: Key<Words<Algorithm>> = Key {
    name: "algorithm",
    kind: ALGORITHMS,
    unset: DefaultsTo("\"EdDSA\""),
    doc: "The algorithm of new tokens. Simple JWT's default is HS256; that of quash is EdDSA (Ed25519), \
          because verifiers then need no secret. Some libraries lack it: jsonwebtoken for Node.js with \
          express-jwt and passport-jwt, and HAProxy. Choose ES256 if services in several languages verify. A \
          change creates a new key; the old one keeps verifying until its last token has expired.",
};
pub(super) const SIGNING_KEY: Key<Secret, Optional> = Key {
    name: "signing_key",
    kind: Secret,
    unset: Optional { example: "\"signing.key\"" },
    doc: "A key of your own: a private key in PEM or as a JWK or, for HS algorithms, the secret itself. \
          Without it, quash creates a key and stores it sealed. The key is stored from then on: after its \
          removal from the settings, it keeps verifying until its last token has expired.",
};
pub(super) const VERIFYING_KEY: Key<Public, Optional> = Key {
    name: "verifying_key",
    kind: Public,
    unset: Optional { example: "\"signing.pub\"" },
    doc: "The public half of `signing_key`. Not needed, because quash derives it. If it is set, it must \
          belong to the signing key.",
};
pub(super) const INSECURE_SHORT_SECRET: Key<Switch> = Key {
    name: "insecure_short_secret",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Accepts an HS secret that is shorter than its hash (32, 48 or 64 bytes) or published in a \
          tutorial, with a warning at each start: an attacker can guess it from one token. Use it only until \
          the Django site has a new secret.",
};

/// The algorithm and key that sign tokens.
pub(in crate::settings) struct Signing {
    pub(in crate::settings) algorithm: Algorithm,
    /// The key in the form of the store; `None`: quash creates one.
    pub(in crate::settings) key: Option<Zeroizing<Vec<u8>>>,
    /// Warnings about insecure but allowed settings.
    pub(in crate::settings) warnings: Vec<String>,
}

pub(super) fn read(section: &mut Section<'_>) -> Result<Signing, Reported> {
    let (algorithm, short) = (section.read(&ALGORITHM), section.read(&INSECURE_SHORT_SECRET));
    let (signing, verifying) = (section.secret(&SIGNING_KEY), section.public(&VERIFYING_KEY));
    let (algorithm, short, signing, verifying) = (algorithm?, short?, signing?, verifying?);
    let mut read = Signing { algorithm, key: None, warnings: Vec::new() };
    if let Some(text) = &signing {
        let checked = check(algorithm, text, ShortSecrets::allowed_if(short));
        let Checked { secret, weakness } =
            checked.map_err(|fault| section.fault(&SIGNING_KEY, fault.to_string(), remedy(fault)))?;
        read.warnings.extend(weakness.map(|weakness| format!("tokens.signing_key {weakness}")));
        read.key = Some(secret);
    }
    match (&read.key, &verifying) {
        (_, None) => Ok(read),
        (Some(key), Some(verifying)) => check_pair(section, algorithm, key, verifying).map(|()| read),
        (None, Some(_)) => {
            let remedy =
                "leave it out; if it is another issuer's, put it under [foreign.<name>] as public_key";
            Err(section.fault(&VERIFYING_KEY, "is set without a signing_key", remedy))
        }
    }
}

/// Checks that both keys belong to one pair: otherwise no signed token would verify.
fn check_pair(
    section: &mut Section<'_>,
    algorithm: Algorithm,
    key: &[u8],
    verifying: &str,
) -> Result<(), Reported> {
    if algorithm.family() == Family::Hmac {
        let remedy = "leave it out: verifiers need the secret itself";
        return Err(section.fault(
            &VERIFYING_KEY,
            format!("is set, and {} has no public half", algorithm.as_str()),
            remedy,
        ));
    }
    let public = VerifyingKey::read(algorithm, verifying);
    let public = public.map_err(|fault| {
        section.fault(&VERIFYING_KEY, fault.to_string(), "name the public half of signing_key")
    })?;
    let belongs = SigningKey::insecure_new(algorithm, key, None)
        .is_ok_and(|signing| signing.verifying().is_same_key(&public));
    if belongs {
        return Ok(());
    }
    Err(section.fault(
        &VERIFYING_KEY,
        "doesn't belong to signing_key",
        "name its public half, or leave it out: quash derives it",
    ))
}
