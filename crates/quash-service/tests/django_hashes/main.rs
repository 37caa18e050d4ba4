//! Hashes made by Django, and its verdicts on right and wrong passwords: `hashes.json`, which `make.py`
//! writes. Their costs are low, except for one of each format at Django's default cost.

use quash_core::model::PasswordHash;
use quash_service::{Arena, Argon2Hasher, CostClass, PasswordHasher};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    passwords: Vec<String>,
    hashes: Vec<Made>,
    at_full_cost: Vec<Made>,
    unusable: String,
}

#[derive(Deserialize)]
struct Made {
    hash: String,
    of: String,
    #[serde(default)]
    matches: Vec<String>,
}

impl Made {
    fn is_matched_by(&self, password: &str, arena: &mut Arena) -> bool {
        Argon2Hasher::new().verify(password, &PasswordHash::new(self.hash.clone()), arena)
    }
}

fn table() -> Table {
    serde_json::from_str(include_str!("hashes.json")).expect("a table")
}

fn class_of(hash: &str) -> Option<CostClass> {
    Argon2Hasher::new().class_of(&PasswordHash::new(hash.to_owned())).expect("a known format")
}

#[test]
fn passwords_are_judged_as_in_django() {
    let (table, mut arena) = (table(), Arena::default());
    assert!(table.hashes.len() > 50 && table.passwords.len() > 20);
    for made in &table.hashes {
        for password in &table.passwords {
            assert_eq!(
                made.is_matched_by(password, &mut arena),
                made.matches.contains(password),
                "{} {password:?}",
                made.hash
            );
        }
    }
}

#[test]
fn a12_bcrypt_compares_the_first_72_bytes() {
    let table = table();
    let of = |name: &str, password: &str| {
        let begins = format!("{name}$");
        table
            .hashes
            .iter()
            .find(|made| made.hash.starts_with(&begins) && made.of == password)
            .expect("one of each")
    };
    let (seventy_two, seventy_three) = ("x".repeat(72), "x".repeat(73));
    for longest in [&seventy_two, &seventy_three] {
        for password in [
            &seventy_two,
            &seventy_three,
            &"x".repeat(100),
            &format!("{seventy_two}y"),
            &format!("{seventy_two}\0"),
        ] {
            assert!(of("bcrypt", longest).is_matched_by(password, &mut Arena::default()), "{password:?}");
        }
        assert!(!of("bcrypt", longest).is_matched_by(&"x".repeat(71), &mut Arena::default()));
    }
    assert!(!of("bcrypt_sha256", &seventy_two).is_matched_by(&seventy_three, &mut Arena::default()));
}

#[test]
fn hashes_with_djangos_default_costs_match() {
    for made in &table().at_full_cost {
        assert!(made.is_matched_by(&made.of, &mut Arena::default()), "{}", made.hash);
    }
}

#[test]
fn each_hash_has_the_class_of_its_parameters() {
    let table = table();
    let classes: Vec<String> = table
        .at_full_cost
        .iter()
        .filter_map(|made| class_of(&made.hash))
        .map(|class| class.to_string())
        .collect();
    assert_eq!(
        classes,
        [
            "pbkdf2_sha256$1000000",
            "pbkdf2_sha1$1000000",
            "argon2id$v=19$m=102400,t=2,p=8",
            "bcrypt_sha256$12",
            "bcrypt$12",
            "scrypt$16384$8$5",
        ]
    );
    for made in table.hashes {
        let class = class_of(&made.hash).expect("a usable one");
        assert_eq!(class.to_string().parse(), Ok(class));
        assert!(!Argon2Hasher::new().is_current(&PasswordHash::new(made.hash)));
    }
}

#[test]
fn unusable_passwords_match_nothing() {
    let table = table();
    assert_eq!(class_of(&table.unusable), None);
    let unusable = Made { hash: table.unusable.clone(), of: String::new(), matches: Vec::new() };
    for password in table.passwords.iter().chain([&table.unusable]) {
        assert!(!unusable.is_matched_by(password, &mut Arena::default()), "{password:?}");
    }
}
