//! What stands in docs/guides/simple-jwt.md, taken from there: what its readers copy is what the tests run.

use std::path::Path;

/// The one fenced block of the guide that begins with this line.
pub(crate) fn block(first_line: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/simple-jwt.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Outside and inside of fences take turns; a block's own first line is what names its language.
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let found: Vec<&str> =
        blocks.map(|(_, text)| text).filter(|text| text.lines().next() == Some(first_line)).collect();
    assert_eq!(found.len(), 1, "{}: blocks that begin with {first_line:?}", path.display());
    format!("{}\n", found[0])
}

/// A block of settings for quash, on a day long before it says that other tokens end.
pub(crate) fn settings(first_line: &str) -> String {
    let text = block(first_line);
    let until = "foreign_tokens = \"until ";
    let Some((before, after)) = text.split_once(until) else { return text };
    let (date, after) = after.split_once('"').expect("the end of the date");
    assert!(date.len() == 10, "{date}");
    format!("{before}{until}2999-12-31\"{after}")
}

/// A block that names quash's address, with the one that it has here.
pub(crate) fn block_for(first_line: &str, url: &str) -> String {
    let text = block(first_line);
    assert!(text.contains(ADDRESS), "it names {ADDRESS}:\n{text}");
    text.replace(ADDRESS, url)
}

/// How the guide calls quash's address.
const ADDRESS: &str = "https://auth.example";
