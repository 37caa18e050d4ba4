//! Sends mails by SMTP (RFC 5321), with one connection for each. Errors contain only the number of the
//! server's reply, since its text may repeat an address.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::{Address, Message};
use quash_core::model::Clock;
use quash_server::PublicUrl;
use quash_service::{Mailer, MailerError, OutgoingEmail, mailbox};

use super::templates::{RenderedEmail, render};
use crate::error::CommandError;
use crate::settings::{Encryption, SmtpSettings};
use quash_server::SystemClock;

/// Sends mails to an SMTP server.
pub(super) struct Smtp {
    settings: SmtpSettings,
    url: PublicUrl,
    tls: Option<TlsParameters>,
}

/// The timeout of a step: connecting, encrypting, or a command.
const STEP: Duration = Duration::from_secs(10);
/// The timeout of the server's reply to the mail itself.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// The timeout of `QUIT`.
const GOODBYE: Duration = Duration::from_secs(1);

impl Smtp {
    /// Creates a transport to an SMTP server.
    ///
    /// # Errors
    /// The machine's root certificates can't be loaded.
    pub(super) fn new(settings: SmtpSettings, url: PublicUrl) -> Result<Self, CommandError> {
        let tls = match settings.encryption {
            Encryption::None => None,
            Encryption::Tls | Encryption::StartTls => {
                Some(TlsParameters::new_rustls(settings.host.clone()).map_err(|error| {
                    CommandError::failure(format!("mails can't be sent with TLS: {error}"))
                        .hint("install the root certificates; on Debian, the package ca-certificates")
                })?)
            }
        };
        Ok(Self { settings, url, tls })
    }

    fn message(&self, outgoing: &OutgoingEmail) -> Result<(Address, Vec<u8>), MailerError> {
        let never = |what: &str| MailerError::Never(what.to_owned());
        let to: Option<Address> = mailbox(&outgoing.to).and_then(|address| address.parse().ok());
        let to = to.ok_or_else(|| never("the address can't be mailed to"))?;
        let RenderedEmail { subject, text, html } = render(outgoing, &self.url)?;
        let message = Message::builder()
            .from(self.settings.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(subject)
            .date(
                SystemTime::UNIX_EPOCH
                    + Duration::from_millis(u64::try_from(SystemClock.now().as_millis()).unwrap_or(0)),
            )
            // The same id in each attempt, so that the recipient's mail system can drop duplicates.
            .message_id(Some(format!("<{}@{}>", outgoing.id, self.settings.from.email.domain())))
            // Automatic responders must not answer (RFC 3834 5).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|_| never("it can't be written"))?;
        Ok((to, message.formatted()))
    }

    /// Connects and signs in as for a mail, and ends the connection.
    ///
    /// # Errors
    /// The server doesn't accept mails from here.
    pub(super) async fn check(&self) -> Result<(), MailerError> {
        let mut connection = self.connect().await?;
        let _left_already = tokio::time::timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailerError> {
        let SmtpSettings { host, port, encryption, credentials, .. } = &self.settings;
        let hello = ClientId::Domain(self.settings.from.email.domain().to_owned());
        let at_once = self.tls.clone().filter(|_| *encryption == Encryption::Tls);
        let place = (host.as_str(), *port);
        let mut connection =
            step("connecting", AsyncSmtpConnection::connect_tokio1(place, Some(STEP), &hello, at_once, None))
                .await?;
        if let (Encryption::StartTls, Some(tls)) = (encryption, &self.tls) {
            if !connection.can_starttls() {
                return Err(MailerError::NotNow("the server offers no STARTTLS".to_owned()));
            }
            step("STARTTLS", connection.starttls(tls.clone(), &hello)).await?;
        }
        if let Some((username, password)) = credentials {
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            step("signing in", connection.auth(DEFAULT_MECHANISMS, &credentials)).await?;
        }
        Ok(connection)
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, outgoing: &OutgoingEmail) -> Result<(), MailerError> {
        let (to, message) = self.message(outgoing)?;
        let mut connection = self.connect().await?;
        let from = self.settings.from.email.clone();
        let parameters = if to.user().is_ascii() { Vec::new() } else { utf8_parameters(&connection)? };
        step("MAIL", connection.command(Mail::new(Some(from), parameters))).await?;
        refusable("RCPT", connection.command(Rcpt::new(to, Vec::new()))).await?;
        refusable("DATA", connection.command(Data)).await?;
        // From here on, the server may have accepted the mail even if its reply is lost.
        match tokio::time::timeout(TAKEN_WITHIN, connection.message(&message)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.is_transient() => {
                return Err(MailerError::NotNow(error_text("the mail", &error)));
            }
            Ok(Err(error)) if error.is_permanent() => {
                return Err(MailerError::Never(error_text("the mail", &error)));
            }
            Ok(Err(error)) => return Err(MailerError::Doubtful(error_text("the mail", &error))),
            Err(_) => return Err(MailerError::Doubtful("no answer to the mail in time".to_owned())),
        }
        let _taken_already = tokio::time::timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }
}

/// Returns the parameters of `MAIL` for a recipient whose local part isn't ASCII (RFC 6531 3.4): the header
/// `To` isn't either.
fn utf8_parameters(connection: &AsyncSmtpConnection) -> Result<Vec<MailParameter>, MailerError> {
    let server = connection.server_info();
    if server.supports_feature(Extension::SmtpUtfEight) && server.supports_feature(Extension::EightBitMime) {
        Ok(vec![MailParameter::SmtpUtfEight, MailParameter::Body(MailBodyParameter::EightBitMime)])
    } else {
        Err(MailerError::Never("the SMTP server does not offer SMTPUTF8".to_owned()))
    }
}

type SmtpError = lettre::transport::smtp::Error;

/// Runs a step before the mail itself is transferred: if it fails, the mail wasn't sent.
async fn step<T>(name: &str, step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, MailerError> {
    match tokio::time::timeout(STEP, step).await {
        Ok(done) => done.map_err(|error| MailerError::NotNow(error_text(name, &error))),
        Err(_) => Err(MailerError::NotNow(format!("{name} took too long"))),
    }
}

/// Runs a step in which the server may refuse this mail permanently.
async fn refusable<T>(
    name: &str,
    taken: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, MailerError> {
    match tokio::time::timeout(STEP, taken).await {
        Ok(Err(error)) if error.is_permanent() => Err(MailerError::Never(error_text(name, &error))),
        Ok(done) => done.map_err(|error| MailerError::NotNow(error_text(name, &error))),
        Err(_) => Err(MailerError::NotNow(format!("{name} took too long"))),
    }
}

/// Describes an SMTP error, without the text of the server's reply.
fn error_text(step: impl Display, error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("{step}: {code}"),
        None if error.is_tls() => format!("{step}: TLS failed"),
        None if error.is_timeout() => format!("{step} took too long"),
        None if error.is_client() => format!("{step}: the server lacks a required extension"),
        None => format!("{step}: the connection failed"),
    }
}
