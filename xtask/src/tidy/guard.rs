//! How much somebody gets who adds the guard to an application: its tree as `cargo tree` shows it for that crate alone,
//! whatever features others in this workspace turn on.

use std::collections::BTreeSet;

use super::report::{Finding, Rule};

const SMALL: Rule = Rule {
    name: "the-guard-stays-small",
    why: "whoever adds quash-verify to an application adds its whole tree",
    remedy: "do without the new dependency, or raise GUARD_TREE in xtask/src/tidy/guard.rs with a reason in the commit",
};

/// How many crates the tree may hold without the features that are on by default, over all platforms, the guard included.
const GUARD_TREE: usize = 55;

/// The crates of the guard's tree, each with its version.
pub(super) struct GuardTree<'a>(BTreeSet<&'a str>);

impl<'a> GuardTree<'a> {
    /// Reads what `cargo tree` prints, one crate a line; one that stands there again is marked.
    pub(super) fn read(printed: &'a str) -> Self {
        let crates = printed.lines().map(|line| line.trim().trim_end_matches("(*)").trim_end());
        Self(crates.filter(|name| !name.is_empty()).collect())
    }

    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    /// Whether it is within its budget.
    pub(super) fn finding(&self) -> Option<Finding> {
        let size = self.size();
        (size > GUARD_TREE).then(|| SMALL.found("crates/quash-verify/Cargo.toml", 1, format!("{size} crates, {GUARD_TREE} at most")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::brief;
    use super::*;

    #[test]
    fn each_crate_of_the_guard_is_counted_once() {
        let most: String = (0..GUARD_TREE).map(|number| format!("x{number} v1.0.0\n")).collect();
        let again = format!("{most}x1 v1.0.0 (*)\n\n");
        assert_eq!(GuardTree::read(&again).size(), GUARD_TREE);
        assert!(GuardTree::read(&again).finding().is_none());
        let one_more = format!("{most}x1 v2.0.0\n");
        assert_eq!(brief(&GuardTree::read(&one_more).finding().into_iter().collect::<Vec<_>>()), ["the-guard-stays-small:1"]);
    }
}
