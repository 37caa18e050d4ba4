//! What comparing with a hash may cost at the most. Beyond what Django asks for; so much takes about two seconds on one
//! core, for every format.

/// The longest text of a hash, in bytes. Django's column takes 128 characters.
pub(super) const HASH_BYTES: usize = 512;
/// The most memory of Argon2, in KiB. Django asks for 100 MiB, and each slot of the pool may hold so much.
pub(super) const ARGON2_MEMORY_KIB: u32 = 128 * 1024;
/// The most passes of Argon2 over the memory. Django asks for 2.
pub(super) const ARGON2_PASSES: u32 = 64;
/// The most work of Argon2, in KiB times passes. Django asks for 204,800. So much takes about two seconds on one core.
pub(super) const ARGON2_WORK_KIB: u64 = 2 * 1024 * 1024;
/// The most lanes of Argon2. Django asks for 8.
pub(super) const ARGON2_LANES: u32 = 64;
/// The highest cost of bcrypt: the binary logarithm of the rounds. Django asks for 12. So much takes about two seconds on one
/// core, and one more would take twice that.
pub(super) const BCRYPT_COST: u8 = 15;
/// The most iterations of PBKDF2. Django 3.2 asks for 260,000, 6.1 for 1,500,000, and each release for about a fifth more than
/// the one before. So many take about two seconds on one core, as the most of every other format does.
pub(super) const PBKDF2_ITERATIONS: u32 = 10_000_000;
/// The most memory of scrypt, in KiB: `N * r / 8`. Django asks for 16 MiB, the OWASP password storage sheet for 128 MiB.
pub(super) const SCRYPT_MEMORY_KIB: u32 = 128 * 1024;
/// The most work of scrypt, `N * r * p`. Django asks for 655,360 (131,072 up to 5.0). So much takes about two seconds on one core.
pub(super) const SCRYPT_WORK: u64 = 1 << 22;
/// The largest block of scrypt, `r`. Django asks for 8.
pub(super) const SCRYPT_BLOCK: u32 = 32;
/// The most lanes of scrypt, `p`, which are worked on one after the other. Django asks for 5.
pub(super) const SCRYPT_LANES: u32 = 32;
