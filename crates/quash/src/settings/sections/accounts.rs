//! `[accounts]`: the names that accounts sign in with, and the changes that users may make themselves.

use quash_core::model::{LoginFields, NameChanges, NumericNames, Subjects};

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{List, Switch, Text, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "accounts",
    doc: "sign-in names and subjects of accounts",
    naming: Naming::One,
    keys: &[&LOGIN_FIELDS, &USERNAME_FIELD, &CHANGE_USERNAME, &NUMERIC_NAMES, &SUBJECTS],
};

/// The longest name of a field, in bytes.
const FIELD_BYTES: usize = 64;

const LOGIN_FIELDS: Key<List> = Key {
    name: "login_fields",
    kind: List,
    unset: DefaultsTo("[\"username\"]"),
    doc: "The names that users sign in with: `username`, `email` or both. An address is usable once exactly \
          one account has confirmed it; before that, a sign-in with the right password gets \
          `email_not_verified`. With both, a confirmed address takes precedence over an equal name.",
};
const USERNAME_FIELD: Key<Text> = Key {
    name: "username_field",
    kind: Text,
    unset: DefaultsTo("\"username\""),
    doc: "The field of a sign-in request that holds the name, and the key in errors about it: the \
          `USERNAME_FIELD` of the site's user model, or the `username_field` of its serializer. With \
          `login_fields = [\"email\"]` the fields `email` and `username` are accepted as well.",
};
const CHANGE_USERNAME: Key<Switch> = Key {
    name: "change_username",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "Users may change their name with `PATCH /v1/me`. With `false`, only an operator can.",
};
const NUMERIC_NAMES: Key<Switch> = Key {
    name: "numeric_names",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "New names may be whole numbers, such as telephone or student numbers. With `false` they are \
          refused, because the subject of an imported account may be a number, too, and a name must never \
          equal another account's subject. Accounts that have such a name keep it. With `subjects = \
          \"integer\"`, such names are always refused.",
};

const SUBJECTS: Key<Words<Subjects>> = Key {
    name: "subjects",
    kind: Words(&[("uuid", Subjects::Uuid), ("integer", Subjects::Integer)]),
    unset: DefaultsTo("\"uuid\""),
    doc: "The subjects of new accounts, which tokens carry in `user_id`: UUIDs or, with `integer`, the next \
          positive whole number that no account has or had. Django user models with integer keys need \
          `integer`, set before the first account is added; a `--subject` must then be a number too.",
};

/// The section's values.
pub(super) struct Accounts {
    pub(super) login_fields: LoginFields,
    pub(super) username_field: String,
    pub(super) names: NameChanges,
    pub(super) numeric_names: NumericNames,
    pub(super) subjects: Subjects,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Accounts, Reported> {
    let (login_fields, username_field) = (login_fields(&mut section), username_field(&mut section));
    let (change_username, numeric_names) = (section.read(&CHANGE_USERNAME), section.read(&NUMERIC_NAMES));
    let subjects = section.read(&SUBJECTS);
    let names = if change_username? { NameChanges::Allowed } else { NameChanges::Refused };
    let numeric_names = if numeric_names? { NumericNames::Allowed } else { NumericNames::Refused };
    Ok(Accounts {
        login_fields: login_fields?,
        username_field: username_field?,
        names,
        numeric_names,
        subjects: subjects?,
    })
}

/// Reads the fields; their order doesn't matter.
fn login_fields(section: &mut Section<'_>) -> Result<LoginFields, Reported> {
    let fields = section.read(&LOGIN_FIELDS)?;
    match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["username"] => Ok(LoginFields::Name),
        ["email"] => Ok(LoginFields::Email),
        ["username", "email"] | ["email", "username"] => Ok(LoginFields::NameOrEmail),
        _ => Err(section.fault(
            &LOGIN_FIELDS,
            "has a member that isn't a sign-in name",
            "write [\"username\"], [\"email\"] or both",
        )),
    }
}

fn username_field(section: &mut Section<'_>) -> Result<String, Reported> {
    let name = section.read(&USERNAME_FIELD)?;
    let is_name = name.len() <= FIELD_BYTES
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    match name.as_str() {
        "password" => Err(section.fault(
            &USERNAME_FIELD,
            "is the field of the password",
            "name another field, such as \"email\"",
        )),
        _ if !is_name => Err(section.fault(
            &USERNAME_FIELD,
            "isn't the name of a field",
            "write letters, digits and _, such as \"email\"",
        )),
        _ => Ok(name),
    }
}
