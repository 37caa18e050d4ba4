//! Applies changes, with one function per [`Change`]. The statements that write also check the guard, and
//! fail with [`PostgresError::Conflict`] if it doesn't hold. The transaction is then undone.

mod accounts;
pub(super) mod batch;
mod keys;
pub(super) mod locks;
mod log;
mod mail;
mod sessions;

use std::time::Duration;

use quash_core::model::{Change, NewAudit, Receipt};
use tokio::time::sleep;

use self::locks::Locks;
use super::audit;
use super::fault::PostgresError;
use super::statements;
use super::transaction::{Database, Statement, Transaction};
use crate::StoreError;
use crate::log::LogEnd;

/// How often a change is tried that PostgreSQL undoes in favour of another one.
const ATTEMPTS: u32 = 3;

/// The open transaction of a change, whose locks are held.
pub(super) struct Work<'d> {
    pub(super) transaction: Transaction<'d>,
    /// The end of the log, once it was read. Nobody else appends meanwhile.
    end: Option<LogEnd>,
}

/// Writes a change in its own transaction.
pub(super) async fn commit(database: &Database, change: &Change) -> Result<Receipt, StoreError> {
    let mut attempt = 1;
    loop {
        match commit_with(database, change, &[]).await {
            Err(error) if error.is_lost_race() && attempt < ATTEMPTS => {
                sleep(Duration::from_millis(2 << attempt)).await;
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
            Ok(receipt) => return Ok(receipt),
        }
    }
}

/// Writes a change in a transaction together with other statements, without a second attempt.
pub(super) async fn commit_with(
    database: &Database,
    change: &Change,
    also: &[Statement<'_>],
) -> Result<Receipt, PostgresError> {
    let locks = Locks::of(change);
    let params = locks.params();
    let transaction = database.begin(&params.statements()).await?;
    let mut work = Work { transaction, end: None };
    match work.apply(change).await {
        Ok(receipt) => {
            if let (Change::BeginEpoch { .. }, Some(history)) = (change, database.target.history()) {
                history.unsettle();
            }
            work.transaction.commit_after(also).await?;
            // Only a change that appends reads the end of the log.
            if let Some(end) = work.end.filter(|end| Some(end.seq) == receipt.seq) {
                database.saw_end(end.seq, end.chain);
            }
            Ok(receipt)
        }
        Err(error) => {
            work.transaction.roll_back().await;
            Err(error)
        }
    }
}

impl Work<'_> {
    /// Writes a change and its audit entries.
    async fn apply(&mut self, change: &Change) -> Result<Receipt, PostgresError> {
        let receipt = self.write(change).await?;
        if change.turns_ring() {
            self.transaction.write_one(statements::ADVANCE_RING, &[]).await?;
        }
        for new in &NewAudit::of(change) {
            audit::record(&self.transaction, new, receipt.seq).await?;
        }
        Ok(receipt)
    }

    async fn write(&mut self, change: &Change) -> Result<Receipt, PostgresError> {
        match change {
            Change::AddAccount(account, _) => self.add_account(account).await,
            Change::OpenSession(opening) => self.open_session(opening).await,
            Change::Rotate { session, from, rotated_at, idle_until } => {
                self.rotate(*session, *from, *rotated_at, *idle_until).await
            }
            Change::BindSession { session, device } => self.bind(*session, *device).await,
            Change::EndSessions { sessions, tokens } => self.end_sessions(sessions, tokens).await,
            Change::EditAccount(edit) => self.edit_account(edit).await,
            Change::DeleteAccount { subject, version, entry, .. } => {
                self.delete_account(subject, *version, entry).await
            }
            Change::Together(changes) => Box::pin(self.together(changes)).await,
            Change::EndEverything { entry } => self.end_everything(entry).await,
            Change::BeginEpoch { from, to, entry, sessions } => {
                self.begin_epoch(*from, *to, entry, *sessions).await
            }
            Change::Revoke { entry } => self.append_all(&[entry]).await,
            Change::RevokeNames(revoked) => {
                self.append_all(&revoked.entries.iter().collect::<Vec<_>>()).await
            }
            Change::AddKey { key, replaces, .. } => self.add_key(key, replaces.as_ref()).await,
            Change::PromoteKey { kid, replaces, .. } => {
                self.make_current(kid, "next", replaces.as_ref()).await
            }
            Change::ResumeKey { kid, replaces, .. } => {
                self.make_current(kid, "retiring", replaces.as_ref()).await
            }
            Change::DropKey { kid, .. } => self.drop_key(kid).await,
            Change::RevokeKey { kid, secret, entry } => self.revoke_key(kid, secret, entry).await,
            Change::AddRevokedKey { key, entry } => self.add_revoked_key(key, entry).await,
            Change::AddClient { client, digest, .. } => self.add_client(client, *digest).await,
            Change::ChangeClient(edit) => self.change_client(edit).await,
            Change::UseClients(used) => self.use_clients(used).await,
            Change::RemoveClient { client, .. } => self.remove_client(client).await,
            Change::AddSecret { name, secret } => self.add_secret(name, secret).await,
            Change::Remember { name, value } => self.remember(name, value).await,
            Change::ApplySettings { from, values, entry } => {
                self.apply_settings(*from, values, entry.as_ref()).await
            }
            Change::RaiseLongestLifetime(millis) => self.raise_longest_lifetime(*millis).await,
            Change::SealAudit { from, entries, seal } => {
                audit::seal(&self.transaction, from, entries, seal).await
            }
            Change::AcceptAudit { from, seal, .. } => audit::accept(&self.transaction, from, seal).await,
            Change::BlankPersons { subject, limit } => audit::blank(&self.transaction, subject, *limit).await,
            Change::StartFlow { flow, replaces } => self.start_flow(flow, *replaces).await,
            Change::SpendTry(flow) => self.spend_try(*flow).await,
            Change::UseFlow(flow) => self.use_flow(*flow).await,
            Change::AddMail(mail) => self.add_mail(mail).await,
            Change::TryMail { mail, attempts, due_at } => self.try_mail(*mail, *attempts, *due_at).await,
            Change::SettleMail { mail, attempts, outcome } => {
                self.settle_mail(*mail, *attempts, *outcome).await
            }
            Change::DropMail(mail) => self.drop_mail(*mail).await,
            Change::ForgetExpired { now, limit } => self.forget_expired(*now, *limit).await,
            Change::MarkExpired { now, limit } => self.mark_expired(*now, *limit).await,
            Change::DeleteMarked { now, marked_until, limit } => {
                self.delete_marked(*now, *marked_until, *limit).await
            }
        }
    }

    /// Applies the parts in their order. If one fails, the transaction is undone.
    async fn together(&mut self, changes: &[Change]) -> Result<Receipt, PostgresError> {
        let mut all = Receipt::default();
        for change in changes {
            all = all.then(self.apply(change).await?);
        }
        Ok(all)
    }
}
