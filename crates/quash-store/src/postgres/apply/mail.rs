//! Writes flows and mails.

use quash_core::model::{Flow, FlowId, Mail, MailId, MailOutcome, Receipt, Subject, Timestamp, fold, limits};

use super::Work;
use crate::postgres::fault::PostgresError;
use crate::postgres::statements;

impl Work<'_> {
    pub(super) async fn start_flow(
        &self,
        flow: &Flow,
        replaces: Option<FlowId>,
    ) -> Result<Receipt, PostgresError> {
        let (id, matter) = (flow.id.as_bytes().as_slice(), flow.subject_hash.0.as_slice());
        if let Some(before) = replaces {
            let before = before.as_bytes().as_slice();
            self.transaction.write_one(statements::END_FLOW_ABOUT, &[&before, &matter]).await?;
        }
        let pending = flow.registration.as_ref();
        self.transaction
            .write_one(
                statements::START_FLOW,
                &[
                    &id,
                    &flow.purpose.as_str(),
                    &matter,
                    &flow.subject.as_ref().map(Subject::as_str),
                    &flow.address,
                    &flow.binding.0.as_slice(),
                    &i64::from(flow.tries),
                    &flow.created_at.as_millis(),
                    &flow.expires_at.as_millis(),
                    &pending.map(|pending| pending.username.shown()),
                    &pending.map(|pending| pending.password.as_str()),
                    &pending.and_then(|pending| pending.password.class()),
                    &pending.map(|pending| pending.username.folded()),
                    &pending.and(flow.address.as_deref()).map(fold),
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    pub(super) async fn spend_try(&self, id: FlowId) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::SPEND_TRY, &[&id.as_bytes().as_slice()]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn use_flow(&self, id: FlowId) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::USE_FLOW, &[&id.as_bytes().as_slice()]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn add_mail(&self, mail: &Mail) -> Result<Receipt, PostgresError> {
        self.transaction
            .write_one(
                statements::ADD_MAIL,
                &[
                    &mail.id.as_bytes().as_slice(),
                    &mail.kind.as_str(),
                    &mail.to,
                    &mail.recipient_hash.0.as_slice(),
                    &mail.flow.as_ref().map(|flow| flow.as_bytes().as_slice()),
                    &mail.created_at.as_millis(),
                    &mail.due_at.as_millis(),
                    &mail.keep_until.as_millis(),
                    &i64::from(mail.attempts),
                    &i64::from(mail.uncertain_attempts),
                    &mail.sent_at.map(Timestamp::as_millis),
                    &mail.subject.as_ref().map(Subject::as_str),
                    &i16::from(mail.priority.as_u8()),
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    pub(super) async fn try_mail(
        &self,
        id: MailId,
        attempts: u32,
        due_at: Timestamp,
    ) -> Result<Receipt, PostgresError> {
        let values = (id.as_bytes().as_slice(), i64::from(attempts), due_at.as_millis());
        self.transaction.write_one(statements::TRY_MAIL, &[&values.0, &values.1, &values.2]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn settle_mail(
        &self,
        id: MailId,
        attempts: u32,
        outcome: MailOutcome,
    ) -> Result<Receipt, PostgresError> {
        let (id, attempts) = (id.as_bytes().as_slice(), i64::from(attempts));
        match outcome {
            MailOutcome::Sent(at) => {
                let (kept, at) = ((at + limits::MAIL_COUNTED).as_millis(), at.as_millis());
                self.transaction.write_one(statements::MAIL_SENT, &[&id, &attempts, &at, &kept]).await?;
            }
            MailOutcome::NotSent => {
                self.transaction.write_one(statements::MAIL_NOT_SENT, &[&id, &attempts]).await?;
            }
        }
        Ok(Receipt::default())
    }

    pub(super) async fn drop_mail(&self, id: MailId) -> Result<Receipt, PostgresError> {
        self.transaction.write_one(statements::DROP_MAIL, &[&id.as_bytes().as_slice()]).await?;
        Ok(Receipt::default())
    }
}
