//! `[mail]`: sending mails.

use std::net::IpAddr;

use lettre::message::Mailbox;
use quash_core::model::LocalParts;
use quash_server::PublicUrl;
use quash_service::mailbox;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key, Optional};
use crate::settings::engine::kind::{Secret, Switch, Text, Whole, Words};
use crate::settings::engine::secret::SecretText;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "mail",
    doc: "sending mails",
    naming: Naming::One,
    keys: &[&HOST, &PORT, &ENCRYPTION, &USERNAME, &PASSWORD, &FROM, &SMTPUTF8],
};

const HOST: Key<Text, Optional> = Key {
    name: "host",
    kind: Text,
    unset: Optional { example: "\"smtp.example.org\"" },
    doc: "The SMTP server for quash's mails. Requires `from`, and `public_url` under `[http]`. Without it, \
          mails stay in the queue; only if quash listens on loopback alone, without a proxy, they are \
          written to standard error instead.",
};
const PORT: Key<Whole, Optional> = Key {
    name: "port",
    kind: Whole { least: 1, most: 65_535 },
    unset: Optional { example: "465" },
    doc: "The port of the server. The default is 465 with `tls`, 587 with `starttls`, and 25 with `none`.",
};
const ENCRYPTION: Key<Words<Encryption>> = Key {
    name: "encryption",
    kind: Words(&[("tls", Encryption::Tls), ("starttls", Encryption::StartTls), ("none", Encryption::None)]),
    unset: DefaultsTo("\"tls\""),
    doc: "TLS from the first byte, mandatory STARTTLS, or none. This machine must trust the server's \
          certificate. With `none`, an attacker on the network can read the links, and a password is refused \
          except on loopback.",
};
const USERNAME: Key<Text, Optional> = Key {
    name: "username",
    kind: Text,
    unset: Optional { example: "\"quash\"" },
    doc: "The user name for the server. Requires `password`.",
};
const PASSWORD: Key<Secret, Optional> = Key {
    name: "password",
    kind: Secret,
    unset: Optional { example: "\"smtp.password\"" },
    doc: "The password for the server.",
};
const FROM: Key<Text, Optional> = Key {
    name: "from",
    kind: Text,
    unset: Optional { example: "\"Example <no-reply@example.org>\"" },
    doc: "The sender of mails: an address, with or without a name before it.",
};
const SMTPUTF8: Key<Switch> = Key {
    name: "smtputf8",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "States that the SMTP server offers SMTPUTF8 (RFC 6531), which allows addresses with non-ASCII \
          characters before the `@`. Without it, such addresses are refused when they are entered. Domains \
          in any script are always accepted.",
};

/// The encryption of connections to the SMTP server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encryption {
    /// TLS from the first byte.
    Tls,
    /// TLS after the command STARTTLS; without it, no mail is sent.
    StartTls,
    None,
}

/// The SMTP server to send mails through.
#[derive(Clone, Debug)]
pub(crate) struct SmtpSettings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    /// The user name and password.
    pub(crate) credentials: Option<(String, SecretText)>,
    /// The sender of mails.
    pub(crate) from: Mailbox,
}

/// The section's values.
#[derive(Default)]
pub(super) struct Read {
    pub(super) smtp: Option<SmtpSettings>,
    pub(super) local_parts: LocalParts,
    pub(super) warning: Option<String>,
}

/// Reads the section. Sending mails requires a `public_url`, because links in mails begin with it; a fault in
/// it was reported already.
pub(super) fn read(
    mut section: Section<'_>,
    public_url: Result<Option<&PublicUrl>, Reported>,
) -> Result<Read, Reported> {
    let (host, port, encryption) = (section.read(&HOST), section.read(&PORT), section.read(&ENCRYPTION));
    let (credentials, from, smtputf8) =
        (credentials(&mut section), from(&mut section), section.read(&SMTPUTF8));
    let (host, port, encryption, credentials, from) = (host?, port?, encryption?, credentials?, from?);
    let local_parts = if smtputf8? { LocalParts::Utf8 } else { LocalParts::Ascii };
    let Some(host) = host else { return Ok(Read { local_parts, ..Read::default() }) };
    let Some(from) = from else {
        return Err(section.fault(
            &HOST,
            "is set without a sender",
            "set mail.from, such as \"no-reply@example.org\"",
        ));
    };
    if public_url == Ok(None) {
        let remedy = "set http.public_url, such as \"https://id.example.org\": the address that links in mails begin with";
        return Err(section.fault(&HOST, "would send links without an address", remedy));
    }
    let is_open = encryption == Encryption::None && !is_loopback(&host);
    if is_open && credentials.is_some() {
        return Err(section.fault(
            &ENCRYPTION,
            "would send the password in clear",
            "use \"tls\" or \"starttls\", or leave username and password out",
        ));
    }
    let warning = is_open.then(|| {
        "mail.encryption is \"none\": an attacker on the network can read the links in mails".to_owned()
    });
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(match encryption {
        Encryption::Tls => 465,
        Encryption::StartTls => 587,
        Encryption::None => 25,
    });
    Ok(Read { local_parts, smtp: Some(SmtpSettings { host, port, encryption, credentials, from }), warning })
}

fn credentials(section: &mut Section<'_>) -> Result<Option<(String, SecretText)>, Reported> {
    let (username, password) = (section.read(&USERNAME), section.secret(&PASSWORD));
    match (username?, password?) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => Ok(Some((username, password))),
        (Some(_), None) => Err(section.fault(
            &USERNAME,
            "is set without a password",
            "set mail.password_file, too, or leave it out",
        )),
        (None, Some(_)) => Err(section.fault(
            &PASSWORD,
            "is set without a user name",
            "set mail.username, too, or leave it out",
        )),
    }
}

fn from(section: &mut Section<'_>) -> Result<Option<Mailbox>, Reported> {
    let Some(text) = section.read(&FROM)? else { return Ok(None) };
    let remedy = "write it like \"no-reply@example.org\" or \"Example <no-reply@example.org>\"";
    let from: Mailbox = text.parse().map_err(|_| section.fault(&FROM, "isn't an address", remedy))?;
    if !from.email.user().is_ascii() {
        return Err(section.fault(
            &FROM,
            "has non-ASCII characters before the @, which not every server accepts",
            remedy,
        ));
    }
    let email = mailbox(from.email.as_ref()).and_then(|address| address.parse().ok());
    let email = email.ok_or_else(|| section.fault(&FROM, "has an invalid domain", remedy))?;
    Ok(Some(Mailbox { email, ..from }))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
