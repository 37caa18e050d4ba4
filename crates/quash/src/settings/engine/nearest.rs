//! "Did you mean": the known word nearest to an unknown one.

use strsim::osa_distance;

/// The longest word to compare, in bytes. A longer word is hardly a typo, and comparing it would take long.
const WORD_BYTES: usize = 128;

/// Returns the candidate that needs the fewest characters to be added, removed, changed or swapped with their
/// neighbour, if it is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES {
        return None;
    }
    let near_enough = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (osa_distance(word, candidate), candidate))
        .filter(|(far, _)| *far <= near_enough)
        .min()
        .map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_recognised() {
        let known = ["listen", "prefix", "behind_proxy", "access_token_lifetime"];
        for (typed, meant) in [
            ("lisetn", Some("listen")),
            ("behind-proxy", Some("behind_proxy")),
            ("acess_token_lifetime", Some("access_token_lifetime")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known.into_iter()), meant, "{typed}");
        }
        assert!(
            nearest(&"a".repeat(WORD_BYTES), std::iter::once("a".repeat(WORD_BYTES - 1).as_str())).is_some()
        );
        assert!(
            nearest(&"a".repeat(WORD_BYTES + 1), std::iter::once("a".repeat(WORD_BYTES).as_str())).is_none()
        );
    }
}
