//! A mail transport for tests: it keeps mails in order, or refuses them as a test demands.

use std::sync::Mutex;

use async_trait::async_trait;
use quash_core::model::MailKind;
use quash_service::{Letter, Post, PostFault};

/// A mailer that keeps its mails.
#[derive(Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    faults: Mutex<Vec<PostFault>>,
}

impl Mailbox {
    /// The mails since the last call.
    pub(crate) fn taken(&self) -> Vec<Letter> {
        std::mem::take(&mut self.letters.lock().expect("a mailbox"))
    }

    /// The next mails fail like this, the last fault first. Mails that may have been sent are kept.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = PostFault>) {
        self.faults.lock().expect("a mailbox").extend(faults);
    }
}

#[async_trait]
impl Post for Mailbox {
    async fn send(&self, letter: &Letter) -> Result<(), PostFault> {
        let fault = self.faults.lock().expect("a mailbox").pop();
        if !matches!(fault, Some(PostFault::NotNow(_) | PostFault::Never(_))) {
            self.letters.lock().expect("a mailbox").push(letter.clone());
        }
        fault.map_or(Ok(()), Err)
    }
}

/// The token in a mail's link.
pub(crate) fn link(letter: &Letter) -> String {
    letter.proof.as_ref().expect("a link").link.to_string()
}

/// A mail's code.
pub(crate) fn code(letter: &Letter) -> String {
    letter.proof.as_ref().expect("a code").code.to_string()
}

/// The kinds of mails, and their recipients.
pub(crate) fn kinds_and_places(letters: &[Letter]) -> Vec<(MailKind, &str)> {
    letters.iter().map(|letter| (letter.kind, letter.to.as_str())).collect()
}
