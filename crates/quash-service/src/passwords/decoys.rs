//! Decoys: hashes that match no password, compared with when an account has none. Each costs as much as a
//! real hash of its class, and the typed name selects the class, so the cost doesn't reveal whether the name
//! has an account.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA512, Key, Tag};
use quash_core::model::PasswordHash;

use super::formats::CostClass;
use super::hasher::PasswordHasher;

/// The most classes known besides our own. An import adds one or a few. A class beyond the limit has no
/// decoy.
pub(crate) const MAX_CLASSES: u32 = 64;

/// The known classes, each with its decoy.
pub(super) struct Decoys {
    secret: Key,
    own: CostClass,
    own_decoy: Decoy,
    others: RwLock<BTreeMap<CostClass, Decoy>>,
}

struct Decoy {
    /// The key for a name's weight in this class.
    weight: Key,
    hash: PasswordHash,
}

impl Decoys {
    /// Creates decoys for the class of new hashes, which is always known.
    pub(super) fn new(secret: &[u8; 32], hasher: &dyn PasswordHasher) -> Self {
        let (secret, own) = (Key::new(HMAC_SHA256, secret), hasher.current());
        let own_decoy = Decoy::new(own, &secret, hasher);
        Self { secret, own, own_decoy, others: RwLock::default() }
    }

    /// Replaces all known classes except our own.
    pub(super) fn set(&self, classes: &[CostClass], hasher: &dyn PasswordHasher) {
        let others = classes.iter().filter(|class| **class != self.own);
        let others =
            others.take(MAX_CLASSES as usize).map(|class| (*class, Decoy::new(*class, &self.secret, hasher)));
        *self.others.write().unwrap_or_else(PoisonError::into_inner) = others.collect();
    }

    /// Adds a class.
    pub(super) fn add_class(&self, class: CostClass, hasher: &dyn PasswordHasher) {
        let known_device = |others: &BTreeMap<_, _>| {
            class == self.own || others.contains_key(&class) || others.len() >= MAX_CLASSES as usize
        };
        if known_device(&self.others.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let decoy = Decoy::new(class, &self.secret, hasher);
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if !known_device(&others) {
            others.insert(class, decoy);
        }
    }

    /// The decoy of a class. `None` if the class is unknown.
    pub(super) fn of(&self, class: CostClass) -> Option<PasswordHash> {
        if class == self.own {
            return Some(self.own_decoy.hash.clone());
        }
        self.others.read().unwrap_or_else(PoisonError::into_inner).get(&class).map(|decoy| decoy.hash.clone())
    }

    /// The decoy for a name. It only changes for the names whose class is removed, or that a new class takes
    /// over (rendezvous hashing): each class computes a weight of the name with its own key, and the class
    /// with the largest weight is selected.
    pub(super) fn pick(&self, name: &str) -> PasswordHash {
        // Names may be long, so classes weigh the 32 bytes of their MAC.
        let name = hmac::sign(&self.secret, &[b"name:", name.as_bytes()].concat());
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let heaviest = others
            .values()
            .map(|decoy| (decoy.weigh(&name), decoy))
            .max_by(|(one, _), (other, _)| one.as_ref().cmp(other.as_ref()));
        match heaviest {
            Some((weight, decoy)) if weight.as_ref() > self.own_decoy.weigh(&name).as_ref() => {
                decoy.hash.clone()
            }
            _ => self.own_decoy.hash.clone(),
        }
    }
}

impl Decoy {
    /// Derives salt and output from the secret, so that they look random to an attacker.
    fn new(class: CostClass, secret: &Key, hasher: &dyn PasswordHasher) -> Self {
        let of_class = hmac::sign(secret, format!("class:{class}").as_bytes());
        let drawn = hmac::sign(&Key::new(HMAC_SHA512, of_class.as_ref()), b"output");
        let (mut salt, mut output) = ([0; 16], [0; 64]);
        salt.copy_from_slice(&hmac::sign(&Key::new(HMAC_SHA256, of_class.as_ref()), b"salt").as_ref()[..16]);
        output.copy_from_slice(drawn.as_ref());
        Self { weight: Key::new(HMAC_SHA256, of_class.as_ref()), hash: hasher.decoy(class, salt, output) }
    }

    fn weigh(&self, name: &Tag) -> Tag {
        hmac::sign(&self.weight, name.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::hasher::Argon2Hasher;
    use super::*;

    fn decoys(secret: u8, classes: &[&str]) -> Decoys {
        let decoys = Decoys::new(&[secret; 32], &Argon2Hasher::new());
        decoys.set(
            &classes.iter().map(|class| class.parse().expect("a class")).collect::<Vec<_>>(),
            &Argon2Hasher::new(),
        );
        decoys
    }

    fn picks(decoys: &Decoys) -> Vec<CostClass> {
        let class = |name: String| Argon2Hasher::new().class_of(&decoys.pick(&name));
        (0..300)
            .map(|n| class(format!("name {n}")).expect("a hash of a known format").expect("a usable one"))
            .collect()
    }

    #[test]
    fn our_own_class_is_always_known() {
        assert!(picks(&decoys(1, &[])).iter().all(|class| *class == Argon2Hasher::new().current()));
        assert!(picks(&decoys(1, &["bcrypt$12"])).contains(&Argon2Hasher::new().current()));
    }

    #[test]
    fn each_name_selects_one_stable_class() {
        let classes = ["bcrypt$12", "pbkdf2_sha256$600000"];
        let first = picks(&decoys(1, &classes));
        assert_eq!(first, picks(&decoys(1, &[classes[1], classes[0]])), "whatever their order");
        let mut shares = BTreeMap::new();
        first.iter().for_each(|class| *shares.entry(class.to_string()).or_insert(0) += 1);
        assert!(shares.len() == 3 && shares.values().all(|share| (60..140).contains(share)), "{shares:?}");
        assert_ne!(first, picks(&decoys(2, &classes)), "who doesn't know the secret can't tell");
    }

    #[test]
    fn new_classes_take_only_their_share_of_names() {
        let decoys = decoys(1, &["bcrypt$12"]);
        let before = picks(&decoys);
        let new = "scrypt$16384$8$5".parse().expect("a class");
        decoys.add_class(new, &Argon2Hasher::new());
        let after = picks(&decoys);
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == new));
        assert!(after.contains(&new));
        decoys.set(&["bcrypt$12".parse().expect("a class")], &Argon2Hasher::new());
        assert_eq!(picks(&decoys), before);
    }

    #[test]
    fn decoys_match_no_password_and_keep_their_class() {
        let mut arena = super::super::arena::Arena::default();
        for text in [
            "argon2i$v=16$m=64,t=1,p=8",
            "bcrypt$4",
            "bcrypt_sha256$4",
            "pbkdf2_sha1$1",
            "pbkdf2_sha256$1",
            "scrypt$2$1$1",
        ] {
            let decoys = decoys(1, &[]);
            let class = text.parse().expect("a class");
            decoys.add_class(class, &Argon2Hasher::new());
            let others = decoys.others.read().expect("no panic");
            let hash = &others[&class].hash;
            assert_eq!(Argon2Hasher::new().class_of(hash), Ok(Some(class)), "{text}");
            for password in ["", "x", hash.as_str()] {
                assert!(!Argon2Hasher::new().verify(password, hash, &mut arena), "{text}");
            }
        }
    }

    #[test]
    fn classes_are_limited_one_past_the_edge() {
        let class = |n: u32| format!("pbkdf2_sha256${}", n + 1).parse::<CostClass>().expect("a class");
        let all: Vec<_> = (0..=MAX_CLASSES).map(class).collect();
        let decoys = decoys(1, &[]);
        decoys.set(&all, &Argon2Hasher::new());
        assert_eq!(decoys.others.read().expect("no panic").len(), MAX_CLASSES as usize);
        decoys.set(&all[1..], &Argon2Hasher::new());
        decoys.add_class(class(0), &Argon2Hasher::new());
        assert_eq!(decoys.others.read().expect("no panic").len(), MAX_CLASSES as usize);
        decoys.set(&all[2..], &Argon2Hasher::new());
        decoys.add_class(class(0), &Argon2Hasher::new());
        assert!(decoys.others.read().expect("no panic").contains_key(&class(0)));
    }
}
