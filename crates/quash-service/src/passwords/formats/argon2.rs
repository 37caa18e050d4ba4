//! Argon2 (RFC 9106) in two encodings: ours, `$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<output>`,
//! and Django's, which adds the prefix `argon2`. Salt and output are Base64 without padding. Django writes
//! Argon2id, and before 3.2 wrote Argon2i. A text without a version has version 16.
//!
//! Lanes are computed sequentially, so they cost no more than a single one.

use std::fmt;

use ::argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use zeroize::Zeroizing;

use super::super::arena::Arena;
use super::caps::{ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_WORK_KIB};
use super::fault::{Cap, FormatFault, FormatName};
use super::text::{self, same};

/// The least memory of each lane.
const MIN_LANE_KIB: u32 = 8;
const MIN_SALT_BYTES: usize = 8;
const MIN_OUTPUT_BYTES: usize = 16;
const MAX_OUTPUT_BYTES: usize = 64;
/// The length of the output in new hashes.
const OUTPUT_BYTES: usize = 32;

const MALFORMED: FormatFault = FormatFault::Malformed(FormatName::Argon2);

/// The encoding of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    Phc,
    Django,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::passwords) struct Argon2Cost {
    algorithm: Algorithm,
    version: Version,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

pub(in crate::passwords) struct Argon2Hash {
    written: Written,
    cost: Argon2Cost,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Argon2Cost {
    /// The cost of new hashes by default, as the OWASP password storage sheet recommends.
    pub(in crate::passwords) const CURRENT: Self = Self {
        algorithm: Algorithm::Argon2id,
        version: Version::V0x13,
        memory_kib: Params::DEFAULT_M_COST,
        passes: Params::DEFAULT_T_COST,
        lanes: Params::DEFAULT_P_COST,
    };

    /// Parses the cost in a class: `argon2id$v=19$m=19456,t=2,p=1`.
    pub(super) fn parse(algorithm: &str, rest: &str) -> Result<Self, FormatFault> {
        let [version, params] = text::parts(rest).ok_or(MALFORMED)?;
        Self::new(algorithm, version, params)
    }

    /// The cost of new hashes with an operator's parameters.
    pub(in crate::passwords) fn ours(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, FormatFault> {
        Self::new("argon2id", "v=19", &format!("m={memory_kib},t={passes},p={lanes}"))
    }

    fn new(algorithm: &str, version: &str, params: &str) -> Result<Self, FormatFault> {
        let algorithm = match algorithm {
            "argon2d" => Algorithm::Argon2d,
            "argon2i" => Algorithm::Argon2i,
            "argon2id" => Algorithm::Argon2id,
            _ => return Err(MALFORMED),
        };
        let version = match version {
            "v=16" => Version::V0x10,
            "v=19" => Version::V0x13,
            _ => return Err(MALFORMED),
        };
        let [memory_kib, passes, lanes] = numbers(params).ok_or(MALFORMED)?;
        let cap = match () {
            () if memory_kib > ARGON2_MEMORY_KIB => Cap::Argon2Memory,
            () if passes > ARGON2_PASSES => Cap::Argon2Passes,
            () if lanes > ARGON2_LANES => Cap::Argon2Lanes,
            () if u64::from(memory_kib) * u64::from(passes) > ARGON2_WORK_KIB => Cap::Argon2Work,
            () if passes == 0 || lanes == 0 || memory_kib < MIN_LANE_KIB * lanes => return Err(MALFORMED),
            () => return Ok(Self { algorithm, version, memory_kib, passes, lanes }),
        };
        Err(FormatFault::TooCostly(cap))
    }

    /// Computes the output for a password.
    fn output(
        self,
        password: &str,
        salt: &[u8],
        length: usize,
        arena: &mut Arena,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(length)).ok()?;
        let blocks = arena.blocks(params.block_count());
        let mut output = Zeroizing::new(vec![0; length]);
        let argon2 = Argon2::new(self.algorithm, self.version, params);
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut output, blocks).ok()?;
        Some(output)
    }
}

/// Parses the numbers of `m=1,t=2,p=3`.
fn numbers(params: &str) -> Option<[u32; 3]> {
    let mut split = params.split(',');
    let mut numbers = [0; 3];
    for (number, name) in numbers.iter_mut().zip(["m=", "t=", "p="]) {
        *number = text::number(split.next()?.strip_prefix(name)?)?;
    }
    split.next().is_none().then_some(numbers)
}

impl Argon2Hash {
    /// Parses the hash after its first dollar sign.
    pub(super) fn parse(written: Written, rest: &str) -> Result<Self, FormatFault> {
        let [algorithm, version, params, salt, output] = match text::parts(rest) {
            Some(parts) => parts,
            None => {
                let [algorithm, params, salt, output] = text::parts(rest).ok_or(MALFORMED)?;
                [algorithm, "v=16", params, salt, output]
            }
        };
        let cost = Argon2Cost::new(algorithm, version, params)?;
        let salt = text::UNPADDED.decode(salt).map_err(|_| MALFORMED)?;
        let output = text::UNPADDED.decode(output).map_err(|_| MALFORMED)?;
        if salt.len() < MIN_SALT_BYTES || !(MIN_OUTPUT_BYTES..=MAX_OUTPUT_BYTES).contains(&output.len()) {
            return Err(MALFORMED);
        }
        Ok(Self { written, cost, salt, output })
    }

    pub(super) fn make(cost: Argon2Cost, password: &str, salt: [u8; 16], arena: &mut Arena) -> Option<Self> {
        let output = cost.output(password, &salt, OUTPUT_BYTES, arena)?;
        Some(Self { written: Written::Phc, cost, salt: salt.to_vec(), output: output.to_vec() })
    }

    pub(super) fn decoy(cost: Argon2Cost, salt: [u8; 16], output: [u8; 64]) -> Self {
        // Only Django's encoding is accepted for Argon2d and Argon2i.
        Self { written: Written::Django, cost, salt: salt.to_vec(), output: output[..OUTPUT_BYTES].to_vec() }
    }

    pub(super) fn cost(&self) -> Argon2Cost {
        self.cost
    }

    pub(super) fn is_made_with(&self, cost: Argon2Cost) -> bool {
        self.written == Written::Phc && self.cost == cost && self.output.len() == OUTPUT_BYTES
    }

    pub(super) fn matches(&self, password: &str, arena: &mut Arena) -> bool {
        let output = self.cost.output(password, &self.salt, self.output.len(), arena);
        output.is_some_and(|output| same(&output, &self.output))
    }
}

impl fmt::Display for Argon2Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, version, memory_kib, passes, lanes } = self;
        write!(f, "{}$v={}$m={memory_kib},t={passes},p={lanes}", algorithm.as_str(), u32::from(*version))
    }
}

impl fmt::Display for Argon2Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = match self.written {
            Written::Phc => "",
            Written::Django => "argon2",
        };
        write!(
            f,
            "{before}${}${}${}",
            self.cost,
            text::UNPADDED.encode(&self.salt),
            text::UNPADDED.encode(&self.output)
        )
    }
}
