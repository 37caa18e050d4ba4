//! Statements that delete or mark many rows, a page at a time. They skip rows that another process is working
//! on.

/// The time until which a session's row is needed.
macro_rules! kept_until {
    () => {
        "greatest(idle_until, coalesce(foreign_until, 0))"
    };
}

pub(in crate::postgres) const MARK_ENTRIES: &str = "UPDATE revocation_log SET marked_at = $1 WHERE seq IN (\
     SELECT seq FROM revocation_log WHERE marked_at IS NULL AND drop_after <= $1 \
     ORDER BY drop_after, seq LIMIT $2 FOR UPDATE SKIP LOCKED)";
pub(in crate::postgres) const FORGET_SESSIONS: &str = concat!(
    "DELETE FROM session WHERE sid IN (SELECT sid FROM session WHERE keep_bucket <= $1 / 21600000 + 1 AND ",
    kept_until!(),
    " < $1 ORDER BY keep_bucket, ",
    kept_until!(),
    ", sid LIMIT $2 FOR UPDATE SKIP LOCKED)"
);
pub(in crate::postgres) const FORGET_ADOPTIONS: &str = "DELETE FROM adopted WHERE key IN (\
     SELECT key FROM adopted WHERE until < $1 ORDER BY until, key LIMIT $2 FOR UPDATE SKIP LOCKED)";
pub(in crate::postgres) const FORGET_FLOWS: &str = "DELETE FROM flow WHERE id IN (\
     SELECT id FROM flow WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)";
pub(in crate::postgres) const FORGET_MAILS: &str = "DELETE FROM mail WHERE id IN (\
     SELECT id FROM mail WHERE keep_until <= $1 ORDER BY keep_until, id LIMIT $2 FOR UPDATE SKIP LOCKED)";
pub(in crate::postgres) const DELETE_ENTRIES: &str = "DELETE FROM revocation_log WHERE seq IN (\
     SELECT seq FROM revocation_log WHERE marked_at <= $2 AND drop_after <= $1 \
     ORDER BY marked_at, seq LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING seq, chain, at, drop_after";
pub(in crate::postgres) const RAISE_FORGOTTEN: &str = "UPDATE cluster SET \
     base_chain = CASE WHEN $1 > base_seq THEN $2 ELSE base_chain END, base_seq = greatest(base_seq, $1), \
     forgotten_at = greatest(forgotten_at, $3), forgotten_until = greatest(forgotten_until, $4) WHERE id = 1";
pub(in crate::postgres) const FORGET_AUDIT: &str = "DELETE FROM audit WHERE number <= $1";
pub(in crate::postgres) const BLANK_PERSONS: &str = "DELETE FROM audit_person WHERE row IN (\
     SELECT p.row FROM audit u JOIN audit_person p ON p.row = u.row \
     WHERE u.subject = $1 AND u.event <> 'account_deleted' ORDER BY u.row LIMIT $2 FOR UPDATE OF p SKIP LOCKED)";
pub(in crate::postgres) const ALL_BLANKED: &str = "UPDATE gone SET blanked = true WHERE subject = $1 AND NOT EXISTS (\
     SELECT 1 FROM audit u JOIN audit_person p ON p.row = u.row WHERE u.subject = $1 AND u.event <> 'account_deleted')";
// A page, too: after an hour without upkeep there are millions.
pub(in crate::postgres) const FORGET_MARKS: &str = "DELETE FROM mark WHERE (writer, batch) IN (\
     SELECT writer, batch FROM mark WHERE at < now() - interval '1 hour' ORDER BY at LIMIT 200000 FOR UPDATE SKIP LOCKED)";
