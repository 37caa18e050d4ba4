//! Folding: the form in which names and addresses are compared.

use unicode_normalization::UnicodeNormalization;

use crate::model::limits;

/// The longest text that [`fold`] folds, in bytes. No name and no address is longer.
pub(super) const FOLDED_BYTES: usize = limits::NAME_CHARS * 4;

/// The form in which names are compared: NFKC, case-folded, trimmed. A text longer than any name or address
/// is only trimmed: it can match none, and folding takes more than 2 µs a byte for some texts.
pub fn fold(text: &str) -> String {
    let text = text.trim();
    if text.len() > FOLDED_BYTES { text.to_owned() } else { fold_unbounded(text) }
}

/// Like [`fold`], for a text of any length. The caller must bound the length, and call it where it may take
/// long.
pub fn fold_unbounded(text: &str) -> String {
    let compatible: String = text.trim().nfkc().collect();
    caseless::default_case_fold_str(&compatible).nfkc().collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_longer_than_any_name_are_not_folded() {
        assert_eq!(fold(&format!(" {} ", "É".repeat(FOLDED_BYTES / 2))), "é".repeat(FOLDED_BYTES / 2));
        let beyond = "É".repeat(FOLDED_BYTES / 2 + 1);
        assert_eq!(fold(&beyond), beyond);
        assert_eq!(fold_unbounded(&beyond), "é".repeat(FOLDED_BYTES / 2 + 1));
        // Each of these characters folds to 18.
        let expanding = "\u{fdfa}".repeat(64 * 1024 / 3);
        assert_eq!(fold(&expanding), expanding);
    }
}
