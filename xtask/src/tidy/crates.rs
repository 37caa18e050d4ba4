//! Rules for dependencies between crates, from `cargo metadata`: which of our crates may depend on which, and
//! what quash-core may import. Only dependencies of the product count; tests may have any. `deny.toml` bans
//! crates from all trees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use serde_json::Value;

use super::report::{Finding, Rule};
use crate::failure::{Failure, Result};

const DEPENDENCY: Rule = Rule {
    name: "crates-point-one-way",
    why: "the design is quash -> server -> service -> store -> core <- verify; another dependency would let a handler run a query, or make the verifier need a server",
    remedy: "use the crate in between; a new dependency or crate needs a decision record and a line in ALLOWED_DEPENDENCIES in xtask/src/tidy/crates.rs",
};
const CORE_IMPORTS: Rule = Rule {
    name: "core-imports-little",
    why: "quash-core is pure: no runtime, HTTP, SQL, clock, randomness or logging",
    remedy: "do it in another crate and pass the result as an argument; a new dependency needs a reason and a line in ALLOWED_CORE_IMPORTS in xtask/src/tidy/crates.rs",
};

/// The allowed dependencies between our crates.
const ALLOWED_DEPENDENCIES: &[(&str, &[&str])] = &[
    ("quash", &["quash-server", "quash-service", "quash-store", "quash-core"]),
    ("quash-server", &["quash-service", "quash-verify", "quash-core"]),
    ("quash-service", &["quash-store", "quash-verify", "quash-core"]),
    ("quash-store", &["quash-core"]),
    ("quash-verify", &["quash-core"]),
    ("quash-core", &[]),
    ("quash-fuzz", &["quash", "quash-server", "quash-core"]),
    // The Python package's native module, and the only crate with unsafe code.
    ("quash-python", &["quash-core", "quash-verify", "quash-fork"]),
    ("quash-fork", &[]),
    // Examples depend only on what an application needs.
    ("quash-example-axum", &["quash-verify"]),
    ("quash-example-chat", &["quash-verify"]),
    ("quash-example-tower", &["quash-verify"]),
];

/// The allowed dependencies of quash-core.
const ALLOWED_CORE_IMPORTS: &[&str] = &[
    "aws-lc-rs",
    "base64",
    "caseless",
    "hashbrown",
    "md-5",
    "rustls-pki-types",
    "serde",
    "serde_json",
    "siphasher",
    "thiserror",
    "unicode-normalization",
    "uuid",
    "zeroize",
];

/// The crates that quash-core's tree must not contain.
const BANNED_IN_CORE: &[&str] = &["tokio", "hyper", "axum", "rusqlite", "tracing", "log"];

/// The crates that the product is built from.
pub(crate) struct Graph {
    /// Our own crates except xtask, by name.
    own: BTreeMap<String, Own>,
    /// Crate names by package id.
    names: BTreeMap<String, String>,
    /// The normal dependencies of each package, by package id.
    needs: BTreeMap<String, Vec<String>>,
}

struct Own {
    id: String,
    manifest: String,
    direct: BTreeSet<String>,
}

impl Graph {
    /// Reads the output of `cargo metadata`.
    ///
    /// # Errors
    /// Returns an error if the output isn't of the expected form.
    pub(crate) fn read(metadata: &Value, root: &Path) -> Result<Self> {
        let members: BTreeSet<&str> =
            list(metadata, "workspace_members")?.iter().filter_map(Value::as_str).collect();
        let (mut own, mut names, mut needs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut packages = BTreeMap::new();
        for package in list(metadata, "packages")? {
            let (id, name) = (text(package, "id")?, text(package, "name")?);
            names.insert(id.to_owned(), name.to_owned());
            packages.insert(id, package);
            if members.contains(id) && name != "xtask" {
                let manifest = Path::new(text(package, "manifest_path")?);
                let manifest = manifest.strip_prefix(root).unwrap_or(manifest).to_string_lossy().into_owned();
                let normal =
                    list(package, "dependencies")?.iter().filter(|dependency| dependency["kind"].is_null());
                let direct =
                    normal.filter_map(|dependency| dependency["name"].as_str()).map(str::to_owned).collect();
                own.insert(name.to_owned(), Own { id: id.to_owned(), manifest, direct });
            }
        }
        for node in list(&metadata["resolve"], "nodes")? {
            let is_normal = |need: &&Value| {
                need["dep_kinds"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
            };
            let id = text(node, "id")?;
            let is_built = |need: &&str| match (packages.get(id), names.get(*need)) {
                (Some(package), Some(name)) => is_on(package, node, name),
                _ => true,
            };
            let normal = list(node, "deps")?.iter().filter(is_normal).filter_map(|need| need["pkg"].as_str());
            needs.insert(id.to_owned(), normal.filter(is_built).map(str::to_owned).collect());
        }
        Ok(Self { own, names, needs })
    }

    /// Returns the places that break these rules.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, own) in &self.own {
            findings.extend(self.arrows(name, own));
            if name == "quash-core" {
                let foreign =
                    own.direct.iter().filter(|direct| !ALLOWED_CORE_IMPORTS.contains(&direct.as_str()));
                findings.extend(
                    foreign.map(|direct| CORE_IMPORTS.found(&own.manifest, 1, format!("{name} -> {direct}"))),
                );
                findings.extend(self.banned_in_core(own));
            }
        }
        findings
    }

    /// Returns the number of crates in each of our crates' trees, for display.
    pub(crate) fn sizes(&self) -> String {
        let sizes: Vec<String> =
            self.own.iter().map(|(name, own)| format!("{name} {}", self.tree(own).len())).collect();
        format!("crates in each tree, all platforms: {}", sizes.join(", "))
    }

    fn arrows(&self, name: &str, own: &Own) -> Vec<Finding> {
        let allowed = ALLOWED_DEPENDENCIES.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
        let Some(allowed) = allowed else {
            return vec![DEPENDENCY.found(&own.manifest, 1, format!("{name} isn't in ALLOWED_DEPENDENCIES"))];
        };
        let ours = own.direct.iter().filter(|direct| self.own.contains_key(*direct));
        ours.filter(|direct| !allowed.contains(&direct.as_str()))
            .map(|direct| DEPENDENCY.found(&own.manifest, 1, format!("{name} -> {direct}")))
            .collect()
    }

    fn banned_in_core(&self, own: &Own) -> Vec<Finding> {
        let tree = self.tree(own);
        let found = tree.keys().filter(|id| BANNED_IN_CORE.contains(&self.name(id)));
        found.map(|id| CORE_IMPORTS.found(&own.manifest, 1, self.way(&tree, id))).collect()
    }

    /// Returns the tree of one of our crates, itself included: each package id with the one that requires it,
    /// nearest first.
    fn tree<'a>(&'a self, own: &'a Own) -> BTreeMap<&'a str, Option<&'a str>> {
        let mut tree = BTreeMap::from([(own.id.as_str(), None)]);
        let mut queue = VecDeque::from([own.id.as_str()]);
        while let Some(id) = queue.pop_front() {
            for need in self.needs.get(id).into_iter().flatten() {
                if !tree.contains_key(need.as_str()) {
                    tree.insert(need, Some(id));
                    queue.push_back(need);
                }
            }
        }
        tree
    }

    /// Returns the path to a crate in a tree: `quash-core -> uuid -> getrandom`.
    fn way(&self, tree: &BTreeMap<&str, Option<&str>>, id: &str) -> String {
        let steps = std::iter::successors(Some(id), |id| tree.get(id).copied().flatten());
        let mut names: Vec<&str> = steps.map(|id| self.name(id)).collect();
        names.reverse();
        names.join(" -> ")
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

/// Returns whether a package's dependency is built: it isn't optional, or an enabled feature enables it.
/// Cargo also lists dependencies that a feature would only configure if they were enabled (`ring?/alloc`).
fn is_on(package: &Value, node: &Value, name: &str) -> bool {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let listed = all(&package["dependencies"]);
    let mut listed = listed
        .iter()
        .filter(|dependency| dependency["name"] == name && dependency["kind"].is_null())
        .peekable();
    if listed.peek().is_none() {
        return true;
    }
    listed.any(|dependency| {
        let alias = dependency["rename"].as_str().unwrap_or(name);
        let turns_on = |item: &str| {
            item.strip_prefix("dep:") == Some(alias)
                || item.split_once('/').is_some_and(|(of, _)| of == alias)
        };
        let feature_turns_on =
            |feature: &str| all(&package["features"][feature]).iter().filter_map(Value::as_str).any(turns_on);
        dependency["optional"] != true
            || all(&node["features"]).iter().filter_map(Value::as_str).any(feature_turns_on)
    })
}

fn list<'a>(value: &'a Value, member: &str) -> Result<&'a Vec<Value>> {
    value[member].as_array().ok_or_else(|| Failure::new(format!("cargo metadata has no list '{member}'")))
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    value[member].as_str().ok_or_else(|| Failure::new(format!("cargo metadata has no text '{member}'")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Checks packages with their dependencies: `name` for a normal one, `dev:name` for one of tests.
    fn found(packages: &[(&str, &[&str])], members: &[&str]) -> Vec<String> {
        let kind = |need: &str| if need.starts_with("dev:") { json!("dev") } else { Value::Null };
        let bare = |need: &str| need.trim_start_matches("dev:").to_owned();
        let metadata = json!({
            "workspace_members": members,
            "packages": packages.iter().map(|(name, needs)| json!({
                "id": name, "name": name, "manifest_path": format!("/r/crates/{name}/Cargo.toml"),
                "dependencies": needs.iter().map(|need| json!({"name": bare(need), "kind": kind(need)})).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "resolve": {"nodes": packages.iter().map(|(name, needs)| json!({
                "id": name,
                "deps": needs.iter().map(|need| json!({"pkg": bare(need), "dep_kinds": [{"kind": kind(need)}]})).collect::<Vec<_>>(),
            })).collect::<Vec<_>>()},
        });
        let graph = Graph::read(&metadata, Path::new("/r")).unwrap();
        graph
            .findings()
            .iter()
            .map(|finding| format!("{} {}: {}", finding.path, finding.rule.name, finding.found))
            .collect()
    }

    #[test]
    fn dependencies_against_the_design_are_found() {
        let packages: &[(&str, &[&str])] = &[
            ("quash-core", &[]),
            ("quash-store", &["quash-core"]),
            ("quash-server", &["quash-core", "quash-store"]),
            ("quash-service", &["quash-store", "dev:quash-server"]),
            ("xtask", &["quash-store"]),
        ];
        let members = ["quash-core", "quash-store", "quash-server", "quash-service", "xtask"];
        assert_eq!(
            found(packages, &members),
            ["crates/quash-server/Cargo.toml crates-point-one-way: quash-server -> quash-store"]
        );
    }

    #[test]
    fn examples_depend_on_verify_alone_except_in_tests() {
        let packages: &[(&str, &[&str])] = &[
            ("quash-verify", &[]),
            ("quash-core", &[]),
            ("quash-example-axum", &["quash-verify", "quash-core", "dev:quash-server"]),
        ];
        let found = found(packages, &["quash-verify", "quash-core", "quash-example-axum"]);
        assert_eq!(
            found,
            ["crates/quash-example-axum/Cargo.toml crates-point-one-way: quash-example-axum -> quash-core"]
        );
    }

    #[test]
    fn unlisted_crates_are_found() {
        assert_eq!(
            found(&[("quash-mail", &[])], &["quash-mail"]),
            ["crates/quash-mail/Cargo.toml crates-point-one-way: quash-mail isn't in ALLOWED_DEPENDENCIES"]
        );
    }

    #[test]
    fn core_imports_only_listed_crates() {
        let packages: &[(&str, &[&str])] = &[
            ("quash-core", &["uuid", "rand", "dev:proptest"]),
            ("uuid", &["getrandom"]),
            ("rand", &["log"]),
        ];
        assert_eq!(
            found(packages, &["quash-core"]),
            [
                "crates/quash-core/Cargo.toml core-imports-little: quash-core -> rand",
                "crates/quash-core/Cargo.toml core-imports-little: quash-core -> rand -> log",
            ]
        );
    }

    #[test]
    fn transitive_banned_crates_are_found_except_in_tests() {
        let packages: &[(&str, &[&str])] = &[
            ("quash-core", &["uuid", "dev:tracing"]),
            ("uuid", &["b"]),
            ("b", &["tokio"]),
            ("tokio", &[]),
            ("tracing", &[]),
        ];
        assert_eq!(
            found(packages, &["quash-core"]),
            ["crates/quash-core/Cargo.toml core-imports-little: quash-core -> uuid -> b -> tokio"]
        );
    }

    #[test]
    fn optional_crates_count_only_if_enabled() {
        let found = |features: &[&str]| {
            let own = json!({ "id": "quash-core", "name": "quash-core", "manifest_path": "/r/crates/quash-core/Cargo.toml", "dependencies": [{ "name": "uuid", "kind": null, "optional": false }] });
            let uuid = json!({
                "id": "uuid", "name": "uuid", "manifest_path": "/uuid/Cargo.toml",
                "dependencies": [{ "name": "log", "kind": null, "optional": true, "rename": "r" }],
                "features": { "weak": ["r?/std"], "strong": ["r/std"], "dep": ["dep:r"], "other": ["dep:log", "other"] },
            });
            let need = |pkg: &str| json!({ "pkg": pkg, "dep_kinds": [{ "kind": null }] });
            let metadata = json!({
                "workspace_members": ["quash-core"],
                "packages": [own, uuid, { "id": "log", "name": "log", "manifest_path": "/log/Cargo.toml", "dependencies": [] }],
                "resolve": { "nodes": [
                    { "id": "quash-core", "deps": [need("uuid")], "features": [] },
                    { "id": "uuid", "deps": [need("log")], "features": features },
                    { "id": "log", "deps": [], "features": [] },
                ] },
            });
            Graph::read(&metadata, Path::new("/r")).unwrap().findings().len()
        };
        assert_eq!(
            [found(&[]), found(&["weak", "other"]), found(&["strong"]), found(&["weak", "dep"])],
            [0, 0, 1, 1]
        );
    }
}
