//! A mail transport for tests: it keeps mails in order, or refuses them as a test demands.

use std::sync::Mutex;

use async_trait::async_trait;
use quash_core::model::MailKind;
use quash_service::{Mailer, MailerError, OutgoingEmail};

/// A mailer that keeps its mails.
#[derive(Default)]
pub(crate) struct Mailbox {
    emails: Mutex<Vec<OutgoingEmail>>,
    faults: Mutex<Vec<MailerError>>,
}

impl Mailbox {
    /// The mails since the last call.
    pub(crate) fn taken(&self) -> Vec<OutgoingEmail> {
        std::mem::take(&mut self.emails.lock().expect("a mailbox"))
    }

    /// The next mails fail like this, the last fault first. Mails that may have been sent are kept.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = MailerError>) {
        self.faults.lock().expect("a mailbox").extend(faults);
    }
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, email: &OutgoingEmail) -> Result<(), MailerError> {
        let fault = self.faults.lock().expect("a mailbox").pop();
        if !matches!(fault, Some(MailerError::NotNow(_) | MailerError::Never(_))) {
            self.emails.lock().expect("a mailbox").push(email.clone());
        }
        fault.map_or(Ok(()), Err)
    }
}

/// The token in a mail's link.
pub(crate) fn link(email: &OutgoingEmail) -> String {
    email.proof.as_ref().expect("a link").link.to_string()
}

/// A mail's code.
pub(crate) fn code(email: &OutgoingEmail) -> String {
    email.proof.as_ref().expect("a code").code.to_string()
}

/// The kinds of mails, and their recipients.
pub(crate) fn kinds_and_places(emails: &[OutgoingEmail]) -> Vec<(MailKind, &str)> {
    emails.iter().map(|email| (email.kind, email.to.as_str())).collect()
}
