//! Statements of searches over accounts and sessions, and of their counts.

use crate::columns::{account, session, standing, status};

/// Counts the accounts `a` with a status at `$3`.
macro_rules! count_status {
    ($status:literal) => {
        concat!("count(*) FILTER (WHERE ", status!("$3"), " = '", $status, "')")
    };
}

/// The account and the watermark of the session `s`, which is live at `$1`.
macro_rules! live {
    () => {
        "FROM session s JOIN account a ON a.subject = s.subject JOIN cluster g ON g.id = 1 \
         WHERE s.ended_reason IS NULL AND s.idle_until > $1 \
         AND s.opened_seq >= greatest(a.sessions_before, g.sessions_before)"
    };
}

/// A page of the live sessions before `$2`, down to `$3`.
macro_rules! live_page {
    ($of:literal) => {
        concat!(
            "SELECT ",
            session!(),
            ", ",
            account!(),
            " ",
            live!(),
            $of,
            " AND s.sid < $2 AND s.sid >= $3 ORDER BY s.sid DESC LIMIT $4"
        )
    };
}

pub(in crate::postgres) const ACCOUNTS_IN: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.username_folded >= $1 AND a.username_folded < $2 ORDER BY a.username_folded LIMIT $3"
);
// The accounts of the status `$4` at `$5`. Those whose lock has expired are still stored as locked; after a full page
// of the others they belong to a later one, and aren't looked for.
pub(in crate::postgres) const ACCOUNTS_STANDING: &str = concat!(
    "WITH own AS MATERIALIZED (SELECT a.* FROM account a WHERE ",
    standing!(),
    " = $4 AND a.username_folded >= $1 AND a.username_folded < $2 AND ",
    status!("$5"),
    " = $4 ORDER BY a.username_folded LIMIT $3), lapsed AS (SELECT a.* FROM account a WHERE ",
    standing!(),
    " = 'locked' AND $4 IN ('active', 'unverified') AND a.username_folded >= $1 AND a.username_folded < \
     coalesce((SELECT max(o.username_folded) FROM own o HAVING count(*) >= $3), $2) AND ",
    status!("$5"),
    " = $4 ORDER BY a.username_folded LIMIT $3) SELECT ",
    account!(),
    " FROM (SELECT * FROM own UNION ALL SELECT * FROM lapsed) a ORDER BY a.username_folded LIMIT $3"
);
pub(in crate::postgres) const ACCOUNTS_ADDRESSED: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.email_folded >= $1 AND a.email_folded < $2 ORDER BY a.email_folded LIMIT $3"
);
// The subject that ends a part of the accounts.
pub(in crate::postgres) const ACCOUNTS_PART: &str =
    "SELECT subject FROM account WHERE subject > $1 ORDER BY subject LIMIT 1 OFFSET $2 - 1";
pub(in crate::postgres) const COUNT_ACCOUNTS: &str = concat!(
    "SELECT ",
    count_status!("active"),
    ", ",
    count_status!("unverified"),
    ", ",
    count_status!("locked"),
    ", ",
    count_status!("deactivated"),
    " FROM account a WHERE a.subject > $1 AND a.subject <= $2"
);
// The ids of the sessions that end a page of examined rows.
pub(in crate::postgres) const EXAMINED: &str =
    "SELECT sid FROM session WHERE sid < $1 ORDER BY sid DESC LIMIT 1 OFFSET $2 - 1";
pub(in crate::postgres) const EXAMINED_OF: &str = "SELECT sid FROM session \
     WHERE subject = $3 AND ended_reason IS NULL AND sid < $1 ORDER BY sid DESC LIMIT 1 OFFSET $2 - 1";
pub(in crate::postgres) const EXAMINED_OPENED_BY: &str = "SELECT sid FROM session \
     WHERE client = $3 AND ended_reason IS NULL AND sid < $1 ORDER BY sid DESC LIMIT 1 OFFSET $2 - 1";
pub(in crate::postgres) const LIVE: &str = live_page!("");
pub(in crate::postgres) const LIVE_OF: &str = live_page!(" AND s.subject = $5");
pub(in crate::postgres) const LIVE_OPENED_BY: &str = live_page!(" AND s.client = $5");
// The id of the session that ends a part of the sessions.
pub(in crate::postgres) const SESSIONS_PART: &str =
    "SELECT sid FROM session WHERE sid > $1 ORDER BY sid LIMIT 1 OFFSET $2 - 1";
pub(in crate::postgres) const COUNT_SESSIONS: &str =
    concat!("SELECT count(*) ", live!(), " AND s.sid > $2 AND s.sid <= $3");
