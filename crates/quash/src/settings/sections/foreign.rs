//! `[foreign.<name>]`: other issuers whose tokens are accepted, such as a Django site with Simple JWT.

use std::time::Duration;

use quash_core::model::{ClaimNames, Kid, Namespace, NamespaceClaims};
use quash_core::token::{Algorithm, Expected, Family, VerifyingKey};
use quash_service::{ForeignKeys, ForeignSetup};

use super::tokens::ALGORITHMS;
use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key, Optional, Required};
use crate::settings::engine::kind::{List, Public, Secret, Switch, Text, Words};
use crate::settings::engine::section::{Reader, Section};
use crate::settings::engine::span::{Span, Zero};
use crate::settings::engine::strength::{Checked, ShortSecrets, check, remedy};
use crate::settings::engine::table::{Naming, Table};
use crate::settings::engine::web::is_insecure;

pub(super) const TABLE: Table = Table {
    name: "foreign",
    doc: "another issuer whose tokens are accepted, such as a Django site with Simple JWT",
    naming: Naming::Named,
    keys: &[
        &ALGORITHM,
        &SHARED_SECRET,
        &PUBLIC_KEY,
        &KID,
        &JWKS_URL,
        &MAX_LIFETIME,
        &ISSUER,
        &AUDIENCE,
        &NAMESPACE,
        &SESSION_CLAIM,
        &POSITION_CLAIM,
        &SUBJECT_CLAIM,
        &TOKEN_CLAIM,
        &ACCEPTED,
        &INSECURE_SHORT_SECRET,
    ],
};

const ALGORITHM: Key<Words<Algorithm>, Optional> = Key {
    name: "algorithm",
    kind: ALGORITHMS,
    unset: Optional { example: "\"HS256\"" },
    doc: "The algorithm of its tokens, required with `shared_secret` and `public_key`. The keys at a \
          `jwks_url` name theirs.",
};
const SHARED_SECRET: Key<Secret, Optional> = Key {
    name: "shared_secret",
    kind: Secret,
    unset: Optional { example: "\"django.secret\"" },
    doc: "The secret that its tokens are signed with: Simple JWT's `SIGNING_KEY`, which is Django's \
          `SECRET_KEY` by default. Everyone who has it can sign.",
};
const PUBLIC_KEY: Key<Public, Optional> = Key {
    name: "public_key",
    kind: Public,
    unset: Optional { example: "\"django.pub\"" },
    doc: "The public key that its tokens are verified with.",
};
const KID: Key<Text, Optional> = Key {
    name: "kid",
    kind: Text,
    unset: Optional { example: "\"2026-01\"" },
    doc: "The `kid` that its tokens give for that key. Without it, the key is for tokens without a `kid`, \
          such as Simple JWT's; there can be one such key for each algorithm.",
};
const JWKS_URL: Key<Text, Optional> = Key {
    name: "jwks_url",
    kind: Text,
    unset: Optional { example: "\"https://auth.example.org/.well-known/jwks.json\"" },
    doc: "The address at which it publishes its keys, instead of a key here. Fetched every five minutes and \
          when a token names an unknown key, at most every ten seconds.",
};
const MAX_LIFETIME: Key<Span, Required> = Key {
    name: "max_lifetime",
    kind: Span { least: Duration::from_secs(1), most: CENTURY, zero: Zero::Refused },
    unset: Required { example: "\"1d\"" },
    doc: "The longest lifetime of its tokens, from `iat` to `exp`: usually that of its refresh tokens. \
          Revocations are kept that long.",
};
const ISSUER: Key<Text, Optional> = Key {
    name: "issuer",
    kind: Text,
    unset: Optional { example: "\"*\"" },
    doc: "The required `iss` of its tokens; `\"*\"` accepts any, or none. The default is `tokens.issuer`.",
};
const AUDIENCE: Key<List, Optional> = Key {
    name: "audience",
    kind: List,
    unset: Optional { example: "\"*\"" },
    doc: "The accepted `aud` of its tokens, of which one must match; `\"*\"` accepts any, or none. The \
          default is `tokens.audience`.",
};
const NAMESPACE: Key<Text, Optional> = Key {
    name: "namespace",
    kind: Text,
    unset: Optional { example: "\"partner\"" },
    doc: "For an issuer whose users aren't accounts of quash: its tokens are revoked separately, can be \
          verified and introspected, and can't open a session. Such an issuer needs no key here: then quash \
          only revokes, and the issuer's own code verifies.",
};
const SESSION_CLAIM: Key<Text, Optional> = Key {
    name: "session_claim",
    kind: Text,
    unset: Optional { example: "\"qsid\"" },
    doc: "With `namespace`: the claim with the id of the session that the token belongs to. Without it, quash \
          drops the claim when a refresh token opens a session.",
};
const POSITION_CLAIM: Key<Text, Optional> = Key {
    name: "position_claim",
    kind: Text,
    unset: Optional { example: "\"qsq\"" },
    doc: "With `namespace`: the claim with the newest number of the log that the issuer knew when it issued \
          the token. Without it, quash drops the claim as above.",
};
const SUBJECT_CLAIM: Key<Text, Optional> = Key {
    name: "subject_claim",
    kind: Text,
    unset: Optional { example: "\"user_id\"" },
    doc: "With `namespace`: the claim with the user's id. The default is `tokens.user_id_claim`.",
};
const TOKEN_CLAIM: Key<Text, Optional> = Key {
    name: "token_claim",
    kind: Text,
    unset: Optional { example: "\"none\"" },
    doc: "With `namespace`: the claim with the token's own id; `\"none\"` if its tokens have no id. The \
          default is `tokens.jti_claim`.",
};
const ACCEPTED: Key<List, Optional> = Key {
    name: "accepted",
    kind: List,
    unset: Optional { example: "\"access\"" },
    doc: "With `namespace`: the token types that protected paths accept. The default is `\"access\"`.",
};
const INSECURE_SHORT_SECRET: Key<Switch> = Key {
    name: "insecure_short_secret",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Accepts a `shared_secret` that is shorter than its hash (32, 48 or 64 bytes), with a warning at \
          each start.",
};

/// Another issuer's tokens may live longer than any of quash: for a device, for example.
const CENTURY: Duration = Duration::from_secs(36_525 * 24 * 3600);

/// The value that accepts anything.
const ANYTHING: &str = "*";
/// The value for a claim that tokens don't have.
const NONE: &str = "none";

/// Other issuers, and warnings about insecure but allowed settings.
pub(super) struct Foreign {
    pub(super) setups: Vec<ForeignSetup>,
    pub(super) namespaces: Vec<Namespace>,
    pub(super) warnings: Vec<String>,
    /// The shared secrets that can be guessed.
    pub(super) weak_keys: Vec<String>,
}

/// Reads each section. `iss` and `aud` default to those of quash's own tokens.
pub(super) fn read(
    reader: &mut Reader<'_>,
    iss: Option<String>,
    aud: Vec<String>,
    names: &ClaimNames,
) -> Result<Foreign, Reported> {
    let sections = reader.each(&TABLE, |section| one(section, names))?;
    let mut foreign =
        Foreign { setups: Vec::new(), namespaces: Vec::new(), warnings: Vec::new(), weak_keys: Vec::new() };
    for (name, one) in sections {
        foreign
            .weak_keys
            .extend(one.weakness.map(|weakness| format!("foreign.{name}.shared_secret {weakness}")));
        if let Some(namespace) = &one.namespace {
            foreign.add_namespace(namespace);
        }
        let Some(keys) = one.keys else { continue };
        foreign.setups.push(ForeignSetup {
            keys,
            max_lifetime: one.max_lifetime,
            namespace: one.namespace,
            dropped: one.dropped,
            iss: one.iss.or_else(|| iss.clone().map(Expected::Exactly)).unwrap_or(Expected::Anything),
            aud: one.aud.unwrap_or_else(|| {
                if aud.is_empty() { Expected::Anything } else { Expected::Exactly(aud.clone()) }
            }),
            name,
        });
    }
    for setup in &mut foreign.setups {
        let of_all = |own: &Namespace| foreign.namespaces.iter().find(|known| known.name == own.name);
        if let Some(namespace) = setup.namespace.as_ref().and_then(of_all).cloned() {
            // As at verifiers, which know the namespace's lifetime alone.
            setup.max_lifetime = namespace.max_lifetime;
            setup.namespace = Some(namespace);
        }
    }
    Ok(foreign)
}

impl Foreign {
    /// Adds a section's namespace. The sections of one namespace differ in their keys: the longest lifetime
    /// counts, and the claims of the first.
    fn add_namespace(&mut self, new: &Namespace) {
        match self.namespaces.iter_mut().find(|known| known.name == new.name) {
            Some(known) => {
                known.max_lifetime = known.max_lifetime.max(new.max_lifetime);
                if known.claims != new.claims || known.accepted != new.accepted {
                    self.warnings.push(format!(
                        "several sections under [foreign] have the namespace \"{}\" and name its claims differently; the first section applies",
                        known.name
                    ));
                }
            }
            None => self.namespaces.push(new.clone()),
        }
    }
}

struct One {
    /// `None` for a namespace whose tokens only their issuer verifies.
    keys: Option<ForeignKeys>,
    max_lifetime: Duration,
    namespace: Option<Namespace>,
    dropped: Vec<String>,
    iss: Option<Expected<String>>,
    aud: Option<Expected<Vec<String>>>,
    weakness: Option<String>,
}

fn one(mut section: Section<'_>, names: &ClaimNames) -> Result<One, Reported> {
    let section = &mut section;
    let (max_lifetime, name) = (section.read(&MAX_LIFETIME), namespace(section));
    let claims = claims(section, names);
    let keys = keys(section, matches!(name, Ok(Some(_))));
    let (iss, aud) = (section.read(&ISSUER), section.read(&AUDIENCE));
    let (max_lifetime, name, claims) = (max_lifetime?, name?, claims?);
    let (keys, weakness) = keys?;
    let (claims, accepted) = claims;
    let dropped = [&claims.session, &claims.position].into_iter().flatten().cloned().collect();
    let namespace = match name {
        Some(name) => Some(Namespace { name, max_lifetime, accepted, claims }),
        None => {
            let of_namespaces: [&dyn crate::settings::engine::key::Entry; 3] =
                [&SUBJECT_CLAIM, &TOKEN_CLAIM, &ACCEPTED];
            if let Some(key) = of_namespaces.into_iter().find(|key| section.has(*key)) {
                return Err(section.fault(key, "is set without namespace", "set namespace, or leave it out"));
            }
            None
        }
    };
    Ok(One {
        keys,
        max_lifetime,
        namespace,
        dropped,
        iss: iss?.map(|iss| if iss == ANYTHING { Expected::Anything } else { Expected::Exactly(iss) }),
        aud: aud?.map(|aud| if aud == [ANYTHING] { Expected::Anything } else { Expected::Exactly(aud) }),
        weakness,
    })
}

/// Reads the claims of a namespace, and the token types that protected paths accept.
fn claims(section: &mut Section<'_>, names: &ClaimNames) -> Result<(NamespaceClaims, Vec<String>), Reported> {
    let (session, position) = (claim(section, &SESSION_CLAIM), claim(section, &POSITION_CLAIM));
    let (subject, token) = (claim(section, &SUBJECT_CLAIM), claim(section, &TOKEN_CLAIM));
    let accepted = section.read(&ACCEPTED)?;
    let claims = NamespaceClaims {
        session: session?,
        position: position?,
        subject: subject?.unwrap_or_else(|| names.user_id.clone()),
        token: Some(token?.unwrap_or_else(|| names.jti.clone())).filter(|token| token != NONE),
    };
    // A verifier would read such a claim under one of its meanings only, and miss revocations by the other.
    let keys = [&SUBJECT_CLAIM, &SESSION_CLAIM, &POSITION_CLAIM, &TOKEN_CLAIM];
    let named =
        [Some(&claims.subject), claims.session.as_ref(), claims.position.as_ref(), claims.token.as_ref()];
    let mut taken = vec![&names.token_type];
    for (key, name) in keys.into_iter().zip(named) {
        let Some(name) = name else { continue };
        if taken.contains(&name) {
            return Err(section.fault(key, "is the name of another claim, too", "choose another name"));
        }
        taken.push(name);
    }
    Ok((claims, accepted.unwrap_or_else(|| vec!["access".into()])))
}

/// Reads the name of a claim.
fn claim(section: &mut Section<'_>, key: &'static Key<Text, Optional>) -> Result<Option<String>, Reported> {
    // The issuer may name its own claims `sid` and `rsq`.
    const TAKEN: [&str; 5] = ["exp", "iat", "nbf", "aud", "iss"];
    match section.read(key)? {
        Some(name) if TAKEN.contains(&name.as_str()) => {
            Err(section.fault(key, "is the name of a claim with another meaning", "choose another name"))
        }
        Some(name) if name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_graphic()) => Err(
            section.fault(key, "isn't a valid claim name", "write up to 64 ASCII characters without blanks")
        ),
        name => Ok(name),
    }
}

/// Reads the keys, and a warning about them. A namespace may have none.
fn keys(
    section: &mut Section<'_>,
    may_be_none: bool,
) -> Result<(Option<ForeignKeys>, Option<String>), Reported> {
    let (algorithm, short) = (section.read(&ALGORITHM), section.read(&INSECURE_SHORT_SECRET));
    let (secret, public, kid) = (section.secret(&SHARED_SECRET), section.public(&PUBLIC_KEY), kid(section));
    let url = jwks_url(section);
    let (algorithm, short, kid) = (algorithm?, short?, kid?);
    match (secret?, public?, url?) {
        (Some(secret), None, None) => {
            let algorithm = algorithm_of(section, algorithm, Family::Hmac)?;
            let checked = check(algorithm, &secret, ShortSecrets::allowed_if(short));
            let Checked { secret, weakness } =
                checked.map_err(|fault| section.fault(&SHARED_SECRET, fault.to_string(), remedy(fault)))?;
            Ok((Some(ForeignKeys::Secret { algorithm, secret, kid }), weakness))
        }
        (None, Some(text), None) => {
            let algorithm = algorithm_of(section, algorithm, Family::Ed25519)?;
            let key = VerifyingKey::read(algorithm, &text);
            let key = key.map_err(|fault| section.fault(&PUBLIC_KEY, fault.to_string(), remedy(fault)))?;
            Ok((Some(ForeignKeys::Public { key: Box::new(key), kid }), None))
        }
        (None, None, Some(url)) if algorithm.is_none() && kid.is_none() => {
            Ok((Some(ForeignKeys::Address(url)), None))
        }
        (None, None, Some(_)) => {
            let remedy = "leave them out: each published key names its own";
            Err(section.fault(&JWKS_URL, "is set together with algorithm or kid", remedy))
        }
        (None, None, None) if may_be_none && algorithm.is_none() && kid.is_none() => Ok((None, None)),
        (None, None, None) => {
            let remedy = "write one of shared_secret_file, public_key_file and jwks_url, or a namespace, in which quash can revoke without a key";
            Err(section.fault(&PUBLIC_KEY, "is missing, and so is every alternative", remedy))
        }
        _ => {
            let set: [&dyn crate::settings::engine::key::Entry; 2] = [&JWKS_URL, &PUBLIC_KEY];
            let one = set.into_iter().find(|key| section.has(*key)).unwrap_or(&PUBLIC_KEY);
            Err(section.fault(
                one,
                "is set together with another key",
                "keep one; each issuer's key gets a section of its own",
            ))
        }
    }
}

/// Reads the algorithm, which must be symmetric for a secret, and asymmetric for a public key.
fn algorithm_of(
    section: &mut Section<'_>,
    algorithm: Option<Algorithm>,
    family: Family,
) -> Result<Algorithm, Reported> {
    let fits = |algorithm: &Algorithm| (algorithm.family() == Family::Hmac) == (family == Family::Hmac);
    match algorithm {
        Some(algorithm) if fits(&algorithm) => Ok(algorithm),
        Some(_) if family == Family::Hmac => Err(section.fault(
            &ALGORITHM,
            "isn't one for a shared_secret",
            "write \"HS256\", \"HS384\" or \"HS512\", or name a public_key",
        )),
        Some(_) => Err(section.fault(
            &ALGORITHM,
            "isn't one for a public_key",
            "name a shared_secret, or write the key's own algorithm",
        )),
        None => {
            Err(section.fault(&ALGORITHM, "is missing", "write the issuer's algorithm, such as \"HS256\""))
        }
    }
}

fn kid(section: &mut Section<'_>) -> Result<Option<Kid>, Reported> {
    match section.read(&KID)? {
        None => Ok(None),
        Some(kid) => {
            let parsed = Kid::parse(&kid).map(Some);
            parsed
                .map_err(|_| section.fault(&KID, "isn't a key's id", "write it as in the header of a token"))
        }
    }
}

fn jwks_url(section: &mut Section<'_>) -> Result<Option<String>, Reported> {
    let url = section.read(&JWKS_URL)?;
    match url.as_deref() {
        None => Ok(None),
        Some(text) if is_insecure(text) => Err(section.fault(
            &JWKS_URL,
            "is an http address, so an attacker on the network could replace the keys",
            "write it with https://",
        )),
        Some(text)
            if reqwest::Url::parse(text)
                .is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https")) =>
        {
            Ok(url)
        }
        Some(_) => Err(section.fault(
            &JWKS_URL,
            "isn't a web address",
            "write it like \"https://auth.example.org/jwks.json\"",
        )),
    }
}

fn namespace(section: &mut Section<'_>) -> Result<Option<String>, Reported> {
    match section.read(&NAMESPACE)? {
        Some(text) if text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(section.fault(&NAMESPACE, "isn't a name", "write up to 64 ASCII characters without blanks"))
        }
        namespace => Ok(namespace),
    }
}
