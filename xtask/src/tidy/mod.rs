//! `cargo xtask tidy`: the rules of the house that the compiler can't keep. Each finding says where it is, which rule it
//! breaks, why there is one, and what to do instead.

mod code;
mod crates;
mod guard;
mod lexer;
mod links;
mod migrations;
mod named;
mod report;
mod shape;
mod walls;

use std::path::Path;

use crate::failure::{Context, Failure, Result};
use crate::workspace;
use report::Finding;

/// Reads the workspace and prints what breaks a rule.
///
/// # Errors
/// There is a finding, or something can't be read.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root()?;
    let files = workspace::files()?;
    let graph = crates::Graph::read(&workspace::metadata()?, &root)?;
    let printed = workspace::guard_tree()?;
    let guard = guard::GuardTree::read(&printed);
    let mut findings = graph.findings();
    findings.extend(guard.finding());
    findings.extend(migrations::findings(&files));
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
    findings.sort_by(|a, b| (&a.path, a.line, a.rule.name).cmp(&(&b.path, b.line, b.rule.name)));
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {read} text files; {}; quash-verify without `follow` {}", graph.sizes(), guard.size());
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

/// A file's text; nothing for one that isn't text.
fn text_of(root: &Path, path: &str) -> Result<Option<String>> {
    let bytes = std::fs::read(root.join(path)).context(format!("reading {path}"))?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}
