//! Searches over accounts and sessions, and their counts. They run on the reader threads, like other reads.

use quash_core::model::{Account, SessionId, Subject, Timestamp};
use rusqlite::{Connection, ToSql, named_params};

use super::fault::SqliteError;
use super::rows::ReadColumns;
use super::{rows, statements};
use crate::search::{EXAMINED, TextRange, includes_lapsed_locks, status_name};
use crate::{AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch};

/// Bytes that follow each session's id.
const AFTER_ALL: &[u8] = &[0xff; 17];

pub(super) fn accounts(
    conn: &Connection,
    search: &AccountSearch,
    after: Option<&str>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Account>, SqliteError> {
    let (AccountSearch::Name { prefix, .. } | AccountSearch::Email { prefix }) = search;
    let TextRange { from, until } = TextRange::new(prefix, after);
    let status = match search {
        AccountSearch::Email { .. } => {
            let values = named_params! { ":from": from, ":until": until, ":limit": limit };
            return rows::all(conn, statements::ACCOUNTS_ADDRESSED, values, rows::row);
        }
        AccountSearch::Name { status: None, .. } => {
            let values = named_params! { ":from": from, ":until": until, ":limit": limit };
            return rows::all(conn, statements::ACCOUNTS_IN, values, rows::row);
        }
        AccountSearch::Name { status: Some(status), .. } => *status,
    };
    let read = |standing: &str, until: &str| {
        let now = now.as_millis();
        let values = named_params! {
            ":standing": standing,
            ":from": from,
            ":until": until,
            ":now": now,
            ":status": status_name(status),
            ":limit": limit,
        };
        rows::all(conn, statements::ACCOUNTS_STANDING, values, rows::row::<Account>)
    };
    let mut found = read(status_name(status), &until)?;
    if includes_lapsed_locks(status) {
        // Those after a full page belong to a later one, and must not be looked for: many locks may not have expired.
        let last = found.last().filter(|_| found.len() >= limit as usize);
        let until = last.map_or(until, |last| last.username.folded().to_owned());
        found.extend(read("locked", &until)?);
        found.sort_by(|one, other| one.username.folded().cmp(other.username.folded()));
        found.truncate(limit as usize);
    }
    Ok(found)
}

pub(super) fn count_accounts(
    conn: &Connection,
    after: Option<&Subject>,
    now: Timestamp,
    limit: u32,
) -> Result<AccountCount, SqliteError> {
    // No subject is empty.
    let after = after.map_or("", Subject::as_str);
    let part = named_params! { ":after": after, ":limit": limit };
    let next = rows::one(conn, statements::ACCOUNTS_PART, part, |columns| columns.subject())?;
    let TextRange { until: last, .. } = TextRange::new("", None);
    let until = next.as_ref().map_or(last.as_str(), Subject::as_str);
    let values = named_params! { ":after": after, ":until": until, ":now": now.as_millis() };
    let counted = rows::one(conn, statements::COUNT_ACCOUNTS, values, |columns| {
        Ok(AccountCount::counted(columns.count()?, columns.count()?, columns.count()?, columns.count()?))
    })?;
    Ok(AccountCount { next, ..counted.unwrap_or_default() })
}

pub(super) fn live_sessions(
    conn: &Connection,
    search: &SessionSearch,
    before: Option<SessionId>,
    now: Timestamp,
    limit: u32,
) -> Result<LiveSessions, SqliteError> {
    let before = before.as_ref().map_or(AFTER_ALL, |id| id.as_bytes());
    let (examined, live, of) = match search {
        SessionSearch::All => (statements::EXAMINED, statements::LIVE, None),
        SessionSearch::OfAccount(of) => {
            (statements::EXAMINED_OF, statements::LIVE_OF, Some((":subject", of.as_str())))
        }
        SessionSearch::OfClient(of) => {
            (statements::EXAMINED_OPENED_BY, statements::LIVE_OPENED_BY, Some((":client", of.as_str())))
        }
    };
    let own: Vec<(&str, &dyn ToSql)> = of.iter().map(|(name, of)| (*name, of as &dyn ToSql)).collect();
    let values = [&own, named_params! { ":before": before, ":examined": EXAMINED }].concat();
    let oldest = rows::one(conn, examined, &values, |columns| columns.bytes().map(SessionId::from_bytes))?;
    let from = oldest.as_ref().map_or(&[][..], |id| id.as_bytes());
    let now = now.as_millis();
    let page = named_params! { ":before": before, ":from": from, ":now": now, ":limit": limit };
    let values = [&own, page].concat();
    let sessions = rows::all(conn, live, &values, |columns| Ok((rows::row(columns)?, rows::row(columns)?)))?;
    Ok(LiveSessions::page(sessions, oldest, limit))
}

pub(super) fn count_sessions(
    conn: &Connection,
    after: Option<SessionId>,
    now: Timestamp,
    limit: u32,
) -> Result<SessionCount, SqliteError> {
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let part = named_params! { ":after": after, ":limit": limit };
    let next = rows::one(conn, statements::SESSIONS_PART, part, |columns| {
        columns.bytes().map(SessionId::from_bytes)
    })?;
    let until = next.as_ref().map_or(AFTER_ALL, |id| id.as_bytes());
    let values = named_params! { ":after": after, ":until": until, ":now": now.as_millis() };
    let live = rows::one(conn, statements::COUNT_SESSIONS, values, |columns| columns.count())?.unwrap_or(0);
    Ok(SessionCount { live, next })
}
