//! Tests of parsing hashes: accepted and refused texts, and the harmlessness of any text.

use quash_core::model::{Entropy, Seeded, draw};

use super::*;

const SALT: &str = "abcdefghijklmnopqrstuw";

fn parse(text: &str) -> Result<Format, FormatFault> {
    Format::parse(&PasswordHash::new(text.to_owned()))
}

/// A hash of each format with these parameters.
fn argon2(params: &str) -> String {
    format!("argon2$argon2id$v=19${params}${SALT}${}", "A".repeat(43))
}
fn bcrypt(cost: &str) -> String {
    format!("bcrypt$$2b${cost}$abcdefghijklmnopqrstuu{}", ".".repeat(31))
}
fn pbkdf2(iterations: &str) -> String {
    format!("pbkdf2_sha256${iterations}${SALT}${}=", "A".repeat(43))
}
fn scrypt(n: &str, block: &str, lanes: &str) -> String {
    format!("scrypt${n}${SALT}${block}${lanes}${}==", "A".repeat(86))
}

#[test]
fn djangos_defaults_since_3_2_are_accepted() {
    for iterations in [
        "260000", "320000", "390000", "480000", "600000", "720000", "870000", "1000000", "1200000", "1500000",
    ] {
        assert!(parse(&pbkdf2(iterations)).is_ok(), "{iterations}");
        assert!(format!("pbkdf2_sha1${iterations}").parse::<CostClass>().is_ok(), "{iterations}");
    }
    for text in [
        argon2("m=102400,t=2,p=8"),
        argon2("m=512,t=2,p=2"),
        bcrypt("12"),
        scrypt("16384", "8", "1"),
        scrypt("16384", "8", "5"),
    ] {
        assert!(parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn hash_costs_are_limited_one_past_the_edge() {
    let edges = [
        (argon2("m=131072,t=16,p=64"), argon2("m=131073,t=16,p=64"), Cap::Argon2Memory),
        (argon2("m=32768,t=64,p=1"), argon2("m=8,t=65,p=1"), Cap::Argon2Passes),
        (argon2("m=1024,t=1,p=64"), argon2("m=1024,t=1,p=65"), Cap::Argon2Lanes),
        (argon2("m=131072,t=16,p=1"), argon2("m=131072,t=17,p=1"), Cap::Argon2Work),
        (bcrypt("15"), bcrypt("16"), Cap::BcryptCost),
        (bcrypt("15"), bcrypt("31"), Cap::BcryptCost),
        (pbkdf2("10000000"), pbkdf2("10000001"), Cap::Pbkdf2Iterations),
        (pbkdf2("10000000"), pbkdf2("4294967295"), Cap::Pbkdf2Iterations),
        (scrypt("131072", "8", "4"), scrypt("262144", "8", "1"), Cap::ScryptMemory),
        (scrypt("131072", "8", "4"), scrypt("131072", "8", "5"), Cap::ScryptWork),
        (scrypt("2", "32", "32"), scrypt("2", "33", "32"), Cap::ScryptBlock),
        (scrypt("2", "32", "32"), scrypt("2", "32", "33"), Cap::ScryptLanes),
    ];
    for (passes, refused, cap) in edges {
        assert!(parse(&passes).is_ok(), "{passes}");
        assert_eq!(parse(&refused).err(), Some(FormatFault::TooCostly(cap)), "{refused}");
    }
    let long = |bytes: usize| format!("pbkdf2_sha256$1${}${}=", "s".repeat(bytes - 61), "A".repeat(43));
    assert_eq!(long(HASH_BYTES).len(), HASH_BYTES);
    assert!(parse(&long(HASH_BYTES)).is_ok());
    assert_eq!(parse(&long(HASH_BYTES + 1)).err(), Some(FormatFault::TooLong));
}

#[test]
fn cost_classes_have_the_limits_of_hashes() {
    for (text, cap) in [
        ("argon2id$v=19$m=131073,t=1,p=1", Cap::Argon2Memory),
        ("bcrypt_sha256$16", Cap::BcryptCost),
        ("pbkdf2_sha1$10000001", Cap::Pbkdf2Iterations),
        ("scrypt$262144$8$1", Cap::ScryptMemory),
    ] {
        assert_eq!(text.parse::<CostClass>(), Err(FormatFault::TooCostly(cap)), "{text}");
    }
    for text in [
        "",
        "$",
        "md5$1",
        "bcrypt",
        "bcrypt$",
        "bcrypt$04",
        "bcrypt$4$",
        "argon2$m=8,t=1,p=1",
        "scrypt$2$1",
        "pbkdf2_sha256$0",
    ] {
        assert!(text.parse::<CostClass>().is_err(), "{text}");
    }
}

#[test]
fn parsed_hashes_are_encoded_unchanged() {
    for text in [
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "argon2$argon2i$v=16$m=64,t=1,p=8$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "argon2$argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "bcrypt$$2a$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq",
        "bcrypt_sha256$$2y$10$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq",
        "pbkdf2_sha1$1$a salt of any kind: ü$AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        &pbkdf2("600000"),
        &scrypt("2", "1", "1"),
    ] {
        assert_eq!(parse(text).map(|format| format.encoded().as_str().to_owned()).as_deref(), Ok(text));
    }
}

#[test]
fn non_canonical_hashes_are_malformed() {
    let mut others: Vec<String> = Vec::new();
    for number in [
        "",
        "0",
        "012",
        "+12",
        "-12",
        " 12",
        "12 ",
        "1_2",
        "12.0",
        "0x12",
        "\u{661}\u{662}",
        "99999999999999999999",
    ] {
        others.extend([
            pbkdf2(number),
            bcrypt(number),
            scrypt(number, "8", "1"),
            scrypt("16", number, "1"),
            scrypt("16", "8", number),
        ]);
        others.extend(
            [format!("m={number},t=1,p=1"), format!("m=64,t={number},p=1"), format!("m=64,t=1,p={number}")]
                .map(|text| argon2(&text)),
        );
    }
    others.extend(
        [bcrypt("04"), pbkdf2("1"), scrypt("16", "8", "1")].map(|whole| whole[..whole.len() - 4].to_owned()),
    );
    others.push(argon2("m=64,t=1,p=1")[..70].to_owned());
    others.push(argon2("m=64,t=1,p=1") + &"A".repeat(44));
    others.extend(["3", "15", "1", "0", "17"].map(|n| scrypt(n, "8", "1")));
    others.extend(["03", "4", "00"].map(bcrypt));
    for params in [
        "m=7,t=1,p=1",
        "m=15,t=1,p=2",
        "t=1,m=64,p=1",
        "m=64,t=1",
        "m=64,t=1,p=1,",
        "m=64,t=1,p=1,x=1",
        "M=64,t=1,p=1",
        "",
    ] {
        others.push(argon2(params));
    }
    for whole in [argon2("m=64,t=1,p=1"), bcrypt("04"), pbkdf2("1"), scrypt("16", "8", "1")] {
        others.extend(["$", "=", "\n", " ", "AA=="].map(|more| format!("{whole}{more}")));
        others.push(whole.replace('$', "$$"));
        others.push(format!("{}/", &whole[..whole.len() - 1]));
    }
    others.push(argon2("m=64,t=1,p=1").replace("argon2id", "argon2x"));
    others.push(argon2("m=64,t=1,p=1").replace("v=19", "v=18"));
    others.push(bcrypt("04").replace("2b", "2x"));
    others.push(bcrypt("04").replace("uu.", "uv."));
    others.extend([pbkdf2("1"), scrypt("16", "8", "1")].map(|text| text.replace(SALT, "")));
    others.push(argon2("m=64,t=1,p=1").replace(SALT, "c2FsdHM"));
    for text in others {
        assert!(matches!(parse(&text), Err(FormatFault::Malformed(_))), "{text}");
    }
}

#[test]
fn other_hash_formats_are_unknown() {
    for text in [
        "",
        "$",
        "$$",
        "plain text",
        "password",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "md5$$5f4dcc3b5aa765d61d8327deb882cf99",
        "sha1$$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "crypt$$ab1",
        "PBKDF2_SHA256$1$s$x",
        " pbkdf2_sha256$1$s$x",
        "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq",
        "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA",
        "$pbkdf2-sha256$1$s$x",
        "unsalted_md5$x",
        "\0",
        "ü$ü",
    ] {
        assert_eq!(parse(text).err(), Some(FormatFault::Unknown), "{text:?}");
    }
    for text in ["!mark$", "!mark$D41D8CD98F00B204E9800998ECF8427", "!mark$D41D8CD98F00B204E9800998ECF8427G"]
    {
        assert_eq!(parse(text).err(), Some(FormatFault::BrokenMark), "{text:?}");
    }
    for text in ["!", "!x", "!pbkdf2_sha256$1$s$x", "!mark$d41d8cd98f00b204e9800998ecf8427E"] {
        assert!(matches!(parse(text), Ok(Format::Unusable)), "{text:?}");
    }
}

/// Real hashes with parts of others inserted, removed and doubled: every text that is still a hash stays
/// within the limits, and comparing with it does no harm.
#[test]
fn arbitrary_hash_texts_are_harmless() {
    let seeds = [
        argon2("m=64,t=1,p=8"),
        bcrypt("04"),
        pbkdf2("10"),
        scrypt("16", "8", "1"),
        "!ü\u{1f511}".to_owned(),
    ];
    let pieces = [
        "$",
        "",
        "=",
        "m=",
        "ü",
        "\0",
        "\u{1f511}",
        "4294967295",
        "-1",
        "v=16$",
        "$2b$",
        "A",
        "0",
        ",p=1",
        "!",
        "\n",
    ];
    let (chance, mut arena, mut still_hashes) = (Seeded::new(11), Arena::default(), 0);
    for _ in 0..20_000 {
        let mut text = seeds[usize::from(draw::<1>(&chance)[0]) % seeds.len()].clone();
        for _ in 0..=draw::<1>(&chance)[0] % 3 {
            change(&mut text, pieces, &chance);
        }
        let Ok(format) = parse(&text) else { continue };
        assert_eq!(
            format.cost_class().map(|class| class.to_string().parse()),
            format.cost_class().map(Ok),
            "{text}"
        );
        still_hashes += 1;
        // Skips the rare ones with the highest costs, which would only take time.
        if still_hashes % 16 == 0 && text.len() < 140 {
            format.matches("x", &mut arena);
        }
    }
    assert!(still_hashes > 500, "{still_hashes} of them");
}

fn change(text: &mut String, pieces: [&str; 16], chance: &dyn Entropy) {
    let [from, length, piece] = draw::<3>(chance).map(usize::from);
    let start = text.floor_char_boundary(from % (text.len() + 1));
    let end = text.floor_char_boundary((start + length % 4).min(text.len()));
    text.replace_range(start..end.max(start), pieces[piece % pieces.len()]);
}
