//! Memory for hashing, used again: what asks for it is never left without.

use argon2::Block;

/// The memory of one hash at a time. A fresh one costs a quarter of the hash.
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
