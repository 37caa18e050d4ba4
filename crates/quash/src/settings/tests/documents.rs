//! Checks that the reference matches the tables.

use std::path::PathBuf;

use super::super::engine::key::{Description, Unset};
use super::super::engine::table::Table;
use super::super::schema;
use super::super::sections::SECTIONS;

fn document(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the row of a key in settings.md.
fn row(key: &Description) -> String {
    // Words are in quotation marks, and are formatted as code.
    let mut kind = String::new();
    for (at, part) in key.shape.to_string().split('"').enumerate() {
        kind.push_str(&if at % 2 == 1 { format!("`\"{part}\"`") } else { part.to_owned() });
    }
    let unset = match key.unset {
        Unset::DefaultsTo(toml) => format!("`{toml}`"),
        Unset::Optional { .. } => "none".into(),
        Unset::Required { .. } => "must be set".into(),
    };
    format!("| `{}` | {kind} | {unset} | {} |", key.name, key.doc)
}

fn heading(table: &Table) -> String {
    format!("## `[{}]`: {}", table.heading(), table.doc)
}

#[test]
fn the_reference_lists_exactly_all_keys() {
    let page = document("settings.md");
    let mut wanted = Vec::new();
    for table in SECTIONS {
        wanted.push(heading(table));
        wanted.extend(table.keys().iter().map(row));
    }
    let sections = page.lines().skip_while(|line| !line.starts_with("## `["));
    let found: Vec<&str> =
        sections.filter(|line| line.starts_with("## `[") || line.starts_with("| `")).collect();
    for line in &found {
        assert!(
            wanted.iter().any(|wanted| wanted == line),
            "no table has this any more:\n{line}\nThese are the lines:\n{}",
            wanted.join("\n")
        );
    }
    for line in &wanted {
        assert!(found.contains(&line.as_str()), "docs/reference/settings.md lacks this line:\n{line}");
    }
    assert_eq!(found, wanted, "the rows are in the order of the tables");
}

#[test]
fn the_stored_schema_is_current() {
    let current = format!("{:#}\n", schema());
    let hint = "it is renewed by: cargo run -- config schema > docs/reference/quash.schema.json";
    assert!(
        document("quash.schema.json") == current,
        "docs/reference/quash.schema.json is out of date; {hint}"
    );
}
