//! The source of randomness: the operating system, through the crypto library.

use quash_core::model::Entropy;

/// The operating system's random number generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Tokens from predictable bytes could be forged, so the process must not continue.
        if aws_lc_rs::rand::fill(bytes).is_err() {
            tracing::error!("the operating system returned no random bytes; aborting");
            std::process::abort();
        }
    }
}
