//! Writes, numbers, seals, blanks and reads the audit.
//!
//! An entry is written without a number, because a counter would be a row that all transactions lock. The first
//! reader after its commit numbers it, in the order in which entries were written. A number never changes.

use quash_core::model::{
    Actor, Audit, AuditFilter, AuditHead, AuditPlace, AuditSeal, Event, NewAudit, PersonalData, Reason,
    Receipt, SealedEntry, SessionId, Subject, Timestamp,
};

use crate::audit_index::{AuditIndex, place_before};

use super::fault::PostgresError;
use super::params::Params;
use super::rows::{self, Columns, ReadColumns};
use super::statements;
use super::transaction::{Database, Transaction};

/// Writes an entry.
pub(super) async fn record(
    transaction: &Transaction<'_>,
    new: &NewAudit,
    seq: Option<quash_core::model::Seq>,
) -> Result<(), PostgresError> {
    let NewAudit { at, event, actor, reason, subject, session, kid, person } = new;
    let seq = seq.map(|seq| rows::stored(seq.as_u64())).transpose()?;
    let watermark = seq.filter(|_| new.raises_watermark());
    let at = at.as_millis();
    let (event, actor) = (event.as_str(), actor.as_str());
    let reason = reason.map(Reason::as_str);
    let subject = subject.as_ref().map(Subject::as_str);
    let session = session.as_ref().map(|session: &SessionId| session.as_bytes().as_slice());
    let Some(PersonalData { name, address, device, note }) = person else {
        let values: Params<'_> = &[&at, &event, &actor, &reason, &subject, &session, kid, &seq, &watermark];
        return transaction.write_one(statements::ADD_AUDIT, values).await;
    };
    let (author, text) =
        note.as_ref().map_or((None, None), |note| (note.author.as_deref(), note.text.as_deref()));
    let values: Params<'_> = &[
        &at, &event, &actor, &reason, &subject, &session, kid, &seq, &watermark, name, address, device,
        &author, &text,
    ];
    transaction.write_one(statements::ADD_AUDIT_WITH_PERSON, values).await
}

pub(super) async fn seal(
    transaction: &Transaction<'_>,
    from: &AuditPlace,
    entries: &[SealedEntry],
    seal: &AuditSeal,
) -> Result<Receipt, PostgresError> {
    check_sealed_up_to(transaction, from).await?;
    // The caller has read `entries`, so they have numbers already. This numbers newer ones.
    transaction.execute(statements::NUMBER_AUDIT, &[]).await?;
    let numbers: Vec<i64> = entries.iter().map(|entry| rows::stored(entry.id)).collect::<Result<_, _>>()?;
    let persons: Vec<Option<&[u8]>> =
        entries.iter().map(|entry| entry.sealing.person.as_ref().map(<[u8; 32]>::as_slice)).collect();
    let chains: Vec<&[u8]> = entries.iter().map(|entry| entry.sealing.chain.as_slice()).collect();
    let sealed = transaction.execute(statements::SEAL_ENTRIES, &[&numbers, &persons, &chains]).await?;
    if sealed != u64::try_from(entries.len()).unwrap_or(u64::MAX) {
        return Err(PostgresError::Conflict);
    }
    let salted: Vec<i64> = entries
        .iter()
        .zip(&numbers)
        .filter(|(entry, _)| entry.sealing.salt.is_some())
        .map(|(_, number)| *number)
        .collect();
    let salts: Vec<&[u8]> =
        entries.iter().filter_map(|entry| entry.sealing.salt.as_ref().map(<[u8; 16]>::as_slice)).collect();
    transaction.execute(statements::SALT_PERSONS, &[&salted, &salts]).await?;
    set_seal(transaction, seal).await?;
    transaction.execute(statements::FORGET_AUDIT, &[&rows::stored(seal.first.id)?]).await.map(Receipt::pruned)
}

pub(super) async fn accept(
    transaction: &Transaction<'_>,
    from: &AuditPlace,
    seal: &AuditSeal,
) -> Result<Receipt, PostgresError> {
    check_sealed_up_to(transaction, from).await?;
    transaction.execute(statements::NUMBER_AUDIT, &[]).await?;
    transaction.write_one(statements::RAISE_AUDIT, &[&rows::stored(seal.last.id)?]).await?;
    set_seal(transaction, seal).await?;
    Ok(Receipt::default())
}

async fn check_sealed_up_to(transaction: &Transaction<'_>, place: &AuditPlace) -> Result<(), PostgresError> {
    let found = transaction.query(statements::SEALED_UP_TO, &[]).await?;
    let sealed =
        rows::first(&found, |columns| Ok(AuditPlace { id: columns.count()?, chain: columns.bytes()? }))?;
    if sealed.unwrap_or_default() == *place { Ok(()) } else { Err(PostgresError::Conflict) }
}

async fn set_seal(transaction: &Transaction<'_>, seal: &AuditSeal) -> Result<(), PostgresError> {
    let AuditSeal { first, last, at, signed } = seal;
    transaction
        .write_one(
            statements::SET_SEAL,
            &[
                &rows::stored(first.id)?,
                &first.chain.as_slice(),
                &rows::stored(last.id)?,
                &last.chain.as_slice(),
                &at.as_millis(),
                signed,
            ],
        )
        .await
}

pub(super) async fn blank(
    transaction: &Transaction<'_>,
    subject: &Subject,
    limit: u32,
) -> Result<Receipt, PostgresError> {
    let (subject, most) = (subject.as_str(), i64::from(limit));
    let blanked = transaction.execute(statements::BLANK_PERSONS, &[&subject, &most]).await?;
    if blanked < u64::from(limit) {
        transaction.execute(statements::ALL_BLANKED, &[&subject]).await?;
    }
    Ok(Receipt::pruned(blanked))
}

/// Gives numbers to the entries that have none.
async fn number(database: &Database) -> Result<(), PostgresError> {
    if database.query(statements::IS_UNNUMBERED, &[]).await?.is_empty() {
        return Ok(());
    }
    loop {
        let transaction = database.begin(&[(statements::LOCK_AUDIT, Vec::new())]).await?;
        let given = transaction.query(statements::NUMBER_AUDIT, &[]).await?;
        let given = rows::only(&given, |columns| columns.count())?;
        transaction.commit().await?;
        if given < statements::NUMBERED_AT_ONCE {
            return Ok(());
        }
    }
}

pub(super) async fn head(database: &Database) -> Result<AuditHead, PostgresError> {
    number(database).await?;
    let read = |columns: &mut Columns<'_>| {
        let newest = columns.count()?;
        let (lowest, highest): (Option<i64>, Option<i64>) = (columns.take()?, columns.take()?);
        let number = |id: i64| u64::try_from(id).unwrap_or_default();
        let present = lowest.zip(highest).map(|(lowest, highest)| (number(lowest), number(highest)));
        if columns.skip_null(6)? {
            return Ok(AuditHead { newest, present, seal: None });
        }
        let first = AuditPlace { id: columns.count()?, chain: columns.bytes()? };
        let last = AuditPlace { id: columns.count()?, chain: columns.bytes()? };
        let seal = AuditSeal { first, last, at: columns.moment()?, signed: columns.take()? };
        Ok(AuditHead { newest, present, seal: Some(seal) })
    };
    rows::only(&database.query(statements::AUDIT_HEAD, &[]).await?, read)
}

pub(super) async fn entries(
    database: &Database,
    after: u64,
    of: Option<&Subject>,
    limit: u32,
) -> Result<Vec<Audit>, PostgresError> {
    number(database).await?;
    let (after, limit) = (rows::bound(after), i64::from(limit));
    let found = match of {
        Some(subject) => database.query(statements::AUDIT_OF, &[&after, &limit, &subject.as_str()]).await?,
        None => database.query(statements::AUDIT, &[&after, &limit]).await?,
    };
    rows::all(&found, rows::row)
}

pub(super) async fn before(
    database: &Database,
    place: (Timestamp, u64),
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<Audit>, PostgresError> {
    number(database).await?;
    let statement = match AuditIndex::of(filter) {
        AuditIndex::Subject => statements::AUDIT_OF_BEFORE,
        AuditIndex::Event => statements::AUDIT_OF_EVENT_BEFORE,
        AuditIndex::Actor => statements::AUDIT_OF_ACTOR_BEFORE,
        AuditIndex::Time => statements::AUDIT_BEFORE,
    };
    let (at, id) = place_before(filter, place);
    let values: Params<'_> = &[
        &at.as_millis(),
        &rows::bound(id),
        &filter.from.map_or(i64::MIN, Timestamp::as_millis),
        &filter.event.map(Event::as_str),
        &filter.actor.as_ref().map(Actor::as_str),
        &filter.subject.as_ref().map(Subject::as_str),
        &i64::from(limit),
    ];
    rows::all(&database.query(statement, values).await?, rows::row)
}
