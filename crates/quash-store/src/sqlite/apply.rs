//! Applies changes, with one function per [`Change`]. The statements that write also check the guard, and
//! fail with [`SqliteError::Conflict`] if it doesn't hold. The owner of the transaction then rolls it back.

mod accounts;
mod keys;
mod log;
mod sessions;

use quash_core::model::{Change, NewAudit, Receipt};
use rusqlite::Connection;

use super::fault::SqliteError;
use super::write::write_one;
use super::{audit, mail, statements};

/// Writes a change and its audit entry in the open transaction.
pub(super) fn apply(conn: &Connection, change: &Change) -> Result<Receipt, SqliteError> {
    let receipt = write_change(conn, change)?;
    if change.turns_ring() {
        write_one(conn, statements::ADVANCE_RING, &[])?;
    }
    for new in &NewAudit::of(change) {
        audit::record(conn, new, receipt.seq)?;
    }
    Ok(receipt)
}

fn write_change(conn: &Connection, change: &Change) -> Result<Receipt, SqliteError> {
    match change {
        Change::AddAccount(account, _) => accounts::add_account(conn, account),
        Change::OpenSession(opening) => sessions::open(conn, opening),
        Change::Rotate { session, from, rotated_at, idle_until } => {
            sessions::rotate(conn, *session, *from, *rotated_at, *idle_until)
        }
        Change::BindSession { session, device } => sessions::bind(conn, *session, *device),
        Change::EndSessions { sessions, tokens } => sessions::end_sessions(conn, sessions, tokens),
        Change::EditAccount(edit) => accounts::edit_account(conn, edit),
        Change::DeleteAccount { subject, version, entry, .. } => {
            accounts::delete_account(conn, subject, *version, entry)
        }
        Change::Together(changes) => together(conn, changes),
        Change::EndEverything { entry } => log::end_everything(conn, entry),
        Change::BeginEpoch { from, to, entry, sessions } => {
            log::begin_epoch(conn, *from, *to, entry, *sessions)
        }
        Change::Revoke { entry } => log::append(conn, entry).map(Receipt::appended),
        Change::RevokeNames(revoked) => log::append_all(conn, &revoked.entries),
        Change::AddKey { key, replaces, .. } => keys::add_key(conn, key, replaces.as_ref()),
        Change::PromoteKey { kid, replaces, .. } => keys::make_current(conn, kid, "next", replaces.as_ref()),
        Change::ResumeKey { kid, replaces, .. } => {
            keys::make_current(conn, kid, "retiring", replaces.as_ref())
        }
        Change::DropKey { kid, .. } => keys::drop_key(conn, kid),
        Change::RevokeKey { kid, secret, entry } => keys::revoke_key(conn, kid, secret, entry),
        Change::AddRevokedKey { key, entry } => keys::add_revoked_key(conn, key, entry),
        Change::AddClient { client, digest, .. } => keys::add_client(conn, client, *digest),
        Change::ChangeClient(edit) => keys::change_client(conn, edit),
        Change::UseClients(used) => keys::use_clients(conn, used),
        Change::RemoveClient { client, .. } => keys::remove_client(conn, client),
        Change::AddSecret { name, secret } => keys::add_secret(conn, name, secret),
        Change::Remember { name, value } => keys::remember(conn, name, value),
        Change::ApplySettings { from, values, entry } => {
            keys::apply_settings(conn, *from, values, entry.as_ref())
        }
        Change::RaiseLongestLifetime(millis) => log::raise_longest_lifetime(conn, *millis),
        Change::SealAudit { from, entries, seal } => audit::seal(conn, from, entries, seal),
        Change::AcceptAudit { from, seal, .. } => audit::accept(conn, from, seal),
        Change::BlankPersons { subject, limit } => audit::blank(conn, subject, *limit),
        Change::StartFlow { flow, replaces } => mail::start_flow(conn, flow, *replaces),
        Change::SpendTry(flow) => mail::spend_try(conn, *flow),
        Change::UseFlow(flow) => mail::use_flow(conn, *flow),
        Change::AddMail(mail) => mail::add_mail(conn, mail),
        Change::TryMail { mail, attempts, due_at } => mail::try_mail(conn, *mail, *attempts, *due_at),
        Change::SettleMail { mail, attempts, outcome } => mail::settle_mail(conn, *mail, *attempts, *outcome),
        Change::DropMail(mail) => mail::drop_mail(conn, *mail),
        Change::ForgetExpired { now, limit } => log::forget_expired(conn, *now, *limit),
        Change::MarkExpired { now, limit } => log::mark_expired(conn, *now, *limit),
        Change::DeleteMarked { now, marked_until, limit } => {
            log::delete_marked(conn, *now, *marked_until, *limit)
        }
    }
}

/// Estimates the number of rows that a change writes.
pub(super) fn weight(change: &Change) -> usize {
    match change {
        Change::MarkExpired { limit, .. }
        | Change::DeleteMarked { limit, .. }
        | Change::BlankPersons { limit, .. }
        | Change::ForgetExpired { limit, .. } => *limit as usize,
        Change::SealAudit { entries, .. } => entries.len().max(1),
        Change::RevokeNames(revoked) => revoked.entries.len().max(1),
        Change::Together(changes) => changes.iter().map(weight).sum(),
        _ => 1,
    }
}

/// If one change fails, the owner of the transaction rolls all of them back.
fn together(conn: &Connection, changes: &[Change]) -> Result<Receipt, SqliteError> {
    let mut all = Receipt::default();
    for change in changes {
        all = all.then(apply(conn, change)?);
    }
    Ok(all)
}
