//! Writes the table into its page, between two markers.

use crate::failure::{Context, Failure, Result};
use crate::workspace;

const PAGE: &str = "docs/reference/benchmarks.md";
const BEGIN: &str = "<!-- begin: written by cargo xtask bench --write -->";
const END: &str = "<!-- end -->";

/// Replaces the text between the markers with the table.
///
/// # Errors
/// Returns an error if the page or its markers don't exist.
pub(super) fn write(table: &str) -> Result<()> {
    let path = workspace::root()?.join(PAGE);
    let page = std::fs::read_to_string(&path).context(format!("reading {PAGE}"))?;
    let replaced = replace(&page, table).ok_or_else(|| {
        Failure::new(format!(
            "{PAGE} lacks the lines '{BEGIN}' and '{END}': add them where the table belongs"
        ))
    })?;
    std::fs::write(&path, replaced).context(format!("writing {PAGE}"))?;
    println!("bench: wrote {PAGE}");
    Ok(())
}

fn replace(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_markers_is_replaced() {
        let page = format!("# A\n{BEGIN}\nold\n{END}\nprose\n");
        let once = replace(&page, "| new |\n").unwrap();
        assert_eq!(once, format!("# A\n{BEGIN}\n\n| new |\n\n{END}\nprose\n"));
        assert_eq!(replace(&once, "| new |").as_deref(), Some(once.as_str()));
        assert_eq!(replace("# A\n", "x"), None);
    }
}
