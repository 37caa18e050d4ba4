//! "Did you mean": the known word nearest to an unknown one.

/// The longest word to compare, in bytes. A longer word is hardly a typo, and comparing it would take long.
const WORD_BYTES: usize = 128;

/// Returns the candidate with the smallest edit distance, if it is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES {
        return None;
    }
    let near_enough = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(far, _)| *far <= near_enough)
        .min()
        .map(|(_, found)| found)
}

/// Returns the number of characters to add, remove, change or swap with their neighbour (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
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
        ] {
            assert_eq!(nearest(typed, known.into_iter()), meant, "{typed}");
        }
        assert!(
            nearest(&"a".repeat(WORD_BYTES), std::iter::once("a".repeat(WORD_BYTES - 1).as_str())).is_some()
        );
        assert!(
            nearest(&"a".repeat(WORD_BYTES + 1), std::iter::once("a".repeat(WORD_BYTES).as_str())).is_none()
        );
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
