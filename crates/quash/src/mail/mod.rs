//! Chooses how mails are sent, by the settings. `templates.rs` has their texts, `quash-service`
//! retries them.

mod development;
mod smtp;
mod templates;

use std::sync::Arc;

use quash_server::{MailWay, PublicUrl};
use quash_service::Mailer;

use crate::error::CommandError;
use crate::settings::{Listen, Settings};
use crate::stderr::Stderr;

use development::StandardError;
use smtp::Smtp;

/// The way that mails are sent.
pub(crate) struct MailSetup {
    /// The mode that the readiness endpoint reports.
    pub(crate) mode: MailWay,
    /// `None`: mails stay in the queue.
    pub(crate) mailer: Option<Arc<dyn Mailer>>,
}

/// Chooses the way for a server at the address `server_address`.
///
/// # Errors
/// The machine's root certificates can't be loaded.
pub(crate) fn setup(
    settings: &Settings,
    server_address: &str,
    stderr: &Stderr,
) -> Result<MailSetup, CommandError> {
    let public_url = settings.http.public_url.clone();
    if let (Some(smtp), Some(url)) = (&settings.smtp, &public_url) {
        let mailer = Smtp::new(smtp.clone(), url.clone())?;
        return Ok(MailSetup { mode: MailWay::Sent, mailer: Some(Arc::new(mailer)) });
    }
    let url = public_url.or_else(|| PublicUrl::parse(server_address).ok());
    match url.filter(|_| is_for_development(settings)) {
        Some(url) => Ok(MailSetup {
            mode: MailWay::Written,
            mailer: Some(Arc::new(StandardError::new(url, stderr.clone()))),
        }),
        None => Ok(MailSetup { mode: MailWay::Waiting("mail.host"), mailer: None }),
    }
}

/// Returns the way that a server with these settings sends mails.
pub(crate) fn way(settings: &Settings) -> MailWay {
    if settings.smtp.is_some() && settings.http.public_url.is_some() {
        MailWay::Sent
    } else if is_for_development(settings) {
        MailWay::Written
    } else {
        MailWay::Waiting("mail.host")
    }
}

/// Connects to the SMTP server as for a mail, and signs in, but sends nothing. `None`: no server is set.
pub(crate) async fn check_smtp(settings: &Settings) -> Option<Result<(), String>> {
    let (smtp, url) = (settings.smtp.clone()?, settings.http.public_url.clone()?);
    Some(match Smtp::new(smtp, url) {
        Ok(smtp) => smtp.check().await.map_err(|fault| fault.to_string()),
        Err(error) => Err(error.message),
    })
}

/// Returns whether only users of this machine can request mails, so that mails may be printed.
fn is_for_development(settings: &Settings) -> bool {
    let is_loopback =
        matches!(settings.listen, Listen::Tcp(address) if address.ip().to_canonical().is_loopback());
    is_loopback && !settings.http.behind_proxy
}
