//! An account's sessions, as their owner or an operator sees them: which there are, which were ended and why. Ending them
//! is in `end` and `own`.

use quash_core::model::{Account, Ending, Head, Session, SessionId, SessionState, Timestamp, limits};

use crate::context::{Desk, Service};
use crate::failure::Failure;

/// Which sessions are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    /// All whose rows are kept.
    All,
    /// Those that are live.
    Live,
    /// Those that aren't any more.
    Over,
}

/// A session as it is seen in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSeen {
    /// The session.
    pub session: Session,
    /// Whether it is live: neither ended, nor covered by a watermark, nor expired.
    pub live: bool,
    /// Why, when and by whom it was ended; `None` where it wasn't, or has only expired.
    pub ending: Option<Ending>,
}

/// A page of sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionsSeen {
    /// Oldest first.
    pub sessions: Vec<SessionSeen>,
    /// After which one there may be more.
    pub next: Option<SessionId>,
}

/// How often a page asks the store at most. What is left out of a list is read all the same, so such a page may be short.
const LOOKS: u32 = 5;

impl Service {
    /// A page of an account's sessions, oldest first, after the id `after`.
    ///
    /// # Errors
    /// The store is away.
    pub async fn sessions(
        &self,
        account: &Account,
        listed: Listed,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<SessionsSeen, Failure> {
        let desk = &*self.desk;
        let limit = limit.clamp(1, limits::PAGE);
        let (now, head) = (desk.clock.now(), desk.store.head().await?);
        let mut page = SessionsSeen { sessions: Vec::new(), next: after };
        for _ in 0..LOOKS {
            let read = desk.store.sessions_of(&account.subject, page.next, limit).await?;
            let is_last = u32::try_from(read.len()).is_ok_and(|length| length < limit);
            for seen in desk.seen(account, &head, read, now).await? {
                page.next = Some(seen.session.id);
                if listed.holds(&seen) {
                    page.sessions.push(seen);
                }
                if page.sessions.len() >= limit as usize {
                    return Ok(page);
                }
            }
            if is_last {
                return Ok(SessionsSeen { next: None, ..page });
            }
        }
        Ok(page)
    }
}

impl Listed {
    const fn holds(self, seen: &SessionSeen) -> bool {
        match self {
            Self::All => true,
            Self::Live => seen.live,
            Self::Over => !seen.live,
        }
    }
}

impl Desk {
    /// Sessions with why they were ended. What a watermark has ended knows it from the audit.
    async fn seen(
        &self,
        account: &Account,
        head: &Head,
        sessions: Vec<Session>,
        now: Timestamp,
    ) -> Result<Vec<SessionSeen>, Failure> {
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
                // What had expired before was ended no more.
                SessionState::Live if is_covered(&session) => {
                    covered.next().flatten().filter(|ending| ending.at < session.idle_until)
                }
                SessionState::Live => None,
            };
            let live = session.is_live(account, head) && now < session.idle_until;
            SessionSeen { session, live, ending }
        };
        Ok(sessions.into_iter().map(seen).collect())
    }
}
