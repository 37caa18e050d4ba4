//! Checks of RSA keys: the size, an exponent that is neither weak nor slow, and no keys of a generator whose
//! keys can be factored (CVE-2017-15361).

use super::fault::KeyFault;

/// The primes that reveal the faulty generator: modulo each of them, its moduli are powers of 65,537.
const TRACES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// Checks a modulus and an exponent, both without leading zeros.
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyFault> {
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&(modulus.len() * 8 - leading.min(modulus.len() * 8))) {
        return Err(KeyFault::RsaSize);
    }
    if modulus.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(KeyFault::RsaSize);
    }
    let exponent = match exponent {
        [0, ..] | [] => None,
        bytes if bytes.len() <= 5 => {
            Some(bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
        }
        _ => None,
    };
    if !exponent.is_some_and(|exponent| exponent % 2 == 1 && (65_537..1 << 33).contains(&exponent)) {
        return Err(KeyFault::RsaExponent);
    }
    if TRACES.iter().all(|prime| is_power_of_65537(remainder(modulus, *prime), *prime)) {
        return Err(KeyFault::RsaRoca);
    }
    Ok(())
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |remainder, byte| (remainder << 8 | u32::from(*byte)) % prime)
}

fn is_power_of_65537(number: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == number {
            return true;
        }
        power = power * (65_537 % prime) % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An odd number in residue classes that a random modulus would only be in once in a hundred million
    /// times.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0x55; bits / 8];
        modulus[0] = 0x80;
        modulus
    }

    #[test]
    fn sizes_are_limited_one_past_the_edge() {
        for (bits, fits) in [(2040, false), (2048, true), (8192, true), (8200, false)] {
            assert_eq!(check(&modulus(bits), &[1, 0, 1]).is_ok(), fits, "{bits}");
        }
        let mut shorter = modulus(2048);
        shorter[0] = 0x7f;
        assert_eq!(check(&shorter, &[1, 0, 1]), Err(KeyFault::RsaSize), "2047 bits");
        assert_eq!(check(&[], &[1, 0, 1]), Err(KeyFault::RsaSize));
    }

    #[test]
    fn exponents_are_limited_one_past_the_edge() {
        for (exponent, fits) in [
            (&[1][..], false),
            (&[3], false),
            (&[1, 0, 0], false),
            (&[1, 0, 1], true),
            (&[1, 255, 255, 255, 255], true),
            (&[2, 0, 0, 0, 1], false),
            (&[0, 1, 0, 1], false),
            (&[], false),
            (&[1; 64], false),
        ] {
            assert_eq!(check(&modulus(2048), exponent).is_ok(), fits, "{exponent:?}");
        }
    }

    #[test]
    fn roca_moduli_are_recognised() {
        // Modulo each of the primes this is 1, the 0th power.
        let product: u128 = TRACES.iter().map(|prime| u128::from(*prime)).product();
        let mut modulus = product.to_be_bytes().to_vec();
        modulus.extend([0; 256]);
        modulus.drain(..modulus.iter().position(|byte| *byte != 0).unwrap_or(0));
        *modulus.last_mut().expect("a last byte") = 1;
        assert_eq!(check(&modulus, &[1, 0, 1]), Err(KeyFault::RsaRoca));
        *modulus.last_mut().expect("a last byte") = 3;
        assert_eq!(check(&modulus, &[1, 0, 1]), Ok(()));
    }
}
