//! Flows and mails in SQLite: applies changes to them, and reads them. `statements.rs` contains the SQL.

use quash_core::model::{
    Digest, EarlierRequests, Flow, FlowId, FlowLoaded, Head, Mail, MailId, MailKind, MailOutcome,
    MailPriority, Name, PasswordHash, PendingRegistration, Purpose, Receipt, RegistrationBy, Subject,
    Timestamp, fold, limits,
};
use rusqlite::{Connection, params};

use super::fault::SqliteError;
use super::rows::{self, Columns};
use super::statements;
use super::write::{write, write_one};

pub(super) fn start_flow(
    conn: &Connection,
    flow: &Flow,
    replaces: Option<FlowId>,
) -> Result<Receipt, SqliteError> {
    if let Some(before) = replaces {
        write_one(conn, statements::END_FLOW_ABOUT, params![before.as_bytes(), flow.subject_hash.0])?;
    }
    let pending = flow.registration.as_ref();
    let values = params![
        flow.id.as_bytes(),
        flow.purpose.as_str(),
        flow.subject_hash.0,
        flow.subject.as_ref().map(Subject::as_str),
        flow.address,
        flow.binding.0,
        flow.tries,
        flow.created_at.as_millis(),
        flow.expires_at.as_millis(),
        pending.map(|pending| pending.username.shown()),
        pending.map(|pending| pending.password.as_str()),
        pending.and_then(|pending| pending.password.class()),
        pending.map(|pending| pending.username.folded()),
        pending.and(flow.address.as_deref()).map(fold),
    ];
    write_one(conn, statements::START_FLOW, values)
}

pub(super) fn spend_try(conn: &Connection, id: FlowId) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::SPEND_TRY, [id.as_bytes()])
}

pub(super) fn use_flow(conn: &Connection, id: FlowId) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::USE_FLOW, [id.as_bytes()])
}

pub(super) fn add_mail(conn: &Connection, mail: &Mail) -> Result<Receipt, SqliteError> {
    let values = params![
        mail.id.as_bytes(),
        mail.kind.as_str(),
        mail.to,
        mail.recipient_hash.0,
        mail.flow.as_ref().map(FlowId::as_bytes),
        mail.created_at.as_millis(),
        mail.due_at.as_millis(),
        mail.keep_until.as_millis(),
        mail.attempts,
        mail.uncertain_attempts,
        mail.sent_at.map(Timestamp::as_millis),
        mail.subject.as_ref().map(Subject::as_str),
        mail.priority.as_u8(),
    ];
    write_one(conn, statements::ADD_MAIL, values)
}

pub(super) fn try_mail(
    conn: &Connection,
    id: MailId,
    attempts: u32,
    due_at: Timestamp,
) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::TRY_MAIL, params![id.as_bytes(), attempts, due_at.as_millis()])
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
            write_one(
                conn,
                statements::MAIL_SENT,
                params![id.as_bytes(), attempts, at.as_millis(), kept.as_millis()],
            )
        }
        MailOutcome::NotSent => write_one(conn, statements::MAIL_NOT_SENT, params![id.as_bytes(), attempts]),
    }
}

pub(super) fn drop_mail(conn: &Connection, id: MailId) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::DROP_MAIL, [id.as_bytes()])
}

/// Deletes expired flows and mails. Returns their number.
pub(super) fn forget_expired(conn: &Connection, now: Timestamp, limit: u32) -> Result<usize, SqliteError> {
    let flows = write(conn, statements::FORGET_FLOWS, params![now.as_millis(), limit])?;
    let mails = write(conn, statements::FORGET_MAILS, params![now.as_millis(), limit])?;
    Ok(flows + mails)
}

pub(super) fn flow(conn: &Connection, head: Head, id: FlowId) -> Result<FlowLoaded, SqliteError> {
    let flow = rows::one(conn, statements::FLOW, [id.as_bytes()], read_flow)?;
    let account = match flow.as_ref().and_then(|flow| flow.subject.as_ref()) {
        Some(subject) => rows::one(conn, statements::ACCOUNT_BY_SUBJECT, [subject.as_str()], rows::account)?,
        None => None,
    };
    Ok(FlowLoaded { head, flow, account })
}

pub(super) fn earlier_requests(
    conn: &Connection,
    subject_hashes: &[Digest],
    recipient_hash: Digest,
    since: Timestamp,
) -> Result<EarlierRequests, SqliteError> {
    let read = |columns: &mut Columns<'_, '_>| Ok((FlowId::from_bytes(columns.take()?), columns.moment()?));
    let flows: Result<Vec<_>, SqliteError> = subject_hashes
        .iter()
        .map(|subject_hash| rows::one(conn, statements::FLOW_ABOUT, [subject_hash.0], read))
        .collect();
    let counted = params![recipient_hash.0, since.as_millis()];
    let mails = rows::one(conn, statements::MAILS_COUNTED, counted, |columns| columns.take())?.unwrap_or(0);
    Ok(EarlierRequests { flows: flows?, mails })
}

pub(super) fn registration(
    conn: &Connection,
    by: &RegistrationBy,
    now: Timestamp,
) -> Result<Option<Flow>, SqliteError> {
    let (statement, folded) = match by {
        RegistrationBy::Name(folded) => (statements::REGISTRATION_BY_NAME, folded),
        RegistrationBy::Email(folded) => (statements::REGISTRATION_BY_EMAIL, folded),
    };
    rows::one(conn, statement, params![folded, now.as_millis()], read_flow)
}

pub(super) fn mails_due(conn: &Connection, until: Timestamp, limit: u32) -> Result<Vec<Mail>, SqliteError> {
    let mut due = Vec::new();
    for priority in MailPriority::ALL {
        let room = limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
        due.extend(rows::all(
            conn,
            statements::MAILS_DUE,
            params![until.as_millis(), room, priority.as_u8()],
            read_mail,
        )?);
    }
    Ok(due)
}

pub(super) fn next_mail(conn: &Connection, after: Timestamp) -> Result<Option<Timestamp>, SqliteError> {
    rows::one(conn, statements::NEXT_MAIL, [after.as_millis()], |columns| columns.moment())
}

fn read_flow(columns: &mut Columns<'_, '_>) -> Result<Flow, SqliteError> {
    Ok(Flow {
        id: FlowId::from_bytes(columns.take()?),
        purpose: Purpose::parse(columns.text()?).ok_or(SqliteError::Value("a purpose"))?,
        subject_hash: Digest(columns.take()?),
        subject: read_subject(columns)?,
        address: columns.take()?,
        binding: Digest(columns.take()?),
        tries: columns.take()?,
        created_at: columns.moment()?,
        expires_at: columns.moment()?,
        registration: read_registration(columns)?,
    })
}

fn read_registration(columns: &mut Columns<'_, '_>) -> Result<Option<PendingRegistration>, SqliteError> {
    let (shown, hash, class): (Option<String>, Option<String>, Option<String>) =
        (columns.take()?, columns.take()?, columns.take()?);
    let Some((shown, hash)) = shown.zip(hash) else { return Ok(None) };
    let username = Name::parse(&shown).map_err(|_| SqliteError::Value("a name"))?;
    let hash = PasswordHash::new(hash);
    Ok(Some(PendingRegistration { username, password: class.into_iter().fold(hash, PasswordHash::of_class) }))
}

fn read_subject(columns: &mut Columns<'_, '_>) -> Result<Option<Subject>, SqliteError> {
    columns
        .take::<Option<String>>()?
        .map(|text| Subject::parse(&text))
        .transpose()
        .map_err(|_| SqliteError::Value("a subject"))
}

fn read_mail(columns: &mut Columns<'_, '_>) -> Result<Mail, SqliteError> {
    Ok(Mail {
        id: MailId::from_bytes(columns.take()?),
        kind: MailKind::parse(columns.text()?).ok_or(SqliteError::Value("a kind of mail"))?,
        to: columns.take()?,
        recipient_hash: Digest(columns.take()?),
        flow: columns.take::<Option<[u8; 16]>>()?.map(FlowId::from_bytes),
        created_at: columns.moment()?,
        due_at: columns.moment()?,
        keep_until: columns.moment()?,
        attempts: columns.take()?,
        uncertain_attempts: columns.take()?,
        sent_at: columns.perhaps_moment()?,
        subject: read_subject(columns)?,
        priority: MailPriority::from_u8(columns.take()?).ok_or(SqliteError::Value("a mail's priority"))?,
    })
}
