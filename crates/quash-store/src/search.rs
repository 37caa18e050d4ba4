//! Searches of operators over all accounts and sessions, and their counts. Each read examines a limited number of
//! rows, so that it doesn't hold up others.

use quash_core::model::{Account, AccountStatus, ClientName, Session, SessionId, Subject};

/// The accounts of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountSearch {
    /// Those whose folded name begins with this text, in the order of these names; only those with a status, if it
    /// is given.
    Name { prefix: String, status: Option<AccountStatus> },
    /// Those whose folded address begins with this text, in the order of these addresses. An account isn't found by
    /// an address that another account has.
    Email { prefix: String },
}

/// The sessions of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionSearch {
    All,
    OfAccount(Subject),
    /// Those that a client has opened.
    OfClient(ClientName),
}

/// A page of live sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveSessions {
    /// The sessions with their accounts, newest first.
    pub sessions: Vec<(Session, Account)>,
    /// The sessions of the next page are older than this one. `None`: this is the last page.
    pub next: Option<SessionId>,
}

/// A part of the accounts, counted by status.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AccountCount {
    pub active: u64,
    pub unverified: u64,
    pub locked: u64,
    pub deactivated: u64,
    /// The next part follows this account. `None`: this is the last part.
    pub next: Option<Subject>,
}

/// A part of the sessions, of which the live ones are counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SessionCount {
    pub live: u64,
    /// The next part follows this session. `None`: this is the last part.
    pub next: Option<SessionId>,
}

/// The most rows that a page of sessions examines: few are live after many have ended at once.
pub(crate) const EXAMINED: u32 = 10_000;

/// A range of texts, compared by their bytes: from the first up to, and without, the second.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TextRange {
    pub(crate) from: String,
    pub(crate) until: String,
}

impl TextRange {
    /// The texts that begin with a prefix and follow `after`. No stored text contains U+0000, so none begins with a
    /// prefix that does.
    pub(crate) fn new(prefix: &str, after: Option<&str>) -> Self {
        let from = after.map_or_else(String::new, |after| format!("{}\u{1}", up_to_null(after)));
        if prefix.contains('\0') {
            return Self { from: String::new(), until: String::new() };
        }
        Self { from: from.max(prefix.to_owned()), until: past(prefix) }
    }
}

impl LiveSessions {
    /// A page of sessions down to `oldest`, the last examined one if there are more.
    pub(crate) fn page(sessions: Vec<(Session, Account)>, oldest: Option<SessionId>, limit: u32) -> Self {
        let is_full = sessions.len() >= limit as usize;
        let next = sessions.last().filter(|_| is_full).map(|(session, _)| session.id).or(oldest);
        Self { sessions, next }
    }
}

impl AccountCount {
    /// Counts a part without its end.
    pub(crate) fn counted(active: u64, unverified: u64, locked: u64, deactivated: u64) -> Self {
        Self { active, unverified, locked, deactivated, next: None }
    }
}

/// PostgreSQL can't compare with a text that contains U+0000.
fn up_to_null(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// The first text that is greater than all those with this prefix.
fn past(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Surrogates aren't characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            chars.push(next);
            return chars.into_iter().collect();
        }
    }
    // Longer than any name or address.
    char::MAX.to_string().repeat(256)
}

/// Returns whether accounts whose lock has expired may have a status: their stored state is still `locked`.
pub(crate) const fn includes_lapsed_locks(status: AccountStatus) -> bool {
    match status {
        AccountStatus::Active | AccountStatus::Unverified => true,
        AccountStatus::Locked | AccountStatus::Deactivated => false,
    }
}

/// A status as statements compute it, and the stored state of the accounts that have it without a lock.
pub(crate) const fn status_name(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Active => "active",
        AccountStatus::Unverified => "unverified",
        AccountStatus::Locked => "locked",
        AccountStatus::Deactivated => "deactivated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_exactly_the_texts_with_a_prefix() {
        let texts =
            ["", "a", "da", "da\u{10ffff}\u{10ffff}", "dan", "db", "\u{d7ff}", "\u{d7ff}a", "\u{10ffff}x"];
        for prefix in ["", "d", "da", "\u{d7ff}", "\u{10ffff}", "x"] {
            for after in [None, Some("a"), Some("da"), Some("z")] {
                let TextRange { from, until } = TextRange::new(prefix, after);
                for text in texts {
                    let is_in = text.starts_with(prefix) && after.is_none_or(|after| text > after);
                    assert_eq!(*from <= *text && *text < *until, is_in, "{prefix:?} {after:?} {text:?}");
                }
            }
        }
    }
}
