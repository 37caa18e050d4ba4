//! Mail: which way it goes, as the settings stand. What a mail says is made in quash-server, when it is tried again in
//! quash-service.

mod development;
mod smtp;

use std::sync::Arc;

use quash_server::{MailWay, PublicUrl};
use quash_service::Post;

use crate::error::CommandError;
use crate::settings::{Listen, Settings};
use crate::stderr::Stderr;

use development::StandardError;
use smtp::Smtp;

/// Which way mails go.
pub(crate) struct Way {
    /// For whoever asks whether the server is ready.
    pub(crate) way: MailWay,
    /// What sends them; nothing while they wait.
    pub(crate) post: Option<Arc<dyn Post>>,
}

/// Which way mails go from a server that can be reached at `reachable`.
///
/// # Errors
/// Certificates that this machine trusts can't be had.
pub(crate) fn way(settings: &Settings, reachable: &str, stderr: &Stderr) -> Result<Way, CommandError> {
    let public_url = settings.door.public_url.clone();
    if let (Some(smtp), Some(url)) = (&settings.smtp, &public_url) {
        let post = Smtp::new(smtp.clone(), url.clone())?;
        return Ok(Way { way: MailWay::Sent, post: Some(Arc::new(post)) });
    }
    let url = public_url.or_else(|| PublicUrl::parse(reachable).ok());
    match url.filter(|_| is_for_development(settings)) {
        Some(url) => {
            Ok(Way { way: MailWay::Written, post: Some(Arc::new(StandardError::new(url, stderr.clone()))) })
        }
        None => Ok(Way { way: MailWay::Waiting("mail.host"), post: None }),
    }
}

/// Whether nobody but this machine's own users can ask for a mail, so that they may see it.
fn is_for_development(settings: &Settings) -> bool {
    let is_loopback =
        matches!(settings.listen, Listen::Tcp(address) if address.ip().to_canonical().is_loopback());
    is_loopback && !settings.door.behind_proxy
}
