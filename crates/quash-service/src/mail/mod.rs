//! Mail: what is asked to be mailed, what its reader may do with it, and the way out of the house. What a mail says is made
//! by whoever sends it; when and whether a link is good is decided in quash-core.

mod address;

mod told;

mod networks;

mod outbox;

pub use address::mailbox;
pub(crate) use address::{operators_address, own_address};
pub(crate) use outbox::Outbox;
pub use outbox::{Letter, LetterProof, Post, PostFault};
