//! Mails during development: a marked line on standard error. It never goes through the log, which is stored
//! and read by other people.

use async_trait::async_trait;
use quash_server::PublicUrl;
use quash_service::{Mailer, MailerError, OutgoingEmail};

use super::templates::render;
use crate::output;
use crate::stderr::Stderr;

/// Writes mails to standard error.
pub(super) struct StandardError {
    url: PublicUrl,
    stderr: Stderr,
}

impl StandardError {
    pub(super) fn new(url: PublicUrl, stderr: Stderr) -> Self {
        Self { url, stderr }
    }
}

#[async_trait]
impl Mailer for StandardError {
    async fn send(&self, outgoing: &OutgoingEmail) -> Result<(), MailerError> {
        let written = render(outgoing, &self.url)?;
        let mut line = format!("[development mail] to {}: {}", outgoing.to, written.subject);
        // One line for each mail, with only what the developer needs to continue.
        if let Some(proof) = &outgoing.proof {
            let link = written.text.lines().find(|line| line.contains("?token=")).unwrap_or_default();
            line.push_str(&format!(": {link} (code {})", *proof.code));
        }
        self.stderr.line(&output::clean(&line));
        Ok(())
    }
}
