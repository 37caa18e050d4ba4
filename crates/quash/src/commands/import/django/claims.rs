//! The mapping from a Django user's rights to claims.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use quash_core::model::ClaimNames;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{CommandError, Exit};

/// The longest file, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

const FORMS: &str = "write NAME=SOURCE; a source is staff, superuser, groups, permissions or column:NAME";

/// Where a claim's value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ClaimSource {
    Column(String),
    Groups,
    Permissions,
}

/// The claims of the accounts.
#[derive(Default)]
pub(super) struct ClaimMapping {
    pub(super) claims: BTreeMap<String, ClaimSource>,
    /// The values for names of groups. Others are left out; `None`: each has its own name.
    groups: Option<BTreeMap<String, String>>,
    /// The same for permissions.
    permissions: Option<BTreeMap<String, String>>,
}

/// A file with a mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    claims: BTreeMap<String, String>,
    groups: Option<BTreeMap<String, String>>,
    permissions: Option<BTreeMap<String, String>>,
}

impl ClaimMapping {
    /// Reads the mapping from a TOML or JSON file, and from options `NAME=SOURCE`, which override it.
    pub(super) fn read(file: Option<&Path>, options: &[String]) -> Result<Self, CommandError> {
        let mut mapping = file.map_or_else(|| Ok(Self::default()), Self::from_file)?;
        for option in options {
            let fault =
                || CommandError::new(Exit::Usage, format!("--claim {option:?} isn't a mapping")).hint(FORMS);
            let (name, source) = option.split_once('=').ok_or_else(fault)?;
            mapping.claims.insert(name.to_owned(), ClaimSource::parse(source).ok_or_else(fault)?);
        }
        Ok(mapping)
    }

    fn from_file(path: &Path) -> Result<Self, CommandError> {
        let fault = |detail: String| {
            CommandError::new(Exit::Usage, format!("{} can't be used: {detail}", path.display()))
                .hint("write a table `claims`, such as `roles = \"groups\"` below [claims]")
        };
        let length = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.len();
        if length > FILE_BYTES {
            return Err(fault(format!("it is longer than {FILE_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let MappingFile { claims, groups, permissions } = if text.trim_start().starts_with('{') {
            serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?
        } else {
            toml::from_str(&text).map_err(|error| fault(error.message().to_owned()))?
        };
        let parsed = claims.into_iter().map(|(name, source)| match ClaimSource::parse(&source) {
            Some(source) => Ok((name, source)),
            None => Err(fault(format!("the claim {name} has the source {source:?}")).hint(FORMS)),
        });
        Ok(Self { claims: parsed.collect::<Result<_, _>>()?, groups, permissions })
    }

    /// Checks the names of the claims.
    ///
    /// # Errors
    /// quash uses a claim itself.
    pub(super) fn check(&self, names: &ClaimNames) -> Result<(), CommandError> {
        match self.claims.keys().find(|name| names.reserves(name)) {
            Some(name) => Err(CommandError::new(
                Exit::Usage,
                format!("the claim {name:?} can't be imported: quash uses it itself"),
            )
            .hint("give the claim another name")),
            None => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    pub(super) fn has(&self, source: &ClaimSource) -> bool {
        self.claims.values().any(|one| one == source)
    }

    /// The columns that claims are taken from.
    pub(super) fn columns(&self) -> BTreeSet<String> {
        let columns = self.claims.values().filter_map(|source| match source {
            ClaimSource::Column(name) => Some(name.clone()),
            ClaimSource::Groups | ClaimSource::Permissions => None,
        });
        columns.collect()
    }

    /// Returns the claims of a user, or `None` if there is no mapping. A column without a value is left out.
    pub(super) fn of(
        &self,
        columns: &BTreeMap<String, Value>,
        groups: &[String],
        permissions: &[String],
    ) -> Option<Map<String, Value>> {
        let claims = self.claims.iter().filter_map(|(name, source)| {
            let value = match source {
                ClaimSource::Column(column) => columns.get(column).filter(|value| !value.is_null())?.clone(),
                ClaimSource::Groups => listed(groups, self.groups.as_ref()),
                ClaimSource::Permissions => listed(permissions, self.permissions.as_ref()),
            };
            Some((name.clone(), value))
        });
        (!self.is_empty()).then(|| claims.collect())
    }
}

impl ClaimSource {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "staff" => Some(Self::Column("is_staff".into())),
            "superuser" => Some(Self::Column("is_superuser".into())),
            "groups" => Some(Self::Groups),
            "permissions" => Some(Self::Permissions),
            _ => text
                .strip_prefix("column:")
                .filter(|name| !name.is_empty())
                .map(|name| Self::Column(name.into())),
        }
    }
}

/// Returns the names in order, each once, with the values that the mapping gives them.
fn listed(names: &[String], mapping: Option<&BTreeMap<String, String>>) -> Value {
    let mapped = names.iter().filter_map(|name| match mapping {
        Some(mapping) => mapping.get(name),
        None => Some(name),
    });
    mapped.cloned().collect::<BTreeSet<_>>().into_iter().map(Value::String).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_follow_the_mapping() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("claims.toml");
        std::fs::write(
            &path,
            "[claims]\nroles = \"groups\"\ntenant = \"column:org\"\n[groups]\nEditors = \"editor\"\n",
        )
        .expect("it is written");
        let mapping = ClaimMapping::read(Some(&path), &["staff=staff".into(), "rights=permissions".into()])
            .expect("a mapping");
        assert_eq!(mapping.columns(), BTreeSet::from(["is_staff".to_owned(), "org".to_owned()]));
        let columns = BTreeMap::from([("is_staff".to_owned(), json!(true)), ("org".to_owned(), Value::Null)]);
        let groups = ["Editors", "Others"].map(str::to_owned);
        let rights = ["b.x", "a.y", "b.x"].map(str::to_owned);
        assert_eq!(
            mapping.of(&columns, &groups, &rights).map(Value::Object),
            Some(json!({ "rights": ["a.y", "b.x"], "roles": ["editor"], "staff": true }))
        );
        assert_eq!(ClaimMapping::default().of(&columns, &groups, &rights), None);
    }

    #[test]
    fn malformed_mappings_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("claims");
        for text in [
            "",
            "claims = 1",
            "{\"claims\":{\"a\":\"groups\"},\"x\":1}",
            "[claims]\na = \"group\"",
            "[claims",
        ] {
            std::fs::write(&path, text).expect("it is written");
            let refused = ClaimMapping::read(Some(&path), &[]).err().expect("it is refused");
            assert_eq!(refused.exit, Exit::Usage, "{text}");
        }
        for option in ["a", "a=", "a=column:", "a=staffs"] {
            assert!(ClaimMapping::read(None, &[option.into()]).is_err(), "{option}");
        }
    }
}
