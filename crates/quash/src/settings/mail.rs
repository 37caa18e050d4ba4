//! `[mail]`: how mails leave the house.

use std::net::IpAddr;

use lettre::message::Mailbox;
use quash_core::model::LocalParts;
use quash_server::PublicUrl;
use quash_service::mailbox;

use super::fault::Told;
use super::key::{DefaultsTo, Key, Optional};
use super::kind::{Secret, Switch, Text, Whole, Words};
use super::secret::SecretText;
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "mail",
    doc: "how mails leave the house",
    naming: Naming::One,
    keys: &[&HOST, &PORT, &ENCRYPTION, &USERNAME, &PASSWORD, &FROM, &SMTPUTF8],
};

const HOST: Key<Text, Optional> = Key {
    name: "host",
    kind: Text,
    unset: Optional { example: "\"smtp.example.org\"" },
    doc: "The SMTP server that takes quash's mails. Needs `from`, and `public_url` under `[http]`. Without it mails wait; only while \
          quash listens on loopback alone, and no proxy stands before it, they are written to standard error instead.",
};
const PORT: Key<Whole, Optional> = Key {
    name: "port",
    kind: Whole { least: 1, most: 65_535 },
    unset: Optional { example: "465" },
    doc: "Its port: without this key 465 with `tls`, 587 with `starttls`, 25 with `none`.",
};
const ENCRYPTION: Key<Words<Encryption>> = Key {
    name: "encryption",
    kind: Words(&[("tls", Encryption::Tls), ("starttls", Encryption::StartTls), ("none", Encryption::None)]),
    unset: DefaultsTo("\"tls\""),
    doc: "TLS from the first byte, after STARTTLS, which is never left out then, or none. The server's certificate must be one that \
          this machine trusts. With `none` whoever is on the way reads the links; a password is refused then, but on loopback.",
};
const USERNAME: Key<Text, Optional> = Key {
    name: "username",
    kind: Text,
    unset: Optional { example: "\"quash\"" },
    doc: "Whom quash signs in as there. Goes with `password`.",
};
const PASSWORD: Key<Secret, Optional> = Key {
    name: "password",
    kind: Secret,
    unset: Optional { example: "\"smtp.password\"" },
    doc: "The password for that.",
};
const FROM: Key<Text, Optional> = Key {
    name: "from",
    kind: Text,
    unset: Optional { example: "\"Example <no-reply@example.org>\"" },
    doc: "Whom mails come from: an address, with or without a name before it.",
};
const SMTPUTF8: Key<Switch> = Key {
    name: "smtputf8",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Says that the SMTP server offers SMTPUTF8 (RFC 6531), and so takes addresses with other than ASCII characters before the `@`. \
          Without it they are refused when they are entered. Domains of any script are taken in either case.",
};

/// How a connection to the SMTP server is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encryption {
    /// From the first byte.
    Tls,
    /// After a command, or not at all.
    StartTls,
    /// Not at all.
    None,
}

/// How mails leave the house.
#[derive(Clone, Debug)]
pub(crate) struct SmtpSettings {
    /// The server.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection is encrypted.
    pub(crate) encryption: Encryption,
    /// Whom to sign in as, with the password.
    pub(crate) credentials: Option<(String, SecretText)>,
    /// Whom mails come from.
    pub(crate) from: Mailbox,
}

/// The section, read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) smtp: Option<SmtpSettings>,
    pub(super) local_parts: LocalParts,
    pub(super) warning: Option<String>,
}

/// Reads the section. Links in mails begin with `public_url`, so that sending them needs one; where that is wrong, it is
/// told already.
pub(super) fn read(
    mut section: Section<'_>,
    public_url: Result<Option<&PublicUrl>, Told>,
) -> Result<Read, Told> {
    let (host, port, encryption) = (section.read(&HOST), section.read(&PORT), section.read(&ENCRYPTION));
    let (credentials, from, smtputf8) =
        (credentials(&mut section), from(&mut section), section.read(&SMTPUTF8));
    let (host, port, encryption, credentials, from) = (host?, port?, encryption?, credentials?, from?);
    let local_parts = if smtputf8? { LocalParts::Utf8 } else { LocalParts::Ascii };
    let Some(host) = host else { return Ok(Read { local_parts, ..Read::default() }) };
    let Some(from) = from else {
        return Err(section.wrong(
            &HOST,
            "has no sender beside it",
            "set mail.from, such as \"no-reply@example.org\"",
        ));
    };
    if public_url == Ok(None) {
        let remedy = "set http.public_url, such as \"https://id.example.org\": the address that links in mails begin with";
        return Err(section.wrong(&HOST, "would send links that lead nowhere", remedy));
    }
    let is_open = encryption == Encryption::None && !is_loopback(&host);
    if is_open && credentials.is_some() {
        return Err(section.wrong(
            &ENCRYPTION,
            "would send the password in clear",
            "use \"tls\" or \"starttls\", or leave username and password out",
        ));
    }
    let warning = is_open.then(|| {
        "mail.encryption is \"none\": whoever is on the way to the SMTP server reads the links in mails"
            .to_owned()
    });
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(match encryption {
        Encryption::Tls => 465,
        Encryption::StartTls => 587,
        Encryption::None => 25,
    });
    Ok(Read { local_parts, smtp: Some(SmtpSettings { host, port, encryption, credentials, from }), warning })
}

fn credentials(section: &mut Section<'_>) -> Result<Option<(String, SecretText)>, Told> {
    let (username, password) = (section.read(&USERNAME), section.secret(&PASSWORD));
    match (username?, password?) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => Ok(Some((username, password))),
        (Some(_), None) => Err(section.wrong(
            &USERNAME,
            "has no password beside it",
            "set mail.password_file, too, or leave it out",
        )),
        (None, Some(_)) => Err(section.wrong(
            &PASSWORD,
            "has no user name beside it",
            "set mail.username, too, or leave it out",
        )),
    }
}

fn from(section: &mut Section<'_>) -> Result<Option<Mailbox>, Told> {
    let Some(text) = section.read(&FROM)? else { return Ok(None) };
    let remedy = "write it like \"no-reply@example.org\" or \"Example <no-reply@example.org>\"";
    let from: Mailbox = text.parse().map_err(|_| section.wrong(&FROM, "is no address", remedy))?;
    if !from.email.user().is_ascii() {
        return Err(section.wrong(
            &FROM,
            "has other than ASCII characters before the @, which not every server takes",
            remedy,
        ));
    }
    let email = mailbox(from.email.as_ref()).and_then(|address| address.parse().ok());
    let email = email.ok_or_else(|| section.wrong(&FROM, "has a domain that can't be one", remedy))?;
    Ok(Some(Mailbox { email, ..from }))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
