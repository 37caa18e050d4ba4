//! Appends to the log, begins epochs, and deletes expired data.

use quash_core::model::{Epoch, NewEntry, OldSessions, Receipt, ScopeKey, Seq, Timestamp, limits};
use rusqlite::{Connection, named_params};

use crate::log::LogEnd;
use crate::sqlite::fault::SqliteError;
use crate::sqlite::write::{write, write_one};
use crate::sqlite::{mail, rows, statements};

/// Appends an entry to the log. Reads its number inside the transaction, so that numbers follow the order of
/// commits.
pub(super) fn append(conn: &Connection, new: &NewEntry) -> Result<Seq, SqliteError> {
    let end = rows::log_end(conn)?;
    append_after(conn, end.seq, &end, new)
}

/// Appends any number of entries, in this order.
pub(super) fn append_all(conn: &Connection, entries: &[NewEntry]) -> Result<Receipt, SqliteError> {
    let mut receipt = Receipt::default();
    for entry in entries {
        receipt = Receipt::appended(append(conn, entry)?);
    }
    Ok(receipt)
}

/// Appends an entry to a log whose newest number is `newest`, continuing from `end`.
fn append_after(conn: &Connection, newest: Seq, end: &LogEnd, new: &NewEntry) -> Result<Seq, SqliteError> {
    let entry = end.followed_by(new);
    let number = rows::stored(entry.seq.as_u64())?;
    let values = named_params! {
        ":seq": number,
        ":kind": entry.kind.as_u8(),
        ":key": entry.key.0,
        ":drop_after": entry.drop_after.map(Timestamp::as_millis),
        ":reason": entry.reason.as_str(),
        ":at": entry.at.as_millis(),
        ":actor": entry.actor.as_str(),
        ":chain": entry.chain,
        ":until": entry.until.map(Timestamp::as_millis),
    };
    write_one(conn, statements::ADD_ENTRY, values)?;
    let values = named_params! {
        ":seq": number,
        ":chain": entry.chain,
        ":newest": rows::stored(newest.as_u64())?,
    };
    write_one(conn, statements::MOVE_HEAD, values)?;
    Ok(entry.seq)
}

/// Checks that a statement finds no row of this scope.
pub(super) fn none(conn: &Connection, statement: &str, scope: ScopeKey) -> Result<(), SqliteError> {
    if rows::exists(conn, statement, named_params! { ":key": scope.0 })? {
        Err(SqliteError::Conflict)
    } else {
        Ok(())
    }
}

pub(super) fn end_everything(conn: &Connection, entry: &NewEntry) -> Result<Receipt, SqliteError> {
    let seq = append(conn, entry)?;
    raise_watermark(conn, seq, entry.at)
}

pub(super) fn begin_epoch(
    conn: &Connection,
    from: Epoch,
    to: Epoch,
    entry: &NewEntry,
    sessions: OldSessions,
) -> Result<Receipt, SqliteError> {
    let end = rows::log_end(conn)?;
    if Epoch::of(end.seq) != Some(from) || from >= to {
        return Err(SqliteError::Conflict);
    }
    let seq = append_after(conn, end.seq, &LogEnd { seq: to.start(), ..end }, entry)?;
    match sessions {
        OldSessions::End => raise_watermark(conn, seq, entry.at),
        OldSessions::Keep => Ok(Receipt::appended(seq)),
    }
}

/// Ends all sessions that were opened before the newest entry.
fn raise_watermark(conn: &Connection, seq: Seq, at: Timestamp) -> Result<Receipt, SqliteError> {
    let values = named_params! { ":seq": rows::stored(seq.as_u64())?, ":at": at.as_millis() };
    write_one(conn, statements::END_EVERYTHING, values)?;
    Ok(Receipt::appended(seq))
}

pub(super) fn raise_longest_lifetime(conn: &Connection, millis: u64) -> Result<Receipt, SqliteError> {
    let values = named_params! { ":longest_lifetime_ms": rows::stored(millis)? };
    write_one(conn, statements::RAISE_LONGEST_LIFETIME, values)
}

pub(super) fn mark_expired(conn: &Connection, now: Timestamp, limit: u32) -> Result<Receipt, SqliteError> {
    let values = named_params! { ":now": now.as_millis(), ":limit": limit };
    write(conn, statements::MARK_ENTRIES, values).map(Receipt::pruned)
}

pub(super) fn forget_expired(conn: &Connection, now: Timestamp, limit: u32) -> Result<Receipt, SqliteError> {
    let past = (now - limits::SESSION_KEPT).as_millis();
    let values = named_params! { ":until": past, ":limit": limit };
    let sessions = write(conn, statements::FORGET_SESSIONS, values)?;
    let adopted = write(conn, statements::FORGET_ADOPTIONS, values)?;
    Ok(Receipt::pruned(sessions + adopted + mail::forget_expired(conn, now, limit)?))
}

pub(super) fn delete_marked(
    conn: &Connection,
    now: Timestamp,
    marked_until: Timestamp,
    limit: u32,
) -> Result<Receipt, SqliteError> {
    let values = named_params! {
        ":now": now.as_millis(), ":marked_until": marked_until.as_millis(), ":limit": limit,
    };
    let read = |columns: &mut rows::Columns<'_, '_>| {
        Ok((columns.take::<i64>()?, columns.take::<i64>()?, columns.take::<i64>()?))
    };
    let deleted = rows::all(conn, statements::DELETE_ENTRIES, values, read)?;
    if let Some((seq, at, until)) =
        deleted.iter().copied().reduce(|a, b| (a.0.max(b.0), a.1.max(b.1), a.2.max(b.2)))
    {
        let values = named_params! { ":seq": seq, ":at": at, ":until": until };
        write_one(conn, statements::RAISE_FORGOTTEN, values)?;
    }
    Ok(Receipt::pruned(deleted.len()))
}
