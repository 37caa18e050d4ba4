//! Searches over accounts and sessions, and their counts.

use quash_core::model::{Account, SessionId, Subject, Timestamp};

use crate::postgres::fault::PostgresError;
use crate::postgres::params::Param;
use crate::postgres::rows::{self, ReadColumns};
use crate::postgres::statements;
use crate::postgres::transaction::Database;
use crate::search::{EXAMINED, TextRange, status_name};
use crate::{AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch};

/// Bytes that follow each session's id.
const AFTER_ALL: &[u8] = &[0xff; 17];

pub(in crate::postgres) async fn accounts(
    database: &Database,
    search: &AccountSearch,
    after: Option<&str>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Account>, PostgresError> {
    let (AccountSearch::Name { prefix, .. } | AccountSearch::Email { prefix }) = search;
    let TextRange { from, until } = TextRange::new(prefix, after);
    let (limit, now) = (i64::from(limit), now.as_millis());
    let found = match search {
        AccountSearch::Email { .. } => {
            database.query(statements::ACCOUNTS_ADDRESSED, &[&from, &until, &limit]).await?
        }
        AccountSearch::Name { status: None, .. } => {
            database.query(statements::ACCOUNTS_IN, &[&from, &until, &limit]).await?
        }
        AccountSearch::Name { status: Some(status), .. } => {
            let values: [&dyn Param; 5] = [&from, &until, &limit, &status_name(*status), &now];
            database.query(statements::ACCOUNTS_STANDING, &values).await?
        }
    };
    rows::all(&found, rows::row)
}

pub(in crate::postgres) async fn count_accounts(
    database: &Database,
    after: Option<&Subject>,
    now: Timestamp,
    limit: u32,
) -> Result<AccountCount, PostgresError> {
    let after = after.map_or("", Subject::as_str);
    let part = database.query(statements::ACCOUNTS_PART, &[&after, &i64::from(limit)]).await?;
    let next = rows::first(&part, |columns| columns.subject())?;
    let TextRange { until: last, .. } = TextRange::new("", None);
    let until = next.as_ref().map_or(last.as_str(), Subject::as_str);
    let found = database.query(statements::COUNT_ACCOUNTS, &[&after, &until, &now.as_millis()]).await?;
    let counted = rows::first(&found, |columns| {
        Ok(AccountCount::counted(columns.count()?, columns.count()?, columns.count()?, columns.count()?))
    })?;
    Ok(AccountCount { next, ..counted.unwrap_or_default() })
}

/// Two statements: the first finds the range of examined ids, so that no session of it is left out.
pub(in crate::postgres) async fn live_sessions(
    database: &Database,
    search: &SessionSearch,
    before: Option<SessionId>,
    now: Timestamp,
    limit: u32,
) -> Result<LiveSessions, PostgresError> {
    let before = before.as_ref().map_or(AFTER_ALL, |id| id.as_bytes());
    let (examined, live, of) = match search {
        SessionSearch::All => (statements::EXAMINED, statements::LIVE, None),
        SessionSearch::OfAccount(of) => (statements::EXAMINED_OF, statements::LIVE_OF, Some(of.as_str())),
        SessionSearch::OfClient(of) => {
            (statements::EXAMINED_OPENED_BY, statements::LIVE_OPENED_BY, Some(of.as_str()))
        }
    };
    let own = of.iter().map(|of| of as &dyn Param);
    let rows_examined = i64::from(EXAMINED);
    let values: Vec<&dyn Param> =
        [&before as &dyn Param, &rows_examined].into_iter().chain(own.clone()).collect();
    let found = database.query(examined, &values).await?;
    let oldest = rows::first(&found, |columns| columns.bytes().map(SessionId::from_bytes))?;
    let from = oldest.as_ref().map_or(&[][..], |id| id.as_bytes());
    let (now, most) = (now.as_millis(), i64::from(limit));
    let page: [&dyn Param; 4] = [&now, &before, &from, &most];
    let values: Vec<&dyn Param> = page.into_iter().chain(own).collect();
    let found = database.query(live, &values).await?;
    let sessions = rows::all(&found, |columns| Ok((rows::row(columns)?, rows::row(columns)?)))?;
    Ok(LiveSessions::page(sessions, oldest, limit))
}

pub(in crate::postgres) async fn count_sessions(
    database: &Database,
    after: Option<SessionId>,
    now: Timestamp,
    limit: u32,
) -> Result<SessionCount, PostgresError> {
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let part = database.query(statements::SESSIONS_PART, &[&after, &i64::from(limit)]).await?;
    let next = rows::first(&part, |columns| columns.bytes().map(SessionId::from_bytes))?;
    let until = next.as_ref().map_or(AFTER_ALL, |id| id.as_bytes());
    let found = database.query(statements::COUNT_SESSIONS, &[&now.as_millis(), &after, &until]).await?;
    let live = rows::first(&found, |columns| columns.count())?.unwrap_or(0);
    Ok(SessionCount { live, next })
}
