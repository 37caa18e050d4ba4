//! Flows and mails in memory: applies changes to them, and reads them. `state.rs` holds the accounts that
//! they belong to.

use std::collections::BTreeMap;

use quash_core::model::{
    Digest, EarlierRequests, Flow, FlowId, Mail, MailId, MailOutcome, Receipt, RegistrationBy, Timestamp,
    fold,
};

use super::outcome::{WRITTEN, guard};
use crate::StoreError;

#[derive(Clone, Debug, Default)]
pub(super) struct FlowsAndMails {
    flows: BTreeMap<FlowId, Flow>,
    mails: BTreeMap<MailId, Mail>,
}

impl FlowsAndMails {
    pub(super) fn start_flow(
        &mut self,
        flow: &Flow,
        replaces: Option<FlowId>,
    ) -> Result<Receipt, StoreError> {
        let before = self.about(flow.subject_hash).map(|before| before.id);
        guard(before == replaces && (Some(flow.id) == before || !self.flows.contains_key(&flow.id)))?;
        if let Some(before) = before {
            self.flows.remove(&before);
        }
        self.flows.insert(flow.id, flow.clone());
        Ok(WRITTEN)
    }

    pub(super) fn spend_try(&mut self, id: FlowId) -> Result<Receipt, StoreError> {
        let flow = self.flows.get_mut(&id).filter(|flow| flow.tries > 0).ok_or(StoreError::Conflict)?;
        flow.tries -= 1;
        Ok(WRITTEN)
    }

    pub(super) fn use_flow(&mut self, id: FlowId) -> Result<Receipt, StoreError> {
        guard(self.flows.remove(&id).is_some())?;
        Ok(WRITTEN)
    }

    pub(super) fn add_mail(&mut self, mail: &Mail) -> Result<Receipt, StoreError> {
        guard(!self.mails.contains_key(&mail.id))?;
        self.mails.insert(mail.id, mail.clone());
        Ok(WRITTEN)
    }

    pub(super) fn try_mail(
        &mut self,
        id: MailId,
        attempts: u32,
        due_at: Timestamp,
    ) -> Result<Receipt, StoreError> {
        self.waiting(id, attempts)?.begin_attempt(due_at);
        Ok(WRITTEN)
    }

    pub(super) fn settle_mail(
        &mut self,
        id: MailId,
        attempts: u32,
        outcome: MailOutcome,
    ) -> Result<Receipt, StoreError> {
        self.waiting(id, attempts)?.settle_attempt(outcome);
        Ok(WRITTEN)
    }

    pub(super) fn drop_mail(&mut self, id: MailId) -> Result<Receipt, StoreError> {
        guard(self.mails.get(&id).is_some_and(|mail| mail.sent_at.is_none()))?;
        self.mails.remove(&id);
        Ok(WRITTEN)
    }

    /// Deletes expired flows and mails. Returns their number.
    pub(super) fn forget_expired(&mut self, now: Timestamp, limit: u32) -> usize {
        let mut flows: Vec<_> = self
            .flows
            .values()
            .map(|flow| (flow.expires_at, flow.id))
            .filter(|(until, _)| *until <= now)
            .collect();
        flows.sort_unstable();
        flows.truncate(limit as usize);
        for (_, id) in &flows {
            self.flows.remove(id);
        }
        let mut mails: Vec<_> = self
            .mails
            .values()
            .map(|mail| (mail.keep_until, mail.id))
            .filter(|(until, _)| *until <= now)
            .collect();
        mails.sort_unstable();
        mails.truncate(limit as usize);
        for (_, id) in &mails {
            self.mails.remove(id);
        }
        flows.len() + mails.len()
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    fn about(&self, subject_hash: Digest) -> Option<&Flow> {
        self.flows.values().find(|flow| flow.subject_hash == subject_hash)
    }

    pub(super) fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> EarlierRequests {
        let flows = subject_hashes
            .iter()
            .map(|subject_hash| self.about(*subject_hash).map(|flow| (flow.id, flow.created_at)));
        let mails = self
            .mails
            .values()
            .filter(|mail| mail.recipient_hash == recipient_hash && mail.is_counted(now))
            .count();
        EarlierRequests { flows: flows.collect(), mails: u32::try_from(mails).unwrap_or(u32::MAX) }
    }

    /// Returns the newest registration under a name or for an address.
    pub(super) fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Option<Flow> {
        let is_meant = |flow: &&Flow| {
            flow.registration.as_ref().is_some_and(|pending| match by {
                RegistrationBy::Name(folded) => pending.username.folded() == folded,
                RegistrationBy::Email(folded) => flow.address.as_deref().map(fold).as_ref() == Some(folded),
            })
        };
        let pending = self.flows.values().filter(is_meant).filter(|flow| flow.expires_at > now);
        pending.max_by_key(|flow| (flow.created_at, flow.id)).cloned()
    }

    pub(super) fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        self.mails
            .values()
            .filter(|mail| mail.sent_at.is_none() && mail.due_at > after)
            .map(|mail| mail.due_at)
            .min()
    }

    pub(super) fn due(&self, now: Timestamp, limit: u32) -> Vec<Mail> {
        let mut due: Vec<_> = self.mails.values().filter(|mail| mail.is_due(now)).cloned().collect();
        due.sort_by_key(|mail| (mail.priority, mail.due_at, mail.id));
        due.truncate(limit as usize);
        due
    }

    fn waiting(&mut self, id: MailId, attempts: u32) -> Result<&mut Mail, StoreError> {
        let mail = self.mails.get_mut(&id).filter(|mail| mail.attempts == attempts && mail.sent_at.is_none());
        mail.ok_or(StoreError::Conflict)
    }
}
