//! Rules for the descriptions of all sections and keys.

use std::collections::BTreeSet;

use super::super::engine::draft::{MINIMAL, sections};
use super::super::engine::key::{Description, Unset};
use super::super::engine::shape::Shape;
use super::super::engine::table::{Naming, Table};
use super::super::sections::SECTIONS;
use super::super::{Extent, draft};
use super::test_sections::{self, TestDir};
use super::{EVERY_KEY, load_from};
use crate::error::CommandError;
use crate::settings::engine::environment::OWN_VARIABLES;

fn keys() -> impl Iterator<Item = (&'static Table, Description)> {
    SECTIONS.iter().flat_map(|table| table.keys().into_iter().map(move |key| (table, key)))
}

/// Returns a draft with every key and section set.
pub(super) fn all_set(draft: &str) -> String {
    let set = |line: &str| {
        line.strip_prefix('#')
            .filter(|key| !key.is_empty() && !key.starts_with(' '))
            .unwrap_or(line)
            .to_owned()
    };
    draft.lines().map(|line| set(line) + "\n").collect()
}

/// Returns a draft with every section and compatible keys set: without keys of files, which don't exist,
/// without the keys of `[foreign]` that conflict with an address, and without the user name of `[mail]`,
/// which needs a password.
pub(super) fn all_that_go_together(draft: &str) -> String {
    let alone = |line: &&str| {
        !line.contains("_file = ")
            && !line.starts_with("kid = ")
            && !line.starts_with("username = ")
            && *line != "algorithm = \"HS256\""
    };
    all_set(draft).lines().filter(alone).map(|line| format!("{line}\n")).collect()
}

#[test]
fn faults_of_all_keys_are_reported_together() {
    // No key accepts a table.
    let named = |table: &Table| if table.naming == Naming::Named { ".a" } else { "" };
    let file: String =
        keys().map(|(table, key)| format!("[{}{}.{}]\n", table.name, named(table), key.name)).collect();
    let error = CommandError::from(load_from(&file, &[], &[]).expect_err("all of it is wrong"));
    let told: BTreeSet<String> = error
        .findings
        .iter()
        .filter_map(|found| found.message.split(' ').next())
        .map(str::to_owned)
        .collect();
    let secret_files = |key: &str| key.ends_with("_file");
    for (table, key) in keys().filter(|(_, key)| !secret_files(&key.name)) {
        let name = format!("{}{}.{}", table.name, named(table), key.name);
        assert!(told.contains(&name), "{name} isn't among {told:?}");
    }
}

#[test]
fn every_key_lists_a_value_other_than_default() {
    let (set, unset) =
        (load_from(EVERY_KEY, &[], &[]).expect("valid"), load_from("", &[], &[]).expect("valid"));
    assert_ne!(format!("{set:?}"), format!("{unset:?}"));
    for (table, key) in keys().filter(|(table, key)| {
        table.naming == Naming::One && !matches!(key.shape, Shape::Public | Shape::File)
    }) {
        let section = EVERY_KEY
            .split(&format!("[{}]", table.name))
            .nth(1)
            .unwrap_or_default()
            .split("\n[")
            .next()
            .unwrap_or_default();
        assert!(section.contains(&format!("\n{} = ", key.name)), "{}.{} isn't there", table.name, key.name);
        if let Unset::DefaultsTo(toml) = key.unset {
            assert!(!section.contains(&format!("\n{} = {toml}\n", key.name)), "{}.{}", table.name, key.name);
        }
    }
}

#[test]
fn documented_defaults_are_the_real_defaults() {
    let optional = |line: &str| {
        keys().any(|(_, key)| {
            matches!(key.unset, Unset::Optional { .. }) && line.starts_with(&format!("{} = ", key.name))
        })
    };
    let all = all_set(&draft(Extent::Whole));
    // By default, there are no named sections.
    let named = |table: &&Table| table.naming == Naming::Named;
    let all = SECTIONS.iter().filter(named).fold(all, |all, table| {
        let (before, after) = all.split_once(&format!("\n[{}.", table.name)).expect("it is in the draft");
        format!("{before}{}", after.find("\n[").map_or("", |next| &after[next..]))
    });
    let defaults: String =
        all.lines().filter(|line| !optional(line)).map(|line| format!("{line}\n")).collect();
    let unset = load_from("", &[], &[]).expect("valid");
    let written = load_from(&defaults, &[], &[]).unwrap_or_else(|faults| panic!("{faults:?}\n{defaults}"));
    assert_eq!(format!("{written:?}"), format!("{unset:?}"));
    assert!(defaults.matches(" = ").count() > 15, "{defaults}");
}

#[test]
fn drafts_set_nothing_and_have_valid_examples() {
    let unset = format!("{:?}", load_from("", &[], &[]).expect("valid"));
    for extent in [Extent::Whole, Extent::Minimal] {
        let draft = draft(extent);
        assert_eq!(format!("{:?}", load_from(&draft, &[], &[]).expect("valid")), unset);
        let all = all_that_go_together(&draft);
        let faults = load_from(&all, &[], &[]).err();
        assert_eq!(faults, None, "{all}");
        assert!(draft.lines().all(|line| line.chars().count() <= 120), "{draft}");
    }
    for (_, key) in keys().filter(|(_, key)| !key.shape.may_be_in_a_file()) {
        let line = format!("#{} = {}", key.name, key.unset.written());
        assert!(draft(Extent::Whole).lines().any(|found| found == line), "{line}");
    }
    let whole = draft(Extent::Whole);
    assert!(!whole.contains("]("), "the targets of Markdown links are dropped");
    for (table, key) in keys().filter(|(_, key)| key.shape.may_be_in_a_file()) {
        assert!(whole.contains(&format!("# {}: ", key.name)), "{}.{}", table.name, key.name);
    }
    let minimal = draft(Extent::Minimal);
    let keys =
        minimal.lines().filter(|line| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1);
    assert_eq!(keys.count(), MINIMAL.len(), "{minimal}");
}

#[test]
fn drafts_of_named_sections_and_secrets_are_valid() {
    let draft = sections(test_sections::TABLES, |_, _| true);
    assert!(TestDir::new(&draft, &[], &[]).trial().peers.is_empty(), "{draft}");
    let dir = TestDir::new(&all_set(&draft), &[], &[])
        .with_file("seal.key", b"s", 0o600)
        .with_file("peer.key", b"t", 0o600);
    let trial = dir.trial();
    assert!(trial.seal.is_some() && trial.peers["name"].token.is_some(), "{draft}");
    assert!(draft.contains("; must be set") && !draft.contains("\n#seal = "), "{draft}");
}

#[test]
fn key_names_are_plain_and_unambiguous() {
    let mut variables: BTreeSet<String> = OWN_VARIABLES.map(str::to_owned).into();
    for (table, key) in keys() {
        let plain = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(plain(table.name) && plain(&key.name), "{}.{}", table.name, key.name);
        let variable = format!("QUASH_{}_{}", table.name, key.name).to_uppercase();
        assert!(variables.insert(variable.clone()), "{variable} means two things");
        assert!(
            !key.doc.contains('\n') && key.doc.ends_with('.') && !key.doc.contains('|'),
            "{}: {}",
            key.name,
            key.doc
        );
    }
    for table in SECTIONS.iter().filter(|table| table.naming == Naming::Named) {
        let prefix = format!("QUASH_{}_", table.name).to_uppercase();
        let plain = keys().filter(|(other, _)| other.naming == Naming::One);
        for variable in plain.map(|(other, key)| format!("QUASH_{}_{}", other.name, key.name).to_uppercase())
        {
            assert!(
                !variable.starts_with(&prefix),
                "{variable} could be of a section of [{}]",
                table.heading()
            );
        }
        for key in table.keys() {
            let ends = table.keys().into_iter().find(|other| key.name.ends_with(&format!("_{}", other.name)));
            assert!(ends.is_none(), "a variable can't tell {} from {:?}", key.name, ends);
        }
    }
}
