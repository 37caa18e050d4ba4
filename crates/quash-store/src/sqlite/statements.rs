//! Every SQL statement of the running store. Guards are conditions of the writing statement; the number of
//! written rows shows whether they held. `migrations/sqlite` contains the schema.

/// The columns that `rows::account` reads.
macro_rules! account {
    () => {
        "a.subject, a.username, a.email, a.email_verified_at, a.password, a.state, a.state_at, a.locked_at, a.sessions_before, a.version, \
         a.created_at, a.foreign_after, a.last_login_at, a.must_change, a.locks, a.claims, a.claims_adopted, a.devices, a.mark"
    };
}

/// The columns that `rows::session` reads.
macro_rules! session {
    () => {
        "s.sid, s.subject, s.generation, s.rotated_at, s.seed, s.opened_seq, s.opened_at, s.idle_until, s.ends_at, \
         s.ended_reason, s.ended_at, s.ended_actor, s.device, s.address, s.claims, s.foreign_key, s.foreign_until, \
         s.known_device, s.client"
    };
}

/// The columns that `rows::entry` reads.
macro_rules! entry {
    () => {
        "seq, kind, key, drop_after, reason, at, actor, chain"
    };
}

/// The columns that `rows::client` reads.
macro_rules! client {
    () => {
        "c.name, c.rights, c.created_at"
    };
}

/// The columns that `audit::entry` reads.
macro_rules! audit {
    () => {
        "u.id, u.at, u.event, u.actor, u.reason, u.subject, u.sid, u.kid, u.seq, p.id, p.name, p.address, p.device, p.author, p.note, p.salt, \
         u.person, u.chain \
         FROM audit u LEFT JOIN audit_person p ON p.id = u.id"
    };
}

/// The columns that `rows::flow` reads.
macro_rules! flow {
    () => {
        "w.id, w.purpose, w.matter, w.subject, w.address, w.binding, w.tries, w.created_at, w.expires_at, \
         w.username, w.password, w.password_class"
    };
}

/// The columns that `rows::mail` reads.
macro_rules! mail {
    () => {
        "id, kind, recipient, whom, flow, created_at, due_at, keep_until, attempts, doubts, sent_at, subject, priority"
    };
}

/// Sessions of the account `?1` that count as of `?2` and aren't below the watermark `?3`.
macro_rules! counted {
    () => {
        "FROM session s INDEXED BY session_live \
         WHERE s.subject = ?1 AND s.ended_reason IS NULL AND s.idle_until > ?2 AND s.opened_seq >= ?3"
    };
}

/// In a statement that writes the session: no watermark covers it.
macro_rules! uncovered {
    () => {
        "opened_seq >= (SELECT f.sessions_before FROM feed_head f WHERE f.id = 1) \
         AND opened_seq >= (SELECT a.sessions_before FROM account a WHERE a.subject = session.subject)"
    };
}

/// Adds a session for the account `?2` at its version `?15`, if neither the account's watermark nor the one
/// over everything covers it.
macro_rules! open_session {
    () => {
        "INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until, ends_at, \
         ended_reason, ended_at, ended_actor, device, address, claims, foreign_key, foreign_until, known_device, client) \
         SELECT ?1, a.subject, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?16, ?17, ?18, ?19, ?20 \
         FROM account a JOIN feed_head f ON f.id = 1 \
         WHERE a.subject = ?2 AND a.version = ?15 AND a.sessions_before <= ?6 AND f.sessions_before <= ?6"
    };
}

/// The earliest time at which a session's row may be deleted.
macro_rules! kept_until {
    () => {
        "max(idle_until, coalesce(foreign_until, 0))"
    };
}

// Transactions.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
pub(super) const BEGIN_READ: &str = "BEGIN DEFERRED";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const SAVEPOINT: &str = "SAVEPOINT member";
pub(super) const RELEASE: &str = "RELEASE member";
pub(super) const ROLLBACK_MEMBER: &str = "ROLLBACK TO member";

// The WAL.
pub(super) const WAL_STATUS: &str = "PRAGMA wal_checkpoint(NOOP)";
pub(super) const WAL_PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
pub(super) const WAL_RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";

// Reads.
pub(super) const HEAD: &str = "SELECT seq, chain, sessions_before, foreign_after, min_seq, forgotten_at, forgotten_until FROM feed_head WHERE id = 1";
pub(super) const LONGEST_LIFETIME: &str = "SELECT longest_lifetime_ms FROM feed_head WHERE id = 1";
pub(super) const ACCOUNT_BY_NAME: &str =
    concat!("SELECT ", account!(), " FROM account a WHERE a.username_folded = ?1");
pub(super) const ACCOUNT_BY_SUBJECT: &str =
    concat!("SELECT ", account!(), " FROM account a WHERE a.subject = ?1");
pub(super) const ACCOUNT_BY_EMAIL: &str =
    concat!("SELECT ", account!(), " FROM account a WHERE a.email_folded = ?1 LIMIT 2");
pub(super) const ACCOUNT_BY_CONFIRMED_EMAIL: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.email_folded = ?1 AND a.email_verified_at IS NOT NULL LIMIT 2"
);
// The conditions match the partial indexes over numeric subjects.
pub(super) const LARGEST_NUMBER: &str = "SELECT max(\
     coalesce((SELECT max(CAST(subject AS INTEGER)) FROM account INDEXED BY account_number \
     WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*'), 0), \
     coalesce((SELECT max(CAST(subject AS INTEGER)) FROM gone INDEXED BY gone_number \
     WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*'), 0))";
pub(super) const ACCOUNTS: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.username_folded > ?1 ORDER BY a.username_folded LIMIT ?2"
);
pub(super) const PASSWORD_CLASS_AFTER: &str =
    "SELECT min(password_class) FROM account WHERE password_class > ?1";
pub(super) const LIVE_SESSIONS: &str = concat!("SELECT count(*) ", counted!());
pub(super) const IDLEST: &str =
    concat!("SELECT ", session!(), " ", counted!(), " ORDER BY s.rotated_at, s.sid LIMIT 1");
pub(super) const SESSION: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s JOIN account a ON a.subject = s.subject WHERE s.sid = ?1"
);
pub(super) const ADOPTED: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s JOIN account a ON a.subject = s.subject WHERE s.foreign_key = ?1"
);
pub(super) const SESSIONS_OF: &str = concat!(
    "SELECT ",
    session!(),
    " FROM session s INDEXED BY session_of WHERE s.subject = ?1 AND s.sid > ?2 ORDER BY s.sid LIMIT ?3"
);
pub(super) const ENTRIES_AFTER: &str =
    concat!("SELECT ", entry!(), " FROM revocation_log WHERE seq > ?1 ORDER BY seq LIMIT ?2");
// Reads no more rows than it returns, however many of them a newer entry of the scope supersedes.
pub(super) const ENTRIES_BETWEEN: &str = concat!(
    "SELECT ",
    entry!(),
    ", NOT EXISTS (SELECT 1 FROM revocation_log n WHERE n.key = revocation_log.key AND n.seq > revocation_log.seq AND n.seq <= ?2) \
     FROM revocation_log WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"
);
pub(super) const ENTRIES_OF: &str =
    concat!("SELECT ", entry!(), " FROM revocation_log WHERE key = ?1 ORDER BY seq");
pub(super) const REVOKED_ALREADY: &str = "SELECT 1 FROM revocation_log WHERE key = ?1 LIMIT 1";
pub(super) const ADOPTED_ALREADY: &str = "SELECT 1 FROM session WHERE foreign_key = ?1 LIMIT 1";
pub(super) const ADOPTED_BEFORE: &str = "SELECT 1 FROM adopted WHERE key = ?1";
// The time at which an account last lost the name or address of a scope.
pub(super) const FREED_AT: &str = "SELECT max(at) FROM revocation_log WHERE key = ?1 AND reason IN ('deleted', 'name_changed', 'email_changed')";
pub(super) const KEYS: &str = "SELECT kid, algorithm, state, state_at, secret, created_at, source FROM signing_key ORDER BY created_at, kid";
pub(super) const CLIENT_BY_SECRET: &str = concat!("SELECT ", client!(), " FROM client c WHERE c.digest = ?1");
pub(super) const CLIENTS: &str =
    concat!("SELECT ", client!(), " FROM client c WHERE c.name > ?1 ORDER BY c.name LIMIT ?2");
pub(super) const REMEMBERED: &str = "SELECT value FROM remembered WHERE name = ?1";
pub(super) const SECRET: &str = "SELECT secret FROM secret WHERE name = ?1";

// The log.
pub(super) const LOG_END: &str = "SELECT seq, chain, longest_lifetime_ms FROM feed_head WHERE id = 1";
pub(super) const ADD_ENTRY: &str =
    concat!("INSERT INTO revocation_log (", entry!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
pub(super) const MOVE_HEAD: &str = "UPDATE feed_head SET seq = ?1, chain = ?2 WHERE id = 1 AND seq = ?3";

// Changes. Those that insert a row write nothing if an existing row conflicts.
pub(super) const ADD_ACCOUNT: &str = "INSERT INTO account (subject, username, username_folded, email, email_folded, email_verified_at, \
     password, state, state_at, sessions_before, version, created_at, foreign_after, last_login_at, \
     password_class, must_change, locks, claims, devices, locked_at, claims_adopted, mark) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22 \
     WHERE NOT EXISTS (SELECT 1 FROM account WHERE email_folded = ?5) AND NOT EXISTS (SELECT 1 FROM gone WHERE subject = ?1) \
     ON CONFLICT DO NOTHING";
pub(super) const OPEN_SESSION: &str = concat!(open_session!(), " ON CONFLICT DO NOTHING");
pub(super) const ADOPT: &str =
    concat!(open_session!(), " AND a.foreign_after < ?21 AND f.foreign_after < ?21 ON CONFLICT DO NOTHING");
pub(super) const REHASH: &str =
    "UPDATE account SET password = ?1, password_class = ?4 WHERE subject = ?2 AND version = ?3";
pub(super) const LAST_LOGIN: &str =
    "UPDATE account SET last_login_at = ?1 WHERE subject = ?2 AND version = ?3";
pub(super) const ADOPT_CLAIMS: &str = "UPDATE account SET claims = ?1, claims_adopted = 1 WHERE subject = ?2 AND version = ?3 AND claims IS NULL";
pub(super) const COUNT_LOCKS: &str = "UPDATE account SET locks = ?1 WHERE subject = ?2 AND version = ?3";
// Moves the device `?1` to the end of the text, and removes what exceeds `?4` characters from its start.
pub(super) const KNOW_DEVICE: &str = "UPDATE account SET devices = substr(replace(devices, ?1, '') || ?1, -?4) WHERE subject = ?2 AND version = ?3";
pub(super) const ROTATE: &str = concat!(
    "UPDATE session SET generation = ?3, rotated_at = ?4, idle_until = ?5 \
     WHERE sid = ?1 AND generation = ?2 AND ended_reason IS NULL AND ",
    uncovered!()
);
pub(super) const BIND_SESSION: &str = concat!(
    "UPDATE session SET known_device = ?2 WHERE sid = ?1 AND ended_reason IS NULL AND ",
    uncovered!()
);
pub(super) const SURVIVE: &str = concat!(
    "UPDATE session SET generation = ?3, rotated_at = ?4, idle_until = ?5, opened_seq = ?6 \
     WHERE sid = ?1 AND generation = ?2 AND subject = ?7 AND ended_reason IS NULL AND ",
    uncovered!()
);
pub(super) const END_SESSION: &str = "UPDATE session SET ended_reason = ?2, ended_at = ?3, ended_actor = ?4 WHERE sid = ?1 AND ended_reason IS NULL";
// A flag before each field says whether it changes. If another account has the name or address, the row stays
// unchanged.
pub(super) const EDIT_ACCOUNT: &str = "UPDATE OR IGNORE account SET version = version + 1, \
     username = iif(?3, ?4, username), username_folded = iif(?3, ?5, username_folded), \
     email = iif(?6, ?7, email), email_folded = iif(?6, ?8, email_folded), email_verified_at = iif(?6, ?9, email_verified_at), \
     password = iif(?10, ?11, password), password_class = iif(?10, ?12, password_class), \
     must_change = iif(?13, ?14, must_change), state = iif(?15, ?16, state), state_at = iif(?15, ?17, state_at), \
     locked_at = iif(?15, ?24, locked_at), mark = iif(?25, ?26, mark), \
     locks = coalesce(?18, locks), claims = iif(?19, ?20, claims), claims_adopted = iif(?19, 0, claims_adopted), \
     devices = coalesce(?23, devices), \
     sessions_before = coalesce(?21, sessions_before), foreign_after = max(foreign_after, coalesce(?22, 0)) \
     WHERE subject = ?1 AND version = ?2 AND NOT EXISTS (SELECT 1 FROM account o WHERE o.email_folded = ?8 AND o.subject <> ?1)";
pub(super) const KEEP_ADOPTIONS: &str = "INSERT INTO adopted (key, until) \
     SELECT foreign_key, foreign_until FROM session WHERE subject = ?1 AND foreign_key IS NOT NULL";
pub(super) const FORGET_SESSIONS_OF: &str = "DELETE FROM session WHERE subject = ?1";
pub(super) const DELETE_ACCOUNT: &str = "DELETE FROM account WHERE subject = ?1 AND version = ?2";
pub(super) const ADD_GONE: &str = "INSERT INTO gone (subject) VALUES (?1)";
pub(super) const END_EVERYTHING: &str = "UPDATE feed_head SET sessions_before = ?1, foreign_after = max(foreign_after, ?2) WHERE id = 1 AND seq = ?1";
pub(super) const RETIRE_KEY: &str =
    "UPDATE signing_key SET state = 'retiring', state_at = ?2 WHERE kid = ?1 AND state = 'current'";
// Makes a key in the state `?2` current. If another key is current, the unique index leaves the row
// unchanged.
pub(super) const MAKE_CURRENT: &str =
    "UPDATE OR IGNORE signing_key SET state = 'current', state_at = NULL WHERE kid = ?1 AND state = ?2";
// The indexes over the states allow only one current key, and one next key.
pub(super) const ADD_KEY: &str = "INSERT INTO signing_key (kid, algorithm, state, state_at, secret, created_at, source) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
pub(super) const DROP_KEY: &str = "DELETE FROM signing_key WHERE kid = ?1 AND state IN ('retiring', 'next')";
pub(super) const REVOKE_KEY: &str = "UPDATE signing_key SET state = 'struck', state_at = ?2, secret = ?3 WHERE kid = ?1 AND state <> 'struck'";
pub(super) const ADD_CLIENT: &str =
    "INSERT INTO client (name, digest, rights, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
pub(super) const REMOVE_CLIENT: &str =
    "DELETE FROM client WHERE name = ?1 AND rights = ?2 AND created_at = ?3";
pub(super) const ADD_SECRET: &str =
    "INSERT INTO secret (name, secret) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
pub(super) const REMEMBER: &str = "INSERT INTO remembered (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const RAISE_LONGEST_LIFETIME: &str =
    "UPDATE feed_head SET longest_lifetime_ms = max(longest_lifetime_ms, ?1) WHERE id = 1";

// The audit.
pub(super) const NEXT_AUDIT: &str = "UPDATE audit_head SET last = last + 1 WHERE id = 1 RETURNING last";
pub(super) const ADD_AUDIT: &str = "INSERT INTO audit (id, at, event, actor, reason, subject, sid, kid, seq, watermark) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
pub(super) const ADD_PERSON: &str =
    "INSERT INTO audit_person (id, name, address, device, author, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const AUDIT_HEAD: &str = "SELECT h.last, (SELECT min(id) FROM audit), (SELECT max(id) FROM audit), \
     s.first_id, s.first_chain, s.last_id, s.last_chain, s.at, s.signed \
     FROM audit_head h LEFT JOIN audit_seal s ON s.id = h.id WHERE h.id = 1";
pub(super) const SEAL_ENTRY: &str =
    "UPDATE audit SET person = ?2, chain = ?3 WHERE id = ?1 AND chain IS NULL";
pub(super) const SALT_PERSON: &str = "UPDATE audit_person SET salt = ?2 WHERE id = ?1";
pub(super) const SET_SEAL: &str = "INSERT INTO audit_seal (id, first_id, first_chain, last_id, last_chain, at, signed) \
     VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET first_id = excluded.first_id, \
     first_chain = excluded.first_chain, last_id = excluded.last_id, last_chain = excluded.last_chain, at = excluded.at, \
     signed = excluded.signed";
pub(super) const RAISE_AUDIT: &str = "UPDATE audit_head SET last = max(last, ?1) WHERE id = 1";
pub(super) const FORGET_AUDIT: &str = "DELETE FROM audit WHERE id <= ?1";
pub(super) const UNBLANKED: &str = "SELECT subject FROM gone WHERE blanked = 0 LIMIT 1";
pub(super) const BLANK_PERSONS: &str = "DELETE FROM audit_person WHERE id IN (SELECT p.id FROM audit u JOIN audit_person p ON p.id = u.id \
     WHERE u.subject = ?1 AND u.event <> 'account_deleted' ORDER BY u.id LIMIT ?2)";
pub(super) const ALL_BLANKED: &str = "UPDATE gone SET blanked = 1 WHERE subject = ?1";
pub(super) const AUDIT: &str = concat!("SELECT ", audit!(), " WHERE u.id > ?1 ORDER BY u.id LIMIT ?2");
pub(super) const FIRST_ENDING: &str = "SELECT watermark, reason, at, actor FROM audit INDEXED BY audit_watermark \
     WHERE subject IS ?1 AND watermark > ?2 ORDER BY watermark LIMIT 1";
pub(super) const AUDIT_OF: &str =
    concat!("SELECT ", audit!(), " WHERE u.subject = ?3 AND u.id > ?1 ORDER BY u.id LIMIT ?2");

// Flows and mails.
pub(super) const FLOW: &str = concat!("SELECT ", flow!(), " FROM flow w WHERE w.id = ?1");
// The newest registration under a name or for an address.
pub(super) const REGISTRATION_BY_NAME: &str = concat!(
    "SELECT ",
    flow!(),
    " FROM flow w INDEXED BY flow_username WHERE w.username_folded = ?1 AND w.expires_at > ?2 ORDER BY w.created_at DESC, w.id DESC LIMIT 1"
);
pub(super) const REGISTRATION_BY_EMAIL: &str = concat!(
    "SELECT ",
    flow!(),
    " FROM flow w INDEXED BY flow_email WHERE w.email_folded = ?1 AND w.expires_at > ?2 ORDER BY w.created_at DESC, w.id DESC LIMIT 1"
);
pub(super) const FLOW_ABOUT: &str = "SELECT id, created_at FROM flow WHERE matter = ?1";
pub(super) const END_FLOW_ABOUT: &str = "DELETE FROM flow WHERE id = ?1 AND matter = ?2";
pub(super) const START_FLOW: &str = "INSERT INTO flow (id, purpose, matter, subject, address, binding, tries, created_at, expires_at, \
     username, password, password_class, username_folded, email_folded) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING";
pub(super) const SPEND_TRY: &str = "UPDATE flow SET tries = tries - 1 WHERE id = ?1 AND tries > 0";
pub(super) const USE_FLOW: &str = "DELETE FROM flow WHERE id = ?1";
pub(super) const ADD_MAIL: &str = concat!(
    "INSERT INTO mail (",
    mail!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING"
);
pub(super) const MAILS_COUNTED: &str = "SELECT count(*) FROM mail WHERE whom = ?1 AND created_at > ?2";
pub(super) const MAILS_DUE: &str = concat!(
    "SELECT ",
    mail!(),
    " FROM mail INDEXED BY mail_waiting WHERE sent_at IS NULL AND priority = ?3 AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2"
);
pub(super) const NEXT_MAIL: &str = "SELECT due_at FROM mail INDEXED BY mail_due WHERE sent_at IS NULL AND due_at > ?1 ORDER BY due_at LIMIT 1";
pub(super) const TRY_MAIL: &str = "UPDATE mail SET attempts = attempts + 1, doubts = doubts + 1, due_at = ?3 WHERE id = ?1 AND attempts = ?2 AND sent_at IS NULL";
pub(super) const MAIL_SENT: &str = "UPDATE mail SET doubts = max(doubts - 1, 0), sent_at = ?3, keep_until = ?4 WHERE id = ?1 AND attempts = ?2 AND sent_at IS NULL";
pub(super) const MAIL_NOT_SENT: &str =
    "UPDATE mail SET doubts = max(doubts - 1, 0) WHERE id = ?1 AND attempts = ?2 AND sent_at IS NULL";
pub(super) const DROP_MAIL: &str = "DELETE FROM mail WHERE id = ?1 AND sent_at IS NULL";

// Pruning. The indexes are named so that a page of few rows never reads the whole table.
pub(super) const MARK_ENTRIES: &str = "UPDATE revocation_log SET marked_at = ?1 WHERE marked_at IS NULL AND seq IN \
     (SELECT seq FROM revocation_log INDEXED BY revocation_log_unmarked \
      WHERE marked_at IS NULL AND drop_after <= ?1 ORDER BY drop_after, seq LIMIT ?2)";
pub(super) const FORGET_SESSIONS: &str = concat!(
    "DELETE FROM session WHERE sid IN (SELECT sid FROM session INDEXED BY session_kept WHERE ",
    kept_until!(),
    " < ?1 ORDER BY ",
    kept_until!(),
    ", sid LIMIT ?2)"
);
pub(super) const FORGET_ADOPTIONS: &str = "DELETE FROM adopted WHERE key IN \
     (SELECT key FROM adopted INDEXED BY adopted_until WHERE until < ?1 ORDER BY until, key LIMIT ?2)";
pub(super) const DELETE_ENTRIES: &str = "DELETE FROM revocation_log WHERE seq IN \
     (SELECT seq FROM revocation_log INDEXED BY revocation_log_marked \
      WHERE marked_at <= ?2 AND drop_after <= ?1 ORDER BY marked_at, seq LIMIT ?3) RETURNING seq, at, drop_after";
pub(super) const FORGET_FLOWS: &str = "DELETE FROM flow WHERE id IN \
     (SELECT id FROM flow INDEXED BY flow_expires WHERE expires_at <= ?1 ORDER BY expires_at, id LIMIT ?2)";
pub(super) const FORGET_MAILS: &str = "DELETE FROM mail WHERE id IN \
     (SELECT id FROM mail INDEXED BY mail_kept WHERE keep_until <= ?1 ORDER BY keep_until, id LIMIT ?2)";
pub(super) const RAISE_FORGOTTEN: &str = "UPDATE feed_head SET min_seq = max(min_seq, ?1), forgotten_at = max(forgotten_at, ?2), \
     forgotten_until = max(forgotten_until, ?3) WHERE id = 1";
