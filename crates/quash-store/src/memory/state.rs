//! The store's data in plain collections. Applies each change: first every guard, then every write. Contains
//! no locks and nothing asynchronous.

mod prune;
mod reads;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use quash_core::model::{
    Account, AccountClaims, AccountEdit, AccountFields, Adoption, Chain, Change, Client, ClientEdit,
    ClientName, DeviceId, Email, Ends, Entry, Epoch, Forgotten, Generation, NewAudit, NewEntry, OldSessions,
    Receipt, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionEnd, SessionId, SessionOpening,
    SessionState, StoredClient, Subject, Timestamp,
};
use quash_core::watch::feed;

use super::audit::AuditState;
use super::keys::Keys;
use super::mail::FlowsAndMails;
use super::outcome::{WRITTEN, guard};
use crate::StoreError;
use crate::log::LogEnd;

#[derive(Clone, Debug)]
pub(super) struct State {
    seq: Seq,
    chain: Chain,
    sessions_before: Seq,
    foreign_after: Timestamp,
    forgotten: Forgotten,
    longest_lifetime_ms: u64,
    ring: u64,
    settings: u64,
    accounts: BTreeMap<Subject, Account>,
    sessions: BTreeMap<SessionId, Session>,
    log: BTreeMap<Seq, Logged>,
    keys: Keys,
    clients: BTreeMap<ClientName, (StoredClient, SecretDigest)>,
    /// Named secrets: see [`Change::AddSecret`].
    secrets: BTreeMap<String, Sealed>,
    /// Named settings: see [`Change::Remember`].
    remembered: BTreeMap<String, String>,
    /// The subjects of deleted accounts, which are never assigned again.
    gone: BTreeSet<Subject>,
    /// Tokens of other issuers that opened sessions of deleted accounts, with the end of their validity.
    adopted: BTreeMap<[u8; 16], Timestamp>,
    pub(super) audit: AuditState,
    mail: FlowsAndMails,
}

/// An entry of the log, and the time at which it was marked as expired ([`Change::MarkExpired`]).
#[derive(Clone, Debug)]
struct Logged {
    entry: Entry,
    marked_at: Option<Timestamp>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            seq: Seq::start_of(1),
            chain: feed::EMPTY,
            sessions_before: Seq::ZERO,
            foreign_after: Timestamp::default(),
            forgotten: Forgotten::NOTHING,
            longest_lifetime_ms: 0,
            ring: 0,
            settings: 0,
            accounts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            log: BTreeMap::new(),
            keys: Keys::default(),
            clients: BTreeMap::new(),
            secrets: BTreeMap::new(),
            remembered: BTreeMap::new(),
            gone: BTreeSet::new(),
            adopted: BTreeMap::new(),
            audit: AuditState::default(),
            mail: FlowsAndMails::default(),
        }
    }
}

impl State {
    /// Writes a change if its guard holds. Otherwise writes nothing.
    pub(super) fn apply(&mut self, change: &Change) -> Result<Receipt, StoreError> {
        let receipt = self.write(change)?;
        self.ring += u64::from(change.turns_ring());
        for new in NewAudit::of(change) {
            self.audit.record(new, receipt.seq);
        }
        Ok(receipt)
    }

    fn write(&mut self, change: &Change) -> Result<Receipt, StoreError> {
        match change {
            Change::AddAccount(account, _) => self.add_account(account),
            Change::OpenSession(opening) => self.open_session(opening),
            Change::Rotate { session, from, rotated_at, idle_until } => {
                self.rotate(*session, *from, *rotated_at, *idle_until)
            }
            Change::BindSession { session, device } => self.bind_session(*session, *device),
            Change::EndSessions { sessions, tokens } => self.end_sessions(sessions, tokens),
            Change::EditAccount(edit) => self.edit_account(edit),
            Change::DeleteAccount { subject, version, entry, .. } => {
                self.delete_account(subject, *version, entry)
            }
            Change::Together(changes) => self.together(changes),
            Change::EndEverything { entry } => Ok(self.end_everything(entry)),
            Change::BeginEpoch { from, to, entry, sessions } => {
                self.begin_epoch(*from, *to, entry, *sessions)
            }
            Change::Revoke { entry } => Ok(Receipt::appended(self.append(entry))),
            Change::RevokeNames(revoked) => {
                Ok(revoked.entries.iter().fold(WRITTEN, |_, entry| Receipt::appended(self.append(entry))))
            }
            Change::AddKey { key, replaces, .. } => self.keys.add(key, replaces.as_ref()),
            Change::PromoteKey { kid, replaces, .. } => self.keys.promote(kid, replaces.as_ref()),
            Change::ResumeKey { kid, replaces, .. } => self.keys.resume(kid, replaces.as_ref()),
            Change::DropKey { kid, .. } => self.keys.drop(kid),
            Change::RevokeKey { kid, secret, entry } => {
                self.keys.revoke(kid, secret, entry.at)?;
                Ok(Receipt::appended(self.append(entry)))
            }
            Change::AddRevokedKey { key, entry } => {
                self.keys.add_revoked(key)?;
                Ok(Receipt::appended(self.append(entry)))
            }
            Change::AddClient { client, digest, .. } => self.add_client(client, *digest),
            Change::ChangeClient(edit) => self.change_client(edit),
            Change::UseClients(used) => Ok(self.use_clients(used)),
            Change::RemoveClient { client, .. } => self.remove_client(client),
            Change::AddSecret { name, secret } => self.add_secret(name, secret),
            Change::Remember { name, value } => {
                self.remembered.insert((*name).to_owned(), value.clone());
                Ok(WRITTEN)
            }
            Change::ApplySettings { from, values, entry } => {
                self.apply_settings(*from, values, entry.as_ref())
            }
            Change::RaiseLongestLifetime(millis) => Ok(self.raise_longest_lifetime(*millis)),
            Change::SealAudit { from, entries, seal } => self.audit.seal(from, entries, seal),
            Change::AcceptAudit { from, seal, .. } => self.audit.accept(from, seal),
            Change::BlankPersons { subject, limit } => Ok(self.audit.blank(subject, *limit)),
            Change::StartFlow { flow, replaces } => self.mail.start_flow(flow, *replaces),
            Change::SpendTry(flow) => self.mail.spend_try(*flow),
            Change::UseFlow(flow) => self.mail.use_flow(*flow),
            Change::AddMail(mail) => self.mail.add_mail(mail),
            Change::TryMail { mail, attempts, due_at } => self.mail.try_mail(*mail, *attempts, *due_at),
            Change::SettleMail { mail, attempts, outcome } => {
                self.mail.settle_mail(*mail, *attempts, *outcome)
            }
            Change::DropMail(mail) => self.mail.drop_mail(*mail),
            Change::ForgetExpired { now, limit } => Ok(self.forget_expired(*now, *limit)),
            Change::MarkExpired { now, limit } => Ok(self.mark_expired(*now, *limit)),
            Change::DeleteMarked { now, marked_until, limit } => {
                Ok(self.delete_marked(*now, *marked_until, *limit))
            }
        }
    }

    fn add_account(&mut self, account: &Account) -> Result<Receipt, StoreError> {
        guard(!self.accounts.contains_key(&account.subject) && !self.gone.contains(&account.subject))?;
        guard(self.accounts.values().all(|other| other.username.folded() != account.username.folded()))?;
        guard(!self.is_subject_of_another(&account.username, &account.subject))?;
        guard(!self.accounts.values().any(|other| account.subject.is_name(&other.username)))?;
        let address = account.email.as_ref().map(Email::folded);
        guard(
            address.is_none()
                || self.accounts.values().all(|other| other.email.as_ref().map(Email::folded) != address),
        )?;
        self.accounts.insert(account.subject.clone(), account.clone());
        Ok(WRITTEN)
    }

    fn open_session(&mut self, opening: &SessionOpening) -> Result<Receipt, StoreError> {
        let SessionOpening {
            session,
            version,
            rehash,
            evict,
            most_live,
            last_login,
            known_device,
            locks,
            adopts,
            claims,
        } = opening;
        guard(self.account_at(&session.subject, *version).is_some())?;
        guard(session.opened_seq >= self.watermark(&session.subject))?;
        guard(!self.sessions.contains_key(&session.id))?;
        guard(session.adopted.is_none_or(|adopted| self.adopted_by(adopted.key).is_none()))?;
        guard(evict.as_ref().is_none_or(|end| self.live(end.session).is_some()))?;
        let others = self.counted(&session.subject, session.opened_at);
        let others = others.filter(|other| evict.as_ref().is_none_or(|end| end.session != other.id));
        guard(others.count() < *most_live as usize)?;
        if let Some(Adoption { minted_at, scopes }) = adopts {
            // As in the SQLite transaction: evicted sessions have their entries by then.
            let evicted: Vec<_> = evict.iter().flat_map(entries_of).map(|entry| entry.key).collect();
            guard(scopes.iter().all(|scope| !self.is_logged(*scope) && !evicted.contains(scope)))?;
            guard(session.adopted.is_none_or(|adopted| !self.adopted.contains_key(&adopted.key.0)))?;
            let own = self
                .accounts
                .get(&session.subject)
                .map_or(Timestamp::default(), |account| account.foreign_after);
            guard(*minted_at > own && *minted_at > self.foreign_after)?;
        }

        let seq = evict.as_ref().map(|end| self.end(end));
        self.sessions.insert(session.id, session.clone());
        if let Some(account) = self.accounts.get_mut(&session.subject) {
            if let Some((hash, mark)) = rehash.clone() {
                (account.password, account.mark) = (Some(hash), Some(mark));
            }
            account.last_login_at = last_login.or(account.last_login_at);
            account.locks = locks.unwrap_or(account.locks);
            if let (AccountClaims::Unset, Some(claims)) = (&account.claims, claims) {
                account.claims = AccountClaims::Adopted(claims.clone());
            }
            if let Some(device) = known_device {
                account.devices = std::mem::take(&mut account.devices).with(*device);
            }
        }
        Ok(Receipt { seq, ..Receipt::default() })
    }

    fn rotate(
        &mut self,
        id: SessionId,
        from: Generation,
        rotated_at: Timestamp,
        idle_until: Timestamp,
    ) -> Result<Receipt, StoreError> {
        guard(self.rotatable(id, from).is_some())?;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.generation = from.next();
            session.rotated_at = rotated_at;
            session.idle_until = idle_until;
        }
        Ok(WRITTEN)
    }

    fn bind_session(&mut self, id: SessionId, device: DeviceId) -> Result<Receipt, StoreError> {
        guard(self.live(id).is_some_and(|session| session.opened_seq >= self.watermark(&session.subject)))?;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.known_device = Some(device);
        }
        Ok(WRITTEN)
    }

    fn end_sessions(&mut self, ends: &[SessionEnd], tokens: &[NewEntry]) -> Result<Receipt, StoreError> {
        let ids: BTreeSet<SessionId> = ends.iter().map(|end| end.session).collect();
        guard(ids.len() == ends.len() && ids.into_iter().all(|id| self.live(id).is_some()))?;
        let mut written: Vec<ScopeKey> = ends.iter().flat_map(entries_of).map(|entry| entry.key).collect();
        for entry in tokens {
            guard(
                !self.is_logged(entry.key)
                    && self.adopted_by(entry.key).is_none()
                    && !written.contains(&entry.key),
            )?;
            guard(!self.adopted.contains_key(&entry.key.0))?;
            written.push(entry.key);
        }
        let mut seq = ends.iter().map(|end| self.end(end)).last();
        for entry in tokens {
            seq = Some(self.append(entry));
        }
        Ok(Receipt { seq, ..Receipt::default() })
    }

    fn edit_account(&mut self, edit: &AccountEdit) -> Result<Receipt, StoreError> {
        let AccountEdit { subject, version, fields, ends, .. } = edit;
        guard(self.account_at(subject, *version).is_some())?;
        let others = || self.accounts.values().filter(|other| other.subject != *subject);
        if let Some(name) = &fields.username {
            guard(others().all(|other| other.username.folded() != name.folded()))?;
            guard(!self.is_subject_of_another(name, subject))?;
        }
        let address = fields.email.as_ref().and_then(Option::as_ref).map(Email::folded);
        guard(address.is_none() || others().all(|other| other.email.as_ref().map(Email::folded) != address))?;
        let survivor = match ends {
            Ends::Sessions { survivor, .. } => *survivor,
            Ends::Nothing | Ends::Access(_) => None,
        };
        if let Some(survivor) = survivor {
            guard(
                self.rotatable(survivor.session, survivor.generation)
                    .is_some_and(|session| session.subject == *subject),
            )?;
        }

        let seq = match ends {
            Ends::Nothing => None,
            Ends::Access(entry) | Ends::Sessions { entry, .. } => Some(self.append(entry)),
        };
        if let Some(account) = self.accounts.get_mut(subject) {
            write_fields(account, fields);
            if let (Ends::Sessions { entry, .. }, Some(seq)) = (ends, seq) {
                account.sessions_before = seq;
                account.foreign_after = account.foreign_after.max(entry.at);
            }
        }
        if let Some(survivor) = survivor
            && let Some(session) = self.sessions.get_mut(&survivor.session)
        {
            session.generation = survivor.generation.next();
            session.rotated_at = survivor.rotated_at;
            session.idle_until = survivor.idle_until;
            session.opened_seq = seq.unwrap_or(session.opened_seq);
        }
        Ok(Receipt { seq, ..Receipt::default() })
    }

    fn delete_account(
        &mut self,
        subject: &Subject,
        version: u64,
        entry: &NewEntry,
    ) -> Result<Receipt, StoreError> {
        guard(self.account_at(subject, version).is_some())?;
        let theirs = self.sessions.values().filter(|session| session.subject == *subject);
        let adopted = theirs
            .filter_map(|session| session.adopted)
            .map(|adopted| (adopted.key.0, adopted.until))
            .collect::<Vec<_>>();
        self.adopted.extend(adopted);
        self.sessions.retain(|_, session| session.subject != *subject);
        self.accounts.remove(subject);
        self.gone.insert(subject.clone());
        self.audit.deleted(subject);
        Ok(Receipt::appended(self.append(entry)))
    }

    /// Applies the changes to a copy first: a guard may hold only because of a preceding change.
    fn together(&mut self, changes: &[Change]) -> Result<Receipt, StoreError> {
        let mut tried = self.clone();
        let mut all = WRITTEN;
        for change in changes {
            all = all.then(tried.apply(change)?);
        }
        *self = tried;
        Ok(all)
    }

    fn end_everything(&mut self, entry: &NewEntry) -> Receipt {
        self.sessions_before = self.append(entry);
        self.foreign_after = self.foreign_after.max(entry.at);
        Receipt::appended(self.sessions_before)
    }

    fn begin_epoch(
        &mut self,
        from: Epoch,
        to: Epoch,
        entry: &NewEntry,
        sessions: OldSessions,
    ) -> Result<Receipt, StoreError> {
        guard(Epoch::of(self.seq) == Some(from) && from < to)?;
        self.seq = to.start();
        Ok(match sessions {
            OldSessions::End => self.end_everything(entry),
            OldSessions::Keep => Receipt::appended(self.append(entry)),
        })
    }

    fn add_client(&mut self, client: &Client, digest: SecretDigest) -> Result<Receipt, StoreError> {
        guard(!self.clients.contains_key(&client.name) && self.client(digest).is_none())?;
        let stored = StoredClient { client: client.clone(), last_used_at: None };
        self.clients.insert(client.name.clone(), (stored, digest));
        Ok(WRITTEN)
    }

    fn change_client(&mut self, edit: &ClientEdit) -> Result<Receipt, StoreError> {
        let ClientEdit { client, rights, expires_at, digest, .. } = edit;
        guard(digest.is_none_or(|digest| self.client(digest).is_none()))?;
        let kept = self.clients.get_mut(&client.name).filter(|(kept, _)| kept.client == *client);
        let (stored, kept_digest) = kept.ok_or(StoreError::Conflict)?;
        let version = client.version + 1;
        stored.client = Client { rights: *rights, expires_at: *expires_at, version, ..client.clone() };
        *kept_digest = digest.unwrap_or(*kept_digest);
        Ok(WRITTEN)
    }

    fn use_clients(&mut self, used: &[(ClientName, Timestamp)]) -> Receipt {
        for (name, at) in used {
            // An earlier use is that of a removed client of the same name.
            if let Some((stored, _)) = self.clients.get_mut(name)
                && stored.client.created_at <= *at
            {
                stored.last_used_at = stored.last_used_at.max(Some(*at));
            }
        }
        WRITTEN
    }

    fn remove_client(&mut self, client: &Client) -> Result<Receipt, StoreError> {
        guard(self.clients.get(&client.name).is_some_and(|(kept, _)| kept.client == *client))?;
        self.clients.remove(&client.name);
        Ok(WRITTEN)
    }

    fn add_secret(&mut self, name: &str, secret: &Sealed) -> Result<Receipt, StoreError> {
        guard(!self.secrets.contains_key(name))?;
        self.secrets.insert(name.to_owned(), secret.clone());
        Ok(WRITTEN)
    }

    fn apply_settings(
        &mut self,
        from: u64,
        values: &[(&'static str, String)],
        entry: Option<&NewEntry>,
    ) -> Result<Receipt, StoreError> {
        guard(self.settings == from)?;
        self.settings += 1;
        self.remembered.extend(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Ok(entry.map_or(WRITTEN, |entry| Receipt::appended(self.append(entry))))
    }

    fn raise_longest_lifetime(&mut self, millis: u64) -> Receipt {
        self.longest_lifetime_ms = self.longest_lifetime_ms.max(millis);
        WRITTEN
    }
}

/// Helpers that guards and writes share.
impl State {
    fn account_at(&self, subject: &Subject, version: u64) -> Option<&Account> {
        self.accounts.get(subject).filter(|account| account.version == version)
    }

    fn adopted_by(&self, key: ScopeKey) -> Option<&Session> {
        self.sessions.values().find(|session| session.adopted.is_some_and(|adopted| adopted.key == key))
    }

    fn is_logged(&self, scope: ScopeKey) -> bool {
        self.log.values().any(|logged| logged.entry.key == scope)
    }

    fn live(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id).filter(|session| session.state == SessionState::Live)
    }

    fn rotatable(&self, id: SessionId, generation: Generation) -> Option<&Session> {
        self.live(id).filter(|session| {
            session.generation == generation && session.opened_seq >= self.watermark(&session.subject)
        })
    }

    /// The account's watermark: sessions that were opened before it have ended.
    fn watermark(&self, subject: &Subject) -> Seq {
        let own = self.accounts.get(subject).map_or(Seq::ZERO, |account| account.sessions_before);
        own.max(self.sessions_before)
    }

    fn end(&mut self, end: &SessionEnd) -> Seq {
        if let Some(session) = self.sessions.get_mut(&end.session) {
            session.state = SessionState::Ended(end.ending());
        }
        let seq = self.append(&end.entry);
        end.adopted.as_ref().map_or(seq, |entry| self.append(entry))
    }

    fn append(&mut self, new: &NewEntry) -> Seq {
        let end = LogEnd { seq: self.seq, chain: self.chain, longest_lifetime_ms: self.longest_lifetime_ms };
        let entry = end.followed_by(new);
        self.seq = entry.seq;
        self.chain = entry.chain;
        self.log.insert(entry.seq, Logged { entry, marked_at: None });
        self.seq
    }
}

fn write_fields(account: &mut Account, fields: &AccountFields) {
    let AccountFields { username, email, password, temporary_until, state, locks, claims, devices, mark } =
        fields.clone();
    account.version += 1;
    account.username = username.unwrap_or_else(|| account.username.clone());
    account.email = email.unwrap_or_else(|| account.email.clone());
    account.password = password.unwrap_or_else(|| account.password.clone());
    account.temporary_until = temporary_until.unwrap_or(account.temporary_until);
    account.state = state.unwrap_or(account.state);
    account.locks = locks.unwrap_or(account.locks);
    account.claims = claims.map_or_else(|| account.claims.clone(), AccountClaims::Set);
    account.mark = mark.unwrap_or_else(|| account.mark.clone());
    account.devices = devices.unwrap_or_else(|| account.devices.clone());
}

/// Returns the log entries for the end of a session.
fn entries_of(end: &SessionEnd) -> impl Iterator<Item = &NewEntry> {
    std::iter::once(&end.entry).chain(&end.adopted)
}
