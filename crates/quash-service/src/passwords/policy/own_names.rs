//! Finds passwords that consist of the account's own names and simple variations: forwards or backwards, with
//! look-alike characters, and with digits and signs in between, before or after.

use quash_core::model::{fold_unbounded, limits};

/// The length below which a name also occurs in unrelated words.
const TELLING_CHARS: usize = 4;

/// Returns whether a password is little more than one of the account's own names: without the name, it has
/// fewer characters than a password needs, or fewer than [`TELLING_CHARS`] if the name is shorter than that.
pub(super) fn are_most_of(password: &str, own: &[&str]) -> bool {
    let password = plain(password);
    own.iter().flat_map(|name| parts(name)).any(|name| is_most_of(&password, &plain(name)))
}

/// The name itself, and the local part if it is an address.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once(name).chain(name.split_once('@').map(|(local, _)| local))
}

fn is_most_of(password: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let backwards: String = name.chars().rev().collect();
    let rest = password.replace(name, "").replace(&backwards, "");
    let needed =
        if name.chars().count() < TELLING_CHARS { TELLING_CHARS } else { limits::PASSWORD_MIN_CHARS };
    rest.len() < password.len() && rest.chars().count() < needed
}

/// The folded text, reduced to letters and digits, with one letter for all look-alike characters.
fn plain(text: &str) -> String {
    let alike = |c: char| match c {
        '0' => Some('o'),
        '1' | '!' | '|' | 'l' => Some('i'),
        '3' | '€' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' | '+' => Some('t'),
        '8' => Some('b'),
        '9' => Some('g'),
        c => c.is_alphanumeric().then_some(c),
    };
    // A password may be longer than any name, and is checked in the pool.
    fold_unbounded(text).chars().filter_map(alike).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 2] = ["dana", "d.carter@example.org"];

    #[test]
    fn own_names_and_their_simple_variations_are_refused() {
        for varied in [
            "danadana",
            "Dana1234",
            "1234dana",
            "d4n4!!2024",
            "DANA-dana-DANA",
            "d a n a 1 2",
            "anad-2024",
            "ｄａｎａ1999",
            "d.carter",
            "D.Carter@Example.org",
            "retrac.d",
            "dcarter1",
            "dc4rt3r-99",
            "gro.elpmaxe@retrac.d",
        ] {
            assert!(are_most_of(varied, &OWN), "{varied}");
        }
    }

    #[test]
    fn passwords_may_contain_an_own_name() {
        for taken in
            ["dana loves her kettle", "kettle of dana", "correct horse battery staple", "xdanaxkettles"]
        {
            assert!(!are_most_of(taken, &OWN), "{taken}");
        }
        assert!(!are_most_of("alphabetical", &["al", "b@example.org"]));
        assert!(are_most_of("alalalalal", &["al"]));
        assert!(!are_most_of("kettle7!", &[]));
        assert!(!are_most_of("kettle7!", &["", "@", "."]));
    }
}
