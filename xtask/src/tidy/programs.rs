//! Checks that the tests of each file run, in packages that name their test programs.

use super::report::{Finding, Rule};

const NAMED: Rule = Rule {
    name: "test-files-run",
    why: "a package with `autotests = false` builds only the test programs that it names: tests of other files never run",
    remedy: "add `mod name;` to tests/all.rs, or a [[test]] with this name to Cargo.toml",
};

/// Returns the files of tests that are in no program.
pub(crate) fn findings(files: &[String], text_of: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in files {
        let Some(package) = path.strip_suffix("Cargo.toml") else { continue };
        let Some(manifest) = text_of(path).filter(|text| text.contains("\nautotests = false\n")) else {
            continue;
        };
        let folder = format!("{package}tests/");
        let all = text_of(&format!("{folder}all.rs")).unwrap_or_default();
        for file in files {
            let Some(name) = file.strip_prefix(&folder).and_then(program) else { continue };
            let is_named = manifest.contains(&format!("[[test]]\nname = \"{name}\"\n"))
                || all.lines().any(|line| line == format!("mod {name};"));
            if !is_named {
                findings.push(NAMED.found(file, 1, format!("{path} names no program with it")));
            }
        }
    }
    findings
}

/// Returns the name of the program that Cargo would make of a file.
fn program(below: &str) -> Option<&str> {
    below.strip_suffix("/main.rs").or_else(|| below.strip_suffix(".rs")).filter(|name| !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manifest: &str, all: &str) -> Vec<String> {
        let files =
            ["Cargo.toml", "tests/all.rs", "tests/b.rs", "tests/c/main.rs", "tests/c/part.rs", "src/a.rs"];
        let files = files.map(|name| format!("a/{name}"));
        let text_of = |path: &str| match path {
            "a/Cargo.toml" => Some(manifest.to_owned()),
            "a/tests/all.rs" => Some(all.to_owned()),
            _ => None,
        };
        findings(&files, &text_of).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn each_file_is_in_a_program() {
        let manifest = "[package]\nautotests = false\n\n[[test]]\nname = \"all\"\n\n[[test]]\nname = \"c\"\n";
        assert!(found(manifest, "mod b;\n").is_empty());
        assert_eq!(found(manifest, "mod a;\n// mod b;\n"), ["a/tests/b.rs"]);
        assert_eq!(found(&manifest.replace("\"c\"", "\"d\""), "mod b;\n"), ["a/tests/c/main.rs"]);
        assert!(found("[package]\n", "").is_empty(), "Cargo finds them itself");
    }
}
