//! Checks each entry of a sealed audit in order, and compares the audit with its seal.

use std::collections::BTreeMap;

use super::{AuditFault, hash_entry, hash_person};
use crate::model::{Audit, AuditPlace, AuditSeal, Event, Subject};

/// The state of a check of the audit, entry by entry, against its seal.
#[derive(Clone, Debug)]
pub struct AuditWalk {
    last: AuditPlace,
    at: AuditPlace,
    /// The number of sealed entries seen so far.
    pub entries: u64,
    /// The number of entries with blanked personal data.
    pub blanked: u64,
    /// Accounts with a blanked entry and no deletion yet, with the number of that entry.
    undeleted: BTreeMap<Subject, u64>,
}

impl AuditWalk {
    /// Begins a walk at the first place of a seal returned by [`check_seal`](super::check_seal).
    pub const fn new(seal: &AuditSeal) -> Self {
        Self { last: seal.last, at: seal.first, entries: 0, blanked: 0, undeleted: BTreeMap::new() }
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// The entry isn't what was sealed.
    pub fn step(&mut self, audit: &Audit) -> Result<(), AuditFault> {
        let id = audit.id;
        if id != self.at.id + 1 {
            return Err(AuditFault::Missing(self.at.id + 1));
        }
        let sealing = audit.sealing.ok_or(AuditFault::Changed(id))?;
        let chain = hash_entry(&self.at.chain, audit, sealing.person.as_ref());
        if chain != sealing.chain {
            return Err(AuditFault::Changed(id));
        }
        match (&audit.new.person, sealing.salt, sealing.person) {
            (Some(person), Some(salt), Some(hash)) if hash_person(&salt, person) == hash => {}
            (None, None, Some(_)) => self.blank(audit)?,
            (None, None, None) => {}
            _ => return Err(AuditFault::PersonalData(id)),
        }
        self.record_deletion(audit);
        self.entries += 1;
        self.at = AuditPlace { id, chain };
        Ok(())
    }

    /// Checks the next entry after the sealed part.
    ///
    /// # Errors
    /// An entry before this one is missing.
    pub fn step_unsealed(&mut self, audit: &Audit) -> Result<(), AuditFault> {
        if audit.id != self.at.id + 1 {
            return Err(AuditFault::Missing(self.at.id + 1));
        }
        self.record_deletion(audit);
        self.at.id = audit.id;
        Ok(())
    }

    /// Records a blanked entry. Deleting an account blanks the account's entries, except that of the deletion itself;
    /// no other entry may be blank.
    fn blank(&mut self, audit: &Audit) -> Result<(), AuditFault> {
        let subject = audit.new.subject.as_ref().filter(|_| audit.new.event != Event::AccountDeleted);
        let subject = subject.ok_or(AuditFault::Blanked(audit.id))?;
        self.undeleted.entry(subject.clone()).or_insert(audit.id);
        self.blanked += 1;
        Ok(())
    }

    fn record_deletion(&mut self, audit: &Audit) {
        if let (Event::AccountDeleted, Some(subject)) = (audit.new.event, &audit.new.subject) {
            self.undeleted.remove(subject);
        }
    }

    /// Ends the whole walk, after the entries that aren't sealed yet.
    ///
    /// # Errors
    /// The personal data of an entry was removed without a deletion of its account.
    pub fn finish(self) -> Result<(), AuditFault> {
        match self.undeleted.into_values().min() {
            Some(id) => Err(AuditFault::Blanked(id)),
            None => Ok(()),
        }
    }

    /// Returns the last place checked.
    pub const fn at(&self) -> AuditPlace {
        self.at
    }

    /// Returns the number of sealed entries left to check.
    pub const fn remaining(&self) -> u64 {
        self.last.id.saturating_sub(self.at.id)
    }

    /// Checks that the walk has reached the end of the sealed part.
    ///
    /// # Errors
    /// The walk isn't at the seal's last place.
    pub fn check_sealed_end(&self) -> Result<(), AuditFault> {
        if self.at.id < self.last.id {
            return Err(AuditFault::Cut(self.last.id));
        }
        if self.at == self.last { Ok(()) } else { Err(AuditFault::Changed(self.at.id)) }
    }
}
