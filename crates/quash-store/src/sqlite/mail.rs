//! Flows and mails in SQLite: applies changes to them, and reads them. `statements.rs` contains the SQL.

use quash_core::model::{
    Digest, EarlierRequests, Flow, FlowId, FlowLoaded, Head, Mail, MailId, MailOutcome, MailPriority,
    Receipt, RegistrationBy, Subject, Timestamp, fold, limits,
};
use rusqlite::{Connection, named_params};

use super::fault::SqliteError;
use super::rows::{self, Columns, ReadColumns};
use super::statements;
use super::write::{write, write_one};

pub(super) fn start_flow(
    conn: &Connection,
    flow: &Flow,
    replaces: Option<FlowId>,
) -> Result<Receipt, SqliteError> {
    if let Some(before) = replaces {
        let values = named_params! { ":id": before.as_bytes(), ":matter": flow.subject_hash.0 };
        write_one(conn, statements::END_FLOW_ABOUT, values)?;
    }
    let pending = flow.registration.as_ref();
    let values = named_params! {
        ":id": flow.id.as_bytes(),
        ":purpose": flow.purpose.as_str(),
        ":matter": flow.subject_hash.0,
        ":subject": flow.subject.as_ref().map(Subject::as_str),
        ":address": flow.address,
        ":binding": flow.binding.0,
        ":tries": flow.tries,
        ":created_at": flow.created_at.as_millis(),
        ":expires_at": flow.expires_at.as_millis(),
        ":username": pending.map(|pending| pending.username.shown()),
        ":password": pending.map(|pending| pending.password.as_str()),
        ":password_class": pending.and_then(|pending| pending.password.class()),
        ":username_folded": pending.map(|pending| pending.username.folded()),
        ":email_folded": pending.and(flow.address.as_deref()).map(fold),
    };
    write_one(conn, statements::START_FLOW, values)
}

pub(super) fn spend_try(conn: &Connection, id: FlowId) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::SPEND_TRY, named_params! { ":id": id.as_bytes() })
}

pub(super) fn use_flow(conn: &Connection, id: FlowId) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::USE_FLOW, named_params! { ":id": id.as_bytes() })
}

pub(super) fn add_mail(conn: &Connection, mail: &Mail) -> Result<Receipt, SqliteError> {
    let values = named_params! {
        ":id": mail.id.as_bytes(),
        ":kind": mail.kind.as_str(),
        ":recipient": mail.to,
        ":whom": mail.recipient_hash.0,
        ":flow": mail.flow.as_ref().map(FlowId::as_bytes),
        ":created_at": mail.created_at.as_millis(),
        ":due_at": mail.due_at.as_millis(),
        ":keep_until": mail.keep_until.as_millis(),
        ":attempts": mail.attempts,
        ":doubts": mail.uncertain_attempts,
        ":sent_at": mail.sent_at.map(Timestamp::as_millis),
        ":subject": mail.subject.as_ref().map(Subject::as_str),
        ":priority": mail.priority.as_u8(),
    };
    write_one(conn, statements::ADD_MAIL, values)
}

pub(super) fn try_mail(
    conn: &Connection,
    id: MailId,
    attempts: u32,
    due_at: Timestamp,
) -> Result<Receipt, SqliteError> {
    let values = named_params! {
        ":id": id.as_bytes(), ":attempts": attempts, ":due_at": due_at.as_millis(),
    };
    write_one(conn, statements::TRY_MAIL, values)
}

pub(super) fn settle_mail(
    conn: &Connection,
    id: MailId,
    attempts: u32,
    outcome: MailOutcome,
) -> Result<Receipt, SqliteError> {
    match outcome {
        MailOutcome::Sent(at) => {
            let kept = at + limits::MAIL_COUNTED;
            let values = named_params! {
                ":id": id.as_bytes(),
                ":attempts": attempts,
                ":sent_at": at.as_millis(),
                ":keep_until": kept.as_millis(),
            };
            write_one(conn, statements::MAIL_SENT, values)
        }
        MailOutcome::NotSent => {
            let values = named_params! { ":id": id.as_bytes(), ":attempts": attempts };
            write_one(conn, statements::MAIL_NOT_SENT, values)
        }
    }
}

pub(super) fn drop_mail(conn: &Connection, id: MailId) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::DROP_MAIL, named_params! { ":id": id.as_bytes() })
}

/// Deletes expired flows and mails. Returns their number.
pub(super) fn forget_expired(conn: &Connection, now: Timestamp, limit: u32) -> Result<usize, SqliteError> {
    let values = named_params! { ":now": now.as_millis(), ":limit": limit };
    let flows = write(conn, statements::FORGET_FLOWS, values)?;
    let mails = write(conn, statements::FORGET_MAILS, values)?;
    Ok(flows + mails)
}

pub(super) fn flow(conn: &Connection, head: Head, id: FlowId) -> Result<FlowLoaded, SqliteError> {
    let flow = rows::one(conn, statements::FLOW, named_params! { ":id": id.as_bytes() }, rows::row::<Flow>)?;
    let account = match flow.as_ref().and_then(|flow| flow.subject.as_ref()) {
        Some(subject) => {
            let values = named_params! { ":subject": subject.as_str() };
            rows::one(conn, statements::ACCOUNT_BY_SUBJECT, values, rows::row)?
        }
        None => None,
    };
    Ok(FlowLoaded { head, flow, account })
}

pub(super) fn earlier_requests(
    conn: &Connection,
    subject_hashes: &[Digest],
    recipient_hash: Digest,
    now: Timestamp,
) -> Result<EarlierRequests, SqliteError> {
    let read = |columns: &mut Columns<'_, '_>| Ok((FlowId::from_bytes(columns.take()?), columns.moment()?));
    let flows: Result<Vec<_>, SqliteError> = subject_hashes
        .iter()
        .map(|subject_hash| {
            rows::one(conn, statements::FLOW_ABOUT, named_params! { ":matter": subject_hash.0 }, read)
        })
        .collect();
    let counted = named_params! {
        ":whom": recipient_hash.0,
        ":after": (now - limits::MAIL_COUNTED).as_millis(),
        ":until": now.as_millis(),
    };
    let mails = rows::one(conn, statements::MAILS_COUNTED, counted, |columns| columns.take())?.unwrap_or(0);
    Ok(EarlierRequests { flows: flows?, mails })
}

pub(super) fn registration(
    conn: &Connection,
    by: &RegistrationBy,
    now: Timestamp,
) -> Result<Option<Flow>, SqliteError> {
    let now = now.as_millis();
    match by {
        RegistrationBy::Name(folded) => {
            let values = named_params! { ":username_folded": folded, ":now": now };
            rows::one(conn, statements::REGISTRATION_BY_NAME, values, rows::row)
        }
        RegistrationBy::Email(folded) => {
            let values = named_params! { ":email_folded": folded, ":now": now };
            rows::one(conn, statements::REGISTRATION_BY_EMAIL, values, rows::row)
        }
    }
}

/// One lookup for the due mails of a priority, and one for those that would wait for a clock that was set
/// back.
pub(super) fn mails_due(conn: &Connection, now: Timestamp, limit: u32) -> Result<Vec<Mail>, SqliteError> {
    let spans = [(i64::MIN, now.as_millis()), ((now + limits::MAIL_LONGEST_PAUSE).as_millis(), i64::MAX)];
    let mut due = Vec::new();
    for priority in MailPriority::ALL {
        for (after, until) in spans {
            let room = limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
            let values = named_params! {
                ":priority": priority.as_u8(),
                ":after": after,
                ":until": until,
                ":limit": room,
            };
            due.extend(rows::all(conn, statements::MAILS_DUE, values, rows::row)?);
        }
    }
    Ok(due)
}

pub(super) fn next_mail(conn: &Connection, after: Timestamp) -> Result<Option<Timestamp>, SqliteError> {
    let values = named_params! { ":after": after.as_millis() };
    rows::one(conn, statements::NEXT_MAIL, values, |columns| columns.moment())
}
