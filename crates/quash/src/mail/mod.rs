//! Chooses how mails are sent, by the settings. `quash-server` writes the mails, `quash-service` retries
//! them.

mod development;
mod smtp;

use std::sync::Arc;

use quash_server::{MailWay, PublicUrl};
use quash_service::Mailer;

use crate::error::CommandError;
use crate::settings::{Listen, Settings};
use crate::stderr::Stderr;

use development::StandardError;
use smtp::Smtp;

/// The way that mails are sent.
pub(crate) struct Way {
    /// The mode that the readiness endpoint reports.
    pub(crate) way: MailWay,
    /// `None`: mails stay in the queue.
    pub(crate) mailer: Option<Arc<dyn Mailer>>,
}

/// Chooses the way for a server at the address `reachable`.
///
/// # Errors
/// The machine's root certificates can't be loaded.
pub(crate) fn way(settings: &Settings, reachable: &str, stderr: &Stderr) -> Result<Way, CommandError> {
    let public_url = settings.door.public_url.clone();
    if let (Some(smtp), Some(url)) = (&settings.smtp, &public_url) {
        let mailer = Smtp::new(smtp.clone(), url.clone())?;
        return Ok(Way { way: MailWay::Sent, mailer: Some(Arc::new(mailer)) });
    }
    let url = public_url.or_else(|| PublicUrl::parse(reachable).ok());
    match url.filter(|_| is_for_development(settings)) {
        Some(url) => {
            Ok(Way { way: MailWay::Written, mailer: Some(Arc::new(StandardError::new(url, stderr.clone()))) })
        }
        None => Ok(Way { way: MailWay::Waiting("mail.host"), mailer: None }),
    }
}

/// Returns whether only users of this machine can request mails, so that mails may be printed.
fn is_for_development(settings: &Settings) -> bool {
    let is_loopback =
        matches!(settings.listen, Listen::Tcp(address) if address.ip().to_canonical().is_loopback());
    is_loopback && !settings.door.behind_proxy
}
