//! Tests of accounts: names, addresses and states.

use super::*;

#[test]
fn names_that_look_alike_are_equal() {
    for (typed, folded) in [
        ("ａdmin", "admin"),
        ("\u{212a}im", "kim"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ΣΑΣ", "σασ"),
    ] {
        assert_eq!(Name::parse(typed).map(|name| name.folded().to_owned()), Ok(folded.to_owned()), "{typed}");
    }
}

#[test]
fn lengths_are_checked_without_folding() {
    let longest = "\u{1f375}".repeat(limits::NAME_CHARS);
    assert!(!Name::is_too_long(&format!("  {longest}  ")) && Name::is_too_long(&format!("{longest}x")));
    let longest = "x".repeat(limits::EMAIL_BYTES);
    assert!(!Email::is_too_long(&format!("  {longest}  ")) && Email::is_too_long(&format!("{longest}x")));
}

#[test]
fn names_with_invisible_characters_are_refused() {
    for typed in ["ad\u{200b}min", "\u{202e}nimda", "a\0b", "a\nb"] {
        assert_eq!(Name::parse(typed), Err(NameFault::Invisible), "{typed:?}");
    }
    assert_eq!(Name::parse("  "), Err(NameFault::Empty));
    assert!(Name::parse(&"x".repeat(limits::NAME_CHARS)).is_ok());
    assert_eq!(Name::parse(&"x".repeat(limits::NAME_CHARS + 1)), Err(NameFault::TooLong));
}

#[test]
fn an_address_has_one_at_sign_and_no_blanks() {
    assert!(Email::parse("dana@example.org").is_ok());
    for typed in ["dana", "@example.org", "dana@", "a@b@c", "a,b@example.org", "a@b,c@d"] {
        assert_eq!(Email::parse(typed), Err(NameFault::NotAnAddress), "{typed}");
    }
    assert_eq!(Email::parse("a b@example.org"), Err(NameFault::Invisible));
    assert_eq!(
        Email::parse(&format!("{}@example.org", "x".repeat(limits::EMAIL_BYTES))),
        Err(NameFault::TooLong)
    );
}

#[test]
fn a16_own_addresses_need_a_plain_mailbox_form() {
    let longest = format!("{}@example.org", "x".repeat(limits::LOCAL_PART_BYTES));
    for typed in [
        "dana@example.org",
        " d.l+shop@mail.example.org ",
        "o'neil_{a}@xn--bcher-kva.example",
        "1@2.example",
        &longest,
    ] {
        assert!(Email::parse_own(typed).is_ok(), "{typed}");
    }
    let too_long = format!("{}@example.org", "x".repeat(limits::LOCAL_PART_BYTES + 1));
    let huge = format!("{}@example.org", "x".repeat(64 * 1024));
    let label = format!("a@{}.org", "x".repeat(64));
    for typed in [
        "dana",
        "a@b@c",
        "a\u{ff20}example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org,b@example.org",
        "a@localhost",
        ".a@example.org",
        "a.@example.org",
        "a..b@example.org",
        "\"a b\"@example.org",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a(b)@example.org",
        "a@-b.org",
        "a@b-.org",
        "a@b..org",
        "a@.org",
        "a@example.org.",
        "\u{e9}@example.org",
        "a@b\u{fc}cher.example",
        "a@b_c.org",
        "a b@c.org",
        "a\0b@c.org",
        "<a@example.org>",
        "a;b@example.org",
        "a:b@example.org",
        "a\\b@example.org",
        "",
        "@",
        &too_long,
        &huge,
        &label,
    ] {
        assert!(Email::parse_own(typed).is_err(), "{typed}");
    }
}

#[test]
fn temporary_passwords_expire_after_one_day() {
    let mut account = Account::new(
        Subject::parse("s").expect("a subject"),
        Name::parse("dana").expect("a name"),
        Timestamp::default(),
    );
    let given = Timestamp::from_secs(1_000_000);
    assert!(!account.has_temporary_password(given));
    account.temporary_until = Some(given + limits::ONE_TIME_PASSWORD);
    assert!(account.has_temporary_password(given));
    assert!(!account.has_temporary_password(given + limits::ONE_TIME_PASSWORD));
    assert!(!account.has_temporary_password(given - std::time::Duration::from_millis(1)));
}

#[test]
fn password_marks_match_simple_jwt() {
    let mark = |hash: &str| PasswordHash::new(hash.into()).mark();
    assert_eq!(mark(""), "D41D8CD98F00B204E9800998ECF8427E");
    assert_eq!(mark("pbkdf2_sha256$1$salt$aGFzaA=="), "7449662E9724AAECF847BC94441AB862");
    assert_eq!(
        mark("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"),
        mark("argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA")
    );
}

#[test]
fn unusable_hashes_keep_the_mark_of_their_text() {
    let hash = |text: &str| PasswordHash::new(text.into());
    let mut account = Account::new(
        Subject::parse("s").expect("a subject"),
        Name::parse("dana").expect("a name"),
        Timestamp::default(),
    );
    account.password = Some(hash("!kJ3k"));
    // Python: hashlib.md5(b"!kJ3k").hexdigest().upper()
    let theirs = "7EF26866B45FF602658A777640DA30C7";
    assert_eq!((account.password_mark().as_str(), account.node_mark().as_str()), (theirs, theirs));
    assert!(!account.has_usable_password());
    assert!(account.has_site_hash(Some(&hash("!kJ3k"))) && !account.has_site_hash(None));
    // The account's own password is another one since.
    (account.password, account.mark) = (Some(hash("ours")), Some(account.node_mark()));
    assert!(account.has_usable_password());
    assert!(account.has_site_hash(Some(&hash("!kJ3k"))) && !account.has_site_hash(Some(&hash("!other"))));
    // An operator has removed it: the site still has the same hash.
    account.password = None;
    assert!(account.has_site_hash(Some(&hash("!kJ3k"))) && !account.has_site_hash(None));
    // A mark in place of a hash that can't be compared with.
    let unknown = hash("!mark$7ef26866b45ff602658a777640da30c7");
    assert!(!unknown.is_usable() && !unknown.is_broken_mark() && account.has_site_hash(Some(&unknown)));
    assert_eq!(unknown.mark(), theirs);
    for broken in ["!mark$", "!mark$7ef26866b45ff602658a777640da30c", "!mark$ýef26866b45ff602658a777640da30c"]
    {
        assert!(hash(broken).is_broken_mark(), "{broken}");
    }
}

#[test]
fn a_first_password_of_our_own_is_none_of_the_site() {
    let (subject, name) = (Subject::parse("s"), Name::parse("dana"));
    let account = Account::new(subject.expect("a subject"), name.expect("a name"), Timestamp::default())
        .with_own_password(PasswordHash::new("ours".into()));
    assert!(account.has_usable_password() && account.has_site_hash(None));
    // Django's mark of a user whose hash is empty.
    assert_eq!(account.node_mark(), "D41D8CD98F00B204E9800998ECF8427E");
    assert_eq!(account.password_mark(), PasswordHash::new("ours".into()).mark());
}

#[test]
fn standing_follows_state_lock_and_address() {
    let subject = Subject::parse("s").unwrap_or_else(|_| unreachable!());
    let mut account =
        Account::new(subject, Name { shown: "dana".into(), folded: "dana".into() }, Timestamp::default());
    account.email = Email::parse("dana@example.org").ok();
    let now = Timestamp::from_secs(100);
    assert_eq!(account.status(now), AccountStatus::Unverified);
    if let Some(email) = &mut account.email {
        email.verified_at = Some(now);
    }
    assert_eq!(account.status(now), AccountStatus::Active);
    account.state = AccountState::Locked { since: now, until: Timestamp::from_secs(101) };
    assert_eq!(account.status(now), AccountStatus::Locked);
    assert_eq!(
        account.status(Timestamp::from_millis(99_999)),
        AccountStatus::Active,
        "the clock was ahead when it was locked"
    );
    assert_eq!(account.status(Timestamp::from_secs(101)), AccountStatus::Active);
    account.state = AccountState::Deactivated { at: now };
    assert_eq!(account.status(now), AccountStatus::Deactivated);
}
