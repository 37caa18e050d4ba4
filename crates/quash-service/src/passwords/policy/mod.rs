//! Which new passwords are taken. The same rules hold at every door that takes one: a length, no common password, none
//! that is little more than the account's own name. There is no rule of composition.

mod own_names;

use quash_core::model::{PasswordFault, limits};
use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::zxcvbn;

/// A shorter password must stand a number of guesses. From this length on it is enough that it isn't one common word:
/// what can be said of longer ones is little, and often wrong.
const LONG_CHARS: usize = 15;
/// So many guesses a password must stand at least, as the estimator counts them: below, it calls them very guessable.
const GUESSES: u64 = 1_000_000;
/// How long a password the estimator is shown, in characters: no common password is longer, and its work grows faster than
/// the length.
const ESTIMATED_CHARS: usize = 32;

/// The most bytes that a character takes.
const UTF8_BYTES: usize = 4;

/// Checks a new password for an account with these names of its own: its user name and its address. May take more than
/// 100 ms: call it in the pool alone.
///
/// # Errors
/// It isn't taken.
pub(super) fn check_new_password(password: &str, own: &[impl AsRef<str>]) -> Result<(), PasswordFault> {
    let count = check_length(password)?;
    let own: Vec<&str> = own.iter().map(AsRef::as_ref).collect();
    if own_names::are_most_of(password, &own) {
        return Err(PasswordFault::OwnName);
    }
    if count <= ESTIMATED_CHARS && is_common(password, count, &own) {
        Err(PasswordFault::Common)
    } else {
        Ok(())
    }
}

/// Checks the length of a new password, which takes no time, and returns it in characters.
///
/// # Errors
/// It is too short or too long.
pub(crate) fn check_length(password: &str) -> Result<usize, PasswordFault> {
    // Bytes first: counting the characters of what is far too long would take its time.
    if password.len() > limits::PASSWORD_CHARS * UTF8_BYTES {
        return Err(PasswordFault::TooLong);
    }
    match password.chars().count() {
        count if count < limits::PASSWORD_MIN_CHARS => Err(PasswordFault::TooShort),
        count if count > limits::PASSWORD_CHARS => Err(PasswordFault::TooLong),
        count => Ok(count),
    }
}

fn is_common(password: &str, count: usize, own: &[&str]) -> bool {
    let estimate = zxcvbn(password, own);
    let is_guessable = count < LONG_CHARS && estimate.guesses() < GUESSES;
    let is_one_word = match estimate.sequence() {
        [one] => match &one.pattern {
            MatchPattern::Dictionary(_) => true,
            // A word over and over. One letter over and over is left to whoever wants it.
            MatchPattern::Repeat(repeat) => {
                repeat.base_token.chars().count() > 1 && repeat.base_guesses < GUESSES
            }
            _ => false,
        },
        _ => false,
    };
    is_guessable || is_one_word
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first 3,000 passwords of the estimator (zxcvbn, MIT) that are long enough.
    const COMMON: &str = include_str!("common.txt");

    fn check(password: &str) -> Result<(), PasswordFault> {
        check_new_password(password, &["dana", "dana.carter@example.org"])
    }

    #[test]
    fn a13_each_common_password_is_refused() {
        assert_eq!(COMMON.lines().count(), 832);
        for common in COMMON.lines() {
            assert_eq!(check(common), Err(PasswordFault::Common), "{common}");
        }
    }

    #[test]
    fn a13_and_so_are_their_simple_variations() {
        for varied in [
            "Password",
            "PASSWORD",
            "p@ssw0rd",
            "drowssap",
            "Baseball",
            "password1",
            "aaaaaaaa",
            "abcdefgh",
            "20202020",
            "passwordpassword",
        ] {
            assert_eq!(check(varied), Err(PasswordFault::Common), "{varied}");
        }
    }

    #[test]
    fn a14_there_is_no_rule_of_composition() {
        for taken in [
            "correct horse battery staple",
            "kvjwqxhzpmtbgndyfrlcsaoeiukvjwqxhzpmtbgndyfrlcsaoeiukvjwqxhzpmtb",
            &"a".repeat(64),
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl",
            "a b c d e f g h",
            "               a",
            "blank and space",
            "зелёный чайник",
            "πράσινο τσαγερό",
            "緑茶急須湯呑茶托",
            "إبريق شاي أخضر",
            "हरी चाय की केतली",
            "🫖🍵🌱🐸🪴🥦🥒🫛",
            "kettle7!",
            " leading and trailing ",
        ] {
            assert_eq!(check(taken), Ok(()), "{taken}");
        }
    }

    #[test]
    fn lengths_are_limited_one_past_the_edge() {
        assert_eq!(check("kvjwqxh"), Err(PasswordFault::TooShort));
        assert_eq!(check("kvjwqxhz"), Ok(()));
        for letter in ["k", "é", "🫖"] {
            assert_eq!(check(&letter.repeat(1024)), Ok(()));
            assert_eq!(check(&letter.repeat(1025)), Err(PasswordFault::TooLong));
        }
        assert_eq!(check(&"k".repeat(1024 * 1024)), Err(PasswordFault::TooLong));
    }
}
