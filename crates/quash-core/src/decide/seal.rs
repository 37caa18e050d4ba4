//! Sealing the audit: each entry is hashed together with all before it, and the last hash is signed. Who can write to the
//! store but hasn't the master key can't change, add, drop or move what was sealed without being seen. What is personal
//! enters as a hash of its own, so that it can be blanked and the rest still stands.

use aws_lc_rs::digest::{Context, SHA256};

use crate::model::{
    Audit, AuditHead, AuditPlace, AuditSeal, Chain, Change, Entropy, NewAudit, Person, SealedEntry, Sealing, Timestamp, draw,
};
use crate::token::{SigningKey, Unsigned};

/// Why the audit isn't what was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuditFault {
    /// The signature isn't ours, or is over something else than what stands beside it.
    #[error("the seal was not signed with this master key")]
    Seal,
    /// An entry isn't there.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// An entry says something else than when it was sealed, or another was put before it.
    #[error("entry {0} is not what was sealed")]
    Changed(u64),
    /// What is personal in an entry isn't what was sealed, and wasn't blanked either.
    #[error("what is personal in entry {0} is not what was sealed")]
    Person(u64),
    /// The audit ends elsewhere than the seal says.
    #[error("the audit ends before entry {0}, which was sealed")]
    Cut(u64),
}

/// Walks along the audit and compares it with its seal.
#[derive(Clone, Debug)]
pub struct AuditWalk {
    last: AuditPlace,
    at: AuditPlace,
    /// Entries of which what is personal has been blanked.
    pub blanked: u64,
}

/// Seals entries that follow the last place of a seal, and forgets those up to the place `first`.
///
/// # Errors
/// The crypto library fails.
pub fn seal_audit(
    head: &AuditHead,
    entries: &[Audit],
    first: Option<AuditPlace>,
    key: &SigningKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Change, Unsigned> {
    let from = head.seal.as_ref().map(|seal| seal.last).unwrap_or_default();
    let mut last = from;
    let mut sealed = Vec::with_capacity(entries.len());
    for audit in entries {
        let salt = audit.new.person.as_ref().map(|_| draw(entropy));
        let person = audit.new.person.as_ref().zip(salt.as_ref()).map(|(person, salt)| hash_person(salt, person));
        let chain = hash_entry(&last.chain, audit, person.as_ref());
        last = AuditPlace { id: audit.id, chain };
        sealed.push(SealedEntry { id: audit.id, sealing: Sealing { salt, person, chain } });
    }
    let first = first.or(head.seal.as_ref().map(|seal| seal.first)).unwrap_or_default();
    let signed = sign(first, last, now, key)?;
    Ok(Change::SealAudit { from, entries: sealed, seal: AuditSeal { first, last, at: now, signed } })
}

impl AuditWalk {
    /// Begins a walk at a seal's first place.
    ///
    /// # Errors
    /// The seal isn't ours.
    pub fn new(seal: &AuditSeal, key: &SigningKey) -> Result<Self, AuditFault> {
        // Ed25519 gives one signature for one text: what we would sign is what must stand there.
        match sign(seal.first, seal.last, seal.at, key) {
            Ok(signed) if signed == seal.signed => Ok(Self { last: seal.last, at: seal.first, blanked: 0 }),
            Ok(_) | Err(Unsigned) => Err(AuditFault::Seal),
        }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// It isn't what was sealed.
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
            (None, _, Some(_)) => self.blanked += 1,
            (None, None, None) => {}
            _ => return Err(AuditFault::Person(id)),
        }
        self.at = AuditPlace { id, chain };
        Ok(())
    }

    /// Where the walk stands.
    pub const fn at(&self) -> AuditPlace {
        self.at
    }

    /// How many sealed entries are still ahead.
    pub const fn ahead(&self) -> u64 {
        self.last.id.saturating_sub(self.at.id)
    }

    /// Ends the walk.
    ///
    /// # Errors
    /// It isn't at the seal's last place.
    pub fn end(&self) -> Result<(), AuditFault> {
        if self.at.id < self.last.id {
            return Err(AuditFault::Cut(self.last.id));
        }
        if self.at == self.last { Ok(()) } else { Err(AuditFault::Changed(self.at.id)) }
    }
}

fn sign(first: AuditPlace, last: AuditPlace, at: Timestamp, key: &SigningKey) -> Result<String, Unsigned> {
    let place = |place: AuditPlace| format!("{{\"id\":{},\"chain\":\"{}\"}}", place.id, hex(&place.chain));
    let said = format!("{{\"first\":{},\"last\":{},\"at_ms\":{}}}", place(first), place(last), at.as_millis());
    key.sign(said.as_bytes())
}

fn hash_entry(so_far: &Chain, audit: &Audit, person: Option<&Chain>) -> Chain {
    let Audit { id, new, seq, sealing: _ } = audit;
    let NewAudit { at, event, actor, reason, subject, session, kid, person: _ } = new;
    let mut hash = Context::new(&SHA256);
    hash.update(so_far);
    hash.update(&id.to_be_bytes());
    hash.update(&at.as_millis().to_be_bytes());
    hash.update(&seq.map_or(0, |seq| seq.as_u64()).to_be_bytes());
    let session = session.as_ref().map(|session| session.as_bytes().as_slice());
    let reason = reason.map(|reason| reason.as_str());
    let texts = [
        Some(event.as_str().as_bytes()),
        Some(actor.as_str().as_bytes()),
        reason.map(str::as_bytes),
        subject.as_ref().map(|subject| subject.as_str().as_bytes()),
        session,
        kid.as_deref().map(str::as_bytes),
        person.map(<[u8; 32]>::as_slice),
    ];
    finish(hash, &texts)
}

fn hash_person(salt: &[u8; 16], person: &Person) -> Chain {
    let Person { name, address, device, note } = person;
    let (author, text) = note.as_ref().map_or((None, None), |note| (note.author.as_deref(), note.text.as_deref()));
    let mut hash = Context::new(&SHA256);
    hash.update(salt);
    finish(hash, &[name.as_deref(), address.as_deref(), device.as_deref(), author, text].map(|text| text.map(str::as_bytes)))
}

/// Each field is preceded by its length; one that isn't there by a length that none has.
fn finish(mut hash: Context, fields: &[Option<&[u8]>]) -> Chain {
    for field in fields {
        hash.update(&field.map_or(u64::MAX, |field| field.len() as u64).to_be_bytes());
        hash.update(field.unwrap_or_default());
    }
    let mut chain = Chain::default();
    chain.copy_from_slice(hash.finish().as_ref());
    chain
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Event, Seeded, Subject};
    use crate::token::Algorithm;

    fn key(byte: u8) -> SigningKey {
        SigningKey::new(Algorithm::EdDsa, &[byte; 32], None).expect("a key")
    }

    /// Five entries, two of them with something personal.
    fn entries() -> Vec<Audit> {
        let entry = |id: u64| {
            let person = id.is_multiple_of(2).then(|| Person { name: Some(format!("name {id}")), ..Person::default() });
            let at = Timestamp::from_secs(i64::try_from(id).expect("small"));
            let subject = Subject::parse("dana").ok();
            let (event, actor) = (Event::SignedIn, Actor::Owner);
            let new = NewAudit { at, event, actor, reason: None, subject, session: None, kid: None, person };
            Audit { id, new, seq: None, sealing: None }
        };
        (1..=5).map(entry).collect()
    }

    fn seal(entries: &mut [Audit], head: &AuditHead, key: &SigningKey) -> AuditHead {
        let change = seal_audit(head, entries, None, key, Timestamp::from_secs(9), &Seeded::new(1)).expect("a seal");
        let Change::SealAudit { entries: sealed, seal, .. } = change else { panic!("another change") };
        for (entry, sealed) in entries.iter_mut().zip(sealed) {
            assert_eq!(entry.id, sealed.id);
            entry.sealing = Some(sealed.sealing);
        }
        AuditHead { newest: seal.last.id, seal: Some(seal) }
    }

    fn sealed() -> (Vec<Audit>, AuditSeal) {
        let mut entries = entries();
        let (first, second) = entries.split_at_mut(3);
        let head = seal(first, &AuditHead::default(), &key(1));
        let head = seal(second, &head, &key(1));
        (entries, head.seal.expect("a seal"))
    }

    fn walked(entries: &[Audit], seal: &AuditSeal) -> Result<u64, AuditFault> {
        let mut walk = AuditWalk::new(seal, &key(1))?;
        entries.iter().try_for_each(|entry| walk.step(entry))?;
        walk.end().map(|()| walk.blanked)
    }

    #[test]
    fn what_was_sealed_in_two_goes_is_walked_in_one() {
        let (entries, seal) = sealed();
        assert_eq!(walked(&entries, &seal), Ok(0));
    }

    #[test]
    fn whatever_is_changed_is_seen() {
        let (entries, seal) = sealed();
        type Tamper = fn(&mut Vec<Audit>);
        let ways: [(Tamper, AuditFault); 9] = [
            (|entries| entries[2].new.event = Event::Unlocked, AuditFault::Changed(3)),
            (|entries| entries[2].new.at = Timestamp::from_secs(99), AuditFault::Changed(3)),
            (|entries| entries[2].new.actor = Actor::Rule, AuditFault::Changed(3)),
            (|entries| entries[2].new.subject = None, AuditFault::Changed(3)),
            (|entries| drop(entries.remove(2)), AuditFault::Missing(3)),
            (|entries| drop(entries.pop()), AuditFault::Cut(5)),
            (|entries| entries[2].sealing = None, AuditFault::Changed(3)),
            (|entries| entries[1].new.person = Some(Person::default()), AuditFault::Person(2)),
            (|entries| entries[2].new.person = Some(Person::default()), AuditFault::Person(3)),
        ];
        for (tamper, fault) in ways {
            let mut entries = entries.clone();
            tamper(&mut entries);
            assert_eq!(walked(&entries, &seal), Err(fault));
        }
    }

    #[test]
    fn who_has_not_the_key_cannot_seal_it_again() {
        let mut entries = entries();
        let forged = seal(&mut entries, &AuditHead::default(), &key(2)).seal.expect("a seal");
        assert_eq!(walked(&entries, &forged), Err(AuditFault::Seal));
        let (_, ours) = sealed();
        assert_eq!(walked(&entries, &AuditSeal { last: forged.last, ..ours }), Err(AuditFault::Seal));
    }

    #[test]
    fn what_is_personal_can_be_blanked() {
        let (mut entries, seal) = sealed();
        entries[1].new.person = None;
        entries[1].sealing.iter_mut().for_each(|sealing| sealing.salt = None);
        assert_eq!(walked(&entries, &seal), Ok(1));
    }

    #[test]
    fn the_beginning_can_be_forgotten() {
        let (entries, seal) = sealed();
        let first = AuditPlace { id: 2, chain: entries[1].sealing.expect("it is sealed").chain };
        let head = AuditHead { newest: 5, seal: Some(seal) };
        let change = seal_audit(&head, &[], Some(first), &key(1), Timestamp::from_secs(10), &Seeded::new(1)).expect("a seal");
        let Change::SealAudit { seal, .. } = change else { panic!("another change") };
        assert_eq!(walked(&entries[2..], &seal), Ok(0));
        assert_eq!(walked(&entries[3..], &seal), Err(AuditFault::Missing(3)));
    }
}
