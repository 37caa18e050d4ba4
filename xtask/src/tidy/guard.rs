//! The guard stays small: whoever adds quash-verify to an application adds its whole tree. Every crate that it needs
//! without its features stands in a file, so that a new one is seen where it is decided on.

use std::collections::BTreeSet;

use super::report::{Finding, Rule};

/// The file with the budget, from the root.
pub(crate) const BUDGET: &str = "crates/quash-verify/tree.txt";

const SMALL: Rule = Rule {
    name: "the-guard-stays-small",
    why: "whoever adds quash-verify to an application adds its whole tree",
    remedy: "do without the new dependency, or add it to the file with a reason in the commit; take out what is gone",
};

/// Where the tree and the budget differ.
pub(crate) fn findings(tree: &BTreeSet<String>, budget: &str) -> Vec<Finding> {
    let budget: BTreeSet<String> =
        budget.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let new = tree.difference(&budget).map(|name| format!("{name} is needed, and isn't in it"));
    let gone = budget.difference(tree).map(|name| format!("{name} is in it, and isn't needed"));
    new.chain(gone).map(|found| SMALL.found(BUDGET, 1, found)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_and_what_is_gone_is_found() {
        let tree = ["a", "b"].map(str::to_owned).into();
        let found: Vec<_> = findings(&tree, "a\nc\n").into_iter().map(|finding| finding.found).collect();
        assert_eq!(found, ["b is needed, and isn't in it", "c is in it, and isn't needed"]);
        assert!(findings(&tree, "b\na\n").is_empty());
    }
}
