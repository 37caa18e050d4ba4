//! Compares the dependencies of quash-verify without features with the list in `crates/quash-verify/tree.txt`, so
//! that a new one is noticed in review: an application that adds quash-verify adds all of them.

use std::collections::BTreeSet;

use super::report::{Finding, Rule};

/// The file with the list, relative to the root.
pub(crate) const LIST: &str = "crates/quash-verify/tree.txt";

const SMALL: Rule = Rule {
    name: "verify-stays-small",
    why: "an application that adds quash-verify adds its whole tree",
    remedy: "avoid the new dependency, or add it to the file with a reason in the commit; remove names that are no longer needed",
};

/// Returns the differences between the tree and the list.
pub(crate) fn findings(tree: &BTreeSet<String>, list: &str) -> Vec<Finding> {
    let listed: BTreeSet<String> =
        list.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let new = tree.difference(&listed).map(|name| format!("{name} is needed but not listed"));
    let gone = listed.difference(tree).map(|name| format!("{name} is listed but not needed"));
    new.chain(gone).map(|found| SMALL.found(LIST, 1, found)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_and_obsolete_dependencies_are_found() {
        let tree = ["a", "b"].map(str::to_owned).into();
        let found: Vec<_> = findings(&tree, "a\nc\n").into_iter().map(|finding| finding.found).collect();
        assert_eq!(found, ["b is needed but not listed", "c is listed but not needed"]);
        assert!(findings(&tree, "b\na\n").is_empty());
    }
}
