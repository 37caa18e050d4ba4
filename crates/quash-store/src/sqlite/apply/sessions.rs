//! Opens, rotates and ends sessions.

use quash_core::model::{
    Adoption, ClientName, DeviceId, Devices, Generation, NewEntry, Receipt, Seq, SessionEnd, SessionId,
    SessionOpening, SessionState, Subject, Survivor, Timestamp, limits,
};
use rusqlite::{Connection, named_params};

use super::log::{append, none};
use crate::sqlite::fault::SqliteError;
use crate::sqlite::write::{write, write_one};
use crate::sqlite::{rows, statements};

pub(super) fn open(conn: &Connection, opening: &SessionOpening) -> Result<Receipt, SqliteError> {
    let SessionOpening {
        session,
        version,
        rehash,
        evict,
        most_live: _,
        last_login,
        known_device,
        locks,
        adopts: _,
        claims,
    } = opening;
    let seq = match evict {
        Some(end) => Some(end_session(conn, end)?),
        None => None,
    };
    open_session(conn, opening)?;
    let (subject, version) = (session.subject.as_str(), rows::stored(*version)?);
    if let Some((hash, mark)) = rehash {
        let values = named_params! {
            ":subject": subject,
            ":version": version,
            ":password": hash.as_str(),
            ":password_class": hash.class(),
            ":mark": mark,
        };
        write_one(conn, statements::REHASH, values)?;
    }
    if let Some(moment) = last_login {
        let values = named_params! {
            ":subject": subject, ":version": version, ":last_login_at": moment.as_millis(),
        };
        write_one(conn, statements::LAST_LOGIN, values)?;
    }
    if let Some(locks) = locks {
        let values = named_params! { ":subject": subject, ":version": version, ":locks": locks };
        write_one(conn, statements::COUNT_LOCKS, values)?;
    }
    if let Some(claims) = claims {
        // Writes no row if another token has brought claims meanwhile.
        let values = named_params! {
            ":subject": subject, ":version": version, ":claims": rows::object(claims),
        };
        write(conn, statements::ADOPT_CLAIMS, values)?;
    }
    if let Some(device) = known_device {
        know_device(conn, *device, &session.subject, version)?;
    }
    Ok(Receipt { seq, ..Receipt::default() })
}

fn open_session(conn: &Connection, opening: &SessionOpening) -> Result<(), SqliteError> {
    let SessionOpening { session, version, most_live, adopts, .. } = opening;
    let ending = match &session.state {
        SessionState::Live => None,
        SessionState::Ended(ending) => Some(ending),
    };
    let version = rows::stored(*version)?;
    let opened_seq = rows::stored(session.opened_seq.as_u64())?;
    let (rotated_at, opened_at, idle_until) =
        (session.rotated_at.as_millis(), session.opened_at.as_millis(), session.idle_until.as_millis());
    let ends_at = session.ends_at.map(Timestamp::as_millis);
    let ended_reason = ending.map(|ending| ending.reason.as_str());
    let ended_at = ending.map(|ending| ending.at.as_millis());
    let ended_actor = ending.map(|ending| ending.actor.as_str());
    let claims = session.claims.to_json();
    let foreign_key = session.adopted.map(|adopted| adopted.key.0);
    let foreign_until = session.adopted.map(|adopted| adopted.until.as_millis());
    let known_device = session.known_device.as_ref().map(DeviceId::as_bytes);
    let client = session.client.as_ref().map(ClientName::as_str);
    let values = named_params! {
        ":sid": session.id.as_bytes(),
        ":subject": session.subject.as_str(),
        ":generation": session.generation.0,
        ":rotated_at": rotated_at,
        ":seed": session.seed,
        ":opened_seq": opened_seq,
        ":opened_at": opened_at,
        ":idle_until": idle_until,
        ":ends_at": ends_at,
        ":ended_reason": ended_reason,
        ":ended_at": ended_at,
        ":ended_actor": ended_actor,
        ":device": session.device,
        ":address": session.address,
        ":version": version,
        ":claims": claims,
        ":foreign_key": foreign_key,
        ":foreign_until": foreign_until,
        ":known_device": known_device,
        ":client": client,
        ":most_live": most_live,
    };
    let Some(Adoption { minted_at, scopes }) = adopts else {
        write_one(conn, statements::OPEN_SESSION, values)?;
        return Ok(());
    };
    for scope in scopes {
        none(conn, statements::REVOKED_ALREADY, *scope)?;
    }
    if let Some(adopted) = session.adopted {
        none(conn, statements::ADOPTED_BEFORE, adopted.key)?;
    }
    let minted_at = minted_at.as_millis();
    let values = [values, named_params! { ":minted_at": minted_at }].concat();
    write_one(conn, statements::ADOPT, &values)?;
    Ok(())
}

fn know_device(
    conn: &Connection,
    device: DeviceId,
    subject: &Subject,
    version: i64,
) -> Result<Receipt, SqliteError> {
    let as_text = Devices::default().with(device).to_text();
    let longest =
        i64::try_from(as_text.len() * limits::DEVICES).map_err(|_| SqliteError::Value("known devices"))?;
    let values = named_params! {
        ":subject": subject.as_str(),
        ":version": version,
        ":device": as_text,
        ":longest": longest,
    };
    write_one(conn, statements::KNOW_DEVICE, values)
}

pub(super) fn rotate(
    conn: &Connection,
    id: SessionId,
    from: Generation,
    rotated_at: Timestamp,
    idle_until: Timestamp,
) -> Result<Receipt, SqliteError> {
    let values = named_params! {
        ":sid": id.as_bytes(),
        ":generation": from.0,
        ":next_generation": from.next().0,
        ":rotated_at": rotated_at.as_millis(),
        ":idle_until": idle_until.as_millis(),
    };
    write_one(conn, statements::ROTATE, values)
}

pub(super) fn bind(conn: &Connection, id: SessionId, device: DeviceId) -> Result<Receipt, SqliteError> {
    let values = named_params! { ":sid": id.as_bytes(), ":known_device": device.as_bytes() };
    write_one(conn, statements::BIND_SESSION, values)
}

pub(super) fn survive(
    conn: &Connection,
    subject: &Subject,
    survivor: Survivor,
    number: i64,
) -> Result<(), SqliteError> {
    let Survivor { session, generation, rotated_at, idle_until } = survivor;
    let values = named_params! {
        ":sid": session.as_bytes(),
        ":generation": generation.0,
        ":next_generation": generation.next().0,
        ":rotated_at": rotated_at.as_millis(),
        ":idle_until": idle_until.as_millis(),
        ":opened_seq": number,
        ":subject": subject.as_str(),
    };
    write_one(conn, statements::SURVIVE, values)?;
    Ok(())
}

pub(super) fn end_sessions(
    conn: &Connection,
    ends: &[SessionEnd],
    tokens: &[NewEntry],
) -> Result<Receipt, SqliteError> {
    let mut last = None;
    for end in ends {
        last = Some(end_session(conn, end)?);
    }
    for entry in tokens {
        none(conn, statements::REVOKED_ALREADY, entry.key)?;
        none(conn, statements::ADOPTED_ALREADY, entry.key)?;
        none(conn, statements::ADOPTED_BEFORE, entry.key)?;
        last = Some(append(conn, entry)?);
    }
    Ok(Receipt { seq: last, pruned: 0 })
}

pub(super) fn end_session(conn: &Connection, end: &SessionEnd) -> Result<Seq, SqliteError> {
    let ending = end.ending();
    let values = named_params! {
        ":sid": end.session.as_bytes(),
        ":ended_reason": ending.reason.as_str(),
        ":ended_at": ending.at.as_millis(),
        ":ended_actor": ending.actor.as_str(),
    };
    write_one(conn, statements::END_SESSION, values)?;
    let seq = append(conn, &end.entry)?;
    match &end.adopted {
        Some(entry) => append(conn, entry),
        None => Ok(seq),
    }
}
