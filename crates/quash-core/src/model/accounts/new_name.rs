//! The rules for new account names, which must not be mistakable for the subject of another account.

use crate::model::{Name, NameFault, NumericNames, Subject, fold};

impl Name {
    /// Parses a new account name. Like [`Name::parse`], but rejects texts that are or may become a subject: a
    /// command or a log line with such a name would seem to refer to another account.
    ///
    /// ```
    /// use quash_core::model::{Name, NumericNames};
    /// assert!(Name::parse_new("17", NumericNames::Refused).is_err());
    /// assert!(Name::parse_new("01a20af0-6b5c-7a69-b6b4-905ed54a13a4", NumericNames::Allowed).is_err());
    /// ```
    pub fn parse_new(text: &str, numbers: NumericNames) -> Result<Self, NameFault> {
        let name = Self::parse(text)?;
        if is_uuid(name.folded()) {
            return Err(NameFault::Uuid);
        }
        if numbers == NumericNames::Refused && is_whole_number(name.folded()) {
            return Err(NameFault::Number);
        }
        Ok(name)
    }

    /// Returns whether the name, in either of its forms, is a subject. An account may have such a name only if
    /// the subject is its own.
    ///
    /// ```
    /// use quash_core::model::{Name, Subject};
    /// let (name, subject) = (Name::parse("LEE")?, Subject::parse("lee"));
    /// assert!(subject.is_ok_and(|subject| name.is_subject(&subject)));
    /// # Ok::<_, quash_core::model::NameFault>(())
    /// ```
    pub fn is_subject(&self, subject: &Subject) -> bool {
        [self.shown(), self.folded()].contains(&subject.as_str())
    }
}

impl Subject {
    /// Returns whether a command with the subject would find the account of this name.
    pub fn is_name(&self, name: &Name) -> bool {
        fold(self.as_str()) == name.folded()
    }
}

/// Returns whether a text is a UUID in any form: with or without hyphens, in braces, as a URN.
fn is_uuid(text: &str) -> bool {
    let digits = text.strip_prefix("urn:uuid:").unwrap_or(text).trim_matches(['{', '}', '(', ')', '<', '>']);
    let mut count = 0_usize;
    let are_digits = digits.bytes().filter(|byte| *byte != b'-').all(|byte| {
        count += 1;
        byte.is_ascii_hexdigit()
    });
    are_digits && count == 32
}

fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_never_subjects() {
        for uuid in [
            "01a20af0-6b5c-7a69-b6b4-905ed54a13a4",
            "01A20AF0-6B5C-7A69-B6B4-905ED54A13A4",
            "01a20af06b5c7a69b6b4905ed54a13a4",
            " {01a20af0-6b5c-7a69-b6b4-905ed54a13a4} ",
            "urn:uuid:01a20af0-6b5c-7a69-b6b4-905ed54a13a4",
            "\u{ff10}1a20af0-6b5c-7a69-b6b4-905ed54a13a4",
            "{01a20af06b5c7a69b6b4905ed54a13a4}",
            "01a2-0af0-6b5c-7a69-b6b4-905e-d54a-13a4",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(Name::parse_new(uuid, NumericNames::Allowed), Err(NameFault::Uuid), "{uuid}");
            assert!(Name::parse(uuid).is_ok(), "an account that has it keeps it");
        }
        for number in [
            "17",
            " 0017 ",
            "\u{ff11}\u{ff17}",
            "\u{00b9}\u{2077}",
            "-17",
            "+17",
            "99999999999999999999999999",
        ] {
            assert_eq!(Name::parse_new(number, NumericNames::Refused), Err(NameFault::Number), "{number}");
            assert!(Name::parse_new(number, NumericNames::Allowed).is_ok(), "{number}");
        }
        for name in [
            "dana",
            "17a",
            "1.7",
            "1 7",
            "-",
            "+",
            "01a20af0-6b5c-7a69-b6b4-905ed54a13a",
            "01a20af0-6b5c-7a69-b6b4-905ed54a13ag",
        ] {
            assert!(Name::parse_new(name, NumericNames::Refused).is_ok(), "{name}");
        }
    }
}
