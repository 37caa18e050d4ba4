//! Where chance comes from: the operating system's, by way of the crypto library.

use quash_core::model::Entropy;

/// The operating system's chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Tokens from bytes that aren't random would be worse than none: there is nothing to go on with.
        if aws_lc_rs::rand::fill(bytes).is_err() {
            tracing::error!("the operating system gives no random bytes: quash stops here");
            std::process::abort();
        }
    }
}
