//! Rules for whole files: a header, a limited length, and no paths of a particular machine.

use super::code::is_test_path;
use super::report::{Finding, Rule};

const HEADER: Rule = Rule {
    name: "files-have-headers",
    why: "a reader decides from the first line whether this is the right file",
    remedy: "begin with a `//!` comment that says what the file does",
};
const LENGTH: Rule = Rule {
    name: "files-are-short",
    why: "a source file of more than 500 lines, or a test of more than 650, usually holds a second module",
    remedy: "split it, or list it with a reason in LONG_FILES in xtask/src/tidy/shape.rs",
};
const STALE: Rule = Rule {
    name: "no-stale-exception",
    why: "an exception for a missing file would apply to a new file of that name",
    remedy: "remove it from LONG_FILES in xtask/src/tidy/shape.rs",
};
const MACHINE: Rule = Rule {
    name: "no-machine-paths",
    why: "an absolute path of one machine is wrong on every other",
    remedy: "use a relative path, a temporary folder or a setting",
};

const MOST_LINES: usize = 500;
const MOST_LINES_OF_TESTS: usize = 650;

/// Source files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Folders that exist only on a particular machine.
const MACHINE_FOLDERS: [&str; 3] = ["work", "root", "home"];

/// Returns the places in a text file that break these rules.
pub(crate) fn findings(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = machine_paths(path, text);
    if is_ours(path) {
        if !text.starts_with("//!") {
            findings.push(HEADER.found(path, 1, "no //! on the first line"));
        }
        let lines = text.lines().count();
        let most = if is_test_path(path) { MOST_LINES_OF_TESTS } else { MOST_LINES };
        if lines > most && !LONG_FILES.iter().any(|(listed, _)| *listed == path) {
            findings.push(LENGTH.found(path, lines, format!("{lines} lines")));
        }
    }
    findings
}

/// Returns the exceptions for files that don't exist.
pub(crate) fn stale_exceptions(files: &[String]) -> Vec<Finding> {
    let stale = LONG_FILES.iter().filter(|(listed, _)| !files.iter().any(|path| path == listed));
    stale
        .map(|(listed, reason)| {
            STALE.found(listed, 1, format!("listed as \"{reason}\", but there is no such file"))
        })
        .collect()
}

fn is_ours(path: &str) -> bool {
    path.ends_with(".rs") && ["crates/", "examples/", "xtask/"].iter().any(|folder| path.starts_with(folder))
}

fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in MACHINE_FOLDERS {
        let folder = format!("/{folder}/");
        for (index, line) in text.lines().enumerate() {
            if line.match_indices(&folder).any(|(at, _)| begins_a_path(&line[..at])) {
                findings.push(MACHINE.found(path, index + 1, folder.clone()));
            }
        }
    }
    findings
}

/// Returns whether an absolute path may begin after this text: not in the middle of a relative path or an
/// address.
fn begins_a_path(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || "_-.~}*/".contains(c)) || before.ends_with("file://")
}

#[cfg(test)]
mod tests {
    use super::super::report::brief;
    use super::*;

    #[test]
    fn source_files_begin_with_a_header() {
        for path in ["crates/quash/src/a.rs", "examples/chat/src/a.rs"] {
            assert_eq!(brief(&findings(path, "use x;\n")), ["files-have-headers:1"]);
        }
        assert!(findings("crates/quash/src/a.rs", "//! Here.\n").is_empty());
        assert!(findings("docs/a.md", "# A\n").is_empty());
    }

    #[test]
    fn source_files_and_tests_have_a_length_limit() {
        let lines = |count: usize| format!("//! Here.\n{}", "\n".repeat(count - 1));
        assert!(findings("xtask/src/a.rs", &lines(500)).is_empty());
        assert_eq!(brief(&findings("xtask/src/a.rs", &lines(501))), ["files-are-short:501"]);
        assert!(findings("crates/a/tests/b.rs", &lines(650)).is_empty());
        assert_eq!(brief(&findings("crates/a/tests/b.rs", &lines(651))), ["files-are-short:651"]);
        assert!(findings("vectors/a.json", &lines(501)).is_empty());
    }

    #[test]
    fn machine_paths_are_found() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(
                brief(&findings("docs/a.md", &format!("\nsee `/{folder}/x`\n"))),
                ["no-machine-paths:2"]
            );
            assert_eq!(
                brief(&findings("a.toml", &format!("path = \"/{folder}/x\""))),
                ["no-machine-paths:1"]
            );
            assert_eq!(brief(&findings("a.toml", &format!("file:///{folder}/x"))), ["no-machine-paths:1"]);
            for relative in [
                format!("target/{folder}/x"),
                format!("../{folder}/x"),
                format!("https://a.example/{folder}/x"),
            ] {
                assert!(findings("docs/a.md", &relative).is_empty(), "{relative}");
            }
        }
    }
}
