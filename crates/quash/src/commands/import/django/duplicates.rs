//! Values that several users of the source have, and no two accounts may. They are found before the import, so that
//! its result doesn't depend on where a batch ends. Takes 24 bytes of memory for each user.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use quash_core::model::fold;

/// Collects the values of all users.
#[derive(Default)]
pub(super) struct Survey {
    subjects: Vec<u64>,
    names: Vec<u64>,
    emails: Vec<u64>,
}

/// The values that occur more than once.
#[derive(Default)]
pub(super) struct Duplicates {
    subjects: FirstUsers,
    names: FirstUsers,
    emails: BTreeSet<u64>,
}

/// The first user with each value, once that user was read.
type FirstUsers = BTreeMap<u64, Option<String>>;

impl Survey {
    pub(super) fn add(&mut self, subject: &str, name: &str, email: Option<&str>) {
        self.subjects.push(hash(subject));
        self.names.push(hash(&fold(name)));
        self.emails.extend(email.map(|email| hash(&fold(email))));
    }

    pub(super) fn finish(self) -> Duplicates {
        let firsts = |hashes| repeated(hashes).into_iter().map(|hash| (hash, None)).collect();
        Duplicates {
            subjects: firsts(self.subjects),
            names: firsts(self.names),
            emails: repeated(self.emails).into_iter().collect(),
        }
    }
}

impl Duplicates {
    /// Returns whether several users have an address.
    pub(super) fn is_shared(&self, email: &str) -> bool {
        !self.emails.is_empty() && self.emails.contains(&hash(&fold(email)))
    }

    /// Takes a user's subject and name. Of several users, the first has them.
    ///
    /// # Errors
    /// An earlier user has one of them.
    pub(super) fn take(&mut self, place: &str, subject: &str, name: &str) -> Result<(), String> {
        if let Some(first) = earlier(&mut self.subjects, hash(subject), place) {
            return Err(format!("the subject is that of {first}, too"));
        }
        match earlier(&mut self.names, hash(&fold(name)), place) {
            Some(first) => Err(format!("the name is that of {first}, too, apart from capitals")),
            None => Ok(()),
        }
    }
}

/// Returns the earlier user with a value. Otherwise the user at `place` is the first.
fn earlier(firsts: &mut FirstUsers, hash: u64, place: &str) -> Option<String> {
    match firsts.get_mut(&hash) {
        Some(Some(first)) => Some(first.clone()),
        Some(none) => {
            *none = Some(place.to_owned());
            None
        }
        None => None,
    }
}

fn repeated(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    let mut repeated: Vec<_> = hashes
        .windows(2)
        .filter(|pair| pair.first() == pair.last())
        .filter_map(|pair| pair.first().copied())
        .collect();
    repeated.dedup();
    repeated
}

/// A user chooses the values, so no other hash than a cryptographic one is safe.
fn hash(text: &str) -> u64 {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_has_a_shared_name() {
        let mut survey = Survey::default();
        for (subject, name, email) in
            [("1", "dana", Some("D@example.org")), ("2", "Dana", Some("d@example.org")), ("2", "kim", None)]
        {
            survey.add(subject, name, email);
        }
        let mut duplicates = survey.finish();
        assert!(duplicates.is_shared("d@EXAMPLE.org") && !duplicates.is_shared("kim@example.org"));
        assert_eq!(duplicates.take("user 1", "1", "dana"), Ok(()));
        assert!(duplicates.take("user 2", "2", "Dana").is_err_and(|reason| reason.contains("user 1")));
        assert!(duplicates.take("user 3", "2", "kim").is_err_and(|reason| reason.contains("user 2")));
    }
}
