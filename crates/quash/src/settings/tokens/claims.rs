//! What tokens say: who issues them and for whom, and the names of the claims.

use quash_core::model::{ClaimNames, UserIdField, UserIdType};

use crate::settings::fault::{Told, Wrong};
use crate::settings::key::{DefaultsTo, Key, Optional};
use crate::settings::kind::{List, Switch, Text, Words};
use crate::settings::section::Section;
use crate::settings::web::is_insecure;

pub(super) const ISSUER: Key<Text, Optional> = Key {
    name: "issuer",
    kind: Text,
    unset: Optional { example: "\"https://auth.example.org\"" },
    doc: "Written as `iss`, and required when set. An `http://` address is refused except for loopback. Changing it signs everybody \
          out.",
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
    doc: "What of an account stands in the claim that says whose a token is. With `username` or `email`, changing that of an account \
          ends its sessions. Changing the setting ends all access tokens; they are refreshed as ever.",
};
pub(super) const USER_ID_CLAIM: Key<Text> = Key {
    name: "user_id_claim",
    kind: Text,
    unset: DefaultsTo("\"user_id\""),
    doc: "The claim with the subject. Some sites say `sub`.",
};
pub(super) const USER_ID_TYPE: Key<Words<UserIdType>> = Key {
    name: "user_id_type",
    kind: Words(&[("str", UserIdType::Text), ("int", UserIdType::Integer)]),
    unset: DefaultsTo("\"str\""),
    doc: "How that claim is written. `int` writes a whole number as one, for consumers older than Simple JWT 5.5; both are read. A `sub` \
          is a text in any case.",
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
    doc: "The claim with the moment from which a sliding token can't be exchanged any more.",
};
pub(super) const CHECK_REVOKE_TOKEN: Key<Switch> = Key {
    name: "check_revoke_token",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Writes a hash of the password's hash into each token, for Django nodes with this setting, which compare it with the hash \
          in their own table. After a change of the password at quash, tokens keep the hash from before, which the nodes still have; \
          quash itself ends the sessions then. Needs `passwords.rehash = false`.",
};
pub(super) const REVOKE_TOKEN_CLAIM: Key<Text> = Key {
    name: "revoke_token_claim",
    kind: Text,
    unset: DefaultsTo("\"hash_password\""),
    doc: "The claim with that hash.",
};

/// The longest name of a claim, in bytes.
const NAME_BYTES: usize = 64;

/// Any text, but where it is an address, one that can be trusted: verifiers fetch keys from there.
pub(super) fn issuer(section: &mut Section<'_>) -> Result<Option<String>, Told> {
    let issuer = section.read(&ISSUER)?;
    if let Some(text) = &issuer {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(section.wrong(
                &ISSUER,
                "has a blank or a control character in it",
                "write it without",
            ));
        }
        if is_insecure(text) {
            return Err(section.wrong(
                &ISSUER,
                "is an http address, which anybody on the way can speak for",
                "write it with https://",
            ));
        }
    }
    Ok(issuer)
}

/// What is wrong with a name for a claim.
pub(crate) fn fault_of_name(name: &str) -> Option<Wrong> {
    let is_graphic = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_graphic) {
        return Some(Wrong::new(
            "isn't a name for a claim",
            "write up to 64 ASCII characters without blanks or quotation marks",
        ));
    }
    ClaimNames::FIXED.contains(&name).then(|| {
        Wrong::new("is the name of a claim that means something else", "choose another name, such as \"sub\"")
    })
}

pub(super) fn names(section: &mut Section<'_>) -> Result<ClaimNames, Told> {
    let (user_id_field, user_id_type) = (section.read(&USER_ID_FIELD), section.read(&USER_ID_TYPE));
    let marked = section.read(&CHECK_REVOKE_TOKEN);
    let mut taken: Vec<(String, &str)> = Vec::new();
    let mut name = |key: &Key<Text>| {
        let name = section.read(key)?;
        if let Some(Wrong { fault, remedy }) = fault_of_name(&name) {
            return Err(section.wrong(key, fault, remedy));
        }
        if let Some((_, other)) = taken.iter().find(|(used, _)| *used == name) {
            return Err(section.wrong(
                key,
                format!("is the name that tokens.{other} has already"),
                "give each claim a name of its own",
            ));
        }
        taken.push((name.clone(), key.name));
        Ok(name)
    };
    let (token_type, jti, user_id) = (name(&TOKEN_TYPE_CLAIM), name(&JTI_CLAIM), name(&USER_ID_CLAIM));
    let (refresh_exp, mark) = (name(&SLIDING_TOKEN_REFRESH_EXP_CLAIM), name(&REVOKE_TOKEN_CLAIM));
    // RFC 7519 4.1.2: it is a text. PyJWT, and so Simple JWT, refuses a token in which it is a number.
    if (&user_id, &user_id_type) == (&Ok("sub".to_owned()), &Ok(UserIdType::Integer)) {
        let remedy = "leave it out, or give tokens.user_id_claim another name";
        return Err(section.wrong(
            &USER_ID_TYPE,
            "makes a number of sub, which verifiers take as a text alone",
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
