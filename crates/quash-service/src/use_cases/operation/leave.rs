//! The end of a process that shares its store with others.

use crate::context::Service;

impl Service {
    /// Gives the lease of this process back, if it is a node: no other process waits for it any more. Must be called
    /// when it accepts and signs nothing any more.
    pub async fn leave(&self) {
        if let Some(node) = &self.context.node {
            node.leave(&*self.context.feed.coordination, &*self.context.clock).await;
        }
    }
}
