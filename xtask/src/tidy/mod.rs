//! `cargo xtask tidy`: the project's rules that the compiler can't check. Each finding names the place, the
//! rule, its reason and the remedy.

mod code;
mod crates;
mod lexer;
mod links;
mod migrations;
mod named;
mod paths;
mod programs;
mod report;
mod shape;
mod verify_tree;
mod walls;

use std::path::Path;

use crate::failure::{Context, Failure, Result};
use crate::workspace;
use report::Finding;

/// Reads the workspace and prints what breaks a rule.
///
/// # Errors
/// Returns an error if there is a finding, or if something can't be read.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let files = workspace::files()?;
    let graph = crates::Graph::read(&workspace::metadata()?, &root)?;
    let guard = workspace::guard_tree()?;
    let mut findings = graph.findings();
    findings.extend(verify_tree::findings(&guard, &text_of(&root, verify_tree::LIST)?.unwrap_or_default()));
    findings.extend(migrations::findings(&files));
    findings.extend(programs::findings(&files, &|path| text_of(&root, path).ok().flatten()));
    findings.extend(shape::stale_exceptions(&files));
    let exists = |target: &str| root.join(target).exists();
    let (mut read, mut tests, mut pages) = (0, named::Tests::default(), Vec::new());
    for path in &files {
        if let Some(text) = text_of(&root, path)? {
            read += 1;
            findings.extend(findings_in(path, &text, &exists));
            if path.ends_with(".rs") {
                tests.read(path, &text);
            } else if path.ends_with(".md") {
                pages.push((path, text));
            }
        }
    }
    findings.extend(pages.iter().flat_map(|(path, text)| tests.findings(path, text, &exists)));
    findings.extend(pages.iter().flat_map(|(path, text)| paths::findings(path, text, &files)));
    findings.sort_by(|a, b| (&a.path, a.line, a.rule.name).cmp(&(&b.path, b.line, b.rule.name)));
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {read} text files; {}; quash-verify without its features {}", graph.sizes(), guard.len());
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("tidy: {count} findings"))),
    }
}

fn findings_in(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = shape::findings(path, text);
    if path.ends_with(".rs") {
        let tokens = lexer::lex(text);
        findings.extend(code::findings(path, &tokens));
        findings.extend(walls::findings(path, &tokens));
    }
    if path.ends_with(".md") {
        findings.extend(links::findings(path, text, exists));
    }
    findings
}

/// Returns a file's text, or `None` if the file isn't text.
fn text_of(root: &Path, path: &str) -> Result<Option<String>> {
    let bytes = std::fs::read(root.join(path)).context(format!("reading {path}"))?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}
