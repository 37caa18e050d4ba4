//! Adds, changes and deletes accounts.

use quash_core::model::{
    Account, AccountEdit, AccountFields, Devices, Email, Ends, Name, NewEntry, PasswordHash, Receipt,
    Subject, Timestamp, fold,
};
use rusqlite::{Connection, named_params};

use super::log::append;
use super::sessions::survive;
use crate::sqlite::fault::SqliteError;
use crate::sqlite::write::{write, write_one};
use crate::sqlite::{rows, statements};

pub(super) fn add_account(conn: &Connection, account: &Account) -> Result<Receipt, SqliteError> {
    let (state, state_at, locked_at) = rows::stored_state(account.state);
    let (claims, claims_adopted) = rows::stored_claims(&account.claims);
    let values = named_params! {
        ":subject": account.subject.as_str(),
        ":subject_folded": fold(account.subject.as_str()),
        ":username": account.username.shown(),
        ":username_folded": account.username.folded(),
        ":email": account.email.as_ref().map(|email| email.shown.as_str()),
        ":email_folded": account.email.as_ref().map(Email::folded),
        ":email_verified_at": account.email.as_ref().and_then(|email| email.verified_at).map(Timestamp::as_millis),
        ":password": account.password.as_ref().map(PasswordHash::as_str),
        ":state": state,
        ":state_at": state_at,
        ":sessions_before": rows::stored(account.sessions_before.as_u64())?,
        ":version": rows::stored(account.version)?,
        ":created_at": account.created_at.as_millis(),
        ":foreign_after": account.foreign_after.as_millis(),
        ":last_login_at": account.last_login_at.map(Timestamp::as_millis),
        ":password_class": account.password.as_ref().and_then(PasswordHash::class),
        ":must_change": account.temporary_until.map(Timestamp::as_millis),
        ":locks": account.locks,
        ":claims": claims,
        ":devices": account.devices.to_text(),
        ":locked_at": locked_at,
        ":claims_adopted": claims_adopted,
        ":mark": account.mark,
    };
    write_one(conn, statements::ADD_ACCOUNT, values)
}

pub(super) fn edit_account(conn: &Connection, edit: &AccountEdit) -> Result<Receipt, SqliteError> {
    let AccountEdit { subject, version, fields, ends, .. } = edit;
    let seq = match ends {
        Ends::Nothing => None,
        Ends::Access(entry) | Ends::Sessions { entry, .. } => Some(append(conn, entry)?),
    };
    let (before, foreign_after) = match (ends, seq) {
        (Ends::Sessions { entry, survivor }, Some(seq)) => {
            let number = rows::stored(seq.as_u64())?;
            // Before the account's row: the survivor's guard compares the previous watermarks.
            if let Some(survivor) = survivor {
                survive(conn, subject, *survivor, number)?;
            }
            (Some(number), Some(entry.at.as_millis()))
        }
        _ => (None, None),
    };
    write_fields(conn, subject, *version, fields, before, foreign_after)?;
    Ok(Receipt { seq, ..Receipt::default() })
}

fn write_fields(
    conn: &Connection,
    subject: &Subject,
    version: u64,
    fields: &AccountFields,
    sessions_before: Option<i64>,
    foreign_after: Option<i64>,
) -> Result<(), SqliteError> {
    let AccountFields { username, email, password, temporary_until, state, locks, claims, devices, mark } =
        fields;
    let address = email.as_ref().and_then(Option::as_ref);
    let hash = password.as_ref().and_then(Option::as_ref);
    let stored = state.map(rows::stored_state);
    let values = named_params! {
        ":subject": subject.as_str(),
        ":version": rows::stored(version)?,
        ":sets_username": username.is_some(),
        ":username": username.as_ref().map(Name::shown),
        ":username_folded": username.as_ref().map(Name::folded),
        ":sets_email": email.is_some(),
        ":email": address.map(|address| address.shown.as_str()),
        ":email_folded": address.map(Email::folded),
        ":email_verified_at": address.and_then(|address| address.verified_at).map(Timestamp::as_millis),
        ":sets_password": password.is_some(),
        ":password": hash.map(PasswordHash::as_str),
        ":password_class": hash.and_then(PasswordHash::class),
        ":sets_must_change": temporary_until.is_some(),
        ":must_change": temporary_until.flatten().map(Timestamp::as_millis),
        ":sets_state": state.is_some(),
        ":state": stored.map(|(state, ..)| state),
        ":state_at": stored.and_then(|(_, state_at, _)| state_at),
        ":locks": locks,
        ":sets_claims": claims.is_some(),
        ":claims": claims.as_ref().map(rows::object),
        ":sessions_before": sessions_before,
        ":foreign_after": foreign_after,
        ":devices": devices.as_ref().map(Devices::to_text),
        ":locked_at": stored.and_then(|(.., locked_at)| locked_at),
        ":sets_mark": mark.is_some(),
        ":mark": mark.as_ref().and_then(Option::as_ref),
    };
    write_one(conn, statements::EDIT_ACCOUNT, values)?;
    Ok(())
}

pub(super) fn delete_account(
    conn: &Connection,
    subject: &Subject,
    version: u64,
    entry: &NewEntry,
) -> Result<Receipt, SqliteError> {
    let seq = append(conn, entry)?;
    let theirs = named_params! { ":subject": subject.as_str() };
    write(conn, statements::KEEP_ADOPTIONS, theirs)?;
    write(conn, statements::FORGET_SESSIONS_OF, theirs)?;
    let values = named_params! { ":subject": subject.as_str(), ":version": rows::stored(version)? };
    write_one(conn, statements::DELETE_ACCOUNT, values)?;
    write_one(conn, statements::ADD_GONE, theirs)?;
    Ok(Receipt::appended(seq))
}
