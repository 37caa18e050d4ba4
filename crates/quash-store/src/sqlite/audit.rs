//! Writes, seals, blanks and reads the audit in SQLite.

use quash_core::model::{
    Actor, Audit, AuditFilter, AuditHead, AuditPlace, AuditSeal, Event, NewAudit, PersonalData, Reason,
    Receipt, SealedEntry, Sealing, Seq, SessionId, Subject, Timestamp,
};
use rusqlite::{Connection, named_params};

use crate::audit_index::{AuditIndex, place_before};

use super::fault::SqliteError;
use super::rows::{self, Columns, ReadColumns};
use super::statements;
use super::write::{write, write_one};

/// Writes an entry. Assigns its number inside the transaction, so that numbers follow the order of commits.
pub(super) fn record(conn: &Connection, new: &NewAudit, seq: Option<Seq>) -> Result<(), SqliteError> {
    let last = rows::one(conn, statements::NEXT_AUDIT, &[], |columns| columns.take::<i64>())?
        .ok_or(SqliteError::Value("no head of the audit"))?;
    let NewAudit { at, event, actor, reason, subject, session, kid, person } = new;
    let seq = seq.map(|seq| rows::stored(seq.as_u64())).transpose()?;
    let watermark = seq.filter(|_| new.raises_watermark());
    let values = named_params! {
        ":id": last,
        ":at": at.as_millis(),
        ":event": event.as_str(),
        ":actor": actor.as_str(),
        ":reason": reason.map(Reason::as_str),
        ":subject": subject.as_ref().map(Subject::as_str),
        ":sid": session.as_ref().map(SessionId::as_bytes),
        ":kid": kid,
        ":seq": seq,
        ":watermark": watermark,
    };
    write_one(conn, statements::ADD_AUDIT, values)?;
    if let Some(PersonalData { name, address, device, note }) = person {
        let (author, text) =
            note.as_ref().map_or((None, None), |note| (note.author.as_deref(), note.text.as_deref()));
        let values = named_params! {
            ":id": last,
            ":name": name,
            ":address": address,
            ":device": device,
            ":author": author,
            ":note": text,
        };
        write_one(conn, statements::ADD_PERSON, values)?;
    }
    Ok(())
}

pub(super) fn seal(
    conn: &Connection,
    from: &AuditPlace,
    entries: &[SealedEntry],
    seal: &AuditSeal,
) -> Result<Receipt, SqliteError> {
    check_sealed_up_to(conn, from)?;
    for SealedEntry { id, sealing: Sealing { salt, person, chain } } in entries {
        let id = rows::stored(*id)?;
        write_one(
            conn,
            statements::SEAL_ENTRY,
            named_params! { ":id": id, ":person": person, ":chain": chain },
        )?;
        // An entry that was blanked meanwhile has no row for a salt.
        if let Some(salt) = salt {
            write(conn, statements::SALT_PERSON, named_params! { ":id": id, ":salt": salt })?;
        }
    }
    set_seal(conn, seal)?;
    let values = named_params! { ":until": rows::stored(seal.first.id)? };
    write(conn, statements::FORGET_AUDIT, values).map(Receipt::pruned)
}

pub(super) fn accept(conn: &Connection, from: &AuditPlace, seal: &AuditSeal) -> Result<Receipt, SqliteError> {
    check_sealed_up_to(conn, from)?;
    write_one(conn, statements::RAISE_AUDIT, named_params! { ":last": rows::stored(seal.last.id)? })?;
    set_seal(conn, seal)
}

fn check_sealed_up_to(conn: &Connection, place: &AuditPlace) -> Result<(), SqliteError> {
    let sealed = head(conn)?.seal.map(|seal| seal.last).unwrap_or_default();
    if sealed == *place { Ok(()) } else { Err(SqliteError::Conflict) }
}

fn set_seal(conn: &Connection, seal: &AuditSeal) -> Result<Receipt, SqliteError> {
    let AuditSeal { first, last, at, signed } = seal;
    let values = named_params! {
        ":first_id": rows::stored(first.id)?,
        ":first_chain": first.chain,
        ":last_id": rows::stored(last.id)?,
        ":last_chain": last.chain,
        ":at": at.as_millis(),
        ":signed": signed,
    };
    write_one(conn, statements::SET_SEAL, values)
}

pub(super) fn blank(conn: &Connection, subject: &Subject, limit: u32) -> Result<Receipt, SqliteError> {
    let values = named_params! { ":subject": subject.as_str(), ":limit": limit };
    let blanked = write(conn, statements::BLANK_PERSONS, values)?;
    if blanked < limit as usize {
        write(conn, statements::ALL_BLANKED, named_params! { ":subject": subject.as_str() })?;
    }
    Ok(Receipt::pruned(blanked))
}

pub(super) fn head(conn: &Connection) -> Result<AuditHead, SqliteError> {
    let read = |columns: &mut Columns<'_, '_>| {
        let newest = columns.count()?;
        let bounds = (columns.take::<Option<i64>>()?, columns.take::<Option<i64>>()?);
        let number = |id: i64| u64::try_from(id).unwrap_or_default();
        let present = bounds.0.zip(bounds.1).map(|(lowest, highest)| (number(lowest), number(highest)));
        let Some(first_id) = columns.take::<Option<i64>>()? else {
            return Ok(AuditHead { newest, present, seal: None });
        };
        let first = AuditPlace {
            id: u64::try_from(first_id).map_err(|_| SqliteError::Value("a number below zero"))?,
            chain: columns.take()?,
        };
        let last = AuditPlace { id: columns.count()?, chain: columns.take()? };
        let seal = AuditSeal { first, last, at: columns.moment()?, signed: columns.take()? };
        Ok(AuditHead { newest, present, seal: Some(seal) })
    };
    rows::one(conn, statements::AUDIT_HEAD, &[], read)?.ok_or(SqliteError::Value("no head of the audit"))
}

pub(super) fn unblanked(conn: &Connection) -> Result<Option<Subject>, SqliteError> {
    rows::one(conn, statements::UNBLANKED, &[], |columns| columns.subject())
}

pub(super) fn entries(
    conn: &Connection,
    after: u64,
    of: Option<&Subject>,
    limit: u32,
) -> Result<Vec<Audit>, SqliteError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    match of {
        Some(subject) => {
            let values = named_params! { ":subject": subject.as_str(), ":after": after, ":limit": limit };
            rows::all(conn, statements::AUDIT_OF, values, rows::row)
        }
        None => {
            let values = named_params! { ":after": after, ":limit": limit };
            rows::all(conn, statements::AUDIT, values, rows::row)
        }
    }
}

pub(super) fn before(
    conn: &Connection,
    place: (Timestamp, u64),
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<Audit>, SqliteError> {
    let statement = match AuditIndex::of(filter) {
        AuditIndex::Subject => statements::AUDIT_OF_BEFORE,
        AuditIndex::Event => statements::AUDIT_OF_EVENT_BEFORE,
        AuditIndex::Actor => statements::AUDIT_OF_ACTOR_BEFORE,
        AuditIndex::Time => statements::AUDIT_BEFORE,
    };
    let (at, id) = place_before(filter, place);
    let values = named_params! {
        ":at": at.as_millis(),
        ":id": i64::try_from(id).unwrap_or(i64::MAX),
        ":from": filter.from.map_or(i64::MIN, Timestamp::as_millis),
        ":event": filter.event.map(Event::as_str),
        ":actor": filter.actor.as_ref().map(Actor::as_str),
        ":subject": filter.subject.as_ref().map(Subject::as_str),
        ":limit": limit,
    };
    rows::all(conn, statement, values, rows::row)
}
