//! Which new passwords are taken. The same rules hold at every door that takes one.

use quash_core::model::{PasswordFault, limits};

/// Whether a new password is taken for an account with these names of its own: its user name and its address.
///
/// # Errors
/// It isn't.
pub(crate) fn check_new_password(password: &str, _own: &[&str]) -> Result<(), PasswordFault> {
    match password.chars().count() {
        count if count < limits::PASSWORD_MIN_CHARS => Err(PasswordFault::TooShort),
        count if count > limits::PASSWORD_CHARS => Err(PasswordFault::TooLong),
        _ => Ok(()),
    }
}
