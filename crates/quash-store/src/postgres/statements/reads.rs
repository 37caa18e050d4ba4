//! Statements that read. Most reads are one statement, which sees one snapshot.

use crate::columns::{account, client, flow, session};

/// The columns of an `Entry`, in the order in which `columns.rs` reads them.
macro_rules! entry {
    () => {
        "e.seq, e.kind, e.key, e.drop_after, e.reason, e.at, e.actor, e.chain, e.until"
    };
}

/// The columns of an `Audit`, in the order in which `columns.rs` reads them.
macro_rules! audit {
    () => {
        "u.number, u.at, u.event, u.actor, u.reason, u.subject, u.sid, u.kid, u.seq, p.row, p.name, p.address, \
         p.device, p.author, p.note, p.salt, u.person, u.chain FROM audit u LEFT JOIN audit_person p ON p.row = u.row"
    };
}

/// Entries of the audit before a place, that match a filter; the newest first.
macro_rules! before {
    () => {
        "u.number IS NOT NULL AND (u.at, u.number) < ($1, $2) AND u.at >= $3 AND ($4 IS NULL OR u.event = $4) \
         AND ($5 IS NULL OR u.actor = $5) AND ($6 IS NULL OR u.subject = $6) \
         ORDER BY u.at DESC, u.number DESC LIMIT $7"
    };
}

/// The columns of a `Mail`, in the order in which `columns.rs` reads them.
macro_rules! mail {
    () => {
        "m.id, m.kind, m.recipient, m.whom, m.flow, m.created_at, m.due_at, m.keep_until, m.attempts, m.doubts, \
         m.sent_at, m.subject, m.priority"
    };
}

/// The columns that `rows::head` reads.
macro_rules! head {
    () => {
        "CASE WHEN l.seq > g.base_seq THEN l.seq ELSE g.base_seq END, \
         CASE WHEN l.seq > g.base_seq THEN l.chain ELSE g.base_chain END, g.sessions_before, g.foreign_after, \
         g.base_seq, g.forgotten_at, g.forgotten_until, g.ring, g.settings, g.longest_lifetime_ms, \
         pg_is_in_recovery(), g.schema_fence"
    };
}

/// The row `cluster` and the newest entry of the log.
macro_rules! cluster {
    () => {
        "cluster g LEFT JOIN LATERAL (SELECT n.seq, n.chain FROM revocation_log n ORDER BY n.seq DESC LIMIT 1) l ON true"
    };
}

/// Sessions of the account `a` that count as of `$2`.
macro_rules! counted {
    () => {
        "FROM session s WHERE s.subject = a.subject AND s.ended_reason IS NULL AND s.idle_until > $2 \
         AND s.opened_seq >= greatest(a.sessions_before, g.sessions_before)"
    };
}

/// The head, the account that a condition over `$1` finds, its live sessions as of `$2`, and the idlest of
/// them.
macro_rules! account_loaded {
    ($found:literal) => {
        concat!(
            "SELECT ",
            head!(),
            ", ",
            account!(),
            ", n.live, ",
            session!(),
            " FROM ",
            cluster!(),
            " LEFT JOIN LATERAL (SELECT * FROM account ",
            $found,
            " LIMIT 1) a ON true LEFT JOIN LATERAL (SELECT count(*) AS live ",
            counted!(),
            ") n ON true LEFT JOIN LATERAL (SELECT * ",
            counted!(),
            " ORDER BY s.rotated_at, s.sid LIMIT 1) s ON true WHERE g.id = 1"
        )
    };
}

pub(in crate::postgres) const HEAD: &str =
    concat!("SELECT ", head!(), " FROM ", cluster!(), " WHERE g.id = 1");
pub(in crate::postgres) const NEWEST: &str =
    concat!("SELECT coalesce(l.seq, g.base_seq) FROM ", cluster!(), " WHERE g.id = 1");
pub(in crate::postgres) const ACCOUNT_BY_NAME: &str = account_loaded!("WHERE username_folded = $1");
pub(in crate::postgres) const ACCOUNT_BY_SUBJECT: &str = account_loaded!("WHERE subject = $1");
pub(in crate::postgres) const ACCOUNT_BY_EMAIL: &str = account_loaded!("WHERE email_folded = $1");
// The account that has confirmed the address; else the account of that name; else the account that has the
// address.
pub(in crate::postgres) const ACCOUNT_BY_NAME_OR_EMAIL: &str = account_loaded!(
    "WHERE username_folded = $1 OR email_folded = $1 \
     ORDER BY CASE WHEN email_folded = $1 AND email_verified_at IS NOT NULL THEN 0 \
     WHEN username_folded = $1 THEN 1 ELSE 2 END"
);
pub(in crate::postgres) const IS_GONE: &str = "SELECT 1 FROM gone WHERE subject = $1";
// The conditions match the partial indexes over numeric subjects.
pub(in crate::postgres) const LARGEST_NUMBER: &str = "SELECT greatest(0, \
     (SELECT max(CAST(subject AS bigint)) FROM account WHERE subject ~ '^[1-9][0-9]{0,14}$'), \
     (SELECT max(CAST(subject AS bigint)) FROM gone WHERE subject ~ '^[1-9][0-9]{0,14}$'))";
pub(in crate::postgres) const ACCOUNTS: &str = concat!(
    "SELECT ",
    account!(),
    " FROM account a WHERE a.username_folded > $1 ORDER BY a.username_folded LIMIT $2"
);
// One lookup for each class: there are few, and the index orders them.
pub(in crate::postgres) const PASSWORD_CLASSES: &str = "WITH RECURSIVE k(class) AS (\
     SELECT min(password_class) FROM account \
     UNION ALL SELECT (SELECT min(a.password_class) FROM account a WHERE a.password_class > k.class) FROM k \
     WHERE k.class IS NOT NULL) SELECT class FROM k WHERE class IS NOT NULL LIMIT $1";
// One row for each id of `$1`, in its order.
pub(in crate::postgres) const SESSIONS: &str = concat!(
    "SELECT ",
    head!(),
    ", ",
    session!(),
    ", ",
    account!(),
    " FROM ",
    cluster!(),
    " CROSS JOIN unnest($1) WITH ORDINALITY AS q(sid, place) \
     LEFT JOIN session s ON s.sid = q.sid LEFT JOIN account a ON a.subject = s.subject WHERE g.id = 1 ORDER BY q.place"
);
pub(in crate::postgres) const ADOPTED: &str = concat!(
    "SELECT ",
    session!(),
    ", ",
    account!(),
    " FROM session s JOIN account a ON a.subject = s.subject WHERE s.foreign_key = $1"
);
// Whether the log has an entry with one of the scopes `$2`, or the token `$1` has opened a session of a
// deleted account; and when an account last lost the name or address of the scope `$3`.
pub(in crate::postgres) const FOREIGN: &str = "SELECT \
     EXISTS (SELECT 1 FROM adopted WHERE key = $1) OR EXISTS (SELECT 1 FROM revocation_log WHERE key = ANY($2)), \
     (SELECT max(at) FROM revocation_log WHERE key = $3 AND reason IN ('deleted', 'name_changed', 'email_changed'))";
pub(in crate::postgres) const SESSIONS_OF: &str = concat!(
    "SELECT ",
    session!(),
    " FROM session s WHERE s.subject = $1 AND s.sid > $2 ORDER BY s.sid LIMIT $3"
);
pub(in crate::postgres) const ENTRIES_AFTER: &str =
    concat!("SELECT ", entry!(), " FROM revocation_log e WHERE e.seq > $1 ORDER BY e.seq LIMIT $2");
pub(in crate::postgres) const FOLLOW: &str = concat!(
    "SELECT ",
    head!(),
    ", ",
    entry!(),
    " FROM ",
    cluster!(),
    " LEFT JOIN LATERAL (SELECT * FROM revocation_log WHERE seq > $1 ORDER BY seq LIMIT $2) e ON true \
     WHERE g.id = 1 ORDER BY e.seq"
);
// An entry about a late event supersedes none: it covers less than an earlier one may. Neither does one that
// was written while the clock was set back. Sessions and tokens (5 and 6) end once, and looking for each of their
// keys would take most of the time.
pub(in crate::postgres) const ENTRIES_BETWEEN: &str = concat!(
    "SELECT ",
    entry!(),
    ", CASE WHEN e.kind IN (5, 6) THEN true ELSE NOT coalesce((SELECT n.seq > e.seq AND n.at >= e.at \
     FROM revocation_log n WHERE n.key = e.key AND n.seq <= $2 AND n.until IS NULL ORDER BY n.seq DESC LIMIT 1), false) END \
     FROM revocation_log e WHERE e.seq > $1 AND e.seq <= $2 ORDER BY e.seq LIMIT $3"
);
pub(in crate::postgres) const ENTRIES_OF: &str =
    concat!("SELECT ", entry!(), " FROM revocation_log e WHERE e.key = ANY($1) ORDER BY e.seq");
pub(in crate::postgres) const KEYS: &str = "SELECT kid, algorithm, state, state_at, secret, created_at, source FROM signing_key ORDER BY created_at, kid";
pub(in crate::postgres) const CLIENT_BY_SECRET: &str =
    concat!("SELECT ", client!(), " FROM client c WHERE c.digest = $1");
pub(in crate::postgres) const CLIENTS: &str = concat!(
    "SELECT ",
    client!(),
    ", c.last_used_at FROM client c WHERE c.name > $1 ORDER BY c.name LIMIT $2"
);
pub(in crate::postgres) const CLIENT_BY_NAME: &str =
    concat!("SELECT ", client!(), ", c.last_used_at FROM client c WHERE c.name = $1");
pub(in crate::postgres) const REMEMBERED: &str = "SELECT value FROM setting WHERE name = $1";
pub(in crate::postgres) const SECRET: &str = "SELECT secret FROM secret WHERE name = $1";

// The audit, whose entries have all got their numbers.
pub(in crate::postgres) const IS_UNNUMBERED: &str = "SELECT 1 FROM audit WHERE number IS NULL LIMIT 1";
pub(in crate::postgres) const AUDIT: &str =
    concat!("SELECT ", audit!(), " WHERE u.number > $1 ORDER BY u.number LIMIT $2");
pub(in crate::postgres) const AUDIT_OF: &str =
    concat!("SELECT ", audit!(), " WHERE u.subject = $3 AND u.number > $1 ORDER BY u.number LIMIT $2");
pub(in crate::postgres) const AUDIT_BEFORE: &str = concat!("SELECT ", audit!(), " WHERE ", before!());
pub(in crate::postgres) const AUDIT_OF_BEFORE: &str =
    concat!("SELECT ", audit!(), " WHERE u.subject = $6 AND ", before!());
// Each with the condition of a partial index.
pub(in crate::postgres) const AUDIT_OF_EVENT_BEFORE: &str = concat!(
    "SELECT ",
    audit!(),
    " WHERE u.event <> 'signed_in' AND u.event <> 'session_ended' AND u.event = $4 AND ",
    before!()
);
pub(in crate::postgres) const AUDIT_OF_ACTOR_BEFORE: &str =
    concat!("SELECT ", audit!(), " WHERE u.actor <> 'owner' AND u.actor = $5 AND ", before!());
pub(in crate::postgres) const AUDIT_HEAD: &str = "SELECT h.last, (SELECT min(number) FROM audit), (SELECT max(number) FROM audit), \
     s.first_id, s.first_chain, s.last_id, s.last_chain, s.at, s.signed \
     FROM audit_number h LEFT JOIN audit_seal s ON s.id = h.id WHERE h.id = 1";
pub(in crate::postgres) const UNBLANKED: &str =
    "SELECT subject FROM gone WHERE NOT blanked ORDER BY subject LIMIT 1";
// For each number of `$2`, the first ending after it: of the account `$1`, or of everything.
pub(in crate::postgres) const ENDINGS: &str = "SELECT e.watermark, e.reason, e.at, e.actor \
     FROM unnest($2) WITH ORDINALITY AS q(after, place) LEFT JOIN LATERAL (SELECT * FROM (\
     (SELECT watermark, reason, at, actor FROM audit WHERE subject = $1 AND watermark > q.after ORDER BY watermark LIMIT 1) \
     UNION ALL (SELECT watermark, reason, at, actor FROM audit WHERE subject IS NULL AND watermark > q.after \
     ORDER BY watermark LIMIT 1)) both_of ORDER BY watermark LIMIT 1) e ON true ORDER BY q.place";

// Flows and mails.
pub(in crate::postgres) const FLOW: &str = concat!(
    "SELECT ",
    head!(),
    ", ",
    flow!(),
    ", ",
    account!(),
    " FROM ",
    cluster!(),
    " LEFT JOIN flow w ON w.id = $1 LEFT JOIN account a ON a.subject = w.subject WHERE g.id = 1"
);
// The newest registration under a name or for an address.
pub(in crate::postgres) const REGISTRATION_BY_NAME: &str = concat!(
    "SELECT ",
    flow!(),
    " FROM flow w WHERE w.username_folded = $1 AND w.expires_at > $2 ORDER BY w.created_at DESC, w.id DESC LIMIT 1"
);
pub(in crate::postgres) const REGISTRATION_BY_EMAIL: &str = concat!(
    "SELECT ",
    flow!(),
    " FROM flow w WHERE w.email_folded = $1 AND w.expires_at > $2 ORDER BY w.created_at DESC, w.id DESC LIMIT 1"
);
pub(in crate::postgres) const EARLIER_REQUESTS: &str = "SELECT c.mails, w.id, w.created_at FROM (\
     SELECT count(*) AS mails FROM mail WHERE whom = $2 AND created_at > $3 AND created_at <= $4) c \
     LEFT JOIN unnest($1) WITH ORDINALITY AS q(matter, place) ON true \
     LEFT JOIN flow w ON w.matter = q.matter ORDER BY q.place";
// For each priority: the due mails, and those that would wait for a clock that was set back.
pub(in crate::postgres) const MAILS_DUE: &str = concat!(
    "SELECT ",
    mail!(),
    " FROM (VALUES (0::smallint), (1::smallint), (2::smallint)) AS r(priority) \
     CROSS JOIN (VALUES ((-9223372036854775807 - 1)::bigint, $1::bigint), ($2::bigint, 9223372036854775807::bigint)) AS d(after, until) \
     CROSS JOIN LATERAL (SELECT * FROM mail WHERE sent_at IS NULL AND priority = r.priority \
     AND due_at > d.after AND due_at <= d.until ORDER BY due_at, id LIMIT $3) m \
     ORDER BY m.priority, m.due_at, m.id LIMIT $3"
);
pub(in crate::postgres) const NEXT_MAIL: &str =
    "SELECT due_at FROM mail WHERE sent_at IS NULL AND due_at > $1 ORDER BY due_at LIMIT 1";

pub(super) use {cluster, entry, head};
