//! Addresses of the isemail tests: an address that they call an error isn't accepted as a user's own.

use quash_core::model::{Email, NameFault};

use super::folder;

/// Decodes a text of the tests, which write a control character as its picture (U+2400 and above).
fn text(escaped: &str) -> String {
    let mut text = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find('&') {
        let (before, after) = rest.split_at(at);
        let (name, behind) = after[1..].split_once(';').expect("an entity");
        text.push_str(before);
        text.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            number => {
                let number = number
                    .strip_prefix("#x")
                    .map(|hex| u32::from_str_radix(hex, 16))
                    .or_else(|| number.strip_prefix('#').map(str::parse));
                let number = number.and_then(Result::ok).unwrap_or_else(|| panic!("{name}"));
                char::from_u32(number).expect("a character")
            }
        });
        rest = behind;
    }
    text.push_str(rest);
    text.chars()
        .map(|c| {
            if ('\u{2400}'..='\u{241f}').contains(&c) {
                char::from_u32(c as u32 - 0x2400).expect("a control")
            } else {
                c
            }
        })
        .collect()
}

#[test]
fn a16_addresses_that_isemail_rejects_are_refused() {
    let Some(folder) = folder("email") else { return };
    let tests = std::fs::read_to_string(folder.join("isemail_tests.xml")).expect("the tests");
    let (mut errors, mut taken) = (0, 0);
    for test in tests.split("<test id=").skip(1) {
        let member = |name: &str| {
            let (from, to) = (format!("<{name}>"), format!("</{name}>"));
            test.split_once(&from).and_then(|(_, rest)| rest.split_once(&to)).map_or("", |(inside, _)| inside)
        };
        let (address, category) = (text(member("address")), member("category"));
        match Email::parse_own(&address) {
            // Surrounding white space isn't part of an address, and is removed before.
            Ok(email) if email.shown == address => {
                assert_ne!(category, "ISEMAIL_ERR", "{address:?}");
                taken += 1;
            }
            Ok(_) => {}
            Err(fault) => assert!(
                matches!(fault, NameFault::NotAnAddress | NameFault::Invisible | NameFault::TooLong),
                "{address:?}"
            ),
        }
        errors += usize::from(category == "ISEMAIL_ERR");
    }
    assert!(errors >= 60 && taken >= 10, "{errors} {taken}");
}
