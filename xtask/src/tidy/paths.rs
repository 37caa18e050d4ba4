//! Checks that each path between backticks in ARCHITECTURE.md and CONTRIBUTING.md exists.

use super::report::{Finding, Rule};

const PATH: Rule = Rule {
    name: "named-paths-exist",
    why: "a page that explains where things are must follow them when they move",
    remedy: "name the file or folder that exists now",
};

/// Pages that explain where things are.
const PAGES: [&str; 2] = ["ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Endings of the files that pages name without a folder.
const ENDINGS: [&str; 5] = [".rs", ".md", ".toml", ".txt", ".sql"];

/// Returns what a page names but isn't among `files`. A path may begin at any folder.
pub(crate) fn findings(page: &str, text: &str, files: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !PAGES.contains(&page) {
        return findings;
    }
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let names = line.split('`').skip(1).step_by(2).filter(|name| !in_code && is_path(name));
        for name in names.filter(|name| !exists(name, files)) {
            findings.push(PATH.found(page, index + 1, format!("there is no {name}")));
        }
    }
    findings
}

fn is_path(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
    let is_file = ENDINGS.iter().any(|ending| name.ends_with(ending));
    let is_elsewhere = ["/", "target/", "http"].iter().any(|prefix| name.starts_with(prefix));
    plain && !is_elsewhere && (is_file || (name.contains('/') && name.ends_with('/')))
}

fn exists(name: &str, files: &[String]) -> bool {
    files.iter().any(|file| {
        let mut places = file.match_indices(name).filter(|(at, _)| *at == 0 || file[..*at].ends_with('/'));
        places.any(|(at, _)| name.ends_with('/') || at + name.len() == file.len())
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::brief;
    use super::*;

    #[test]
    fn named_paths_must_exist() {
        let files = ["README.md".to_owned(), "crates/a/src/model/b.rs".to_owned()];
        let found = |text: &str| brief(&findings("ARCHITECTURE.md", text, &files));
        assert!(found("`README.md`, `src/model/`, `b.rs`, `model/b.rs` and `crates/a/`").is_empty());
        for gone in ["`c.rs`", "`odel/b.rs`", "`src/mode/`", "`a/src/b.rs`"] {
            assert_eq!(found(gone), ["named-paths-exist:1"], "{gone}");
        }
        for other in ["`/v1/me`", "`target/python`", "`a.b`", "`x/y`", "`<section>.rs`", "```\n`c.rs`\n```"] {
            assert!(found(other).is_empty(), "{other}");
        }
        assert!(findings("docs/start.md", "`c.rs`", &files).is_empty());
    }
}
