//! An account: a person or program that signs in.

use std::fmt;

use md5::{Digest, Md5};
use zeroize::Zeroize;

use crate::hex;
use crate::model::accounts::fold::{FOLDED_BYTES, fold};
use crate::model::{AccountClaims, Devices, Seq, Subject, Timestamp, UserIdField, limits};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The account's id in tokens. It never changes.
    pub subject: Subject,
    /// The name to sign in with.
    pub username: Name,
    /// The address that mails are sent to.
    pub email: Option<Email>,
    /// `None`: there is none. One that a site has marked as unusable is kept too, for its mark.
    pub password: Option<PasswordHash>,
    pub state: AccountState,
    /// The watermark: sessions opened before it are ended.
    pub sessions_before: Seq,
    /// Incremented by each change, so that a decision on an outdated row is noticed.
    pub version: u64,
    pub created_at: Timestamp,
    /// The time at which the account's sessions were last ended. Tokens of other issuers minted up to it are
    /// refused.
    pub foreign_after: Timestamp,
    /// The last sign-in, if the settings record it.
    pub last_login_at: Option<Timestamp>,
    /// The end of a temporary password, which can only be used to change it. `None`: the password has no
    /// restriction.
    pub temporary_until: Option<Timestamp>,
    /// The number of locks since the last sign-in.
    pub locks: u32,
    /// The custom claims of the account's tokens.
    pub claims: AccountClaims,
    /// The known devices, which a lock doesn't keep out.
    pub devices: Devices,
    /// The mark ([`PasswordHash::mark`]) of the hash that the Django site has in its own table, if that isn't
    /// the account's: quash has stored another one since, or its own password was the first, for which the site
    /// has none so far. `None`: it has the account's hash.
    pub mark: Option<String>,
}

/// The key by which an account is looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountBy {
    /// The folded name.
    Name(String),
    Subject(Subject),
    /// The folded address. Finds the account that has confirmed it, or, if none has, the account that has it.
    /// Finds none if several accounts have the address unconfirmed.
    Email(String),
    /// The folded address if an account has confirmed it, else the folded name, else an unconfirmed address.
    NameOrEmail(String),
}

/// The state that an operator or the lockout has set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountState {
    /// The account may sign in.
    Active,
    /// Signing in is refused until a given time, after failed attempts.
    Locked {
        /// The time at which the lock was set. Before it the lock has no effect: the clock was ahead when it
        /// was set.
        since: Timestamp,
        /// The time at which the lock expires.
        until: Timestamp,
    },
    Deactivated {
        at: Timestamp,
    },
}

/// A state that an operator or another system gives an account. A lock isn't one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NewState {
    #[default]
    Active,
    Deactivated,
}

/// The result of checking an account's state and address at a sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountStatus {
    Active,
    /// The account's address isn't confirmed.
    Unverified,
    /// Too many attempts have failed.
    Locked,
    Deactivated,
}

/// A name to sign in with. Kept as typed, compared folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    shown: String,
    folded: String,
}

/// An e-mail address. Kept as typed, compared folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email {
    /// The address as typed. Mails are sent to it.
    pub shown: String,
    /// The time at which the owner confirmed the address.
    pub verified_at: Option<Timestamp>,
}

/// A password hash in any of the known formats. `Debug` doesn't print it.
#[derive(Clone)]
pub struct PasswordHash {
    text: String,
    /// The cost class of the hash, if the code that made it knows it. Hashes are compared by their text
    /// alone.
    class: Option<String>,
}

/// The reason why a text isn't a name or an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameFault {
    /// Empty after trimming.
    #[error("is empty")]
    Empty,
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
    /// A non-ASCII local part, when the SMTP server isn't known to accept one.
    #[error("has non-ASCII characters before the @, so no mail can be sent to it")]
    LocalPart,
}

impl Account {
    /// A new, active account without an address or a password.
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
            temporary_until: None,
            locks: 0,
            claims: AccountClaims::default(),
            devices: Devices::default(),
            mark: None,
        }
    }

    /// Returns whether the account may sign in at `now`, and if not, why.
    pub fn status(&self, now: Timestamp) -> AccountStatus {
        match self.state {
            AccountState::Locked { since, until } if since <= now && now < until => AccountStatus::Locked,
            _ => self.status_past_lock(),
        }
    }

    /// Like [`Account::status`], but ignores a lock. For known devices.
    pub fn status_past_lock(&self) -> AccountStatus {
        match (self.state, &self.email) {
            (AccountState::Deactivated { .. }, _) => AccountStatus::Deactivated,
            (_, Some(email)) if email.verified_at.is_none() => AccountStatus::Unverified,
            _ => AccountStatus::Active,
        }
    }

    /// The mark of the account's own hash, or of an empty hash if there is no password. If the site uses
    /// marks, tokens of other issuers must carry it.
    pub fn password_mark(&self) -> String {
        PasswordHash::mark_of(self.password.as_ref())
    }

    /// The mark in new tokens, if the site uses marks. Django nodes compare it with the hash in their own
    /// tables, which may be older than the account's.
    pub fn node_mark(&self) -> String {
        self.mark.clone().unwrap_or_else(|| self.password_mark())
    }

    /// The account with a first password that was chosen here: a Django site has no hash of it.
    #[must_use]
    pub fn with_own_password(self, hash: PasswordHash) -> Self {
        Self { password: Some(hash), mark: Some(PasswordHash::mark_of(None)), ..self }
    }

    /// Returns whether a hash is the one that the Django site has had so far. If it is, a better hash of the
    /// same password, or a password that was set or removed here since, stays.
    pub fn has_site_hash(&self, hash: Option<&PasswordHash>) -> bool {
        match &self.mark {
            Some(mark) => *mark == PasswordHash::mark_of(hash),
            None => self.password.as_ref() == hash,
        }
    }

    /// Returns whether a mark is that of the hash that the Django site has had so far, and the account has or had
    /// its password. It never had that of an unusable hash, which may stand for one that quash doesn't support.
    pub fn has_had_site_hash(&self, mark: &str) -> bool {
        self.node_mark() == mark && (self.mark.is_some() || self.has_usable_password())
    }

    /// Returns whether the account has a password that can be compared with.
    pub fn has_usable_password(&self) -> bool {
        self.password.as_ref().is_some_and(PasswordHash::is_usable)
    }

    /// Returns whether the password is a temporary one that is still valid at `now`. A temporary password
    /// with a longer validity than any that is issued was set while the clock was ahead.
    pub fn has_temporary_password(&self, now: Timestamp) -> bool {
        self.temporary_until.is_some_and(|until| now < until && until <= now + limits::ONE_TIME_PASSWORD)
    }

    /// The account's id in tokens. `None` if the account lacks the field.
    pub fn user_id(&self, field: UserIdField) -> Option<&str> {
        match field {
            UserIdField::Subject => Some(self.subject.as_str()),
            UserIdField::Username => Some(self.username.shown()),
            UserIdField::Email => self.email.as_ref().map(|email| email.shown.as_str()),
        }
    }
}

impl NewState {
    /// The account's state from `now` on.
    pub const fn since(self, now: Timestamp) -> AccountState {
        match self {
            Self::Active => AccountState::Active,
            Self::Deactivated => AccountState::Deactivated { at: now },
        }
    }
}

impl AccountBy {
    /// The account that a token's user id names. `None` if the text can't be a user id.
    pub fn user_id(field: UserIdField, user_id: &str) -> Option<Self> {
        match field {
            UserIdField::Subject => Subject::parse(user_id).ok().map(Self::Subject),
            UserIdField::Username => Some(Self::Name(fold(user_id))),
            UserIdField::Email => Some(Self::Email(fold(user_id))),
        }
    }
}

impl Name {
    /// Parses a name as a user typed it.
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
        // Checks bytes first: counting the characters of a long text is slow.
        text.len() > FOLDED_BYTES || text.chars().count() > limits::NAME_CHARS
    }

    /// The name as typed, trimmed.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The form in which names are compared.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl Email {
    /// Returns whether a text is longer than any address.
    pub fn is_too_long(text: &str) -> bool {
        text.trim().len() > limits::EMAIL_BYTES
    }

    /// Parses an address as a user typed it: `local@domain`, without white space or invisible characters.
    /// Only a confirmation can show that mail reaches it.
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

    /// Parses an address that a user gives as their own and that mails will be sent to. Stricter than
    /// [`Email::parse`]: it rejects forms that only the syntax of mail allows (quoted names, comments,
    /// address literals). A non-ASCII address must be given in the ASCII form that mail is sent to
    /// (`quash-service/src/mail/address.rs`).
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

    /// The form in which addresses are compared.
    pub fn folded(&self) -> String {
        fold(&self.shown)
    }
}

impl PasswordHash {
    /// The text before the mark of a hash that a Django site has and that we can't compare with. Django's
    /// unusable hashes have letters and digits after the exclamation mark.
    const ONLY_MARK: &str = "!mark$";

    pub fn new(text: String) -> Self {
        Self { text, class: None }
    }

    /// Sets the hash's cost class, which is stored with it.
    #[must_use]
    pub fn of_class(mut self, class: String) -> Self {
        self.class = Some(class);
        self
    }

    /// The cost class that is stored with the hash.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the text isn't Django's form of an unusable password, `!` and random characters.
    pub fn is_usable(&self) -> bool {
        !self.text.starts_with('!')
    }

    /// The mark of a hash, which is the value of Simple JWT's claim `hash_password`: MD5 over the hash as
    /// Django stores it, in upper-case hex. A token with another mark was minted for another password. The
    /// mark isn't a secret.
    pub fn mark(&self) -> String {
        if let Some(mark) = self.only_mark() {
            return mark.to_ascii_uppercase();
        }
        let mut md5 = Md5::new();
        // Django prefixes the PHC string with its own name for the algorithm.
        if self.text.starts_with("$argon2") {
            md5.update(b"argon2");
        }
        md5.update(self.text.as_bytes());
        hex::encode(&md5.finalize()).to_ascii_uppercase()
    }

    /// The mark that stands in place of a hash, if the text has this form.
    fn only_mark(&self) -> Option<&str> {
        self.text.strip_prefix(Self::ONLY_MARK).filter(|mark| Self::is_mark(mark))
    }

    /// Returns whether a text has the form of a mark: 32 hexadecimal digits.
    pub fn is_mark(text: &str) -> bool {
        text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Returns whether the text should be a mark in place of a hash, but isn't one.
    pub fn is_broken_mark(&self) -> bool {
        self.text.starts_with(Self::ONLY_MARK) && self.only_mark().is_none()
    }

    /// The mark of a hash, or of an empty one if there is no password.
    pub fn mark_of(hash: Option<&Self>) -> String {
        hash.map_or_else(|| Self::new(String::new()).mark(), Self::mark)
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

/// Returns whether a text is atoms separated by dots (RFC 5322 3.2.3), at most as long as RFC 5321 4.5.3.1.1
/// allows.
fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    text.len() <= limits::LOCAL_PART_BYTES && text.split('.').all(is_atom)
}

/// Returns whether a text is two or more labels separated by dots (RFC 1123 2.1). A last label of digits is
/// rejected: that would be an IP address.
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

/// Returns whether a character is invisible or changes the direction of the text around it.
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
