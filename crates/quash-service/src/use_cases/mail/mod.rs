//! Requests for mails, the use of their links and codes, and their delivery.

pub(crate) mod deliver;
pub(crate) mod email;
pub(crate) mod flows;
pub(crate) mod registration;
pub(crate) mod reset;
pub(crate) mod verification;
