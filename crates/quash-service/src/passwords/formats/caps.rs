//! Limits on the cost of comparing with a hash. They exceed Django's parameters, and allow about two seconds
//! on one core for each format.

/// The longest text of a hash, in bytes. Django's column takes 128 characters.
pub(super) const HASH_BYTES: usize = 512;
/// The most memory of Argon2, in KiB. Django uses 100 MiB. Each slot of the pool may hold this much.
pub(super) const ARGON2_MEMORY_KIB: u32 = 128 * 1024;
/// The most passes of Argon2 over the memory. Django uses 2.
pub(super) const ARGON2_PASSES: u32 = 64;
/// The most work of Argon2, in KiB times passes: about two seconds on one core. Django uses 204,800.
pub(super) const ARGON2_WORK_KIB: u64 = 2 * 1024 * 1024;
/// The most lanes of Argon2. Django uses 8.
pub(super) const ARGON2_LANES: u32 = 64;
/// The highest cost of bcrypt, the binary logarithm of the rounds: about two seconds on one core. One more
/// would take twice as long. Django uses 12.
pub(super) const BCRYPT_COST: u8 = 15;
/// The most iterations of PBKDF2: about two seconds on one core, like the limits of the other formats. Django
/// 3.2 uses 260,000, Django 6.1 1,500,000, and each release about a fifth more than the one before.
pub(super) const PBKDF2_ITERATIONS: u32 = 10_000_000;
/// The most memory of scrypt, in KiB: `N * r / 8`. Django uses 16 MiB, the OWASP password storage sheet 128
/// MiB.
pub(super) const SCRYPT_MEMORY_KIB: u32 = 128 * 1024;
/// The most work of scrypt, `N * r * p`: about two seconds on one core. Django uses 655,360 (131,072 up to
/// 5.0).
pub(super) const SCRYPT_WORK: u64 = 1 << 22;
/// The largest block of scrypt, `r`. Django uses 8.
pub(super) const SCRYPT_BLOCK: u32 = 32;
/// The most lanes of scrypt, `p`, which are computed sequentially. Django uses 5.
pub(super) const SCRYPT_LANES: u32 = 32;
