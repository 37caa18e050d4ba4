//! `[passwords]`: what passwords are hashed with, and what becomes of their hashes.

use std::fmt;

use quash_service::{Argon2Hasher, FormatFault, Rehash};

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::{Switch, Whole};
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "passwords",
    doc: "what passwords are hashed with",
    naming: Naming::One,
    keys: &[&REHASH, &ARGON2_MEMORY, &ARGON2_PASSES, &ARGON2_LANES],
};

/// The least of memory, in MiB, and passes: each row is as strong as the others (the OWASP password storage sheet).
pub(crate) const LEAST_COSTS: [(u32, u32); 5] = [(46, 1), (19, 2), (12, 3), (9, 4), (7, 5)];
/// The most passes: with the most memory that is what any hash may cost.
pub(crate) const MOST_PASSES: u32 = 16;

const REHASH: Key<Switch> = Key {
    name: "rehash",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A hash that isn't what quash would make today, such as one from Django, is replaced when its user signs in. With `false` it \
          stays, for a Django that reads the same hashes.",
};
const ARGON2_MEMORY: Key<Whole> = Key {
    name: "argon2_memory_mib",
    kind: Whole { least: 7, most: 128 },
    unset: DefaultsTo("19"),
    doc: "The memory of Argon2id, in MiB. Each core holds so much while it hashes. `quash password-cost` measures what the machine \
          can do, and proposes all three.",
};
const ARGON2_PASSES: Key<Whole> = Key {
    name: "argon2_passes",
    kind: Whole { least: 1, most: MOST_PASSES },
    unset: DefaultsTo("2"),
    doc: "Passes over the memory. At the least 1 with 46 MiB, 2 with 19, 3 with 12, 4 with 9 or 5 with 7.",
};
const ARGON2_LANES: Key<Whole> = Key {
    name: "argon2_lanes",
    kind: Whole { least: 1, most: 16 },
    unset: DefaultsTo("1"),
    doc: "Lanes, which are worked on one after the other: more of them help only whoever guesses. For who must have them as elsewhere.",
};

/// What new passwords are hashed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Argon2 {
    pub(crate) memory_mib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

/// The section, read.
pub(super) struct Passwords {
    pub(super) rehash: Rehash,
    pub(super) argon2: Argon2,
}

impl Argon2 {
    /// Whether it costs as much as one of the least at least.
    pub(crate) fn is_strong_enough(self) -> bool {
        LEAST_COSTS
            .iter()
            .any(|(memory_mib, passes)| self.memory_mib >= *memory_mib && self.passes >= *passes)
    }

    /// What hashes with it.
    ///
    /// # Errors
    /// It costs more than any hash may.
    pub(crate) fn hasher(self) -> Result<Argon2Hasher, FormatFault> {
        Argon2Hasher::with(self.memory_mib * 1024, self.passes, self.lanes)
    }
}

impl fmt::Display for Argon2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Argon2id with {} MiB, {} passes and {} lanes", self.memory_mib, self.passes, self.lanes)
    }
}

/// Reads the section; `marked` where Django nodes compare the hash that each token is marked with.
pub(super) fn read(mut section: Section<'_>, marked: bool) -> Result<Passwords, Told> {
    let (rehash, argon2) = (rehash(&mut section, marked), argon2(&mut section));
    Ok(Passwords { rehash: rehash?, argon2: argon2? })
}

/// A marked hash that changes by itself would sign everybody out.
fn rehash(section: &mut Section<'_>, marked: bool) -> Result<Rehash, Told> {
    if !section.read(&REHASH)? {
        return Ok(Rehash::Never);
    }
    if marked {
        let remedy = "write passwords.rehash = false, or leave check_revoke_token out";
        return Err(section.wrong(
            &REHASH,
            "would change what tokens.check_revoke_token lets Django nodes compare",
            remedy,
        ));
    }
    Ok(Rehash::OnSuccess)
}

fn argon2(section: &mut Section<'_>) -> Result<Argon2, Told> {
    let (memory_mib, passes, lanes) =
        (section.read(&ARGON2_MEMORY), section.read(&ARGON2_PASSES), section.read(&ARGON2_LANES));
    let argon2 = Argon2 { memory_mib: memory_mib?, passes: passes?, lanes: lanes? };
    if !argon2.is_strong_enough() {
        // With the default of the one, the other was set.
        let (key, fault) = match argon2.passes {
            2 => (&ARGON2_MEMORY, "is too little for 2 passes".to_owned()),
            _ => (&ARGON2_PASSES, format!("is too few for {} MiB of memory", argon2.memory_mib)),
        };
        return Err(section.wrong(
            key,
            fault,
            "take 1 with 46 MiB, 2 with 19, 3 with 12, 4 with 9 or 5 with 7",
        ));
    }
    Ok(argon2)
}
