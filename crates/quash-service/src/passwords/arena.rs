//! Reusable memory for hashing. It grows on demand.

use argon2::Block;

/// The memory of one hash at a time. Fresh memory would cost a quarter of the hash's time.
#[derive(Default)]
pub struct Arena(Vec<Block>);

impl Arena {
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}
