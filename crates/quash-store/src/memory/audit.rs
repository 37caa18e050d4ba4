//! The in-memory audit.

use std::collections::{BTreeMap, BTreeSet};

use quash_core::model::{
    Audit, AuditFilter, AuditHead, AuditPlace, AuditSeal, Event, NewAudit, Receipt, SealedEntry, Sealing,
    Seq, Subject, Timestamp,
};

use crate::StoreError;

/// All entries, and their seals.
#[derive(Clone, Debug, Default)]
pub(super) struct AuditState {
    entries: BTreeMap<u64, Audit>,
    newest: u64,
    seal: Option<AuditSeal>,
    unblanked: BTreeSet<Subject>,
}

impl AuditState {
    pub(super) fn record(&mut self, new: NewAudit, seq: Option<Seq>) {
        self.newest += 1;
        self.entries.insert(self.newest, Audit { id: self.newest, new, seq, sealing: None });
    }

    pub(super) fn deleted(&mut self, subject: &Subject) {
        self.unblanked.insert(subject.clone());
    }

    pub(super) fn seal(
        &mut self,
        from: &AuditPlace,
        entries: &[SealedEntry],
        seal: &AuditSeal,
    ) -> Result<Receipt, StoreError> {
        let sealed = self.seal.as_ref().map(|seal| seal.last).unwrap_or_default();
        let unsealed =
            |entry: &SealedEntry| self.entries.get(&entry.id).is_some_and(|audit| audit.sealing.is_none());
        if sealed != *from || !entries.iter().all(unsealed) {
            return Err(StoreError::Conflict);
        }
        for SealedEntry { id, sealing } in entries {
            if let Some(audit) = self.entries.get_mut(id) {
                let salt = sealing.salt.filter(|_| audit.new.person.is_some());
                audit.sealing = Some(Sealing { salt, ..*sealing });
            }
        }
        let kept = self.entries.split_off(&(seal.first.id + 1));
        let forgotten = std::mem::replace(&mut self.entries, kept);
        self.seal = Some(seal.clone());
        Ok(Receipt::pruned(forgotten.len()))
    }

    pub(super) fn accept(&mut self, from: &AuditPlace, seal: &AuditSeal) -> Result<Receipt, StoreError> {
        if self.seal.as_ref().map(|seal| seal.last).unwrap_or_default() != *from {
            return Err(StoreError::Conflict);
        }
        self.newest = self.newest.max(seal.last.id);
        self.seal = Some(seal.clone());
        Ok(Receipt::default())
    }

    pub(super) fn blank(&mut self, subject: &Subject, limit: u32) -> Receipt {
        let theirs = self.entries.values_mut().filter(|audit| {
            audit.new.subject.as_ref() == Some(subject)
                && audit.new.person.is_some()
                && audit.new.event != Event::AccountDeleted
        });
        let mut blanked = 0;
        for audit in theirs.take(limit as usize) {
            audit.new.person = None;
            if let Some(sealing) = &mut audit.sealing {
                sealing.salt = None;
            }
            blanked += 1;
        }
        if blanked < limit {
            self.unblanked.remove(subject);
        }
        Receipt::pruned(blanked)
    }

    pub(super) fn head(&self) -> AuditHead {
        let present = self
            .entries
            .first_key_value()
            .zip(self.entries.last_key_value())
            .map(|((lowest, _), (highest, _))| (*lowest, *highest));
        AuditHead { newest: self.newest, present, seal: self.seal.clone() }
    }

    pub(super) fn unblanked(&self) -> Option<Subject> {
        self.unblanked.first().cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Audit> {
        self.entries.values()
    }

    pub(super) fn before(&self, before: (Timestamp, u64), filter: &AuditFilter, limit: u32) -> Vec<Audit> {
        let mut found: Vec<_> = self
            .entries
            .values()
            .filter(|audit| (audit.new.at, audit.id) < before && filter.matches(&audit.new))
            .collect();
        found.sort_by_key(|audit| std::cmp::Reverse((audit.new.at, audit.id)));
        found.into_iter().take(limit as usize).cloned().collect()
    }

    pub(super) fn entries(&self, after: u64, of: Option<&Subject>, limit: u32) -> Vec<Audit> {
        let found = self
            .entries
            .values()
            .filter(|audit| audit.id > after && of.is_none_or(|of| audit.new.subject.as_ref() == Some(of)));
        found.take(limit as usize).cloned().collect()
    }
}
