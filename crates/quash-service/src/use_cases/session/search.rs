//! Operators' searches over the live sessions of all accounts, and single sessions by their ids.

use quash_core::model::{Account, SessionId, limits};
use quash_store::{LiveSessions, SessionSearch};

use crate::context::Service;
use crate::failure::Failure;
use crate::use_cases::session::list::SessionInfo;

impl Service {
    /// Returns a page of live sessions that are older than `before`, newest first. A page may be short, or empty,
    /// although another follows.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<LiveSessions, Failure> {
        let context = &*self.context;
        let limit = limit.clamp(1, limits::PAGE);
        Ok(context.store.live_sessions(search, before, context.clock.now(), limit).await?)
    }

    /// Returns a session whose row is kept, with its account.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn session_by_id(&self, id: SessionId) -> Result<Option<(SessionInfo, Account)>, Failure> {
        let context = &*self.context;
        let loaded = context.store.session(id).await?;
        let Some((session, account)) = loaded.found else { return Ok(None) };
        let seen = context.seen(&account, &loaded.head, vec![session], context.clock.now()).await?;
        Ok(seen.into_iter().next().map(|info| (info, account)))
    }
}
