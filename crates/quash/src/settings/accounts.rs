//! `[accounts]`: what accounts sign in with, and what users change themselves.

use quash_core::model::{LoginFields, NameChanges, NumericNames};

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::{List, Switch};
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "accounts",
    doc: "what accounts sign in with",
    naming: Naming::One,
    keys: &[&LOGIN_FIELDS, &CHANGE_USERNAME, &NUMERIC_NAMES],
};

const LOGIN_FIELDS: Key<List> = Key {
    name: "login_fields",
    kind: List,
    unset: DefaultsTo("[\"username\"]"),
    doc: "What stands in the field `username` of a sign-in: `username`, `email` or both. An address signs in where one account alone has \
          confirmed it; before that it is answered `email_not_verified` to who knows the password. With both, a confirmed address goes \
          before a name that looks like it.",
};
const CHANGE_USERNAME: Key<Switch> = Key {
    name: "change_username",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "Users may change their name with `PATCH /v1/me`. With `false` only an operator does.",
};
const NUMERIC_NAMES: Key<Switch> = Key {
    name: "numeric_names",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "New names may be whole numbers, such as telephone numbers or numbers of students. With `false` they are refused, because the \
          subject of an imported account may be a number, too, and a name must never look like another account's subject. Accounts \
          that have such a name keep it.",
};

/// The section, read.
pub(super) struct Accounts {
    pub(super) login_fields: LoginFields,
    pub(super) names: NameChanges,
    pub(super) numeric_names: NumericNames,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Accounts, Told> {
    let (login_fields, change_username) = (login_fields(&mut section), section.read(&CHANGE_USERNAME));
    let numeric_names = section.read(&NUMERIC_NAMES);
    let names = if change_username? { NameChanges::Allowed } else { NameChanges::Refused };
    let numeric_names = if numeric_names? { NumericNames::Allowed } else { NumericNames::Refused };
    Ok(Accounts { login_fields: login_fields?, names, numeric_names })
}

/// Their order says nothing.
fn login_fields(section: &mut Section<'_>) -> Result<LoginFields, Told> {
    let fields = section.read(&LOGIN_FIELDS)?;
    match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["username"] => Ok(LoginFields::Name),
        ["email"] => Ok(LoginFields::Email),
        ["username", "email"] | ["email", "username"] => Ok(LoginFields::NameOrEmail),
        _ => Err(section.wrong(&LOGIN_FIELDS, "has a member that nobody signs in with", "write [\"username\"], [\"email\"] or both")),
    }
}
