//! An account: a person or program that signs in.

use std::fmt;

use md5::{Digest, Md5};
use zeroize::Zeroize;

use super::fold::{FOLDED_BYTES, fold};
use super::{AccountClaims, Devices, Seq, Subject, Timestamp, UserIdField, limits};

/// An account as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Who this is, in tokens and for ever.
    pub subject: Subject,
    /// What it signs in with.
    pub username: Name,
    /// Where it gets mail, if anywhere.
    pub email: Option<Email>,
    /// `None`: no password is usable.
    pub password: Option<PasswordHash>,
    /// What an operator or the lock-out has decided about it.
    pub state: AccountState,
    /// The watermark: sessions opened before it are ended.
    pub sessions_before: Seq,
    /// Grows with each change, so that a decision on an old row is noticed.
    pub version: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// Tokens of other issuers minted up to this moment count no longer: when its sessions were last ended.
    pub foreign_after: Timestamp,
    /// When it has last signed in, if that is kept.
    pub last_login_at: Option<Timestamp>,
    /// Until when its password may be used, and for nothing but changing it; `None`: for everything.
    pub must_change: Option<Timestamp>,
    /// How often it was locked since it has last signed in.
    pub locks: u32,
    /// What its tokens say besides our own claims.
    pub claims: AccountClaims,
    /// The devices that a lock doesn't keep out.
    pub devices: Devices,
    /// The mark of the hash that Django nodes have, where quash has set another password since.
    pub mark: Option<String>,
}

/// How an account is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountBy {
    /// By its folded name.
    Name(String),
    /// By its subject.
    Subject(Subject),
    /// By its folded address: the one that has confirmed it or, where nobody has, the one that has it. Where these are
    /// several, none is found.
    Email(String),
    /// By its folded address, where it has confirmed it; else by its folded name; else as by its address.
    NameOrEmail(String),
}

/// What an operator or the lock-out has decided about an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountState {
    /// Nothing stands against signing in.
    Active,
    /// Signing in is refused for a span, after failed attempts.
    Locked {
        /// When the lock was set. Before this moment it doesn't hold: the clock was ahead when it was set.
        since: Timestamp,
        /// When the lock ends by itself.
        until: Timestamp,
    },
    /// Signing in is refused.
    Deactivated {
        /// Since when.
        at: Timestamp,
    },
}

/// What an account's state and address mean for signing in, now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// May sign in.
    Active,
    /// Has an address that nobody has confirmed.
    Unverified,
    /// Has failed too often.
    Locked,
    /// Has been switched off.
    Deactivated,
}

/// A name to sign in with: kept as typed, compared folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    shown: String,
    folded: String,
}

/// An e-mail address: kept as typed, compared folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email {
    /// As typed, and where mail goes.
    pub shown: String,
    /// When its owner confirmed it.
    pub verified_at: Option<Timestamp>,
}

/// A password hash, in whatever format it was made. It isn't shown by accident.
#[derive(Clone)]
pub struct PasswordHash {
    text: String,
    /// What comparing with it costs, as far as whoever made this knows. Two hashes are one by their text.
    class: Option<String>,
}

/// Why a text isn't a name or an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameFault {
    /// Nothing is left after trimming.
    #[error("is empty")]
    Empty,
    /// Longer than the limit.
    #[error("is too long")]
    TooLong,
    /// A control, zero-width or text-direction character, which would make two names look alike.
    #[error("holds an invisible character")]
    Invisible,
    /// Not of the form `local@domain`.
    #[error("is not an e-mail address")]
    NotAnAddress,
    /// A UUID, as subjects are.
    #[error("has the form of an account's id")]
    Uuid,
    /// A whole number, as subjects may be.
    #[error("is a number, which may be an account's id")]
    Number,
    /// A local part beyond ASCII, where the SMTP server isn't known to take one.
    #[error("has other than ASCII characters before the @, and no mail can be sent to it")]
    LocalPart,
}

impl Account {
    /// A new one, active, without an address and a password.
    pub fn new(subject: Subject, username: Name, now: Timestamp) -> Self {
        Self {
            subject,
            username,
            email: None,
            password: None,
            state: AccountState::Active,
            sessions_before: Seq::ZERO,
            version: 1,
            created_at: now,
            foreign_after: Timestamp::default(),
            last_login_at: None,
            must_change: None,
            locks: 0,
            claims: AccountClaims::default(),
            devices: Devices::default(),
            mark: None,
        }
    }

    /// What the account's state and address mean for signing in at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.state {
            AccountState::Locked { since, until } if since <= now && now < until => Standing::Locked,
            _ => self.standing_past_lock(),
        }
    }

    /// The same for whom a lock doesn't keep out.
    pub fn standing_past_lock(&self) -> Standing {
        match (self.state, &self.email) {
            (AccountState::Deactivated { .. }, _) => Standing::Deactivated,
            (_, Some(email)) if email.verified_at.is_none() => Standing::Unverified,
            _ => Standing::Active,
        }
    }

    /// The mark of the password's hash, or of an empty one. Tokens of another issuer must have it, where the site asks for
    /// marks.
    pub fn password_mark(&self) -> String {
        self.password.as_ref().map_or_else(|| PasswordHash::new(String::new()).mark(), PasswordHash::mark)
    }

    /// The mark that new tokens get, where the site asks for marks: that of the hash that Django nodes have.
    pub fn node_mark(&self) -> String {
        self.mark.clone().unwrap_or_else(|| self.password_mark())
    }

    /// Whether its password is for once, and still good at `now`. One that is good for longer than any was given while the
    /// clock was ahead.
    pub fn is_good_for_once(&self, now: Timestamp) -> bool {
        self.must_change.is_some_and(|until| now < until && until <= now + limits::ONE_TIME_PASSWORD)
    }

    /// What tokens call it; `None` where it has no such field.
    pub fn user_id(&self, field: UserIdField) -> Option<&str> {
        match field {
            UserIdField::Subject => Some(self.subject.as_str()),
            UserIdField::Username => Some(self.username.shown()),
            UserIdField::Email => self.email.as_ref().map(|email| email.shown.as_str()),
        }
    }
}

impl AccountBy {
    /// Whom a token means; `None` where it can't be anybody.
    pub fn user_id(field: UserIdField, user_id: &str) -> Option<Self> {
        match field {
            UserIdField::Subject => Subject::parse(user_id).ok().map(Self::Subject),
            UserIdField::Username => Some(Self::Name(fold(user_id))),
            UserIdField::Email => Some(Self::Email(fold(user_id))),
        }
    }
}

impl Name {
    /// A name from what somebody typed.
    ///
    /// ```
    /// use quash_core::model::Name;
    /// let name = Name::parse(" Dana ")?;
    /// assert_eq!((name.shown(), name.folded()), ("Dana", "dana"));
    /// # Ok::<_, quash_core::model::NameFault>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        let shown = text.trim();
        if shown.is_empty() {
            return Err(NameFault::Empty);
        }
        if Self::is_too_long(shown) {
            return Err(NameFault::TooLong);
        }
        if shown.chars().any(invisible) {
            return Err(NameFault::Invisible);
        }
        Ok(Self { shown: shown.to_owned(), folded: fold(shown) })
    }

    /// Returns whether a text is longer than any name, without folding it.
    pub fn is_too_long(text: &str) -> bool {
        let text = text.trim();
        // Bytes first: counting the characters of a long text takes its time.
        text.len() > FOLDED_BYTES || text.chars().count() > limits::NAME_CHARS
    }

    /// As typed, trimmed.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// As compared.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl Email {
    /// Returns whether a text is longer than any address.
    pub fn is_too_long(text: &str) -> bool {
        text.trim().len() > limits::EMAIL_BYTES
    }

    /// An address from what somebody typed: `local@domain`, without white space or invisible characters. Whether
    /// mail reaches it only a confirmation can tell.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        let shown = text.trim();
        if Self::is_too_long(shown) {
            return Err(NameFault::TooLong);
        }
        if shown.chars().any(|c| invisible(c) || c.is_whitespace()) {
            return Err(NameFault::Invisible);
        }
        match shown.split_once('@') {
            Some((local, domain))
                if !local.is_empty()
                    && !domain.is_empty()
                    && !domain.contains(['@', ','])
                    && !local.contains(',') =>
            {
                Ok(Self { shown: shown.to_owned(), verified_at: None })
            }
            _ => Err(NameFault::NotAnAddress),
        }
    }

    /// An address that somebody gives as their own, to be mailed to: as [`Email::parse`], and in the form in which addresses
    /// are handed out. What only the syntax of mail allows (quoted names, comments, addresses of machines) isn't taken. An
    /// address beyond ASCII is taken in the ASCII form in which mail is sent to it (`quash-service/src/mail/address.rs`).
    ///
    /// ```
    /// use quash_core::model::Email;
    /// assert!(Email::parse_own("dana.lee+shop@mail.example.org").is_ok());
    /// assert!(Email::parse_own("\"dana lee\"@example.org").is_err());
    /// ```
    pub fn parse_own(text: &str) -> Result<Self, NameFault> {
        let email = Self::parse(text)?;
        let is_own = email
            .shown
            .split_once('@')
            .is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain));
        if is_own { Ok(email) } else { Err(NameFault::NotAnAddress) }
    }

    /// As compared.
    pub fn folded(&self) -> String {
        fold(&self.shown)
    }
}

impl PasswordHash {
    /// A hash from its text.
    pub fn new(text: String) -> Self {
        Self { text, class: None }
    }

    /// The same hash, of a class that is to be kept beside it.
    #[must_use]
    pub fn of_class(mut self, class: String) -> Self {
        self.class = Some(class);
        self
    }

    /// The class that is to be kept beside it.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What Simple JWT calls `hash_password`: MD5 over the hash as Django keeps it, in upper-case hex. It isn't meant to
    /// keep anything secret; tokens that hold another are of another password.
    pub fn mark(&self) -> String {
        let mut md5 = Md5::new();
        // Django has its own name before what is otherwise a PHC string.
        if self.text.starts_with("$argon2") {
            md5.update(b"argon2");
        }
        md5.update(self.text.as_bytes());
        md5.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PasswordHash {}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl Drop for PasswordHash {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// Atoms with dots between them (RFC 5322 3.2.3), no longer than RFC 5321 4.5.3.1.1 allows.
fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    text.len() <= limits::LOCAL_PART_BYTES && text.split('.').all(is_atom)
}

/// Labels with dots between them, at least two of them (RFC 1123 2.1), of which the last is no number: that would be an
/// address of a machine.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.contains('.') && text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Characters that leave no mark, or that change the direction of the text around them.
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
