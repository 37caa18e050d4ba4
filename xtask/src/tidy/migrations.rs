//! Checks that the migrations in each database's folder are numbered without gaps.

use std::collections::BTreeMap;

use super::report::{Finding, Rule};

const NUMBERS: Rule = Rule {
    name: "migrations-count-up",
    why: "databases are migrated by number: with a gap or a duplicate, two databases may differ in their history",
    remedy: "name it NNNN_name.sql with the next number; never rename a released migration",
};

const FOLDER: &str = "crates/quash-store/migrations/";

/// The databases whose first number isn't 1: those of PostgreSQL continue SQLite's at the time when it was added.
const FIRST: [(&str, usize); 1] = [("postgres", 18)];

/// Returns the paths that break the rule.
pub(crate) fn findings(files: &[String]) -> Vec<Finding> {
    let mut databases: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut findings = Vec::new();
    for path in files {
        let Some(below) = path.strip_prefix(FOLDER) else { continue };
        if below.rsplit('/').next().is_some_and(|name| name.starts_with('.')) {
            continue;
        }
        match below.split_once('/') {
            Some((database, name)) => databases.entry(database).or_default().push((name, path)),
            None => findings.push(NUMBERS.found(path, 1, "a migration outside a database's folder")),
        }
    }
    for (database, names) in &mut databases {
        names.sort_unstable();
        let first = FIRST.iter().find(|(other, _)| other == database).map_or(1, |(_, first)| *first);
        for (index, (name, path)) in names.iter().enumerate() {
            let expected = first + index;
            if number(name) != Some(expected) {
                findings.push(NUMBERS.found(path, 1, format!("expected {expected:04}_name.sql here")));
                // All later numbers would be findings, too; the first one suffices.
                break;
            }
        }
    }
    findings
}

fn number(name: &str) -> Option<usize> {
    let (number, rest) = name.split_once('_')?;
    (number.len() == 4 && rest.len() > ".sql".len() && rest.ends_with(".sql")).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<String> {
        let files: Vec<String> = names.iter().map(|name| format!("{FOLDER}{name}")).collect();
        findings(&files).iter().map(|finding| finding.path.replace(FOLDER, "")).collect()
    }

    #[test]
    fn numbers_go_up_by_one_from_one() {
        assert!(found(&["sqlite/0001_a.sql", "sqlite/0002_b.sql", "postgres/0018_a.sql"]).is_empty());
        assert_eq!(found(&["postgres/0001_a.sql"]), ["postgres/0001_a.sql"]);
        assert_eq!(found(&["sqlite/0002_b.sql"]), ["sqlite/0002_b.sql"]);
        assert_eq!(
            found(&["sqlite/0001_a.sql", "sqlite/0003_b.sql", "sqlite/0004_c.sql"]),
            ["sqlite/0003_b.sql"]
        );
        assert_eq!(found(&["sqlite/0001_a.sql", "sqlite/0001_b.sql"]), ["sqlite/0001_b.sql"]);
        assert_eq!(found(&["sqlite/1_a.sql"]), ["sqlite/1_a.sql"]);
        assert!(found(&[".gitattributes", "sqlite/.gitignore"]).is_empty());
        assert_eq!(found(&["0001_a.sql"]), ["0001_a.sql"]);
    }
}
