//! Lists of an account's sessions for its owner or an operator, with the reasons of their ends. Sessions are
//! ended in `end` and `own`.

use quash_core::model::{Account, Ending, Head, Session, SessionId, SessionState, Timestamp, limits};

use crate::context::{Context, Service};
use crate::failure::Failure;

/// A filter for lists of sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionFilter {
    /// All sessions whose rows are kept.
    All,
    Live,
    /// Sessions that are no longer live.
    Over,
}

/// A session in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionInfo {
    pub session: Session,
    /// Neither ended, nor covered by a watermark, nor expired.
    pub live: bool,
    /// The reason, time and actor of the end. `None` if the session is live or has only expired.
    pub ending: Option<Ending>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionPage {
    /// Oldest first.
    pub sessions: Vec<SessionInfo>,
    /// The session after which the next page begins, if there may be more.
    pub next: Option<SessionId>,
}

/// The most queries for one page. Rows that the filter leaves out are read too, so a page may be short.
const LOOKS: u32 = 5;

impl Service {
    /// Returns a page of an account's sessions, oldest first, after the id `after`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn sessions(
        &self,
        account: &Account,
        listed: SessionFilter,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionPage, Failure> {
        let context = &*self.context;
        let limit = limit.clamp(1, limits::PAGE);
        let (now, head) = (context.clock.now(), context.store.head().await?);
        let mut page = SessionPage { sessions: Vec::new(), next: after };
        for _ in 0..LOOKS {
            let read = context.store.sessions_of(&account.subject, page.next, limit).await?;
            let is_last = u32::try_from(read.len()).is_ok_and(|length| length < limit);
            for seen in context.seen(account, &head, read, now).await? {
                page.next = Some(seen.session.id);
                if listed.holds(&seen) {
                    page.sessions.push(seen);
                }
                if page.sessions.len() >= limit as usize {
                    return Ok(page);
                }
            }
            if is_last {
                return Ok(SessionPage { next: None, ..page });
            }
        }
        Ok(page)
    }
}

impl SessionFilter {
    const fn holds(self, seen: &SessionInfo) -> bool {
        match self {
            Self::All => true,
            Self::Live => seen.live,
            Self::Over => !seen.live,
        }
    }
}

impl Context {
    /// Adds the reasons of their ends to sessions. For a session that a watermark covers, the audit has the
    /// reason.
    pub(super) async fn seen(
        &self,
        account: &Account,
        head: &Head,
        sessions: Vec<Session>,
        now: Timestamp,
    ) -> Result<Vec<SessionInfo>, Failure> {
        let is_covered =
            |session: &Session| session.state == SessionState::Live && !session.is_live(account, head);
        let opened: Vec<_> =
            sessions.iter().filter(|session| is_covered(session)).map(|session| session.opened_seq).collect();
        let mut covered = if opened.is_empty() {
            Vec::new()
        } else {
            self.store.endings(&account.subject, &opened).await?
        }
        .into_iter();
        let seen = |session: Session| {
            let ending = match &session.state {
                SessionState::Ended(ending) => Some(ending.clone()),
                // A session that had expired before the watermark wasn't ended by it.
                SessionState::Live if is_covered(&session) => {
                    covered.next().flatten().filter(|ending| ending.at < session.idle_until)
                }
                SessionState::Live => None,
            };
            let live = session.is_live(account, head) && now < session.idle_until;
            SessionInfo { session, live, ending }
        };
        Ok(sessions.into_iter().map(seen).collect())
    }
}
