//! What tokens are signed with: the algorithm, and a key of one's own.

use quash_core::token::{Algorithm, Family, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::settings::fault::Told;
use crate::settings::key::{DefaultsTo, Key, Optional};
use crate::settings::kind::{Public, Secret, Switch, Words};
use crate::settings::section::Section;
use crate::settings::strength::{Checked, ShortSecrets, check, remedy};

/// All of them, by their names in RFC 7518 3.1 and RFC 8037 3.1; EdDSA with Ed25519 has its own name in RFC 9864 2.2.
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
    doc: "What new tokens are signed with. Simple JWT's default is HS256; ours is EdDSA (Ed25519), because verifiers then need no \
          secret. Some libraries lack it: jsonwebtoken for Node.js with express-jwt and passport-jwt, and HAProxy. Choose ES256 \
          where services in several languages verify. Changing it makes a new key; the old one goes on verifying until its last \
          token has expired.",
};
pub(super) const SIGNING_KEY: Key<Secret, Optional> = Key {
    name: "signing_key",
    kind: Secret,
    unset: Optional { example: "\"signing.key\"" },
    doc: "A key of your own: a private key in PEM or as a JWK or, for HS algorithms, the secret itself. Without it quash makes one \
          and keeps it sealed. It is kept from then on: taken out of the settings, it goes on verifying until its last token has \
          expired.",
};
pub(super) const VERIFYING_KEY: Key<Public, Optional> = Key {
    name: "verifying_key",
    kind: Public,
    unset: Optional { example: "\"signing.pub\"" },
    doc: "The public half of `signing_key`. Not needed: quash knows it. Where it is set, a signing key that it doesn't belong to is \
          refused.",
};
pub(super) const INSECURE_SHORT_SECRET: Key<Switch> = Key {
    name: "insecure_short_secret",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Lets an HS secret pass that is shorter than its hash (32, 48 or 64 bytes) or stands in a tutorial, with a warning at each \
          start: one token is enough to guess it. Until a site's Django has another one.",
};

/// What tokens are signed with.
pub(in crate::settings) struct Signing {
    pub(in crate::settings) algorithm: Algorithm,
    /// As the store keeps it; `None`: one is made.
    pub(in crate::settings) key: Option<Zeroizing<Vec<u8>>>,
    /// What is wrong and yet allowed.
    pub(in crate::settings) warnings: Vec<String>,
}

pub(super) fn read(section: &mut Section<'_>) -> Result<Signing, Told> {
    let (algorithm, short) = (section.read(&ALGORITHM), section.read(&INSECURE_SHORT_SECRET));
    let (signing, verifying) = (section.secret(&SIGNING_KEY), section.public(&VERIFYING_KEY));
    let (algorithm, short, signing, verifying) = (algorithm?, short?, signing?, verifying?);
    let mut read = Signing { algorithm, key: None, warnings: Vec::new() };
    if let Some(text) = &signing {
        let checked = check(algorithm, text, ShortSecrets::allowed_if(short));
        let Checked { secret, doubt } =
            checked.map_err(|fault| section.wrong(&SIGNING_KEY, fault.to_string(), remedy(fault)))?;
        read.warnings.extend(doubt.map(|doubt| format!("tokens.signing_key {doubt}")));
        read.key = Some(secret);
    }
    match (&read.key, &verifying) {
        (_, None) => Ok(read),
        (Some(key), Some(verifying)) => check_pair(section, algorithm, key, verifying).map(|()| read),
        (None, Some(_)) => {
            let remedy =
                "leave it out; or, if it is another issuer's, put it under [foreign.<name>] as public_key";
            Err(section.wrong(&VERIFYING_KEY, "is set, and no signing_key that it could belong to", remedy))
        }
    }
}

/// Simple JWT's two settings have to be of one pair: with another, nothing that is signed would verify.
fn check_pair(
    section: &mut Section<'_>,
    algorithm: Algorithm,
    key: &[u8],
    verifying: &str,
) -> Result<(), Told> {
    if algorithm.family() == Family::Hmac {
        let remedy = "leave it out: who verifies needs the secret itself";
        return Err(section.wrong(
            &VERIFYING_KEY,
            format!("is set, and {} has no public half", algorithm.as_str()),
            remedy,
        ));
    }
    let public = VerifyingKey::read(algorithm, verifying);
    let public = public.map_err(|fault| {
        section.wrong(&VERIFYING_KEY, fault.to_string(), "name the public half of signing_key")
    })?;
    let belongs = SigningKey::insecure_new(algorithm, key, None)
        .is_ok_and(|signing| signing.verifying().is_same_key(&public));
    if belongs {
        return Ok(());
    }
    Err(section.wrong(
        &VERIFYING_KEY,
        "doesn't belong to signing_key",
        "name its public half, or leave it out: quash knows it",
    ))
}
