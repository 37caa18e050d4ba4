//! Checks that the tests named by the pages about attacks and standards exist. In the last cell of each table
//! row, a name between backticks belongs to the file or folder named before it. `…` matches any part of a
//! name.

use std::collections::BTreeMap;

use super::lexer::{self, Token};
use super::report::{Finding, Rule};

const NAMED: Rule = Rule {
    name: "named-tests-exist",
    why: "a page must not claim a test that doesn't exist",
    remedy: "use the test's current name, with its file before it",
};

/// Pages whose tables name tests.
const PAGES: [&str; 2] = ["docs/attacks.md", "docs/security-checklist.md"];

/// The pages' abbreviations of paths.
const SHORT: [(&str, &str); 4] = [
    ("server/", "crates/quash-server/tests/"),
    ("core/", "crates/quash-core/"),
    ("store/", "crates/quash-store/"),
    ("quash/", "crates/quash/"),
];

/// Folders whose tests are plain functions: one list runs them over all stores, and the compiler reports a
/// function that isn't in the list.
const SUITES: [&str; 2] = ["crates/quash-store/tests/conformance/", "crates/quash-store/tests/soft_state/"];

/// The tests of each source file.
#[derive(Default)]
pub(crate) struct Tests(BTreeMap<String, Vec<String>>);

impl Tests {
    /// Records a source file's tests.
    pub(crate) fn read(&mut self, path: &str, text: &str) {
        let tokens = lexer::lex(text);
        let is_suite = SUITES.iter().any(|suite| path.starts_with(suite));
        let tests = if is_suite { functions_in(&tokens) } else { tests_in(&tokens) };
        self.0.insert(path.to_owned(), tests);
    }

    /// Returns what a page names but doesn't exist; `exists` takes paths relative to the root.
    pub(crate) fn findings(&self, page: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !PAGES.contains(&page) {
            return findings;
        }
        for (index, line) in text.lines().enumerate() {
            let mut place = None;
            for name in named_in(line) {
                if is_a_place(name) {
                    let path = path_of(name, place.as_deref());
                    if !exists(&path) {
                        findings.push(NAMED.found(page, index + 1, format!("there is no {path}")));
                    }
                    place = Some(path);
                } else if is_a_test(name) && !place.as_deref().is_some_and(|place| self.has(place, name)) {
                    let place = place.as_deref().unwrap_or("no file");
                    findings.push(NAMED.found(page, index + 1, format!("{place} has no test {name}")));
                }
            }
        }
        findings
    }

    fn has(&self, place: &str, name: &str) -> bool {
        let within = |path: &str| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut tests = self.0.iter().filter(|(path, _)| within(path)).flat_map(|(_, tests)| tests);
        tests.any(|test| match name.split_once('…') {
            Some((begins, ends)) => {
                test.len() >= begins.len() + ends.len() && test.starts_with(begins) && test.ends_with(ends)
            }
            None => test == name,
        })
    }
}

/// Returns the names of functions that are marked as tests.
fn tests_in(tokens: &[Token<'_>]) -> Vec<String> {
    let mut tests = Vec::new();
    let mut marked = false;
    for (index, token) in tokens.iter().enumerate() {
        let closes = |at: usize| tokens.get(at).is_some_and(|next| next.is("]") || next.is("("));
        let opened =
            index.checked_sub(1).is_some_and(|before| tokens[before].is("[") || tokens[before].is("::"));
        if token.is("test") && opened && closes(index + 1) {
            marked = true;
        } else if token.is("fn") && marked {
            tests.extend(tokens.get(index + 1).map(|name| name.text.to_owned()));
            marked = false;
        }
    }
    tests
}

/// Returns the names of all functions.
fn functions_in(tokens: &[Token<'_>]) -> Vec<String> {
    tokens.windows(2).filter(|pair| pair[0].is("fn")).map(|pair| pair[1].text.to_owned()).collect()
}

/// Returns the names between backticks in the last cell of a table row.
fn named_in(line: &str) -> Vec<&str> {
    let cell = line
        .strip_prefix('|')
        .and_then(|row| row.trim_end().strip_suffix('|'))
        .and_then(|row| row.rsplit('|').next());
    cell.map(|cell| cell.split('`').skip(1).step_by(2).collect()).unwrap_or_default()
}

fn is_a_place(name: &str) -> bool {
    name.contains('/') || [".rs", ".txt", ".json", ".md", ".toml"].iter().any(|ending| name.ends_with(ending))
}

/// Returns whether a name is a test's: those are sentences, all others are settings or headers.
fn is_a_test(name: &str) -> bool {
    name.contains(['_', '…'])
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '…'))
}

/// Returns the path that a name means, relative to the root. A bare file name is in the folder of the path
/// before it.
fn path_of(name: &str, before: Option<&str>) -> String {
    let name = name.trim_end_matches('/');
    if !name.contains('/') {
        return match before.and_then(|before| before.rsplit_once('/')) {
            Some((folder, _)) => format!("{folder}/{name}"),
            None => name.to_owned(),
        };
    }
    if name.starts_with("quash-") {
        return format!("crates/{name}");
    }
    let short =
        SHORT.iter().find_map(|(short, long)| name.strip_prefix(short).map(|rest| format!("{long}{rest}")));
    short.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::report::brief;
    use super::*;

    const SOURCE: &str = "#[test]\nfn a01_one() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn a02_two_at_once() {}\nfn a03_no_test() {}";

    fn found(row: &str) -> Vec<String> {
        let mut tests = Tests::default();
        tests.read("crates/quash-server/tests/own.rs", SOURCE);
        tests.read("crates/quash/tests/mail/main.rs", "#[test] fn a65_a_link() {}");
        let exists = |path: &str| !path.contains("gone");
        brief(&tests.findings("docs/attacks.md", row, &exists))
    }

    #[test]
    fn named_tests_must_exist_in_the_named_file() {
        assert!(found("| x | `not_one` | `server/own.rs`: `a01_one`, `a02_…`, the `a…_at_once`; `quash/tests/mail`: `a65_…` |").is_empty());
        assert!(
            found("| x | setting `rotation.grace`, `Sec-Fetch-Site`, `quash-service/src/any.rs` |")
                .is_empty()
        );
        assert!(found("no row: `a01_gone`").is_empty());
        for row in [
            "`server/own.rs`: `a03_no_test`",
            "`server/own.rs`: `a65_…`",
            "`a01_one`",
            "`server/gone.rs`",
            "`quash/tests/mail`: `a65`, `a_`",
        ] {
            assert_eq!(found(&format!("| x | {row} |")), ["named-tests-exist:1"], "{row}");
        }
    }

    #[test]
    fn other_pages_are_not_checked() {
        assert!(Tests::default().findings("docs/start.md", "| `a_b` |", &|_| false).is_empty());
    }

    #[test]
    fn a_bare_file_name_uses_the_previous_folder() {
        assert_eq!(
            path_of("race.txt", Some("crates/quash-core/tests/stories/reset.txt")),
            "crates/quash-core/tests/stories/race.txt"
        );
        assert_eq!(path_of("quash-store/src/", None), "crates/quash-store/src");
        assert_eq!(path_of("deny.toml", None), "deny.toml");
    }
}
