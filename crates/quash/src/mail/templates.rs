//! The texts of mails: a subject, and a body as text and as HTML. They repeat no user input except the user
//! name of an account that has confirmed the recipient's address.

use std::time::Duration;

use askama::Template;
use quash_core::model::{MailKind, limits};
use quash_server::{PublicUrl, linked_pages};
use quash_service::{MailerError, OutgoingEmail};

/// A rendered mail.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RenderedEmail {
    pub(super) subject: String,
    pub(super) text: String,
    /// The HTML body, which loads nothing from the network.
    pub(super) html: String,
}

/// The text of a mail, independent of its format.
struct EmailText {
    subject: &'static str,
    first: &'static str,
    button: Option<(&'static str, &'static str)>,
    last: &'static str,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct AsText<'a> {
    words: &'a EmailText,
    site: &'a str,
    link: Option<&'a str>,
    code: &'a str,
    username: Option<&'a str>,
    link_lifetime: &'a str,
    code_lifetime: &'a str,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct AsHtml<'a> {
    words: &'a EmailText,
    site: &'a str,
    link: Option<&'a str>,
    code: &'a str,
    username: Option<&'a str>,
    link_lifetime: &'a str,
    code_lifetime: &'a str,
    style: &'a str,
}

/// Renders a mail whose links begin with `url`.
///
/// # Errors
/// A template fails: a bug, which a retry wouldn't repair.
pub(super) fn render(email: &OutgoingEmail, url: &PublicUrl) -> Result<RenderedEmail, MailerError> {
    let words = email_text(email.kind);
    let link = words
        .button
        .zip(email.proof.as_ref())
        .map(|((_, path), proof)| format!("{url}{path}?token={}", *proof.link));
    let (link, site) = (link.as_deref(), url.site());
    let code = email.proof.as_ref().map_or("", |proof| proof.code.as_str());
    let username = email.username.as_deref().filter(|_| names_its_account(email.kind));
    let link_lifetime = span(email.proof.as_ref().map_or(limits::LINK_LIFETIME, |proof| proof.lifetime));
    let (link_lifetime, code_lifetime) = (link_lifetime.as_str(), span(limits::CODE_LIFETIME));
    let code_lifetime = code_lifetime.as_str();
    let text = AsText { words: &words, site, link, code, username, link_lifetime, code_lifetime };
    let html = AsHtml {
        words: &words,
        site,
        link,
        code,
        username,
        link_lifetime,
        code_lifetime,
        style: linked_pages::STYLESHEET,
    };
    let failed = |error: askama::Error| MailerError::Never(format!("the mail can't be rendered: {error}"));
    Ok(RenderedEmail {
        subject: format!("{} ({site})", words.subject),
        text: text.render().map_err(failed)?,
        html: html.render().map_err(failed)?,
    })
}

/// Returns whether a mail contains the recipient's user name for signing in.
const fn names_its_account(kind: MailKind) -> bool {
    match kind {
        MailKind::Reset | MailKind::Locked | MailKind::AddressTaken | MailKind::PasswordWasReset => true,
        MailKind::Verification
        | MailKind::EmailChange
        | MailKind::EmailChangeAsked
        | MailKind::EmailWasChanged
        | MailKind::NameTaken
        | MailKind::PasswordWasChanged => false,
    }
}

/// Formats a duration in the largest unit that divides it.
fn span(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let (count, unit) = match minutes {
        _ if minutes >= 2880 && minutes.is_multiple_of(1440) => (minutes / 1440, "days"),
        _ if minutes >= 120 && minutes.is_multiple_of(60) => (minutes / 60, "hours"),
        _ => (minutes, "minutes"),
    };
    format!("{count} {unit}")
}

const fn email_text(kind: MailKind) -> EmailText {
    const IGNORE: &str = "If you did not ask for this, you can ignore this mail: nothing will change.";
    match kind {
        MailKind::Reset => EmailText {
            subject: "Reset your password",
            first: "We received a request to reset the password of your account.",
            button: Some(("Choose a new password", linked_pages::RESET)),
            last: IGNORE,
        },
        MailKind::Verification => EmailText {
            subject: "Confirm your e-mail address",
            first: "Please confirm that this is your e-mail address. You can then sign in.",
            button: Some(("Confirm this address", linked_pages::VERIFY)),
            last: IGNORE,
        },
        MailKind::EmailChange => EmailText {
            subject: "Confirm your new e-mail address",
            first: "Please confirm that you want to use this address for your account.",
            button: Some(("Use this address", linked_pages::EMAIL)),
            last: IGNORE,
        },
        MailKind::PasswordWasReset => EmailText {
            subject: "Your password has been changed",
            first: "The password of your account has been changed through a mail to this address, and all devices have been signed out.",
            button: None,
            last: "If this was not you, someone else can read your mail: change the password of your mailbox, then request a new password here.",
        },
        MailKind::PasswordWasChanged => EmailText {
            subject: "Your password has been changed",
            first: "The password of your account has been changed by someone who knew the previous one, and all other devices have been signed out.",
            button: None,
            last: "If this was not you, request a new password here at once: that signs all devices out.",
        },
        MailKind::Locked => EmailText {
            subject: "Your account is temporarily locked",
            first: "Someone has tried wrong passwords for your account. It is temporarily locked, and all devices may have been signed out. To use it now, choose a new password.",
            button: Some(("Choose a new password", linked_pages::RESET)),
            last: "Otherwise you need not do anything: the lock ends by itself, and your password stays the same.",
        },
        MailKind::EmailChangeAsked => EmailText {
            subject: "A change of your e-mail address was requested",
            first: "Someone who knows your password has requested another e-mail address for your account. Nothing changes until that address is confirmed.",
            button: None,
            last: "If this was not you, change your password now: that cancels the request.",
        },
        MailKind::EmailWasChanged => EmailText {
            subject: "Your e-mail address has been changed",
            first: "Your account now has another e-mail address, and all devices have been signed out. Mails about it will no longer be sent here.",
            button: None,
            last: "If this was not you, ask the operator of this site for help.",
        },
        MailKind::AddressTaken => EmailText {
            subject: "You already have an account",
            first: "Someone, perhaps you, tried to use this address for an account. It already belongs to an account, and nothing was changed.",
            button: None,
            last: "If it was you, sign in with that account. If you do not know its password, request a new one.",
        },
        MailKind::NameTaken => EmailText {
            subject: "Please choose another name",
            first: "Someone, hopefully you, tried to register with this address. The user name is already taken, and no account was created.",
            button: None,
            last: "If it was you, register again with another name.",
        },
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::Timestamp;
    use quash_service::EmailProof;

    use super::*;

    #[test]
    fn mails_match_in_text_and_html() {
        let url = PublicUrl::parse("https://id.example.org/auth").expect("an address");
        let proof = |secs| EmailProof {
            link: "LINK".to_owned().into(),
            code: "CODE1-CODE2".to_owned().into(),
            lifetime: Duration::from_secs(secs),
        };
        for kind in MailKind::ALL {
            let proof = kind.purpose().map(|_| proof(3600));
            let (to, username) = ("dana@example.org".into(), Some("<i>dee</i>".to_owned()));
            let email = OutgoingEmail { kind, to, id: "1".into(), at: Timestamp::default(), username, proof };
            let RenderedEmail { subject, text, html } = render(&email, &url).expect("a mail");
            assert!(subject.ends_with("(id.example.org)") && !subject.contains('\n'), "{subject}");
            for body in [&text, &html] {
                assert!(
                    body.contains(&email_text(kind).first.replace('\'', "&#39;"))
                        || body.contains(email_text(kind).first),
                    "{body}"
                );
                assert_eq!(body.contains("token=LINK"), kind.purpose().is_some(), "{body}");
                assert_eq!(body.contains("CODE1-CODE2"), kind.purpose().is_some(), "{body}");
                assert!(!body.contains("dana"), "{body}");
                assert_eq!(body.contains("Your user name is"), names_its_account(kind), "{body}");
                assert_eq!(body.contains("60 minutes"), kind.purpose().is_some(), "{body}");
                let others =
                    body.matches("://").count() - body.matches("https://id.example.org/auth/").count();
                assert_eq!(others, 0, "{body}");
            }
            assert!(!html.contains("<i>"), "{html}");
            assert!(
                !html.contains("src=")
                    && !html.contains("url(")
                    && !html.contains("<link")
                    && !html.contains("<script"),
                "{html}"
            );
        }
        let plain = OutgoingEmail {
            kind: MailKind::NameTaken,
            to: String::new(),
            id: String::new(),
            at: Timestamp::default(),
            username: None,
            proof: None,
        };
        let email =
            OutgoingEmail { kind: MailKind::Verification, proof: Some(proof(3 * 86_400)), ..plain.clone() };
        assert!(render(&email, &url).expect("a mail").text.contains("open this link within 3 days."));
        insta::assert_snapshot!(render(&plain, &url).expect("a mail").text, @r"
        Someone, hopefully you, tried to register with this address. The user name is already taken, and no account was created.

        If it was you, register again with another name.

        -- 
        id.example.org
        ");
    }
}
