//! Checks of mails.

use std::time::Duration;

use super::{Facts, Listens, MailFacts, Verdict, span};

/// The time in which a mail is sent after some failures of the network.
const SENT_WITHIN: Duration = Duration::from_secs(600);
/// The number of failed attempts that no short fault of the network explains.
const FAILED_ATTEMPTS: u32 = 3;

pub(super) fn registration_mail(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    if !settings.registration_is_open || settings.mail != MailFacts::Waiting {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        "registration.enabled is true, and mail.host isn't set",
        "a registration is completed by a link in a mail, so no user can register",
        "set mail.host, mail.from and http.public_url",
    ))
}

pub(super) fn mail_delivery(facts: &Facts) -> Option<Verdict> {
    let settings = facts.settings.as_ref()?;
    let is_public = settings.listens == Listens::Network
        || settings.behind_proxy
        || settings.public_url.as_ref().is_some_and(|url| !url.is_loopback);
    if settings.mail == MailFacts::Sent || settings.registration_is_open || !is_public {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        "mail.host isn't set",
        "users can't reset a forgotten password or confirm their address, and aren't told of changes to their account",
        "set mail.host, mail.from and http.public_url",
    ))
}

pub(super) fn smtp(facts: &Facts) -> Option<Verdict> {
    let outcome = match facts.settings.as_ref()?.mail {
        MailFacts::Sent => facts.smtp.as_ref()?,
        MailFacts::Printed | MailFacts::Waiting => return Some(Verdict::Fine),
    };
    Some(match outcome {
        Ok(()) => Verdict::Fine,
        Err(fault) => Verdict::problem(
            format!("the SMTP server doesn't accept mails from here: {fault}"),
            "mails wait, and links in them expire",
            "check mail.host, mail.port, mail.encryption and the credentials, and that a firewall lets quash through",
        ),
    })
}

pub(super) fn mails_waiting(facts: &Facts) -> Option<Verdict> {
    let mails = &facts.stored()?.mails;
    if mails.oldest < SENT_WITHIN || facts.settings.as_ref()?.mail == MailFacts::Printed {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("{} mails wait, the oldest of them for {}", mails.count, span(mails.oldest)),
        "a link is valid for an hour, and a notice is dropped after a day",
        "see the server's log for the SMTP server's answers; without mail.host, no mail is sent",
    ))
}

pub(super) fn mails_failing(facts: &Facts) -> Option<Verdict> {
    let mails = &facts.stored()?.mails;
    if mails.attempts < FAILED_ATTEMPTS {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("a mail couldn't be sent in {} attempts", mails.attempts),
        "the SMTP server refuses it or can't be reached",
        "see the server's log for its answers",
    ))
}
