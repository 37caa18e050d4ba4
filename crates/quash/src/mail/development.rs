//! Mails during development: a marked line on standard error. It never goes through the log, which is stored
//! and read by other people.

use async_trait::async_trait;
use quash_server::{PublicUrl, write};
use quash_service::{Letter, Post, PostFault};

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
impl Post for StandardError {
    async fn send(&self, letter: &Letter) -> Result<(), PostFault> {
        let written = write(letter, &self.url);
        let mut line = format!("[development mail] to {}: {}", letter.to, written.subject);
        // One line for each mail, with only what the developer needs to continue.
        if let Some(proof) = &letter.proof {
            let link = written.text.lines().find(|line| line.contains("?token=")).unwrap_or_default();
            line.push_str(&format!(": {link} (code {})", *proof.code));
        }
        self.stderr.line(&output::clean(&line));
        Ok(())
    }
}
