//! Adds, changes and deletes accounts.

use quash_core::model::{
    Account, AccountEdit, AccountFields, Devices, Email, Ends, Name, NewEntry, PasswordHash, Receipt,
    Subject, Timestamp, fold,
};

use super::Work;
use crate::postgres::fault::PostgresError;
use crate::postgres::rows;
use crate::postgres::statements;

impl Work<'_> {
    /// Inserts first: the indexes make it wait for competing changes, whose result the later statement sees.
    pub(super) async fn add_account(&self, account: &Account) -> Result<Receipt, PostgresError> {
        let subject = account.subject.as_str();
        let email = account.email.as_ref();
        let password = account.password.as_ref();
        let (state, state_at, locked_at) = rows::stored_state(account.state);
        let (claims, claims_adopted) = rows::stored_claims(&account.claims);
        let (shown, folded) = (account.username.shown(), account.username.folded());
        self.transaction
            .write_one(
                statements::ADD_ACCOUNT,
                &[
                    &subject,
                    &shown,
                    &folded,
                    &email.map(|email| email.shown.as_str()),
                    &email.map(Email::folded),
                    &email.and_then(|email| email.verified_at).map(Timestamp::as_millis),
                    &password.map(PasswordHash::as_str),
                    &state,
                    &state_at,
                    &rows::stored(account.sessions_before.as_u64())?,
                    &rows::stored(account.version)?,
                    &account.created_at.as_millis(),
                    &account.foreign_after.as_millis(),
                    &account.last_login_at.map(Timestamp::as_millis),
                    &password.and_then(PasswordHash::class),
                    &account.temporary_until.map(Timestamp::as_millis),
                    &i64::from(account.locks),
                    &claims,
                    &account.devices.to_text(),
                    &locked_at,
                    &claims_adopted,
                    &account.mark,
                ],
            )
            .await?;
        let names = fold(subject);
        let taken =
            self.transaction.exists(statements::IS_TAKEN, &[&subject, &names, &shown, &folded]).await?;
        if taken { Err(PostgresError::Conflict) } else { Ok(Receipt::default()) }
    }

    pub(super) async fn edit_account(&mut self, edit: &AccountEdit) -> Result<Receipt, PostgresError> {
        let AccountEdit { subject, version, fields, ends, .. } = edit;
        let seq = match ends {
            Ends::Nothing => None,
            Ends::Access(entry) | Ends::Sessions { entry, .. } => self.append(&[entry]).await?,
        };
        let (before, foreign_after) = match (ends, seq) {
            (Ends::Sessions { entry, survivor }, Some(seq)) => {
                let number = rows::stored(seq.as_u64())?;
                // Before the account's row: the survivor's guard compares the previous watermarks.
                if let Some(survivor) = survivor {
                    self.survive(subject, *survivor, number).await?;
                }
                (Some(number), Some(entry.at.as_millis()))
            }
            _ => (None, None),
        };
        self.write_fields(subject, *version, fields, before, foreign_after).await?;
        Ok(Receipt { seq, ..Receipt::default() })
    }

    async fn write_fields(
        &self,
        subject: &Subject,
        version: u64,
        fields: &AccountFields,
        sessions_before: Option<i64>,
        foreign_after: Option<i64>,
    ) -> Result<(), PostgresError> {
        let AccountFields { username, email, password, temporary_until, state, locks, claims, devices, mark } =
            fields;
        let address = email.as_ref().and_then(Option::as_ref);
        let hash = password.as_ref().and_then(Option::as_ref);
        let stored = state.map(rows::stored_state);
        self.transaction
            .write_one(
                statements::EDIT_ACCOUNT,
                &[
                    &subject.as_str(),
                    &rows::stored(version)?,
                    &username.is_some(),
                    &username.as_ref().map(Name::shown),
                    &username.as_ref().map(Name::folded),
                    &email.is_some(),
                    &address.map(|address| address.shown.as_str()),
                    &address.map(Email::folded),
                    &address.and_then(|address| address.verified_at).map(Timestamp::as_millis),
                    &password.is_some(),
                    &hash.map(PasswordHash::as_str),
                    &hash.and_then(PasswordHash::class),
                    &temporary_until.is_some(),
                    &temporary_until.flatten().map(Timestamp::as_millis),
                    &state.is_some(),
                    &stored.map(|(state, ..)| state),
                    &stored.and_then(|(_, state_at, _)| state_at),
                    &stored.and_then(|(.., locked_at)| locked_at),
                    &locks.map(i64::from),
                    &claims.is_some(),
                    &claims.as_ref().map(rows::object),
                    &sessions_before,
                    &foreign_after,
                    &devices.as_ref().map(Devices::to_text),
                    &mark.is_some(),
                    &mark.clone().flatten(),
                ],
            )
            .await
    }

    pub(super) async fn delete_account(
        &mut self,
        subject: &Subject,
        version: u64,
        entry: &NewEntry,
    ) -> Result<Receipt, PostgresError> {
        let theirs = subject.as_str();
        let seq = self.append(&[entry]).await?;
        self.transaction.execute(statements::KEEP_ADOPTIONS, &[&theirs]).await?;
        self.transaction.execute(statements::FORGET_SESSIONS_OF, &[&theirs]).await?;
        self.transaction.write_one(statements::DELETE_ACCOUNT, &[&theirs, &rows::stored(version)?]).await?;
        self.transaction.write_one(statements::ADD_GONE, &[&theirs]).await?;
        Ok(Receipt { seq, ..Receipt::default() })
    }
}
