//! Every SQL statement of the running store. Guards are conditions of the writing statement; the number of
//! written rows shows whether they held. `migrations/sqlite` contains the schema.

use crate::columns::{account, client, flow, session, standing, status};

/// The columns of an `Entry`, in the order in which `columns.rs` reads them.
macro_rules! entry {
    () => {
        "seq, kind, key, drop_after, reason, at, actor, chain, until"
    };
}

/// The columns of an `Audit`, in the order in which `columns.rs` reads them.
macro_rules! audit {
    () => {
        "u.id, u.at, u.event, u.actor, u.reason, u.subject, u.sid, u.kid, u.seq, p.id, p.name, p.address, p.device, p.author, p.note, p.salt, \
         u.person, u.chain \
         FROM audit u LEFT JOIN audit_person p ON p.id = u.id"
    };
}

/// Entries of the audit before a place, that match a filter; the newest first.
macro_rules! before {
    () => {
        "(u.at, u.id) < (:at, :id) AND u.at >= :from AND (:event IS NULL OR u.event = :event) \
         AND (:actor IS NULL OR u.actor = :actor) AND (:subject IS NULL OR u.subject = :subject) ORDER BY u.at DESC, u.id DESC LIMIT :limit"
    };
}

/// The columns of a `Mail`, in the order in which `columns.rs` reads them.
macro_rules! mail {
    () => {
        "id, kind, recipient, whom, flow, created_at, due_at, keep_until, attempts, doubts, sent_at, subject, priority"
    };
}

/// Sessions of the account `:subject` that count as of `:now` and aren't below the watermark `:watermark`.
macro_rules! counted {
    () => {
        "FROM session s INDEXED BY session_live \
         WHERE s.subject = :subject AND s.ended_reason IS NULL AND s.idle_until > :now AND s.opened_seq >= :watermark"
    };
}

/// In a statement that writes the session: no watermark covers it.
macro_rules! uncovered {
    () => {
        "opened_seq >= (SELECT f.sessions_before FROM feed_head f WHERE f.id = 1) \
         AND opened_seq >= (SELECT a.sessions_before FROM account a WHERE a.subject = session.subject)"
    };
}

/// Adds a session for the account `:subject` at its version `:version`, if neither the account's watermark nor the one
/// over everything covers it, and the account then has at most `:most_live` live sessions.
macro_rules! open_session {
    () => {
        "INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until, ends_at, \
         ended_reason, ended_at, ended_actor, device, address, claims, foreign_key, foreign_until, known_device, client) \
         SELECT :sid, a.subject, :generation, :rotated_at, :seed, :opened_seq, :opened_at, :idle_until, :ends_at, :ended_reason, :ended_at, :ended_actor, :device, :address, :claims, :foreign_key, :foreign_until, :known_device, :client \
         FROM account a JOIN feed_head f ON f.id = 1 \
         WHERE a.subject = :subject AND a.version = :version AND a.sessions_before <= :opened_seq AND f.sessions_before <= :opened_seq \
         AND (SELECT count(*) FROM session s INDEXED BY session_live WHERE s.subject = :subject AND s.ended_reason IS NULL \
         AND s.idle_until > :opened_at AND s.opened_seq >= max(a.sessions_before, f.sessions_before)) < :most_live"
    };
}

/// Counts the accounts `a` with a status at `:now`.
macro_rules! count_status {
    ($status:literal) => {
        concat!("count(CASE WHEN ", status!(":now"), " = '", $status, "' THEN 1 END)")
    };
}

/// The account and the watermark of the session `s`, which is live at `:now`. `CROSS JOIN` keeps the order of the
/// sessions.
macro_rules! live {
    () => {
        "CROSS JOIN account a ON a.subject = s.subject CROSS JOIN feed_head f ON f.id = 1 \
         WHERE s.ended_reason IS NULL AND s.idle_until > :now AND s.opened_seq >= max(a.sessions_before, f.sessions_before)"
    };
}

/// A page of the examined sessions, newest first.
macro_rules! paged {
    () => {
        " AND s.sid < :before AND s.sid >= :from ORDER BY s.sid DESC LIMIT :limit"
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
pub(super) const HEAD: &str = "SELECT seq, chain, sessions_before, foreign_after, min_seq, forgotten_at, forgotten_until, ring, settings, longest_lifetime_ms FROM feed_head WHERE id = 1";
pub(super) const ACCOUNT_BY_NAME: &str =
    concat!("SELECT ", account!(), " FROM account a WHERE a.username_folded = :username_folded");
pub(super) const ACCOUNT_BY_SUBJECT: &str =
    concat!("SELECT ", account!(), " FROM account a WHERE a.subject = :subject");
pub(super) const ACCOUNT_BY_EMAIL: &str =
    concat!("SELECT ", account!(), " FROM account a WHERE a.email_folded = :email_folded");
pub(super) const IS_GONE: &str = "SELECT 1 FROM gone WHERE subject = :subject";
// The conditions match the partial indexes over numeric subjects.
pub(super) const LARGEST_NUMBER: &str = "SELECT max(\
     coalesce((SELECT max(CAST(subject AS INTEGER)) FROM account INDEXED BY account_number \
     WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*'), 0), \
     coalesce((SELECT max(CAST(subject AS INTEGER)) FROM gone INDEXED BY gone_number \
     WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*'), 0))";
pub(super) const ACCOUNTS: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.username_folded > :after ORDER BY a.username_folded LIMIT :limit"
);
pub(super) const ACCOUNTS_IN: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.username_folded >= :from AND a.username_folded < :until \
     ORDER BY a.username_folded LIMIT :limit"
);
pub(super) const ACCOUNTS_STANDING: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a INDEXED BY account_standing WHERE ",
    standing!(),
    " = :standing AND a.username_folded >= :from AND a.username_folded < :until AND ",
    status!(":now"),
    " = :status ORDER BY a.username_folded LIMIT :limit"
);
pub(super) const ACCOUNTS_ADDRESSED: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a INDEXED BY account_email WHERE a.email_folded >= :from AND a.email_folded < :until \
     ORDER BY a.email_folded LIMIT :limit"
);
// The subject that ends a part of `:limit` accounts.
pub(super) const ACCOUNTS_PART: &str =
    "SELECT subject FROM account WHERE subject > :after ORDER BY subject LIMIT 1 OFFSET :limit - 1";
pub(super) const COUNT_ACCOUNTS: &str = concat!(
    "SELECT ",
    count_status!("active"),
    ", ",
    count_status!("unverified"),
    ", ",
    count_status!("locked"),
    ", ",
    count_status!("deactivated"),
    " FROM account a WHERE a.subject > :after AND a.subject <= :until"
);
pub(super) const PASSWORD_CLASS_AFTER: &str =
    "SELECT min(password_class) FROM account WHERE password_class > :after";
pub(super) const LIVE_SESSIONS: &str = concat!("SELECT count(*) ", counted!());
pub(super) const IDLEST: &str =
    concat!("SELECT ", session!(), " ", counted!(), " ORDER BY s.rotated_at, s.sid LIMIT 1");
pub(super) const SESSION: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s JOIN account a ON a.subject = s.subject WHERE s.sid = :sid"
);
pub(super) const ADOPTED: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s JOIN account a ON a.subject = s.subject WHERE s.foreign_key = :foreign_key"
);
pub(super) const SESSIONS_OF: &str = concat!(
    "SELECT ",
    session!(),
    " FROM session s INDEXED BY session_of WHERE s.subject = :subject AND s.sid > :after ORDER BY s.sid LIMIT :limit"
);
// The ids of the sessions that end a page of examined rows.
pub(super) const EXAMINED: &str =
    "SELECT sid FROM session WHERE sid < :before ORDER BY sid DESC LIMIT 1 OFFSET :examined - 1";
pub(super) const EXAMINED_OF: &str = "SELECT sid FROM session INDEXED BY session_live \
     WHERE subject = :subject AND ended_reason IS NULL AND sid < :before ORDER BY sid DESC LIMIT 1 OFFSET :examined - 1";
pub(super) const EXAMINED_OPENED_BY: &str = "SELECT sid FROM session INDEXED BY session_client \
     WHERE client = :client AND ended_reason IS NULL AND sid < :before ORDER BY sid DESC LIMIT 1 OFFSET :examined - 1";
pub(super) const LIVE: &str =
    concat!("SELECT ", session!(), ", ", account!(), " FROM session s ", live!(), paged!());
pub(super) const LIVE_OF: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s INDEXED BY session_live ",
    live!(),
    " AND s.subject = :subject",
    paged!()
);
pub(super) const LIVE_OPENED_BY: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s INDEXED BY session_client ",
    live!(),
    " AND s.client = :client",
    paged!()
);
// The id of the session that ends a part of `:limit` sessions.
pub(super) const SESSIONS_PART: &str =
    "SELECT sid FROM session WHERE sid > :after ORDER BY sid LIMIT 1 OFFSET :limit - 1";
pub(super) const COUNT_SESSIONS: &str =
    concat!("SELECT count(*) FROM session s ", live!(), " AND s.sid > :after AND s.sid <= :until");
pub(super) const ENTRIES_AFTER: &str =
    concat!("SELECT ", entry!(), " FROM revocation_log WHERE seq > :after ORDER BY seq LIMIT :limit");
// An entry about a late event supersedes none: it covers less than an earlier one may. Neither does one that
// was written while the clock was set back.
// Reads no more rows than it returns, however many of them a newer entry of the scope supersedes. Sessions and
// tokens (5 and 6) end once, and looking for each of their keys would take most of the time.
pub(super) const ENTRIES_BETWEEN: &str = concat!(
    "SELECT ",
    entry!(),
    ", CASE WHEN kind IN (5, 6) THEN 1 ELSE NOT coalesce((SELECT n.seq > revocation_log.seq AND n.at >= revocation_log.at FROM revocation_log n WHERE n.key = revocation_log.key AND n.seq <= :until AND n.until IS NULL ORDER BY n.seq DESC LIMIT 1), 0) END \
     FROM revocation_log WHERE seq > :after AND seq <= :until ORDER BY seq LIMIT :limit"
);
pub(super) const ENTRIES_OF: &str =
    concat!("SELECT ", entry!(), " FROM revocation_log WHERE key = :key ORDER BY seq");
pub(super) const REVOKED_ALREADY: &str = "SELECT 1 FROM revocation_log WHERE key = :key LIMIT 1";
pub(super) const ADOPTED_ALREADY: &str = "SELECT 1 FROM session WHERE foreign_key = :key LIMIT 1";
pub(super) const ADOPTED_BEFORE: &str = "SELECT 1 FROM adopted WHERE key = :key";
// The time at which an account last lost the name or address of a scope.
pub(super) const FREED_AT: &str = "SELECT max(at) FROM revocation_log WHERE key = :key AND reason IN ('deleted', 'name_changed', 'email_changed')";
pub(super) const KEYS: &str = "SELECT kid, algorithm, state, state_at, secret, created_at, source FROM signing_key ORDER BY created_at, kid";
pub(super) const CLIENT_BY_SECRET: &str =
    concat!("SELECT ", client!(), " FROM client c WHERE c.digest = :digest");
pub(super) const CLIENTS: &str = concat!(
    "SELECT ",
    client!(),
    ", c.last_used_at FROM client c WHERE c.name > :after ORDER BY c.name LIMIT :limit"
);
pub(super) const CLIENT_BY_NAME: &str =
    concat!("SELECT ", client!(), ", c.last_used_at FROM client c WHERE c.name = :name");
pub(super) const REMEMBERED: &str = "SELECT value FROM remembered WHERE name = :name";
pub(super) const SECRET: &str = "SELECT secret FROM secret WHERE name = :name";

// The log.
pub(super) const LOG_END: &str = "SELECT seq, chain, longest_lifetime_ms FROM feed_head WHERE id = 1";
pub(super) const ADD_ENTRY: &str = concat!(
    "INSERT INTO revocation_log (",
    entry!(),
    ") VALUES (:seq, :kind, :key, :drop_after, :reason, :at, :actor, :chain, :until)"
);
pub(super) const MOVE_HEAD: &str =
    "UPDATE feed_head SET seq = :seq, chain = :chain WHERE id = 1 AND seq = :newest";

// Changes. Those that insert a row write nothing if an existing row conflicts. Neither the name nor the
// subject of a new account may be the other of an existing one.
pub(super) const ADD_ACCOUNT: &str = "INSERT INTO account (subject, username, username_folded, email, email_folded, email_verified_at, \
     password, state, state_at, sessions_before, version, created_at, foreign_after, last_login_at, \
     password_class, must_change, locks, claims, devices, locked_at, claims_adopted, mark) \
     SELECT :subject, :username, :username_folded, :email, :email_folded, :email_verified_at, :password, :state, :state_at, :sessions_before, :version, :created_at, :foreign_after, :last_login_at, :password_class, :must_change, :locks, :claims, :devices, :locked_at, :claims_adopted, :mark \
     WHERE NOT EXISTS (SELECT 1 FROM gone WHERE subject = :subject) \
     AND NOT EXISTS (SELECT 1 FROM account WHERE username_folded = :subject_folded) \
     AND NOT EXISTS (SELECT 1 FROM account WHERE subject IN (:username, :username_folded)) \
     ON CONFLICT DO NOTHING";
pub(super) const OPEN_SESSION: &str = concat!(open_session!(), " ON CONFLICT DO NOTHING");
pub(super) const ADOPT: &str = concat!(
    open_session!(),
    " AND a.foreign_after < :minted_at AND f.foreign_after < :minted_at ON CONFLICT DO NOTHING"
);
pub(super) const REHASH: &str = "UPDATE account SET password = :password, password_class = :password_class, mark = :mark WHERE subject = :subject AND version = :version";
pub(super) const LAST_LOGIN: &str =
    "UPDATE account SET last_login_at = :last_login_at WHERE subject = :subject AND version = :version";
pub(super) const ADOPT_CLAIMS: &str = "UPDATE account SET claims = :claims, claims_adopted = 1 WHERE subject = :subject AND version = :version AND claims IS NULL";
pub(super) const COUNT_LOCKS: &str =
    "UPDATE account SET locks = :locks WHERE subject = :subject AND version = :version";
// Moves the device `:device` to the end of the text, and removes what exceeds `:longest` characters from its start.
pub(super) const KNOW_DEVICE: &str = "UPDATE account SET devices = substr(replace(devices, :device, '') || :device, -:longest) WHERE subject = :subject AND version = :version";
pub(super) const ROTATE: &str = concat!(
    "UPDATE session SET generation = :next_generation, rotated_at = :rotated_at, idle_until = :idle_until \
     WHERE sid = :sid AND generation = :generation AND ended_reason IS NULL AND ",
    uncovered!()
);
pub(super) const BIND_SESSION: &str = concat!(
    "UPDATE session SET known_device = :known_device WHERE sid = :sid AND ended_reason IS NULL AND ",
    uncovered!()
);
pub(super) const SURVIVE: &str = concat!(
    "UPDATE session SET generation = :next_generation, rotated_at = :rotated_at, idle_until = :idle_until, opened_seq = :opened_seq \
     WHERE sid = :sid AND generation = :generation AND subject = :subject AND ended_reason IS NULL AND ",
    uncovered!()
);
pub(super) const END_SESSION: &str = "UPDATE session SET ended_reason = :ended_reason, ended_at = :ended_at, ended_actor = :ended_actor WHERE sid = :sid AND ended_reason IS NULL";
// A flag before each field says whether it changes. If another account has the name, as its name or as its
// subject, or the address, the row stays unchanged.
pub(super) const EDIT_ACCOUNT: &str = "UPDATE OR IGNORE account SET version = version + 1, \
     username = iif(:sets_username, :username, username), username_folded = iif(:sets_username, :username_folded, username_folded), \
     email = iif(:sets_email, :email, email), email_folded = iif(:sets_email, :email_folded, email_folded), email_verified_at = iif(:sets_email, :email_verified_at, email_verified_at), \
     password = iif(:sets_password, :password, password), password_class = iif(:sets_password, :password_class, password_class), \
     must_change = iif(:sets_must_change, :must_change, must_change), state = iif(:sets_state, :state, state), state_at = iif(:sets_state, :state_at, state_at), \
     locked_at = iif(:sets_state, :locked_at, locked_at), mark = iif(:sets_mark, :mark, mark), \
     locks = coalesce(:locks, locks), claims = iif(:sets_claims, :claims, claims), claims_adopted = iif(:sets_claims, 0, claims_adopted), \
     devices = coalesce(:devices, devices), \
     sessions_before = coalesce(:sessions_before, sessions_before), foreign_after = max(foreign_after, coalesce(:foreign_after, 0)) \
     WHERE subject = :subject AND version = :version \
     AND NOT EXISTS (SELECT 1 FROM account o WHERE o.subject IN (:username, :username_folded) AND o.subject <> :subject)";
pub(super) const KEEP_ADOPTIONS: &str = "INSERT INTO adopted (key, until) \
     SELECT foreign_key, foreign_until FROM session WHERE subject = :subject AND foreign_key IS NOT NULL";
pub(super) const FORGET_SESSIONS_OF: &str = "DELETE FROM session WHERE subject = :subject";
pub(super) const DELETE_ACCOUNT: &str = "DELETE FROM account WHERE subject = :subject AND version = :version";
pub(super) const ADD_GONE: &str = "INSERT INTO gone (subject) VALUES (:subject)";
pub(super) const END_EVERYTHING: &str = "UPDATE feed_head SET sessions_before = :seq, foreign_after = max(foreign_after, :at) WHERE id = 1 AND seq = :seq";
pub(super) const RETIRE_KEY: &str =
    "UPDATE signing_key SET state = 'retiring', state_at = :state_at WHERE kid = :kid AND state = 'current'";
// Makes a key in the state `:from` current. If another key is current, the unique index leaves the row
// unchanged.
pub(super) const MAKE_CURRENT: &str =
    "UPDATE OR IGNORE signing_key SET state = 'current', state_at = NULL WHERE kid = :kid AND state = :from";
// The indexes over the states allow only one current key, and one next key.
pub(super) const ADD_KEY: &str = "INSERT INTO signing_key (kid, algorithm, state, state_at, secret, created_at, source) \
     VALUES (:kid, :algorithm, :state, :state_at, :secret, :created_at, :source) ON CONFLICT DO NOTHING";
pub(super) const DROP_KEY: &str =
    "DELETE FROM signing_key WHERE kid = :kid AND state IN ('retiring', 'next')";
pub(super) const REVOKE_KEY: &str = "UPDATE signing_key SET state = 'struck', state_at = :state_at, secret = :secret WHERE kid = :kid AND state <> 'struck'";
pub(super) const ADD_CLIENT: &str = "INSERT INTO client (name, digest, rights, created_at, namespace, expires_at, version) \
     VALUES (:name, :digest, :rights, :created_at, :namespace, :expires_at, :version) ON CONFLICT DO NOTHING";
// The digest is unique.
pub(super) const CHANGE_CLIENT: &str = "UPDATE OR IGNORE client SET rights = :rights, expires_at = :expires_at, digest = coalesce(:digest, digest), \
     version = version + 1 WHERE name = :name AND created_at = :created_at AND namespace IS :namespace AND version = :version";
pub(super) const USE_CLIENT: &str = "UPDATE client SET last_used_at = max(coalesce(last_used_at, :last_used_at), :last_used_at) WHERE name = :name AND created_at <= :last_used_at";
pub(super) const REMOVE_CLIENT: &str = "DELETE FROM client WHERE name = :name AND rights = :rights AND created_at = :created_at AND namespace IS :namespace AND version = :version";
pub(super) const ADD_SECRET: &str =
    "INSERT INTO secret (name, secret) VALUES (:name, :secret) ON CONFLICT DO NOTHING";
pub(super) const REMEMBER: &str = "INSERT INTO remembered (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const ADVANCE_RING: &str = "UPDATE feed_head SET ring = ring + 1 WHERE id = 1";
pub(super) const APPLY_SETTINGS: &str =
    "UPDATE feed_head SET settings = settings + 1 WHERE id = 1 AND settings = :settings";
pub(super) const RAISE_LONGEST_LIFETIME: &str =
    "UPDATE feed_head SET longest_lifetime_ms = max(longest_lifetime_ms, :longest_lifetime_ms) WHERE id = 1";

// The audit.
pub(super) const NEXT_AUDIT: &str = "UPDATE audit_head SET last = last + 1 WHERE id = 1 RETURNING last";
pub(super) const ADD_AUDIT: &str = "INSERT INTO audit (id, at, event, actor, reason, subject, sid, kid, seq, watermark) \
     VALUES (:id, :at, :event, :actor, :reason, :subject, :sid, :kid, :seq, :watermark)";
pub(super) const ADD_PERSON: &str = "INSERT INTO audit_person (id, name, address, device, author, note) VALUES (:id, :name, :address, :device, :author, :note)";
pub(super) const AUDIT_HEAD: &str = "SELECT h.last, (SELECT min(id) FROM audit), (SELECT max(id) FROM audit), \
     s.first_id, s.first_chain, s.last_id, s.last_chain, s.at, s.signed \
     FROM audit_head h LEFT JOIN audit_seal s ON s.id = h.id WHERE h.id = 1";
pub(super) const SEAL_ENTRY: &str =
    "UPDATE audit SET person = :person, chain = :chain WHERE id = :id AND chain IS NULL";
pub(super) const SALT_PERSON: &str = "UPDATE audit_person SET salt = :salt WHERE id = :id";
pub(super) const SET_SEAL: &str = "INSERT INTO audit_seal (id, first_id, first_chain, last_id, last_chain, at, signed) \
     VALUES (1, :first_id, :first_chain, :last_id, :last_chain, :at, :signed) ON CONFLICT (id) DO UPDATE SET first_id = excluded.first_id, \
     first_chain = excluded.first_chain, last_id = excluded.last_id, last_chain = excluded.last_chain, at = excluded.at, \
     signed = excluded.signed";
pub(super) const RAISE_AUDIT: &str = "UPDATE audit_head SET last = max(last, :last) WHERE id = 1";
pub(super) const FORGET_AUDIT: &str = "DELETE FROM audit WHERE id <= :until";
pub(super) const UNBLANKED: &str = "SELECT subject FROM gone WHERE blanked = 0 LIMIT 1";
pub(super) const BLANK_PERSONS: &str = "DELETE FROM audit_person WHERE id IN (SELECT p.id FROM audit u JOIN audit_person p ON p.id = u.id \
     WHERE u.subject = :subject AND u.event <> 'account_deleted' ORDER BY u.id LIMIT :limit)";
pub(super) const ALL_BLANKED: &str = "UPDATE gone SET blanked = 1 WHERE subject = :subject";
pub(super) const AUDIT: &str =
    concat!("SELECT ", audit!(), " WHERE u.id > :after ORDER BY u.id LIMIT :limit");
pub(super) const FIRST_ENDING: &str = "SELECT watermark, reason, at, actor FROM audit INDEXED BY audit_watermark \
     WHERE subject IS :subject AND watermark > :after ORDER BY watermark LIMIT 1";
pub(super) const AUDIT_OF: &str =
    concat!("SELECT ", audit!(), " WHERE u.subject = :subject AND u.id > :after ORDER BY u.id LIMIT :limit");
pub(super) const AUDIT_BEFORE: &str = concat!("SELECT ", audit!(), " WHERE ", before!());
pub(super) const AUDIT_OF_BEFORE: &str =
    concat!("SELECT ", audit!(), " WHERE u.subject = :subject AND ", before!());
// Each with the condition of a partial index.
pub(super) const AUDIT_OF_EVENT_BEFORE: &str = concat!(
    "SELECT ",
    audit!(),
    " WHERE u.event NOT IN ('signed_in', 'session_ended') AND u.event = :event AND ",
    before!()
);
pub(super) const AUDIT_OF_ACTOR_BEFORE: &str =
    concat!("SELECT ", audit!(), " WHERE u.actor <> 'owner' AND u.actor = :actor AND ", before!());

// Flows and mails.
pub(super) const FLOW: &str = concat!("SELECT ", flow!(), " FROM flow w WHERE w.id = :id");
// The newest registration under a name or for an address.
pub(super) const REGISTRATION_BY_NAME: &str = concat!(
    "SELECT ",
    flow!(),
    " FROM flow w INDEXED BY flow_username WHERE w.username_folded = :username_folded AND w.expires_at > :now ORDER BY w.created_at DESC, w.id DESC LIMIT 1"
);
pub(super) const REGISTRATION_BY_EMAIL: &str = concat!(
    "SELECT ",
    flow!(),
    " FROM flow w INDEXED BY flow_email WHERE w.email_folded = :email_folded AND w.expires_at > :now ORDER BY w.created_at DESC, w.id DESC LIMIT 1"
);
pub(super) const FLOW_ABOUT: &str = "SELECT id, created_at FROM flow WHERE matter = :matter";
pub(super) const END_FLOW_ABOUT: &str = "DELETE FROM flow WHERE id = :id AND matter = :matter";
pub(super) const START_FLOW: &str = "INSERT INTO flow (id, purpose, matter, subject, address, binding, tries, created_at, expires_at, \
     username, password, password_class, username_folded, email_folded) \
     VALUES (:id, :purpose, :matter, :subject, :address, :binding, :tries, :created_at, :expires_at, :username, :password, :password_class, :username_folded, :email_folded) ON CONFLICT DO NOTHING";
pub(super) const SPEND_TRY: &str = "UPDATE flow SET tries = tries - 1 WHERE id = :id AND tries > 0";
pub(super) const USE_FLOW: &str = "DELETE FROM flow WHERE id = :id";
pub(super) const ADD_MAIL: &str = concat!(
    "INSERT INTO mail (",
    mail!(),
    ") VALUES (:id, :kind, :recipient, :whom, :flow, :created_at, :due_at, :keep_until, :attempts, :doubts, :sent_at, :subject, :priority) ON CONFLICT DO NOTHING"
);
pub(super) const MAILS_COUNTED: &str =
    "SELECT count(*) FROM mail WHERE whom = :whom AND created_at > :after AND created_at <= :until";
pub(super) const MAILS_DUE: &str = concat!(
    "SELECT ",
    mail!(),
    " FROM mail INDEXED BY mail_waiting WHERE sent_at IS NULL AND priority = :priority AND due_at > :after AND due_at <= :until ORDER BY due_at, id LIMIT :limit"
);
pub(super) const NEXT_MAIL: &str = "SELECT due_at FROM mail INDEXED BY mail_due WHERE sent_at IS NULL AND due_at > :after ORDER BY due_at LIMIT 1";
pub(super) const TRY_MAIL: &str = "UPDATE mail SET attempts = attempts + 1, doubts = doubts + 1, due_at = :due_at WHERE id = :id AND attempts = :attempts AND sent_at IS NULL";
pub(super) const MAIL_SENT: &str = "UPDATE mail SET doubts = max(doubts - 1, 0), sent_at = :sent_at, keep_until = :keep_until WHERE id = :id AND attempts = :attempts AND sent_at IS NULL";
pub(super) const MAIL_NOT_SENT: &str =
    "UPDATE mail SET doubts = max(doubts - 1, 0) WHERE id = :id AND attempts = :attempts AND sent_at IS NULL";
pub(super) const DROP_MAIL: &str = "DELETE FROM mail WHERE id = :id AND sent_at IS NULL";

// Pruning. The indexes are named so that a page of few rows never reads the whole table.
pub(super) const MARK_ENTRIES: &str = "UPDATE revocation_log SET marked_at = :now WHERE marked_at IS NULL AND seq IN \
     (SELECT seq FROM revocation_log INDEXED BY revocation_log_unmarked \
      WHERE marked_at IS NULL AND drop_after <= :now ORDER BY drop_after, seq LIMIT :limit)";
pub(super) const FORGET_SESSIONS: &str = concat!(
    "DELETE FROM session WHERE sid IN (SELECT sid FROM session INDEXED BY session_kept WHERE ",
    kept_until!(),
    " < :until ORDER BY ",
    kept_until!(),
    ", sid LIMIT :limit)"
);
pub(super) const FORGET_ADOPTIONS: &str = "DELETE FROM adopted WHERE key IN \
     (SELECT key FROM adopted INDEXED BY adopted_until WHERE until < :until ORDER BY until, key LIMIT :limit)";
pub(super) const DELETE_ENTRIES: &str = "DELETE FROM revocation_log WHERE seq IN \
     (SELECT seq FROM revocation_log INDEXED BY revocation_log_marked \
      WHERE marked_at <= :marked_until AND drop_after <= :now ORDER BY marked_at, seq LIMIT :limit) RETURNING seq, at, drop_after";
pub(super) const FORGET_FLOWS: &str = "DELETE FROM flow WHERE id IN \
     (SELECT id FROM flow INDEXED BY flow_expires WHERE expires_at <= :now ORDER BY expires_at, id LIMIT :limit)";
pub(super) const FORGET_MAILS: &str = "DELETE FROM mail WHERE id IN \
     (SELECT id FROM mail INDEXED BY mail_kept WHERE keep_until <= :now ORDER BY keep_until, id LIMIT :limit)";
pub(super) const RAISE_FORGOTTEN: &str = "UPDATE feed_head SET min_seq = max(min_seq, :seq), forgotten_at = max(forgotten_at, :at), \
     forgotten_until = max(forgotten_until, :until) WHERE id = 1";
