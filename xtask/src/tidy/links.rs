//! Checks that the relative links of Markdown pages have a target. Network addresses aren't checked.

use super::report::{Finding, Rule};

const LINK: Rule = Rule {
    name: "links-have-targets",
    why: "the target was moved or never written, and the reader can't follow the link",
    remedy: "fix the link, or write the page",
};

/// Returns a page's links without a target; `exists` takes paths relative to the root.
pub(crate) fn findings(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with("~~~") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(&without_code(line)) {
            if let Some(file) = file_of(path, target)
                && !exists(&file)
            {
                findings.push(LINK.found(path, index + 1, format!("there is no {file}")));
            }
        }
    }
    findings
}

/// Returns the line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Returns the targets of `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line
        .match_indices("](")
        .filter_map(|(at, opening)| line[at + opening.len()..].split([')', ' ']).next());
    let defined =
        line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline.chain(defined.and_then(|target| target.split_whitespace().next())).collect()
}

/// Returns the file that a link names, relative to the root. `None` for a network address, a path of the
/// server (`/…`) or a place on the same page.
fn file_of(page: &str, target: &str) -> Option<String> {
    let target = target.trim_start_matches('<').trim_end_matches('>');
    let target = target.split(['#', '?']).next().unwrap_or_default();
    let is_address = target
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()));
    if target.is_empty() || target.starts_with('/') || is_address {
        return None;
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::report::brief;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let exists =
            |file: &str| ["README.md", "docs/start.md", "docs/guides/a.md", "docs/guides"].contains(&file);
        brief(&findings(path, text, &exists))
    }

    #[test]
    fn a_relative_link_needs_its_file() {
        assert!(found("README.md", "[start](docs/start.md#first) [a](./docs/guides/)").is_empty());
        assert!(
            found("docs/guides/a.md", "[up](../start.md), [readme](../../README.md)\n[x]: a.md \"A\"")
                .is_empty()
        );
        assert_eq!(found("README.md", "\n[start](start.md)"), ["links-have-targets:2"]);
        assert_eq!(found("docs/start.md", "[x]: guides/b.md"), ["links-have-targets:1"]);
    }

    #[test]
    fn addresses_and_code_are_not_checked() {
        assert!(
            found(
                "README.md",
                "[a](https://a.example/x) [b](mailto:a@a.example) [c](#here) [d](/docs/errors/x)"
            )
            .is_empty()
        );
        assert!(found("README.md", "`[a](b.md)`\n```\n[a](b.md)\n```\n").is_empty());
    }
}
