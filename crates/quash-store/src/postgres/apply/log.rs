//! Appends to the log, begins epochs, and deletes expired data.

use quash_core::model::{Entry, Epoch, NewEntry, OldSessions, Receipt, ScopeKey, Seq, Timestamp, limits};

use super::Work;
use crate::log::LogEnd;
use crate::postgres::apply::batch::EntryColumns;
use crate::postgres::fault::PostgresError;
use crate::postgres::rows;
use crate::postgres::server::identity;
use crate::postgres::statements;
use crate::postgres::transaction::Transaction;

impl Work<'_> {
    /// The end of the log. `log_lock` is held, so that nobody else appends.
    async fn log_end(&mut self) -> Result<LogEnd, PostgresError> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let found = self.transaction.query(statements::LOG_END, &[]).await?;
        let end = rows::log_end(&rows::only(&found, rows::head)?);
        self.end = Some(end);
        Ok(end)
    }

    /// Appends entries, in this order. Returns the last one's number.
    pub(super) async fn append(&mut self, new: &[&NewEntry]) -> Result<Option<Seq>, PostgresError> {
        if new.is_empty() {
            return Ok(None);
        }
        let end = self.log_end().await?;
        self.append_after(end, new).await
    }

    pub(super) async fn append_all(&mut self, new: &[&NewEntry]) -> Result<Receipt, PostgresError> {
        Ok(Receipt { seq: self.append(new).await?, pruned: 0 })
    }

    async fn append_after(
        &mut self,
        mut end: LogEnd,
        new: &[&NewEntry],
    ) -> Result<Option<Seq>, PostgresError> {
        let mut entries = Vec::with_capacity(new.len());
        for new in new {
            let entry = end.followed_by(new);
            end = LogEnd { seq: entry.seq, chain: entry.chain, ..end };
            entries.push(entry);
        }
        add_entries(&self.transaction, &entries).await?;
        self.end = Some(end);
        Ok(Some(end.seq))
    }

    /// Checks that no entry has one of these scopes.
    pub(super) async fn none_revoked(&self, scopes: &[ScopeKey]) -> Result<(), PostgresError> {
        self.none(statements::REVOKED_ALREADY, scopes).await
    }

    /// Checks that a statement finds no row of these scopes.
    pub(super) async fn none(&self, statement: &str, scopes: &[ScopeKey]) -> Result<(), PostgresError> {
        let keys: Vec<&[u8]> = scopes.iter().map(|scope| scope.0.as_slice()).collect();
        if !keys.is_empty() && self.transaction.exists(statement, &[&keys]).await? {
            return Err(PostgresError::Conflict);
        }
        Ok(())
    }

    pub(super) async fn end_everything(&mut self, entry: &NewEntry) -> Result<Receipt, PostgresError> {
        let seq = self.append(&[entry]).await?;
        self.raise_watermark(seq, entry.at).await
    }

    pub(super) async fn begin_epoch(
        &mut self,
        from: Epoch,
        to: Epoch,
        entry: &NewEntry,
        sessions: OldSessions,
    ) -> Result<Receipt, PostgresError> {
        let end = self.log_end().await?;
        if Epoch::of(end.seq) != Some(from) || from >= to {
            return Err(PostgresError::Conflict);
        }
        let seq = self.append_after(LogEnd { seq: to.start(), ..end }, &[entry]).await?;
        // A store that lost entries may have lost leases, too.
        self.transaction.write_one(identity::UNSETTLE, &[]).await?;
        match sessions {
            OldSessions::End => self.raise_watermark(seq, entry.at).await,
            OldSessions::Keep => Ok(Receipt { seq, ..Receipt::default() }),
        }
    }

    /// Ends all sessions that were opened before the newest entry.
    async fn raise_watermark(&self, seq: Option<Seq>, at: Timestamp) -> Result<Receipt, PostgresError> {
        let number = rows::stored(seq.unwrap_or(Seq::ZERO).as_u64())?;
        self.transaction.write_one(statements::END_EVERYTHING, &[&number, &at.as_millis()]).await?;
        Ok(Receipt { seq, ..Receipt::default() })
    }

    pub(super) async fn raise_longest_lifetime(&mut self, millis: u64) -> Result<Receipt, PostgresError> {
        if let Some(end) = &mut self.end {
            end.longest_lifetime_ms = end.longest_lifetime_ms.max(millis);
        }
        self.transaction.write_one(statements::RAISE_LONGEST_LIFETIME, &[&rows::stored(millis)?]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn mark_expired(&self, now: Timestamp, limit: u32) -> Result<Receipt, PostgresError> {
        let (now, limit) = (now.as_millis(), i64::from(limit));
        self.transaction.execute(statements::MARK_ENTRIES, &[&now, &limit]).await.map(Receipt::pruned)
    }

    pub(super) async fn forget_expired(&self, now: Timestamp, limit: u32) -> Result<Receipt, PostgresError> {
        let (past, now, limit) =
            ((now - limits::SESSION_KEPT).as_millis(), now.as_millis(), i64::from(limit));
        let mut deleted = 0;
        for (statement, until) in [
            (statements::FORGET_SESSIONS, past),
            (statements::FORGET_ADOPTIONS, past),
            (statements::FORGET_FLOWS, now),
            (statements::FORGET_MAILS, now),
        ] {
            deleted += self.transaction.execute(statement, &[&until, &limit]).await?;
        }
        self.transaction.execute(statements::FORGET_MARKS, &[]).await?;
        Ok(Receipt::pruned(deleted))
    }

    pub(super) async fn delete_marked(
        &self,
        now: Timestamp,
        marked_until: Timestamp,
        limit: u32,
    ) -> Result<Receipt, PostgresError> {
        let values = (now.as_millis(), marked_until.as_millis(), i64::from(limit));
        let found =
            self.transaction.query(statements::DELETE_ENTRIES, &[&values.0, &values.1, &values.2]).await?;
        let deleted = rows::all(&found, |columns| {
            let (seq, chain): (i64, &[u8]) = (columns.take()?, columns.take()?);
            Ok((seq, chain.to_vec(), columns.take::<i64>()?, columns.take::<i64>()?))
        })?;
        let (mut at, mut until) = (i64::MIN, i64::MIN);
        for (_, _, entry_at, drop_after) in &deleted {
            (at, until) = (at.max(*entry_at), until.max(*drop_after));
        }
        if let Some((seq, chain, ..)) = deleted.iter().max_by_key(|(seq, ..)| *seq) {
            self.transaction.write_one(statements::RAISE_FORGOTTEN, &[seq, chain, &at, &until]).await?;
        }
        Ok(Receipt::pruned(deleted.len()))
    }
}

/// Adds entries, in one statement.
async fn add_entries(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), PostgresError> {
    let columns = EntryColumns::of(entries)?;
    let added = transaction.execute(statements::ADD_ENTRIES, &columns.params()).await?;
    if added == u64::try_from(entries.len()).unwrap_or(u64::MAX) {
        Ok(())
    } else {
        Err(PostgresError::Conflict)
    }
}
