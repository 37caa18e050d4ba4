//! Reads blocks from docs/guides/simple-jwt.md, so that the tests run what readers copy.

use std::path::Path;

/// Returns the only fenced block of the guide that begins with this line.
pub(crate) fn block(first_line: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/simple-jwt.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Text and blocks alternate; the first line of a block names its language.
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let found: Vec<&str> =
        blocks.map(|(_, text)| text).filter(|text| text.lines().next() == Some(first_line)).collect();
    assert_eq!(found.len(), 1, "{}: blocks that begin with {first_line:?}", path.display());
    format!("{}\n", found[0])
}

/// Returns a block of settings for quash, with a later date for the end of other tokens.
pub(crate) fn settings(first_line: &str) -> String {
    let text = block(first_line);
    let until = "foreign_tokens = \"until ";
    let Some((before, after)) = text.split_once(until) else { return text };
    let (date, after) = after.split_once('"').expect("the end of the date");
    assert!(date.len() == 10, "{date}");
    format!("{before}{until}2999-12-31\"{after}")
}

/// Returns a block with quash's address replaced by the test server's.
pub(crate) fn block_for(first_line: &str, url: &str) -> String {
    let text = block(first_line);
    assert!(text.contains(ADDRESS), "it names {ADDRESS}:\n{text}");
    text.replace(ADDRESS, url)
}

/// The address of quash in the guide.
const ADDRESS: &str = "https://auth.example";
