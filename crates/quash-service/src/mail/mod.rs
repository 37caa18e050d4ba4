//! Mail: addresses, limits and the outbox. The use cases are in `use_cases/mail/`; `quash-server` writes the
//! text of a mail; `quash-core` decides when a link is valid.

mod address;

mod outbox;

pub use address::{AddressWarning, mailbox};
pub(crate) use address::{account_address, imported_address};
pub(crate) use outbox::Outbox;
pub use outbox::{EmailProof, Mailer, MailerError, OutgoingEmail};
