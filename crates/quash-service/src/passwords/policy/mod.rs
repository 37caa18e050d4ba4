//! Rules for new passwords: a minimum and a maximum length, no common passwords, and none that are little
//! more than the account's own name. The same rules apply wherever a password is set. There is no rule of
//! composition.

mod own_names;

use quash_core::model::{PasswordFault, limits};
use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::zxcvbn;

/// The length from which a password may be guessable, but not a single common word. The estimator is
/// unreliable for longer ones.
const LONG_CHARS: usize = 15;
/// The least number of guesses that a shorter password must withstand, by the estimator's count. It calls
/// passwords below this very guessable.
const GUESSES: u64 = 1_000_000;
/// The longest password that is estimated, in characters: no common password is longer, and the estimator's
/// work grows faster than the length.
const ESTIMATED_CHARS: usize = 32;

/// The most bytes that a character takes.
const UTF8_BYTES: usize = 4;

/// Checks a new password for an account with these own names: its user name and its address. May take more
/// than 100 ms, so it must only be called in the pool.
///
/// # Errors
/// The password is refused.
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
/// The password is too short or too long.
pub(crate) fn check_length(password: &str) -> Result<usize, PasswordFault> {
    // Bytes are compared first, because counting the characters of a far too long text takes time.
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
            // A repeated word. A repeated letter is allowed.
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

    /// Those of the first 3,000 passwords of the estimator (zxcvbn, MIT) that are long enough.
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
    fn a13_variations_of_common_passwords_are_refused() {
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
        for email in ["k", "é", "🫖"] {
            assert_eq!(check(&email.repeat(1024)), Ok(()));
            assert_eq!(check(&email.repeat(1025)), Err(PasswordFault::TooLong));
        }
        assert_eq!(check(&"k".repeat(1024 * 1024)), Err(PasswordFault::TooLong));
    }
}
