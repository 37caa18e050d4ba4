//! scrypt (RFC 7914) in Django's encoding: `scrypt$<N>$<salt>$<r>$<p>$<output>`. The salt is the text itself,
//! the output is 64 bytes in padded Base64.

use std::fmt;

use base64::Engine;
use scrypt::Params;
use zeroize::Zeroizing;

use super::caps::{SCRYPT_BLOCK, SCRYPT_LANES, SCRYPT_MEMORY_KIB, SCRYPT_WORK};
use super::fault::{Cap, FormatFault, FormatName};
use super::text::{self, same};

const MALFORMED: FormatFault = FormatFault::Malformed(FormatName::Scrypt);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::passwords) struct ScryptCost {
    log_n: u8,
    block: u32,
    lanes: u32,
}

pub(in crate::passwords) struct ScryptHash {
    cost: ScryptCost,
    salt: String,
    output: [u8; 64],
}

impl ScryptCost {
    /// Parses the cost after the format's name in a class.
    pub(super) fn parse(rest: &str) -> Result<Self, FormatFault> {
        let [n, block, lanes] = text::parts(rest).ok_or(MALFORMED)?;
        Self::new(n, block, lanes)
    }

    fn new(n: &str, block: &str, lanes: &str) -> Result<Self, FormatFault> {
        let [n, block, lanes] =
            [n, block, lanes].map(|number| text::number(number).filter(|number| *number > 0));
        let (Some(n), Some(block), Some(lanes)) = (n.filter(|n| n.is_power_of_two() && *n > 1), block, lanes)
        else {
            return Err(MALFORMED);
        };
        let memory = u64::from(n) * u64::from(block);
        let cap = match () {
            () if block > SCRYPT_BLOCK => Cap::ScryptBlock,
            () if lanes > SCRYPT_LANES => Cap::ScryptLanes,
            () if memory > u64::from(SCRYPT_MEMORY_KIB) * 8 => Cap::ScryptMemory,
            () if memory * u64::from(lanes) > SCRYPT_WORK => Cap::ScryptWork,
            () => return Ok(Self { log_n: n.ilog2() as u8, block, lanes }),
        };
        Err(FormatFault::TooCostly(cap))
    }
}

impl ScryptHash {
    /// Parses the hash after the format's name.
    pub(super) fn parse(rest: &str) -> Result<Self, FormatFault> {
        let [n, salt, block, lanes, output] = text::parts(rest).ok_or(MALFORMED)?;
        let cost = ScryptCost::new(n, block, lanes)?;
        let output = text::bytes(output, &text::PADDED).ok_or(MALFORMED)?;
        if salt.is_empty() {
            return Err(MALFORMED);
        }
        Ok(Self { cost, salt: salt.to_owned(), output })
    }

    pub(super) fn decoy(cost: ScryptCost, salt: [u8; 16], output: [u8; 64]) -> Self {
        Self { cost, salt: text::salt_of(salt), output }
    }

    pub(super) fn cost(&self) -> ScryptCost {
        self.cost
    }

    pub(super) fn matches(&self, password: &str) -> bool {
        let ScryptCost { log_n, block, lanes } = self.cost;
        let mut output = Zeroizing::new([0; 64]);
        Params::new(log_n, block, lanes).is_ok_and(|params| {
            scrypt::scrypt(password.as_bytes(), self.salt.as_bytes(), &params, &mut *output).is_ok()
        }) && same(&*output, &self.output)
    }
}

impl fmt::Display for ScryptCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}${}${}${}", FormatName::Scrypt, 1_u32 << self.log_n, self.block, self.lanes)
    }
}

impl fmt::Display for ScryptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScryptCost { log_n, block, lanes } = self.cost;
        let output = text::PADDED.encode(self.output);
        write!(f, "{}${}${}${block}${lanes}${output}", FormatName::Scrypt, 1_u32 << log_n, self.salt)
    }
}
