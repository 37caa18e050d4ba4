//! The claims of tokens: issuer, audience, and the names of the other claims.

use quash_core::model::{ClaimNames, UserIdField, UserIdType};

use crate::settings::engine::fault::{Reported, ValueFault};
use crate::settings::engine::key::{DefaultsTo, Key, Optional};
use crate::settings::engine::kind::{List, Switch, Text, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::web::is_insecure;

pub(super) const ISSUER: Key<Text, Optional> = Key {
    name: "issuer",
    kind: Text,
    unset: Optional { example: "\"https://auth.example.org\"" },
    doc: "Written as `iss`, and required when set. An `http://` address is refused except for loopback. \
          Changing it signs all users out.",
};
pub(super) const AUDIENCE: Key<List, Optional> = Key {
    name: "audience",
    kind: List,
    unset: Optional { example: "[\"shop\", \"blog\"]" },
    doc: "Written as `aud`; one match is required.",
};
pub(super) const USER_ID_FIELD: Key<Words<UserIdField>> = Key {
    name: "user_id_field",
    kind: Words(&[
        ("id", UserIdField::Subject),
        ("username", UserIdField::Username),
        ("email", UserIdField::Email),
    ]),
    unset: DefaultsTo("\"id\""),
    doc: "The field of an account in the claim that identifies a token's user. With `username` or `email`, a \
          change of that field ends the account's sessions. Changing the setting ends all access tokens, \
          which clients then refresh as usual.",
};
pub(super) const USER_ID_CLAIM: Key<Text> = Key {
    name: "user_id_claim",
    kind: Text,
    unset: DefaultsTo("\"user_id\""),
    doc: "The claim that identifies the user. Some sites use `sub`.",
};
pub(super) const USER_ID_TYPE: Key<Words<UserIdType>> = Key {
    name: "user_id_type",
    kind: Words(&[("str", UserIdType::Text), ("int", UserIdType::Integer)]),
    unset: DefaultsTo("\"str\""),
    doc: "The type of that claim. `int` writes whole numbers as numbers, for consumers older than Simple JWT \
          5.5; both types are accepted. A `sub` is always a text.",
};
pub(super) const TOKEN_TYPE_CLAIM: Key<Text> = Key {
    name: "token_type_claim",
    kind: Text,
    unset: DefaultsTo("\"token_type\""),
    doc: "The claim with `access`, `refresh` or `sliding`.",
};
pub(super) const JTI_CLAIM: Key<Text> = Key {
    name: "jti_claim",
    kind: Text,
    unset: DefaultsTo("\"jti\""),
    doc: "The claim with the token's id.",
};
pub(super) const SLIDING_TOKEN_REFRESH_EXP_CLAIM: Key<Text> = Key {
    name: "sliding_token_refresh_exp_claim",
    kind: Text,
    unset: DefaultsTo("\"refresh_exp\""),
    doc: "The claim with the time from which a sliding token can't be exchanged any more.",
};
pub(super) const CHECK_REVOKE_TOKEN: Key<Switch> = Key {
    name: "check_revoke_token",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Writes a hash of the password's hash into each token, for Django nodes with this setting, which \
          compare it with the hash in their own table. After a change of the password in quash, tokens keep \
          the previous hash, which the nodes still have; quash itself ends the sessions then. Requires \
          `passwords.rehash = false`.",
};
pub(super) const REVOKE_TOKEN_CLAIM: Key<Text> = Key {
    name: "revoke_token_claim",
    kind: Text,
    unset: DefaultsTo("\"hash_password\""),
    doc: "The claim with that hash.",
};

/// The longest name of a claim, in bytes.
const NAME_BYTES: usize = 64;

/// Reads the issuer: any text, but an address must be secure, because verifiers fetch keys from there.
pub(super) fn issuer(section: &mut Section<'_>) -> Result<Option<String>, Reported> {
    let issuer = section.read(&ISSUER)?;
    if let Some(text) = &issuer {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(section.fault(&ISSUER, "contains a blank or a control character", "remove it"));
        }
        if is_insecure(text) {
            return Err(section.fault(
                &ISSUER,
                "is an http address, so an attacker on the network could answer for it",
                "write it with https://",
            ));
        }
    }
    Ok(issuer)
}

/// Returns the fault of a claim's name, if it has one.
pub(crate) fn fault_of_name(name: &str) -> Option<ValueFault> {
    let is_graphic = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_graphic) {
        return Some(ValueFault::new(
            "isn't a valid claim name",
            "write up to 64 ASCII characters without blanks or quotation marks",
        ));
    }
    ClaimNames::FIXED.contains(&name).then(|| {
        ValueFault::new("is the name of a claim with another meaning", "choose another name, such as \"sub\"")
    })
}

pub(super) fn names(section: &mut Section<'_>) -> Result<ClaimNames, Reported> {
    let (user_id_field, user_id_type) = (section.read(&USER_ID_FIELD), section.read(&USER_ID_TYPE));
    let marked = section.read(&CHECK_REVOKE_TOKEN);
    let mut taken: Vec<(String, &str)> = Vec::new();
    let mut name = |key: &Key<Text>| {
        let name = section.read(key)?;
        if let Some(ValueFault { fault, remedy }) = fault_of_name(&name) {
            return Err(section.fault(key, fault, remedy));
        }
        if let Some((_, other)) = taken.iter().find(|(used, _)| *used == name) {
            return Err(section.fault(
                key,
                format!("is already the value of tokens.{other}"),
                "give each claim a name of its own",
            ));
        }
        taken.push((name.clone(), key.name));
        Ok(name)
    };
    let (token_type, jti, user_id) = (name(&TOKEN_TYPE_CLAIM), name(&JTI_CLAIM), name(&USER_ID_CLAIM));
    let (refresh_exp, mark) = (name(&SLIDING_TOKEN_REFRESH_EXP_CLAIM), name(&REVOKE_TOKEN_CLAIM));
    // `sub` is a text (RFC 7519 4.1.2). PyJWT, and so Simple JWT, refuses a token with a number there.
    if (&user_id, &user_id_type) == (&Ok("sub".to_owned()), &Ok(UserIdType::Integer)) {
        let remedy = "leave it out, or give tokens.user_id_claim another name";
        return Err(section.fault(
            &USER_ID_TYPE,
            "makes sub a number, which verifiers only accept as a text",
            remedy,
        ));
    }
    Ok(ClaimNames {
        token_type: token_type?,
        jti: jti?,
        user_id: user_id?,
        refresh_exp: refresh_exp?,
        password_mark: Some(mark?).filter(|_| marked == Ok(true)),
        user_id_field: user_id_field?,
        user_id_type: user_id_type?,
    })
}
