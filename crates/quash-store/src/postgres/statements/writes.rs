//! Statements that write one thing: accounts, sessions, the log, keys, clients and settings.

use super::reads::{cluster, entry, head};

/// In a statement that writes the session `s`: no watermark covers it.
macro_rules! uncovered {
    () => {
        "s.opened_seq >= (SELECT g.sessions_before FROM cluster g WHERE g.id = 1) \
         AND s.opened_seq >= (SELECT a.sessions_before FROM account a WHERE a.subject = s.subject)"
    };
}

/// Adds a session for the account `$2` at its version `$20`, if neither the account's watermark nor the one
/// over everything covers it, and the account then has at most `$21` live sessions: its row is locked by then, so all
/// of them are seen.
macro_rules! open_session {
    () => {
        "INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until, ends_at, \
         ended_reason, ended_at, ended_actor, device, address, claims, foreign_key, foreign_until, known_device, client) \
         SELECT $1, a.subject, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19 \
         FROM account a JOIN cluster g ON g.id = 1 \
         WHERE a.subject = $2 AND a.version = $20 AND a.sessions_before <= $6 AND g.sessions_before <= $6 \
         AND (SELECT count(*) FROM session s WHERE s.subject = a.subject AND s.ended_reason IS NULL \
         AND s.idle_until > $7 AND s.opened_seq >= greatest(a.sessions_before, g.sessions_before)) < $21"
    };
}

// Locks, in the order in which they are taken.
pub(in crate::postgres) const LOCK_KEY: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
pub(in crate::postgres) const LOCK_ACCOUNTS: &str =
    "SELECT 1 FROM account WHERE subject = ANY($1) ORDER BY subject FOR NO KEY UPDATE";
pub(in crate::postgres) const LOCK_DELETED_ACCOUNTS: &str =
    "SELECT 1 FROM account WHERE subject = ANY($1) ORDER BY subject FOR UPDATE";
pub(in crate::postgres) const LOCK_SESSIONS: &str =
    "SELECT 1 FROM session WHERE sid = ANY($1) ORDER BY sid FOR NO KEY UPDATE";
pub(in crate::postgres) const LOCK_SESSIONS_OF: &str =
    "SELECT 1 FROM session WHERE sid = ANY($1) OR subject = ANY($2) ORDER BY sid FOR UPDATE";
pub(in crate::postgres) const LOCK_FLOWS: &str =
    "SELECT 1 FROM flow WHERE id = ANY($1) ORDER BY id FOR UPDATE";
pub(in crate::postgres) const LOCK_MAILS: &str =
    "SELECT 1 FROM mail WHERE id = ANY($1) ORDER BY id FOR UPDATE";
pub(in crate::postgres) const LOCK_CLIENTS: &str =
    "SELECT 1 FROM client WHERE name = ANY($1) ORDER BY name FOR UPDATE";
pub(in crate::postgres) const LOCK_AUDIT: &str = "SELECT last FROM audit_number WHERE id = 1 FOR UPDATE";
pub(in crate::postgres) const LOCK_CLUSTER: &str = "SELECT 1 FROM cluster WHERE id = 1 FOR NO KEY UPDATE";
pub(in crate::postgres) const LOCK_LOG: &str = "SELECT 1 FROM log_lock WHERE id = 1 FOR UPDATE";

// The log. Its end is read by a statement that begins after `log_lock` is held.
pub(in crate::postgres) const LOG_END: &str =
    concat!("SELECT ", head!(), " FROM ", cluster!(), " WHERE g.id = 1");
pub(in crate::postgres) const ADD_ENTRIES: &str = concat!(
    "INSERT INTO revocation_log (seq, kind, key, drop_after, reason, at, actor, chain, until) SELECT ",
    entry!(),
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS e(seq, kind, key, drop_after, reason, at, actor, chain, until)"
);
pub(in crate::postgres) const REVOKED_ALREADY: &str =
    "SELECT 1 FROM revocation_log WHERE key = ANY($1) LIMIT 1";
pub(in crate::postgres) const ADOPTED_ALREADY: &str =
    "SELECT 1 FROM session WHERE foreign_key = ANY($1) LIMIT 1";
pub(in crate::postgres) const ADOPTED_BEFORE: &str = "SELECT 1 FROM adopted WHERE key = ANY($1) LIMIT 1";
pub(in crate::postgres) const END_EVERYTHING: &str =
    "UPDATE cluster SET sessions_before = $1, foreign_after = greatest(foreign_after, $2) WHERE id = 1";
pub(in crate::postgres) const RAISE_LONGEST_LIFETIME: &str =
    "UPDATE cluster SET longest_lifetime_ms = greatest(longest_lifetime_ms, $1) WHERE id = 1";

// Accounts. An insert waits for competing ones; what no index says is checked after it.
pub(in crate::postgres) const ADD_ACCOUNT: &str = "INSERT INTO account (subject, username, username_folded, email, email_folded, \
     email_verified_at, password, state, state_at, sessions_before, version, created_at, foreign_after, last_login_at, \
     password_class, must_change, locks, claims, devices, locked_at, claims_adopted, mark) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
     ON CONFLICT DO NOTHING";
// A new account whose subject was another's, or is the name of another; or whose name is the subject of
// another.
pub(in crate::postgres) const IS_TAKEN: &str = "SELECT 1 FROM gone WHERE subject = $1 \
     UNION ALL SELECT 1 FROM account WHERE username_folded = $2 AND subject <> $1 \
     UNION ALL SELECT 1 FROM account WHERE subject IN ($3, $4) AND subject <> $1";
// A flag before each field says whether it changes. Its new name isn't the subject of another account.
pub(in crate::postgres) const EDIT_ACCOUNT: &str = "UPDATE account SET version = version + 1, \
     username = CASE WHEN $3 THEN $4 ELSE username END, username_folded = CASE WHEN $3 THEN $5 ELSE username_folded END, \
     email = CASE WHEN $6 THEN $7 ELSE email END, email_folded = CASE WHEN $6 THEN $8 ELSE email_folded END, \
     email_verified_at = CASE WHEN $6 THEN $9 ELSE email_verified_at END, \
     password = CASE WHEN $10 THEN $11 ELSE password END, password_class = CASE WHEN $10 THEN $12 ELSE password_class END, \
     must_change = CASE WHEN $13 THEN $14 ELSE must_change END, \
     state = CASE WHEN $15 THEN $16 ELSE state END, state_at = CASE WHEN $15 THEN $17 ELSE state_at END, \
     locked_at = CASE WHEN $15 THEN $18 ELSE locked_at END, \
     locks = coalesce($19, locks), \
     claims = CASE WHEN $20 THEN $21 ELSE claims END, claims_adopted = claims_adopted AND NOT $20, \
     sessions_before = coalesce($22, sessions_before), foreign_after = greatest(foreign_after, $23), \
     devices = coalesce($24, devices), mark = CASE WHEN $25 THEN $26 ELSE mark END \
     WHERE subject = $1 AND version = $2 \
     AND NOT EXISTS (SELECT 1 FROM account o WHERE o.subject IN ($4, $5) AND o.subject <> $1)";
pub(in crate::postgres) const KEEP_ADOPTIONS: &str = "INSERT INTO adopted (key, until) \
     SELECT foreign_key, foreign_until FROM session WHERE subject = $1 AND foreign_key IS NOT NULL";
pub(in crate::postgres) const FORGET_SESSIONS_OF: &str = "DELETE FROM session WHERE subject = $1";
pub(in crate::postgres) const DELETE_ACCOUNT: &str =
    "DELETE FROM account WHERE subject = $1 AND version = $2";
pub(in crate::postgres) const ADD_GONE: &str = "INSERT INTO gone (subject) VALUES ($1)";

// Sessions.
pub(in crate::postgres) const OPEN_SESSION: &str = concat!(open_session!(), " ON CONFLICT DO NOTHING");
pub(in crate::postgres) const ADOPT: &str =
    concat!(open_session!(), " AND a.foreign_after < $22 AND g.foreign_after < $22 ON CONFLICT DO NOTHING");
// Updates the account's row at a sign-in. Claims of a token become its own if it never had any; a known
// device moves to the end of the text, and what exceeds `$10` characters is removed from its start.
pub(in crate::postgres) const SIGNED_IN: &str = "UPDATE account SET \
     password = coalesce($3, password), mark = CASE WHEN $3 IS NULL THEN mark ELSE $5 END, \
     password_class = CASE WHEN $3 IS NULL THEN password_class ELSE $4 END, \
     last_login_at = coalesce($6, last_login_at), locks = coalesce($7, locks), \
     claims_adopted = claims_adopted OR (claims IS NULL AND $8 IS NOT NULL), claims = coalesce(claims, $8), \
     devices = CASE WHEN $9 IS NULL THEN devices ELSE right(replace(devices, $9, '') || $9, $10) END \
     WHERE subject = $1 AND version = $2";
// Statements that write a session never wait for it: its row is locked, unless the session was added after the locks
// were taken. Another transaction that holds it then may wait for a lock that is held here, such as the log's.
macro_rules! one_session {
    () => {
        "s.sid = (SELECT sid FROM session WHERE sid = $1 FOR NO KEY UPDATE SKIP LOCKED) AND s.ended_reason IS NULL"
    };
}
pub(in crate::postgres) const ROTATE: &str = concat!(
    "UPDATE session s SET generation = $3, rotated_at = $4, idle_until = $5 WHERE ",
    one_session!(),
    " AND s.generation = $2 AND ",
    uncovered!()
);
pub(in crate::postgres) const BIND_SESSION: &str =
    concat!("UPDATE session s SET known_device = $2 WHERE ", one_session!(), " AND ", uncovered!());
pub(in crate::postgres) const SURVIVE: &str = concat!(
    "UPDATE session s SET generation = $3, rotated_at = $4, idle_until = $5, opened_seq = $6 WHERE ",
    one_session!(),
    " AND s.generation = $2 AND s.subject = $7 AND ",
    uncovered!()
);
pub(in crate::postgres) const END_SESSION: &str =
    concat!("UPDATE session s SET ended_reason = $2, ended_at = $3, ended_actor = $4 WHERE ", one_session!());

// Batches. Another order of the locks could deadlock, and no plan keeps an order by itself: so a statement locks its
// rows first, sorted as every transaction sorts them, and writes no other row.
macro_rules! locked {
    () => {
        "WITH locked AS (SELECT sid FROM session WHERE sid = ANY($1) ORDER BY sid FOR NO KEY UPDATE) "
    };
}
pub(in crate::postgres) const ROTATE_ALL: &str = concat!(
    locked!(),
    "UPDATE session s SET generation = q.following, rotated_at = q.rotated_at, idle_until = q.idle_until \
     FROM unnest($1, $2, $3, $4, $5) AS q(sid, generation, following, rotated_at, idle_until) JOIN locked USING (sid) \
     WHERE s.sid = q.sid AND s.generation = q.generation AND s.ended_reason IS NULL \
     AND current_setting('quash.begun', true) = 'yes' AND ",
    uncovered!(),
    " RETURNING s.sid"
);
pub(in crate::postgres) const END_ALL: &str = concat!(
    locked!(),
    "UPDATE session s SET ended_reason = q.reason, ended_at = q.at, ended_actor = q.actor \
     FROM unnest($1, $2, $3, $4) AS q(sid, reason, at, actor) JOIN locked USING (sid) \
     WHERE s.sid = q.sid AND s.ended_reason IS NULL AND current_setting('quash.begun', true) = 'yes' RETURNING s.sid"
);

// Keys, clients, secrets and settings. The indexes over the states allow only one current key, and one next
// key.
pub(in crate::postgres) const RETIRE_KEY: &str =
    "UPDATE signing_key SET state = 'retiring', state_at = $2 WHERE kid = $1 AND state = 'current'";
pub(in crate::postgres) const MAKE_CURRENT: &str =
    "UPDATE signing_key SET state = 'current', state_at = NULL WHERE kid = $1 AND state = $2";
pub(in crate::postgres) const ADD_KEY: &str = "INSERT INTO signing_key (kid, algorithm, state, state_at, secret, created_at, source) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
pub(in crate::postgres) const DROP_KEY: &str =
    "DELETE FROM signing_key WHERE kid = $1 AND state IN ('retiring', 'next')";
pub(in crate::postgres) const REVOKE_KEY: &str = "UPDATE signing_key SET state = 'struck', state_at = $2, secret = $3 \
     WHERE kid = $1 AND state <> 'struck'";
pub(in crate::postgres) const ADVANCE_RING: &str = "UPDATE cluster SET ring = ring + 1 WHERE id = 1";
pub(in crate::postgres) const ADD_CLIENT: &str = "INSERT INTO client (name, digest, rights, created_at, namespace, expires_at, version) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
// The transaction has locked the digest.
pub(in crate::postgres) const CHANGE_CLIENT: &str = "UPDATE client SET rights = $5, expires_at = $6, digest = coalesce($7, digest), \
     version = version + 1 WHERE name = $1 AND created_at = $2 AND namespace IS NOT DISTINCT FROM $3 AND version = $4 \
     AND ($7 IS NULL OR NOT EXISTS (SELECT 1 FROM client c WHERE c.digest = $7))";
pub(in crate::postgres) const USE_CLIENTS: &str = "UPDATE client c SET last_used_at = q.at FROM (SELECT c.name, q.at \
     FROM unnest($1, $2) AS q(name, at) JOIN client c ON c.name = q.name ORDER BY c.name FOR UPDATE OF c) q \
     WHERE c.name = q.name AND c.created_at <= q.at AND (c.last_used_at IS NULL OR c.last_used_at < q.at)";
pub(in crate::postgres) const REMOVE_CLIENT: &str = "DELETE FROM client WHERE name = $1 AND rights = $2 \
     AND created_at = $3 AND namespace IS NOT DISTINCT FROM $4 AND version = $5";
pub(in crate::postgres) const ADD_SECRET: &str =
    "INSERT INTO secret (name, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(in crate::postgres) const REMEMBER: &str = "INSERT INTO setting (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(in crate::postgres) const APPLY_SETTINGS: &str =
    "UPDATE cluster SET settings = settings + 1 WHERE id = 1 AND settings = $1";

// The audit.
pub(in crate::postgres) const ADD_AUDIT: &str = "INSERT INTO audit (at, event, actor, reason, subject, sid, kid, seq, watermark) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
pub(in crate::postgres) const ADD_AUDIT_WITH_PERSON: &str = "WITH entry AS (\
     INSERT INTO audit (at, event, actor, reason, subject, sid, kid, seq, watermark) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING row) \
     INSERT INTO audit_person (row, name, address, device, author, note) \
     SELECT entry.row, $10, $11, $12, $13, $14 FROM entry";
pub(in crate::postgres) const ADD_AUDITS: &str = "INSERT INTO audit (at, event, actor, reason, subject, sid, kid, seq, watermark) \
     SELECT q.at, q.event, q.actor, q.reason, q.subject, q.sid, NULL, q.seq, NULL \
     FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY AS q(at, event, actor, reason, subject, sid, seq, place) ORDER BY q.place";
// Gives numbers to the entries that have none, in the order in which they were written. The caller must have locked
// `audit_number` in an earlier statement.
// A page of 20,000: an import may leave a million.
pub(in crate::postgres) const NUMBER_AUDIT: &str = "WITH fresh AS (\
     SELECT row, row_number() OVER (ORDER BY row) AS place FROM (\
     SELECT row FROM audit WHERE number IS NULL ORDER BY row LIMIT 20000) oldest), \
     given AS (UPDATE audit u SET number = h.last + fresh.place FROM fresh, audit_number h \
     WHERE u.row = fresh.row AND h.id = 1 RETURNING 1) \
     UPDATE audit_number SET last = last + (SELECT count(*) FROM given) WHERE id = 1 RETURNING (SELECT count(*) FROM given)";
pub(in crate::postgres) const NUMBERED_AT_ONCE: u64 = 20_000;
pub(in crate::postgres) const SEALED_UP_TO: &str = "SELECT last_id, last_chain FROM audit_seal WHERE id = 1";
pub(in crate::postgres) const SEAL_ENTRIES: &str = "UPDATE audit u SET person = q.person, chain = q.chain \
     FROM unnest($1, $2, $3) AS q(number, person, chain) WHERE u.number = q.number AND u.chain IS NULL";
// An entry that was blanked meanwhile has no row for a salt.
pub(in crate::postgres) const SALT_PERSONS: &str = "UPDATE audit_person p SET salt = q.salt \
     FROM unnest($1, $2) AS q(number, salt) JOIN audit u ON u.number = q.number WHERE p.row = u.row";
pub(in crate::postgres) const SET_SEAL: &str = "INSERT INTO audit_seal (id, first_id, first_chain, last_id, last_chain, at, signed) \
     VALUES (1, $1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET first_id = excluded.first_id, \
     first_chain = excluded.first_chain, last_id = excluded.last_id, last_chain = excluded.last_chain, at = excluded.at, \
     signed = excluded.signed";
pub(in crate::postgres) const RAISE_AUDIT: &str =
    "UPDATE audit_number SET last = greatest(last, $1) WHERE id = 1";

// Flows and mails.
pub(in crate::postgres) const END_FLOW_ABOUT: &str = "DELETE FROM flow WHERE id = $1 AND matter = $2";
pub(in crate::postgres) const START_FLOW: &str = "INSERT INTO flow (id, purpose, matter, subject, address, binding, tries, created_at, \
     expires_at, username, password, password_class, username_folded, email_folded) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
pub(in crate::postgres) const SPEND_TRY: &str =
    "UPDATE flow SET tries = tries - 1 WHERE id = $1 AND tries > 0";
pub(in crate::postgres) const USE_FLOW: &str = "DELETE FROM flow WHERE id = $1";
pub(in crate::postgres) const ADD_MAIL: &str = "INSERT INTO mail (id, kind, recipient, whom, flow, created_at, due_at, keep_until, \
     attempts, doubts, sent_at, subject, priority) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";
pub(in crate::postgres) const TRY_MAIL: &str = "UPDATE mail SET attempts = attempts + 1, doubts = doubts + 1, due_at = $3 \
     WHERE id = $1 AND attempts = $2 AND sent_at IS NULL";
pub(in crate::postgres) const MAIL_SENT: &str = "UPDATE mail SET doubts = greatest(doubts - 1, 0), sent_at = $3, keep_until = $4 \
     WHERE id = $1 AND attempts = $2 AND sent_at IS NULL";
pub(in crate::postgres) const MAIL_NOT_SENT: &str = "UPDATE mail SET doubts = greatest(doubts - 1, 0) \
     WHERE id = $1 AND attempts = $2 AND sent_at IS NULL";
pub(in crate::postgres) const DROP_MAIL: &str = "DELETE FROM mail WHERE id = $1 AND sent_at IS NULL";
