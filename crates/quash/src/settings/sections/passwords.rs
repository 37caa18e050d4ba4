//! `[passwords]`: the hashing of passwords.

use std::fmt;

use quash_service::{Argon2Hasher, FormatFault, Rehash};

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{Switch, Whole};
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "passwords",
    doc: "hashing of passwords",
    naming: Naming::One,
    keys: &[&REHASH, &ARGON2_MEMORY, &ARGON2_PASSES, &ARGON2_LANES],
};

/// The least memory, in MiB, and passes: all rows are equally strong (the OWASP password storage cheat
/// sheet).
pub(crate) const LEAST_COSTS: [(u32, u32); 5] = [(46, 1), (19, 2), (12, 3), (9, 4), (7, 5)];
/// The most passes: with the most memory, they are the highest cost of a hash.
pub(crate) const MOST_PASSES: u32 = 16;

const REHASH: Key<Switch> = Key {
    name: "rehash",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "Replaces a hash with other parameters, such as one from Django, when its user signs in. With \
          `false` it is kept, for a Django site that reads the same hashes.",
};
const ARGON2_MEMORY: Key<Whole> = Key {
    name: "argon2_memory_mib",
    kind: Whole { least: 7, most: 128 },
    unset: DefaultsTo("19"),
    doc: "The memory of Argon2id, in MiB, for each core that hashes. `quash password-cost` measures the \
          machine, and proposes all three settings.",
};
const ARGON2_PASSES: Key<Whole> = Key {
    name: "argon2_passes",
    kind: Whole { least: 1, most: MOST_PASSES },
    unset: DefaultsTo("2"),
    doc: "Passes over the memory. At least 1 with 46 MiB, 2 with 19, 3 with 12, 4 with 9 or 5 with 7.",
};
const ARGON2_LANES: Key<Whole> = Key {
    name: "argon2_lanes",
    kind: Whole { least: 1, most: 16 },
    unset: DefaultsTo("1"),
    doc: "Lanes, which are computed one after another: more of them only help an attacker. For hashes that \
          must have the same parameters as in another system.",
};

/// The parameters of Argon2id for new hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Argon2 {
    pub(crate) memory_mib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

/// The section's values.
pub(super) struct Passwords {
    pub(super) rehash: Rehash,
    pub(super) argon2: Argon2,
}

impl Argon2 {
    /// Returns whether the cost reaches one of [`LEAST_COSTS`].
    pub(crate) fn is_strong_enough(self) -> bool {
        LEAST_COSTS
            .iter()
            .any(|(memory_mib, passes)| self.memory_mib >= *memory_mib && self.passes >= *passes)
    }

    /// Creates a hasher with these parameters.
    ///
    /// # Errors
    /// The cost exceeds the highest allowed cost.
    pub(crate) fn hasher(self) -> Result<Argon2Hasher, FormatFault> {
        Argon2Hasher::with(self.memory_mib * 1024, self.passes, self.lanes)
    }
}

impl fmt::Display for Argon2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Argon2id with {} MiB, {} passes and {} lanes", self.memory_mib, self.passes, self.lanes)
    }
}

/// Reads the section. `marked`: each token has a claim with the hash's mark, which Django nodes compare.
pub(super) fn read(mut section: Section<'_>, marked: bool) -> Result<Passwords, Reported> {
    let (rehash, argon2) = (rehash(&mut section, marked), argon2(&mut section));
    Ok(Passwords { rehash: rehash?, argon2: argon2? })
}

/// Reads `rehash`. It conflicts with `marked`: replacing a hash would sign its user out.
fn rehash(section: &mut Section<'_>, marked: bool) -> Result<Rehash, Reported> {
    if !section.read(&REHASH)? {
        return Ok(Rehash::Never);
    }
    if marked {
        let remedy = "write passwords.rehash = false, or leave check_revoke_token out";
        return Err(section.fault(
            &REHASH,
            "would change what tokens.check_revoke_token lets Django nodes compare",
            remedy,
        ));
    }
    Ok(Rehash::OnSuccess)
}

fn argon2(section: &mut Section<'_>) -> Result<Argon2, Reported> {
    let (memory_mib, passes, lanes) =
        (section.read(&ARGON2_MEMORY), section.read(&ARGON2_PASSES), section.read(&ARGON2_LANES));
    let argon2 = Argon2 { memory_mib: memory_mib?, passes: passes?, lanes: lanes? };
    if !argon2.is_strong_enough() {
        // If one has its default, the other was set.
        let (key, fault) = match argon2.passes {
            2 => (&ARGON2_MEMORY, "is too little for 2 passes".to_owned()),
            _ => (&ARGON2_PASSES, format!("is too few for {} MiB of memory", argon2.memory_mib)),
        };
        return Err(section.fault(
            key,
            fault,
            "use at least 1 with 46 MiB, 2 with 19, 3 with 12, 4 with 9 or 5 with 7",
        ));
    }
    Ok(argon2)
}
