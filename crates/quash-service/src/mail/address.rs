//! E-mail addresses: the accepted ones, and their form for sending. DNS and SMTP need the domain in ASCII
//! (RFC 5891). A local part beyond ASCII is accepted only if the SMTP server offers SMTPUTF8 (RFC 6531).

use quash_core::model::{Email, LocalParts, NameFault, limits};

/// Converts an address to its form in SMTP: the domain in ASCII. `None` if the domain can't exist in DNS.
pub fn mailbox(address: &str) -> Option<String> {
    if address.is_ascii() {
        return Some(address.to_owned());
    }
    let (local, domain) = address.rsplit_once('@')?;
    if domain.is_ascii() {
        return Some(address.to_owned());
    }
    Some(format!("{local}@{}", idna::domain_to_ascii_strict(domain).ok()?))
}

/// Parses an address of an account, in the usual form of addresses. The rules are the same for owners, operators
/// and other systems.
///
/// # Errors
/// The text isn't such an address, or mail can't be sent to it.
pub(crate) fn account_address(text: &str, local_parts: LocalParts) -> Result<Email, NameFault> {
    let email = Email::parse(text)?;
    let mailbox = mailbox(&email.shown).ok_or(NameFault::NotAnAddress)?;
    let (local, domain) = mailbox.rsplit_once('@').ok_or(NameFault::NotAnAddress)?;
    if local_parts == LocalParts::Ascii && !local.is_ascii() {
        return Err(NameFault::LocalPart);
    }
    if local.len() > limits::LOCAL_PART_BYTES && !local.is_ascii() {
        return Err(NameFault::TooLong);
    }
    // The form for sending must also fit into an SMTP command.
    Email::parse(&mailbox)?;
    // Letters and digits of any script are allowed in place of ASCII ones.
    let local: String =
        local.chars().map(|c| if !c.is_ascii() && c.is_alphanumeric() { 'x' } else { c }).collect();
    Email::parse_own(&format!("{local}@{domain}"))?;
    Ok(email)
}

/// A note on an address that another system has and that can't be mailed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressWarning {
    /// The account has the address, and gets no mail.
    #[error("no mail can be sent to the e-mail address")]
    Unmailable,
    /// The text isn't an address, so the account has none.
    #[error("the e-mail address can't be used, so the account has none")]
    LeftOut,
}

/// Parses the address that another system has for a user, who must not be refused for it. One that can't be
/// mailed to is kept, so that an unconfirmed one goes on preventing sign-ins. If the text isn't an address, the
/// account has none.
///
/// # Errors
/// The text isn't an address, and not confirmed either: without an address the account could sign in.
pub(crate) fn imported_address(
    text: &str,
    local_parts: LocalParts,
    is_confirmed: bool,
) -> Result<(Option<Email>, Option<AddressWarning>), NameFault> {
    match (account_address(text, local_parts), Email::parse(text)) {
        (Ok(email), _) => Ok((Some(email), None)),
        (Err(_), Ok(email)) => Ok((Some(email), Some(AddressWarning::Unmailable))),
        (Err(_), Err(_)) if is_confirmed => Ok((None, Some(AddressWarning::LeftOut))),
        (Err(_), Err(fault)) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_domains_are_converted_to_ascii() {
        for (address, expected) in [
            ("dana@example.org", Some("dana@example.org")),
            ("Dana@BÜCHER.example", Some("Dana@xn--bcher-kva.example")),
            ("d.l@straße.example", Some("d.l@xn--strae-oqa.example")),
            ("dana@例え.jp", Some("dana@xn--r8jz45g.jp")),
            ("jürgen@bücher.example", Some("jürgen@xn--bcher-kva.example")),
            ("jürgen@example.org", Some("jürgen@example.org")),
            ("odd@[10.0.0.1]", Some("odd@[10.0.0.1]")),
            ("dana@b\u{fc}cher_.example", None),
            ("dana@-b\u{fc}cher.example", None),
            ("dana@\u{fc}..example", None),
        ] {
            assert_eq!(mailbox(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn addresses_may_have_domains_of_any_script() {
        for text in ["dana@bücher.example", "dana@例え.jp", "dana@xn--bcher-kva.example", "dana@example.org"]
        {
            assert_eq!(
                account_address(text, LocalParts::Ascii).map(|email| email.shown).as_deref(),
                Ok(text)
            );
        }
        let long = format!("dana@{}.example", "ü".repeat(60));
        for text in [
            "dana@bücher",
            "dana@bü cher.example",
            "dana@bücher.1",
            "\"dana\"@bücher.example",
            "dana@b\u{200d}ü.example",
            "a..b@example.org",
            "dana@-x.org",
            "dana@[127.0.0.1]",
            &long,
        ] {
            assert!(account_address(text, LocalParts::Utf8).is_err(), "{text}");
        }
    }

    #[test]
    fn imported_addresses_lose_no_user() {
        let imported = |text, is_confirmed| {
            imported_address(text, LocalParts::Ascii, is_confirmed)
                .map(|(email, warning)| (email.map(|email| email.shown), warning))
        };
        for text in ["dana@localhost", "a..b@example.org", "dana@[127.0.0.1]", "jürgen@example.org"] {
            let kept = (Some(text.to_owned()), Some(AddressWarning::Unmailable));
            assert_eq!((imported(text, true), imported(text, false)), (Ok(kept.clone()), Ok(kept)), "{text}");
        }
        let long = "x".repeat(300);
        for text in ["n/a", "dana", "dana lee@example.org", &long] {
            assert_eq!(imported(text, true), Ok((None, Some(AddressWarning::LeftOut))), "{text}");
            assert!(imported(text, false).is_err(), "{text}");
        }
        assert_eq!(imported(" dana@example.org ", false), Ok((Some("dana@example.org".into()), None)));
    }

    #[test]
    fn local_parts_beyond_ascii_need_smtputf8() {
        for text in ["jürgen@example.org", "用户@例え.jp"] {
            assert_eq!(account_address(text, LocalParts::Ascii), Err(NameFault::LocalPart), "{text}");
            assert_eq!(account_address(text, LocalParts::Utf8).map(|email| email.shown).as_deref(), Ok(text));
        }
        let longest = format!("{}@example.org", "ü".repeat(32));
        let too_long = format!("{}@example.org", "ü".repeat(33));
        assert!(account_address(&longest, LocalParts::Utf8).is_ok());
        for text in [
            &too_long,
            "jürgen..m@example.org",
            "jü\u{ff20}rgen@example.org",
            "jü(r)gen@example.org",
            "j\u{202e}ü@example.org",
        ] {
            assert!(account_address(text, LocalParts::Utf8).is_err(), "{text}");
        }
    }
}
