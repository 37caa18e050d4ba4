//! `[passwords]`: what becomes of passwords' hashes.

use quash_service::Rehash;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::Switch;
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "passwords", doc: "what becomes of passwords' hashes", naming: Naming::One, keys: &[&REHASH] };

const REHASH: Key<Switch> = Key {
    name: "rehash",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A hash that isn't what quash would make today, such as one from Django, is replaced when its user signs in. With `false` it \
          stays, for a Django that reads the same hashes.",
};

/// Reads the section. Where Django nodes compare the hash that each token is marked with, one that changes by itself would
/// sign everybody out.
pub(super) fn read(mut section: Section<'_>, marked: bool) -> Result<Rehash, Told> {
    if !section.read(&REHASH)? {
        return Ok(Rehash::Never);
    }
    if marked {
        let remedy = "write passwords.rehash = false, or leave check_revoke_token out";
        return Err(section.wrong(&REHASH, "would change what tokens.check_revoke_token lets Django nodes compare", remedy));
    }
    Ok(Rehash::OnSuccess)
}
