//! Seals the audit: each entry is hashed together with all entries before it, and the last hash is signed. An
//! attacker who can write to the store, but lacks the master key, can't change, add, remove or move sealed
//! entries unnoticed. Personal data is hashed separately, so that it can be blanked while the rest remains
//! verifiable.

mod walk;

use aws_lc_rs::digest::{Context, SHA256};

use crate::hex;
use crate::model::{
    Audit, AuditHead, AuditPlace, AuditSeal, Chain, Change, Entropy, NewAudit, Note, PersonalData,
    SealedEntry, Sealing, Timestamp, draw,
};
use crate::token::{SigningKey, Unsigned};

pub use walk::AuditWalk;

/// A difference between the audit and its seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuditFault {
    /// The store has no seal. The first one is written when the database is created.
    #[error("the seal is missing")]
    Unsealed,
    /// The signature isn't by this master key, or doesn't match the seal's fields.
    #[error("the seal was not signed with this master key")]
    Seal,
    /// The seal noted outside of the store isn't ours.
    #[error("the seal noted next to the database was not signed with this master key")]
    NotedSeal,
    /// An earlier seal has replaced the current one.
    #[error("the seal is older than the noted one")]
    Older,
    #[error("entry {0} is missing")]
    Missing(u64),
    /// An entry was changed after it was sealed, or another one was inserted before it.
    #[error("entry {0} is not what was sealed")]
    Changed(u64),
    /// The personal data of an entry was changed after it was sealed, and not blanked.
    #[error("the personal data of entry {0} is not what was sealed")]
    PersonalData(u64),
    /// The audit ends before an entry that was written.
    #[error("the audit ends before entry {0}, which was written")]
    Cut(u64),
    /// An entry has a number that wasn't assigned yet.
    #[error("entry {0} is beyond the newest assigned number")]
    Beyond(u64),
    /// An entry precedes the audit's beginning.
    #[error("entry {0} is before the beginning of the audit")]
    Before(u64),
    /// The personal data of an entry was removed, and no deletion of its account follows.
    #[error("the personal data of entry {0} was removed, and no deletion of its account follows")]
    Blanked(u64),
    /// An entry's row holds an invalid value.
    #[error("entry {0} cannot be read")]
    Unreadable(u64),
}

/// Seals the entries after the last place of a seal, and forgets those up to the place `first`.
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
        let person =
            audit.new.person.as_ref().zip(salt.as_ref()).map(|(person, salt)| hash_person(salt, person));
        let chain = hash_entry(&last.chain, audit, person.as_ref());
        last = AuditPlace { id: audit.id, chain };
        sealed.push(SealedEntry { id: audit.id, sealing: Sealing { salt, person, chain } });
    }
    let first = first.or(head.seal.as_ref().map(|seal| seal.first)).unwrap_or_default();
    let signed = sign(first, last, now, key)?;
    Ok(Change::SealAudit { from, entries: sealed, seal: AuditSeal { first, last, at: now, signed } })
}

/// Returns the store's seal if it is ours and continues the one noted outside of the store. Nothing may be
/// sealed after a seal that fails this check: the new signature would vouch for the forgery.
///
/// # Errors
/// The seal is missing, forged, or older than the noted one.
pub fn check_seal<'a>(
    head: &'a AuditHead,
    noted: Option<&AuditSeal>,
    key: &SigningKey,
) -> Result<&'a AuditSeal, AuditFault> {
    if noted.is_some_and(|noted| !is_ours(noted, key)) {
        return Err(AuditFault::NotedSeal);
    }
    let seal = head.seal.as_ref().ok_or(AuditFault::Unsealed)?;
    if !is_ours(seal, key) {
        return Err(AuditFault::Seal);
    }
    match noted {
        Some(noted) if seal.last.id < noted.last.id || seal.first.id < noted.first.id => {
            return Err(AuditFault::Older);
        }
        Some(noted) if seal.last.id == noted.last.id && seal.last != noted.last => {
            return Err(AuditFault::Changed(seal.last.id));
        }
        _ => {}
    }
    let (lowest, highest) = head.present.unwrap_or((u64::MAX, 0));
    let written = head.newest.max(seal.last.id);
    if head.newest < seal.last.id || highest.max(seal.first.id) < written {
        return Err(AuditFault::Cut(written));
    }
    if highest > head.newest {
        return Err(AuditFault::Beyond(highest));
    }
    // Entries before an acceptance are kept, but the seal doesn't vouch for them.
    if lowest <= seal.first.id && !seal.is_acceptance() {
        return Err(AuditFault::Before(lowest));
    }
    Ok(seal)
}

/// Begins the audit anew after a fault. Existing entries stay, but the seal no longer vouches for them; later
/// entries are sealed.
///
/// # Errors
/// The crypto library fails.
pub fn accept_audit(
    head: &AuditHead,
    noted: Option<&AuditSeal>,
    key: &SigningKey,
    note: Option<Note>,
    now: Timestamp,
) -> Result<Change, Unsigned> {
    let known = [
        head.present.map(|present| present.1),
        head.seal.as_ref().map(|seal| seal.last.id),
        noted.map(|noted| noted.last.id),
    ];
    // The number is above all known ones, so that no earlier seal can contradict this one.
    let id = known.into_iter().flatten().fold(head.newest, u64::max).saturating_add(1);
    let place = AuditPlace { id, chain: Chain::default() };
    let signed = sign(place, place, now, key)?;
    let from = head.seal.as_ref().map(|seal| seal.last).unwrap_or_default();
    Ok(Change::AcceptAudit { from, seal: AuditSeal { first: place, last: place, at: now, signed }, note })
}

/// Returns whether a seal was signed with this key. Ed25519 is deterministic: the signature must equal the
/// one that we would make.
pub fn is_ours(seal: &AuditSeal, key: &SigningKey) -> bool {
    sign(seal.first, seal.last, seal.at, key).is_ok_and(|signed| signed == seal.signed)
}

fn sign(first: AuditPlace, last: AuditPlace, at: Timestamp, key: &SigningKey) -> Result<String, Unsigned> {
    let place =
        |place: AuditPlace| format!("{{\"id\":{},\"chain\":\"{}\"}}", place.id, hex::encode(&place.chain));
    let said =
        format!("{{\"first\":{},\"last\":{},\"at_ms\":{}}}", place(first), place(last), at.as_millis());
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

fn hash_person(salt: &[u8; 16], person: &PersonalData) -> Chain {
    let PersonalData { name, address, device, note } = person;
    let (author, text) =
        note.as_ref().map_or((None, None), |note| (note.author.as_deref(), note.text.as_deref()));
    let mut hash = Context::new(&SHA256);
    hash.update(salt);
    finish(
        hash,
        &[name.as_deref(), address.as_deref(), device.as_deref(), author, text]
            .map(|text| text.map(str::as_bytes)),
    )
}

/// Hashes each field after its length; an absent field has a length that no field can have.
fn finish(mut hash: Context, fields: &[Option<&[u8]>]) -> Chain {
    for field in fields {
        hash.update(&field.map_or(u64::MAX, |field| field.len() as u64).to_be_bytes());
        hash.update(field.unwrap_or_default());
    }
    let mut chain = Chain::default();
    chain.copy_from_slice(hash.finish().as_ref());
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Event, Seeded, Subject};
    use crate::token::Algorithm;

    fn key(byte: u8) -> SigningKey {
        SigningKey::new(Algorithm::EdDsa, &[byte; 32], None).expect("a key")
    }

    /// Five entries, two of them with personal data.
    fn entries() -> Vec<Audit> {
        let entry = |id: u64| {
            let person = id
                .is_multiple_of(2)
                .then(|| PersonalData { name: Some(format!("name {id}")), ..PersonalData::default() });
            let at = Timestamp::from_secs(i64::try_from(id).expect("small"));
            let subject = Subject::parse("dana").ok();
            let (event, actor) = (Event::SignedIn, Actor::Owner);
            let new = NewAudit { at, event, actor, reason: None, subject, session: None, kid: None, person };
            Audit { id, new, seq: None, sealing: None }
        };
        (1..=5).map(entry).collect()
    }

    fn seal(entries: &mut [Audit], head: &AuditHead, key: &SigningKey) -> AuditHead {
        let change =
            seal_audit(head, entries, None, key, Timestamp::from_secs(9), &Seeded::new(1)).expect("a seal");
        let Change::SealAudit { entries: sealed, seal, .. } = change else { panic!("another change") };
        for (entry, sealed) in entries.iter_mut().zip(sealed) {
            assert_eq!(entry.id, sealed.id);
            entry.sealing = Some(sealed.sealing);
        }
        AuditHead { newest: seal.last.id, present: Some((1, seal.last.id)), seal: Some(seal) }
    }

    fn sealed() -> (Vec<Audit>, AuditSeal) {
        let mut entries = entries();
        let (first, second) = entries.split_at_mut(3);
        let head = seal(first, &AuditHead::default(), &key(1));
        let head = seal(second, &head, &key(1));
        (entries, head.seal.expect("a seal"))
    }

    fn head(entries: &[Audit], seal: &AuditSeal) -> AuditHead {
        let present = entries.first().zip(entries.last()).map(|(first, last)| (first.id, last.id));
        AuditHead { newest: 5, present, seal: Some(seal.clone()) }
    }

    fn walked(entries: &[Audit], seal: &AuditSeal) -> Result<u64, AuditFault> {
        let head = head(entries, seal);
        let mut walk = AuditWalk::new(check_seal(&head, None, &key(1))?);
        entries.iter().try_for_each(|entry| walk.step(entry))?;
        walk.check_sealed_end()?;
        let blanked = walk.blanked;
        walk.finish().map(|()| blanked)
    }

    #[test]
    fn audits_sealed_in_two_steps_verify() {
        let (entries, seal) = sealed();
        assert_eq!(walked(&entries, &seal), Ok(0));
    }

    #[test]
    fn changes_to_sealed_entries_are_detected() {
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
            (|entries| entries[1].new.person = Some(PersonalData::default()), AuditFault::PersonalData(2)),
            (|entries| entries[2].new.person = Some(PersonalData::default()), AuditFault::PersonalData(3)),
        ];
        for (tamper, fault) in ways {
            let mut entries = entries.clone();
            tamper(&mut entries);
            assert_eq!(walked(&entries, &seal), Err(fault));
        }
    }

    #[test]
    fn seals_by_another_key_are_refused() {
        let mut entries = entries();
        let forged = seal(&mut entries, &AuditHead::default(), &key(2)).seal.expect("a seal");
        assert_eq!(walked(&entries, &forged), Err(AuditFault::Seal));
        let (_, ours) = sealed();
        assert_eq!(walked(&entries, &AuditSeal { last: forged.last, ..ours }), Err(AuditFault::Seal));
    }

    fn blank(entry: &mut Audit) {
        entry.new.person = None;
        if let Some(sealing) = &mut entry.sealing {
            sealing.salt = None;
        }
    }

    #[test]
    fn blanked_entries_require_a_deletion() {
        let (mut blanked, seal) = sealed();
        blank(&mut blanked[1]);
        assert_eq!(walked(&blanked, &seal), Err(AuditFault::Blanked(2)));

        let mut entries = entries();
        entries[4].new.event = Event::AccountDeleted;
        entries[3].new.subject = None;
        let seal = seal_all(&mut entries);
        blank(&mut entries[1]);
        assert_eq!(walked(&entries, &seal), Ok(1));
        blank(&mut entries[3]);
        assert_eq!(walked(&entries, &seal), Err(AuditFault::Blanked(4)), "a client's name is never blanked");
    }

    fn seal_all(entries: &mut [Audit]) -> AuditSeal {
        seal(entries, &AuditHead::default(), &key(1)).seal.expect("a seal")
    }

    #[test]
    fn missing_and_older_seals_are_faults() {
        let mut entries = entries();
        let (first, second) = entries.split_at_mut(3);
        let early = seal(first, &AuditHead::default(), &key(1));
        let late = seal(second, &early, &key(1));
        let checked =
            |head: &AuditHead, noted: &AuditHead| check_seal(head, noted.seal.as_ref(), &key(1)).map(|_| ());
        assert_eq!(checked(&late, &early), Ok(()));
        assert_eq!(checked(&late, &late), Ok(()));
        assert_eq!(checked(&early, &late), Err(AuditFault::Older));
        assert_eq!(checked(&AuditHead { seal: None, ..late.clone() }, &late), Err(AuditFault::Unsealed));
        assert_eq!(checked(&AuditHead::default(), &AuditHead::default()), Err(AuditFault::Unsealed));
        let mut others = self::entries();
        let forged = seal(&mut others, &AuditHead::default(), &key(2));
        assert_eq!(checked(&late, &forged), Err(AuditFault::NotedSeal));
        assert_eq!(checked(&forged, &late), Err(AuditFault::Seal));
        for entry in &mut others {
            (entry.sealing, entry.new.actor) = (None, Actor::Rule);
        }
        let forked = seal(&mut others, &AuditHead::default(), &key(1));
        assert_eq!(checked(&forked, &late), Err(AuditFault::Changed(5)));
    }

    #[test]
    fn entries_outside_of_the_audit_are_faults() {
        let (entries, seal) = sealed();
        let head = head(&entries, &seal);
        let checked = |head: &AuditHead| check_seal(head, None, &key(1)).map(|_| ());
        assert_eq!(checked(&head), Ok(()));
        assert_eq!(checked(&AuditHead { present: Some((1, 6)), ..head.clone() }), Err(AuditFault::Beyond(6)));
        assert_eq!(checked(&AuditHead { present: Some((0, 5)), ..head.clone() }), Err(AuditFault::Before(0)));
        assert_eq!(
            checked(&AuditHead { newest: 6, ..head.clone() }),
            Err(AuditFault::Cut(6)),
            "an unsealed entry is gone"
        );
        assert_eq!(checked(&AuditHead { newest: 4, ..head.clone() }), Err(AuditFault::Cut(5)));
        assert_eq!(checked(&AuditHead { present: None, ..head }), Err(AuditFault::Cut(5)));
    }

    #[test]
    fn accepted_audits_begin_anew() {
        let (mut entries, seal) = sealed();
        entries[2].new.event = Event::Unlocked;
        let broken = head(&entries, &seal);
        let accepted =
            accept_audit(&broken, Some(&seal), &key(1), None, Timestamp::from_secs(11)).expect("a seal");
        let Change::AcceptAudit { from, seal: accepted, .. } = accepted else { panic!("another change") };
        assert_eq!(
            (from, accepted.first, accepted.last),
            (seal.last, accepted.last, AuditPlace { id: 6, chain: Chain::default() })
        );
        let begun = AuditHead { newest: 6, seal: Some(accepted), ..broken };
        assert!(check_seal(&begun, Some(&seal), &key(1)).is_ok(), "entries before it stay");
        let mut next = [Audit { id: 7, sealing: None, ..entries[4].clone() }];
        let sealed = self::seal(&mut next, &begun, &key(1));
        let mut walk = AuditWalk::new(check_seal(&sealed, begun.seal.as_ref(), &key(1)).expect("ours"));
        assert_eq!(walk.step(&next[0]).and_then(|()| walk.check_sealed_end()), Ok(()));
    }

    #[test]
    fn the_beginning_of_the_audit_can_be_dropped() {
        let (entries, seal) = sealed();
        let first = AuditPlace { id: 2, chain: entries[1].sealing.expect("it is sealed").chain };
        let head = AuditHead { newest: 5, present: Some((1, 5)), seal: Some(seal) };
        let change = seal_audit(&head, &[], Some(first), &key(1), Timestamp::from_secs(10), &Seeded::new(1))
            .expect("a seal");
        let Change::SealAudit { seal, .. } = change else { panic!("another change") };
        assert_eq!(walked(&entries[2..], &seal), Ok(0));
        assert_eq!(walked(&entries[3..], &seal), Err(AuditFault::Missing(3)));
    }
}
