//! Applies changes, with one function per [`Change`]. The statements that write also check the guard, and
//! fail with [`SqliteError::Conflict`] if it doesn't hold. The owner of the transaction then rolls it back.

use quash_core::model::{
    Account, AccountEdit, AccountFields, Adoption, Change, Client, ClientName, DeviceId, Devices, Email,
    Ends, Epoch, Generation, KeyRecord, KeyState, Kid, Name, NewAudit, NewEntry, OldSessions, PasswordHash,
    Receipt, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionEnd, SessionId, SessionOpening,
    SessionState, Subject, Survivor, Timestamp, limits,
};
use rusqlite::{Connection, ToSql, params};

use super::fault::SqliteError;
use super::write::{appended, pruned, write, write_one};
use super::{audit, mail, rows, statements};
use crate::log::LogEnd;

/// Writes a change and its audit entry in the open transaction.
pub(super) fn apply(conn: &Connection, change: &Change) -> Result<Receipt, SqliteError> {
    let receipt = write_change(conn, change)?;
    for new in &NewAudit::of(change) {
        audit::record(conn, new, receipt.seq)?;
    }
    Ok(receipt)
}

fn write_change(conn: &Connection, change: &Change) -> Result<Receipt, SqliteError> {
    match change {
        Change::AddAccount(account, _) => add_account(conn, account),
        Change::OpenSession(opening) => open(conn, opening),
        Change::Rotate { session, from, rotated_at, idle_until } => {
            rotate(conn, *session, *from, *rotated_at, *idle_until)
        }
        Change::BindSession { session, device } => {
            write_one(conn, statements::BIND_SESSION, params![session.as_bytes(), device.as_bytes()])
        }
        Change::EndSessions { sessions, tokens } => end_sessions(conn, sessions, tokens),
        Change::EditAccount(edit) => edit_account(conn, edit),
        Change::DeleteAccount { subject, version, entry, .. } => {
            delete_account(conn, subject, *version, entry)
        }
        Change::Together(changes) => together(conn, changes),
        Change::EndEverything { entry } => end_everything(conn, entry),
        Change::BeginEpoch { from, to, entry, sessions } => begin_epoch(conn, *from, *to, entry, *sessions),
        Change::Revoke { entry } => append(conn, entry).map(appended),
        Change::AddKey { key, replaces, .. } => add_key(conn, key, replaces.as_ref()),
        Change::PromoteKey { kid, replaces, .. } => make_current(conn, kid, "next", replaces.as_ref()),
        Change::ResumeKey { kid, replaces, .. } => make_current(conn, kid, "retiring", replaces.as_ref()),
        Change::DropKey { kid, .. } => write_one(conn, statements::DROP_KEY, [kid.as_str()]),
        Change::RevokeKey { kid, secret, entry } => revoke_key(conn, kid, secret, entry),
        Change::AddRevokedKey { key, entry } => add_revoked_key(conn, key, entry),
        Change::AddClient { client, digest, .. } => add_client(conn, client, *digest),
        Change::RemoveClient { client, .. } => remove_client(conn, client),
        Change::AddSecret { name, secret } => add_secret(conn, name, secret),
        Change::Remember { name, value } => write_one(conn, statements::REMEMBER, params![name, value]),
        Change::RaiseLongestLifetime(millis) => {
            write_one(conn, statements::RAISE_LONGEST_LIFETIME, [rows::stored(*millis)?])
        }
        Change::SealAudit { from, entries, seal } => audit::seal(conn, from, entries, seal),
        Change::AcceptAudit { from, seal, .. } => audit::accept(conn, from, seal),
        Change::BlankPersons { subject, limit } => audit::blank(conn, subject, *limit),
        Change::StartFlow { flow, replaces } => mail::start_flow(conn, flow, *replaces),
        Change::SpendTry(flow) => mail::spend_try(conn, *flow),
        Change::UseFlow(flow) => mail::use_flow(conn, *flow),
        Change::AddMail(mail) => mail::add_mail(conn, mail),
        Change::TryMail { mail, attempts, due_at } => mail::try_mail(conn, *mail, *attempts, *due_at),
        Change::SettleMail { mail, attempts, outcome } => mail::settle_mail(conn, *mail, *attempts, *outcome),
        Change::DropMail(mail) => mail::drop_mail(conn, *mail),
        Change::ForgetExpired { now, limit } => forget_expired(conn, *now, *limit),
        Change::MarkExpired { now, limit } => mark_expired(conn, *now, *limit),
        Change::DeleteMarked { now, marked_until, limit } => delete_marked(conn, *now, *marked_until, *limit),
    }
}

/// Estimates the number of rows that a change writes.
pub(super) fn weight(change: &Change) -> usize {
    match change {
        Change::MarkExpired { limit, .. }
        | Change::DeleteMarked { limit, .. }
        | Change::BlankPersons { limit, .. }
        | Change::ForgetExpired { limit, .. } => *limit as usize,
        Change::SealAudit { entries, .. } => entries.len().max(1),
        Change::Together(changes) => changes.iter().map(weight).sum(),
        _ => 1,
    }
}

/// If one change fails, the owner of the transaction rolls all of them back.
fn together(conn: &Connection, changes: &[Change]) -> Result<Receipt, SqliteError> {
    let mut all = Receipt::default();
    for change in changes {
        let Receipt { seq, pruned } = apply(conn, change)?;
        all = Receipt { seq: seq.or(all.seq), pruned: all.pruned.saturating_add(pruned) };
    }
    Ok(all)
}

fn add_account(conn: &Connection, account: &Account) -> Result<Receipt, SqliteError> {
    let (state, state_at, locked_at) = rows::stored_state(account.state);
    let (claims, claims_adopted) = rows::stored_claims(&account.claims);
    let values = params![
        account.subject.as_str(),
        account.username.shown(),
        account.username.folded(),
        account.email.as_ref().map(|email| email.shown.as_str()),
        account.email.as_ref().map(Email::folded),
        account.email.as_ref().and_then(|email| email.verified_at).map(Timestamp::as_millis),
        account.password.as_ref().map(PasswordHash::as_str),
        state,
        state_at,
        rows::stored(account.sessions_before.as_u64())?,
        rows::stored(account.version)?,
        account.created_at.as_millis(),
        account.foreign_after.as_millis(),
        account.last_login_at.map(Timestamp::as_millis),
        account.password.as_ref().and_then(PasswordHash::class),
        account.temporary_until.map(Timestamp::as_millis),
        account.locks,
        claims,
        account.devices.to_text(),
        locked_at,
        claims_adopted,
        account.mark,
    ];
    write_one(conn, statements::ADD_ACCOUNT, values)
}

fn open(conn: &Connection, opening: &SessionOpening) -> Result<Receipt, SqliteError> {
    let SessionOpening { session, version, rehash, evict, last_login, known_device, locks, adopts, claims } =
        opening;
    let seq = evict.as_ref().map(|end| end_session(conn, end)).transpose()?;
    open_session(conn, session, *version, adopts.as_ref())?;
    let version = rows::stored(*version)?;
    if let Some(hash) = rehash {
        write_one(
            conn,
            statements::REHASH,
            params![hash.as_str(), session.subject.as_str(), version, hash.class()],
        )?;
    }
    if let Some(moment) = last_login {
        write_one(
            conn,
            statements::LAST_LOGIN,
            params![moment.as_millis(), session.subject.as_str(), version],
        )?;
    }
    if let Some(locks) = locks {
        write_one(conn, statements::COUNT_LOCKS, params![locks, session.subject.as_str(), version])?;
    }
    if let Some(claims) = claims {
        // Writes no row if another token has brought claims meanwhile.
        write(
            conn,
            statements::ADOPT_CLAIMS,
            params![rows::object(claims), session.subject.as_str(), version],
        )?;
    }
    if let Some(device) = known_device {
        know_device(conn, *device, &session.subject, version)?;
    }
    Ok(Receipt { seq, pruned: 0 })
}

fn know_device(
    conn: &Connection,
    device: DeviceId,
    subject: &Subject,
    version: i64,
) -> Result<Receipt, SqliteError> {
    let as_text = Devices::default().with(device).to_text();
    let longest =
        i64::try_from(as_text.len() * limits::DEVICES).map_err(|_| SqliteError::Value("known devices"))?;
    write_one(conn, statements::KNOW_DEVICE, params![as_text, subject.as_str(), version, longest])
}

fn open_session(
    conn: &Connection,
    session: &Session,
    version: u64,
    adopts: Option<&Adoption>,
) -> Result<(), SqliteError> {
    let ending = match &session.state {
        SessionState::Live => None,
        SessionState::Ended(ending) => Some(ending),
    };
    let version = rows::stored(version)?;
    let opened_seq = rows::stored(session.opened_seq.as_u64())?;
    let (rotated_at, opened_at, idle_until) =
        (session.rotated_at.as_millis(), session.opened_at.as_millis(), session.idle_until.as_millis());
    let ends_at = session.ends_at.map(Timestamp::as_millis);
    let ended_reason = ending.map(|ending| ending.reason.as_str());
    let ended_at = ending.map(|ending| ending.at.as_millis());
    let ended_actor = ending.map(|ending| ending.actor.as_str());
    let claims = session.claims.to_json();
    let foreign_key = session.adopted.map(|adopted| adopted.key.0);
    let foreign_until = session.adopted.map(|adopted| adopted.until.as_millis());
    let known_device = session.known_device.as_ref().map(DeviceId::as_bytes);
    let client = session.client.as_ref().map(ClientName::as_str);
    let values: [&dyn ToSql; 20] = [
        session.id.as_bytes(),
        &session.subject.as_str(),
        &session.generation.0,
        &rotated_at,
        &session.seed,
        &opened_seq,
        &opened_at,
        &idle_until,
        &ends_at,
        &ended_reason,
        &ended_at,
        &ended_actor,
        &session.device,
        &session.address,
        &version,
        &claims,
        &foreign_key,
        &foreign_until,
        &known_device,
        &client,
    ];
    let Some(Adoption { minted_at, scopes }) = adopts else {
        return write_one(conn, statements::OPEN_SESSION, values.as_slice()).map(drop);
    };
    for scope in scopes {
        none(conn, statements::REVOKED_ALREADY, *scope)?;
    }
    if let Some(adopted) = session.adopted {
        none(conn, statements::ADOPTED_BEFORE, adopted.key)?;
    }
    let minted_at = minted_at.as_millis();
    let values: Vec<&dyn ToSql> =
        values.into_iter().chain(std::iter::once(&minted_at as &dyn ToSql)).collect();
    write_one(conn, statements::ADOPT, values.as_slice()).map(drop)
}

fn rotate(
    conn: &Connection,
    id: SessionId,
    from: Generation,
    rotated_at: Timestamp,
    idle_until: Timestamp,
) -> Result<Receipt, SqliteError> {
    let values =
        params![id.as_bytes(), from.0, from.next().0, rotated_at.as_millis(), idle_until.as_millis()];
    write_one(conn, statements::ROTATE, values)
}

fn end_sessions(conn: &Connection, ends: &[SessionEnd], tokens: &[NewEntry]) -> Result<Receipt, SqliteError> {
    let mut last = None;
    for end in ends {
        last = Some(end_session(conn, end)?);
    }
    for entry in tokens {
        none(conn, statements::REVOKED_ALREADY, entry.key)?;
        none(conn, statements::ADOPTED_ALREADY, entry.key)?;
        none(conn, statements::ADOPTED_BEFORE, entry.key)?;
        last = Some(append(conn, entry)?);
    }
    Ok(Receipt { seq: last, pruned: 0 })
}

fn edit_account(conn: &Connection, edit: &AccountEdit) -> Result<Receipt, SqliteError> {
    let AccountEdit { subject, version, fields, ends, .. } = edit;
    let seq = match ends {
        Ends::Nothing => None,
        Ends::Access(entry) | Ends::Sessions { entry, .. } => Some(append(conn, entry)?),
    };
    let (before, foreign_after) = match (ends, seq) {
        (Ends::Sessions { entry, survivor }, Some(seq)) => {
            let number = rows::stored(seq.as_u64())?;
            // Before the account's row: the survivor's guard compares the previous watermarks.
            survivor.map_or(Ok(()), |survivor| survive(conn, subject, survivor, number))?;
            (Some(number), Some(entry.at.as_millis()))
        }
        _ => (None, None),
    };
    write_fields(conn, subject, *version, fields, before, foreign_after)?;
    Ok(Receipt { seq, pruned: 0 })
}

fn survive(conn: &Connection, subject: &Subject, survivor: Survivor, number: i64) -> Result<(), SqliteError> {
    let Survivor { session, generation, rotated_at, idle_until } = survivor;
    let values = params![
        session.as_bytes(),
        generation.0,
        generation.next().0,
        rotated_at.as_millis(),
        idle_until.as_millis(),
        number,
        subject.as_str(),
    ];
    write_one(conn, statements::SURVIVE, values).map(drop)
}

fn write_fields(
    conn: &Connection,
    subject: &Subject,
    version: u64,
    fields: &AccountFields,
    sessions_before: Option<i64>,
    foreign_after: Option<i64>,
) -> Result<(), SqliteError> {
    let AccountFields { username, email, password, temporary_until, state, locks, claims, devices, mark } =
        fields;
    let address = email.as_ref().and_then(Option::as_ref);
    let hash = password.as_ref().and_then(Option::as_ref);
    let stored = state.map(rows::stored_state);
    let values = params![
        subject.as_str(),
        rows::stored(version)?,
        username.is_some(),
        username.as_ref().map(Name::shown),
        username.as_ref().map(Name::folded),
        email.is_some(),
        address.map(|address| address.shown.as_str()),
        address.map(Email::folded),
        address.and_then(|address| address.verified_at).map(Timestamp::as_millis),
        password.is_some(),
        hash.map(PasswordHash::as_str),
        hash.and_then(PasswordHash::class),
        temporary_until.is_some(),
        temporary_until.flatten().map(Timestamp::as_millis),
        state.is_some(),
        stored.map(|(state, ..)| state),
        stored.and_then(|(_, state_at, _)| state_at),
        locks,
        claims.is_some(),
        claims.as_ref().map(rows::object),
        sessions_before,
        foreign_after,
        devices.as_ref().map(Devices::to_text),
        stored.and_then(|(.., locked_at)| locked_at),
        mark.is_some(),
        mark.as_ref().and_then(Option::as_ref),
    ];
    write_one(conn, statements::EDIT_ACCOUNT, values).map(drop)
}

fn delete_account(
    conn: &Connection,
    subject: &Subject,
    version: u64,
    entry: &NewEntry,
) -> Result<Receipt, SqliteError> {
    let seq = append(conn, entry)?;
    write(conn, statements::KEEP_ADOPTIONS, [subject.as_str()])?;
    write(conn, statements::FORGET_SESSIONS_OF, [subject.as_str()])?;
    write_one(conn, statements::DELETE_ACCOUNT, params![subject.as_str(), rows::stored(version)?])?;
    write_one(conn, statements::ADD_GONE, [subject.as_str()])?;
    Ok(appended(seq))
}

fn end_everything(conn: &Connection, entry: &NewEntry) -> Result<Receipt, SqliteError> {
    let seq = append(conn, entry)?;
    raise_watermark(conn, seq, entry.at)
}

fn begin_epoch(
    conn: &Connection,
    from: Epoch,
    to: Epoch,
    entry: &NewEntry,
    sessions: OldSessions,
) -> Result<Receipt, SqliteError> {
    let end = rows::log_end(conn)?;
    if Epoch::of(end.seq) != Some(from) || from >= to {
        return Err(SqliteError::Conflict);
    }
    let seq = append_after(conn, end.seq, &LogEnd { seq: to.start(), ..end }, entry)?;
    match sessions {
        OldSessions::End => raise_watermark(conn, seq, entry.at),
        OldSessions::Keep => Ok(appended(seq)),
    }
}

/// Ends all sessions that were opened before the newest entry.
fn raise_watermark(conn: &Connection, seq: Seq, at: Timestamp) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::END_EVERYTHING, [rows::stored(seq.as_u64())?, at.as_millis()])?;
    Ok(appended(seq))
}

fn add_key(
    conn: &Connection,
    key: &KeyRecord,
    replaces: Option<&(Kid, KeyState)>,
) -> Result<Receipt, SqliteError> {
    match (key.state, replaces) {
        (KeyState::Current, Some(replaced)) => retire_key(conn, replaced)?,
        (KeyState::Current | KeyState::Next { .. }, None) => {}
        (KeyState::Next { .. }, Some(_)) | (KeyState::Retiring { .. } | KeyState::Revoked { .. }, _) => {
            return Err(SqliteError::Conflict);
        }
    }
    insert_key(conn, key)
}

fn insert_key(conn: &Connection, key: &KeyRecord) -> Result<Receipt, SqliteError> {
    let (state, state_at) = rows::stored_key_state(key.state);
    let values = params![
        key.kid.as_str(),
        key.algorithm.as_str(),
        state,
        state_at,
        key.secret.0,
        key.created_at.as_millis(),
        key.source.as_str(),
    ];
    write_one(conn, statements::ADD_KEY, values)
}

/// Makes a key in the state `from` current, and the replaced one not.
fn make_current(
    conn: &Connection,
    kid: &Kid,
    from: &str,
    replaces: Option<&(Kid, KeyState)>,
) -> Result<Receipt, SqliteError> {
    if let Some(replaced) = replaces {
        if *kid == replaced.0 {
            return Err(SqliteError::Conflict);
        }
        retire_key(conn, replaced)?;
    }
    write_one(conn, statements::MAKE_CURRENT, [kid.as_str(), from])
}

fn revoke_key(
    conn: &Connection,
    kid: &Kid,
    secret: &Sealed,
    entry: &NewEntry,
) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::REVOKE_KEY, params![kid.as_str(), entry.at.as_millis(), secret.0])?;
    append(conn, entry).map(appended)
}

fn add_revoked_key(conn: &Connection, key: &KeyRecord, entry: &NewEntry) -> Result<Receipt, SqliteError> {
    if !key.state.is_revoked() {
        return Err(SqliteError::Conflict);
    }
    insert_key(conn, key)?;
    append(conn, entry).map(appended)
}

fn retire_key(conn: &Connection, (kid, state): &(Kid, KeyState)) -> Result<(), SqliteError> {
    match state {
        KeyState::Retiring { until } => {
            write_one(conn, statements::RETIRE_KEY, params![kid.as_str(), until.as_millis()]).map(drop)
        }
        // `Current` would leave two current keys; replacing a key neither revokes it nor makes it the next
        // one.
        KeyState::Current | KeyState::Next { .. } | KeyState::Revoked { .. } => Err(SqliteError::Conflict),
    }
}

fn add_client(conn: &Connection, client: &Client, digest: SecretDigest) -> Result<Receipt, SqliteError> {
    let Client { name, rights, created_at } = client;
    write_one(
        conn,
        statements::ADD_CLIENT,
        params![name.as_str(), digest.0, rights.to_string(), created_at.as_millis()],
    )
}

fn remove_client(conn: &Connection, client: &Client) -> Result<Receipt, SqliteError> {
    let Client { name, rights, created_at } = client;
    write_one(
        conn,
        statements::REMOVE_CLIENT,
        params![name.as_str(), rights.to_string(), created_at.as_millis()],
    )
}

fn add_secret(conn: &Connection, name: &str, secret: &Sealed) -> Result<Receipt, SqliteError> {
    write_one(conn, statements::ADD_SECRET, params![name, secret.0])
}

fn mark_expired(conn: &Connection, now: Timestamp, limit: u32) -> Result<Receipt, SqliteError> {
    write(conn, statements::MARK_ENTRIES, params![now.as_millis(), limit]).map(pruned)
}

fn forget_expired(conn: &Connection, now: Timestamp, limit: u32) -> Result<Receipt, SqliteError> {
    let past = (now - limits::SESSION_KEPT).as_millis();
    let sessions = write(conn, statements::FORGET_SESSIONS, params![past, limit])?;
    let adopted = write(conn, statements::FORGET_ADOPTIONS, params![past, limit])?;
    Ok(pruned(sessions + adopted + mail::forget_expired(conn, now, limit)?))
}

fn delete_marked(
    conn: &Connection,
    now: Timestamp,
    marked_until: Timestamp,
    limit: u32,
) -> Result<Receipt, SqliteError> {
    let values = params![now.as_millis(), marked_until.as_millis(), limit];
    let read = |columns: &mut rows::Columns<'_, '_>| {
        Ok((columns.take::<i64>()?, columns.take::<i64>()?, columns.take::<i64>()?))
    };
    let deleted = rows::all(conn, statements::DELETE_ENTRIES, values, read)?;
    if let Some((seq, at, until)) =
        deleted.iter().copied().reduce(|a, b| (a.0.max(b.0), a.1.max(b.1), a.2.max(b.2)))
    {
        write_one(conn, statements::RAISE_FORGOTTEN, params![seq, at, until])?;
    }
    Ok(pruned(deleted.len()))
}

fn end_session(conn: &Connection, end: &SessionEnd) -> Result<Seq, SqliteError> {
    let ending = end.ending();
    let values =
        params![end.session.as_bytes(), ending.reason.as_str(), ending.at.as_millis(), ending.actor.as_str()];
    write_one(conn, statements::END_SESSION, values)?;
    let seq = append(conn, &end.entry)?;
    end.adopted.as_ref().map_or(Ok(seq), |entry| append(conn, entry))
}

/// Appends an entry to the log. Reads its number inside the transaction, so that numbers follow the order of
/// commits.
fn append(conn: &Connection, new: &NewEntry) -> Result<Seq, SqliteError> {
    let end = rows::log_end(conn)?;
    append_after(conn, end.seq, &end, new)
}

/// Appends an entry to a log whose newest number is `newest`, continuing from `end`.
fn append_after(conn: &Connection, newest: Seq, end: &LogEnd, new: &NewEntry) -> Result<Seq, SqliteError> {
    let entry = end.followed_by(new);
    let number = rows::stored(entry.seq.as_u64())?;
    let values = params![
        number,
        entry.kind.as_u8(),
        entry.key.0,
        entry.drop_after.map(Timestamp::as_millis),
        entry.reason.as_str(),
        entry.at.as_millis(),
        entry.actor.as_str(),
        entry.chain,
    ];
    write_one(conn, statements::ADD_ENTRY, values)?;
    write_one(conn, statements::MOVE_HEAD, params![number, entry.chain, rows::stored(newest.as_u64())?])?;
    Ok(entry.seq)
}

/// Checks that a statement finds no row of this scope.
fn none(conn: &Connection, statement: &str, scope: ScopeKey) -> Result<(), SqliteError> {
    if rows::exists(conn, statement, [scope.0])? { Err(SqliteError::Conflict) } else { Ok(()) }
}
