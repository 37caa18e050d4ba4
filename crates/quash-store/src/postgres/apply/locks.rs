//! Lists the rows that a change locks, in the order in which every transaction takes them: another order could
//! deadlock. A condition on the log or on a watermark over everything is checked by a statement that begins
//! when the locks are held.
//!
//! Once it holds them, a transaction waits for no other one. It never waits for a row that it hasn't locked; and if it
//! adds several rows, it has locked the keys that an index makes unique.

use std::collections::BTreeSet;

use quash_core::model::{Change, Ends, SessionOpening, fold};

use crate::postgres::params::Param;
use crate::postgres::statements;

/// The locks of a change, or of all parts of a [`Change::Together`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Locks<'c> {
    /// Whether the change is a [`Change::Together`].
    is_together: bool,
    /// Names and subjects, folded: no index says that none of one account is one of another. And of a transaction that
    /// may add several rows, the unique keys, each after a word for its index.
    keys: BTreeSet<String>,
    accounts: BTreeSet<&'c str>,
    deleted: BTreeSet<&'c str>,
    sessions: BTreeSet<&'c [u8]>,
    flows: BTreeSet<&'c [u8]>,
    mails: BTreeSet<&'c [u8]>,
    clients: BTreeSet<&'c str>,
    audit: bool,
    cluster: bool,
    log: bool,
}

/// The parameters of the statements that lock.
#[derive(Debug)]
pub(in crate::postgres) struct LockParams<'c> {
    keys: Vec<&'c str>,
    accounts: Vec<&'c str>,
    deleted: Vec<&'c str>,
    sessions: Vec<&'c [u8]>,
    flows: Vec<&'c [u8]>,
    mails: Vec<&'c [u8]>,
    clients: Vec<&'c str>,
    audit: bool,
    cluster: bool,
    log: bool,
}

impl<'c> Locks<'c> {
    /// The locks that a change needs before its first statement. A change that writes one row of a kind alone takes its
    /// lock with the statement that writes it.
    pub(in crate::postgres) fn of(change: &'c Change) -> Self {
        let mut locks = Self { is_together: matches!(change, Change::Together(_)), ..Self::default() };
        locks.add(change);
        locks
    }

    fn add(&mut self, change: &'c Change) {
        self.cluster |= change.turns_ring();
        match change {
            Change::AddAccount(account, _) => {
                self.keys.insert(fold(account.subject.as_str()));
                self.keys.insert(account.username.folded().to_owned());
                account.email.iter().for_each(|email| self.add_key("address", &email.folded()));
            }
            Change::OpenSession(opening) => self.add_opening(opening),
            Change::Rotate { session, .. } | Change::BindSession { session, .. } => {
                self.sessions.insert(session.as_bytes());
            }
            Change::EndSessions { sessions, tokens } => {
                self.sessions.extend(sessions.iter().map(|end| end.session.as_bytes().as_slice()));
                self.log |= !sessions.is_empty() || !tokens.is_empty();
            }
            Change::EditAccount(edit) => {
                self.keys.extend(edit.fields.username.iter().map(|name| name.folded().to_owned()));
                edit.fields.email.iter().flatten().for_each(|email| self.add_key("address", &email.folded()));
                self.accounts.insert(edit.subject.as_str());
                match &edit.ends {
                    Ends::Nothing => {}
                    Ends::Access(_) => self.log = true,
                    Ends::Sessions { survivor, .. } => {
                        self.sessions
                            .extend(survivor.iter().map(|lives| lives.session.as_bytes().as_slice()));
                        self.log = true;
                    }
                }
            }
            Change::DeleteAccount { subject, .. } => {
                self.add_key("gone", subject);
                self.deleted.insert(subject.as_str());
                self.log = true;
            }
            Change::Together(changes) => changes.iter().for_each(|change| self.add(change)),
            Change::EndEverything { .. } | Change::BeginEpoch { .. } | Change::RaiseLongestLifetime(_) => {
                self.cluster = true;
                self.log = true;
            }
            Change::ApplySettings { values, .. } => {
                values.iter().for_each(|(name, _)| self.add_key("setting", name));
                self.cluster = true;
                self.log = true;
            }
            Change::Revoke { .. } | Change::RevokeKey { .. } | Change::AddRevokedKey { .. } => {
                self.log = true
            }
            Change::RevokeNames(revoked) => self.log |= !revoked.entries.is_empty(),
            Change::RemoveClient { client, .. } => {
                if self.is_together {
                    self.clients.insert(client.name.as_str());
                }
            }
            Change::ChangeClient(edit) => {
                edit.digest.iter().for_each(|digest| self.lock_key("digest", &digest.0));
                if self.is_together {
                    self.clients.insert(edit.client.name.as_str());
                }
            }
            Change::UseClients(used) => {
                if self.is_together {
                    self.clients.extend(used.iter().map(|(name, _)| name.as_str()));
                }
            }
            Change::SealAudit { .. } | Change::AcceptAudit { .. } => self.audit = true,
            Change::StartFlow { flow, replaces } => {
                self.add_key("flow", &flow.id);
                self.add_key("flow about", &flow.subject_hash);
                if self.is_together {
                    self.flows.extend(replaces.iter().map(|flow| flow.as_bytes().as_slice()));
                }
            }
            Change::SpendTry(flow) | Change::UseFlow(flow) => {
                if self.is_together {
                    self.flows.insert(flow.as_bytes());
                }
            }
            Change::TryMail { mail, .. } | Change::SettleMail { mail, .. } | Change::DropMail(mail) => {
                if self.is_together {
                    self.mails.insert(mail.as_bytes());
                }
            }
            // A page of them takes what no other process is working on, and `cluster` after it.
            Change::DeleteMarked { .. } => self.cluster |= self.is_together,
            Change::AddClient { client, digest, .. } => {
                self.lock_key("client", &client.name);
                self.lock_key("digest", &digest.0);
            }
            Change::AddSecret { name, .. } => self.add_key("secret", name),
            Change::Remember { name, .. } => self.add_key("setting", name),
            Change::AddMail(mail) => self.add_key("mail", &mail.id),
            Change::BlankPersons { subject, .. } => self.add_key("gone", subject),
            Change::AddKey { .. }
            | Change::PromoteKey { .. }
            | Change::ResumeKey { .. }
            | Change::DropKey { .. }
            | Change::ForgetExpired { .. }
            | Change::MarkExpired { .. } => {}
        }
    }

    /// Locks a unique key of a row that the transaction adds or changes, if it may add others, too: another transaction
    /// that adds the same rows in another order would wait for this one, and this one for it.
    fn add_key(&mut self, index: &str, key: &dyn std::fmt::Debug) {
        if self.is_together {
            self.lock_key(index, key);
        }
    }

    /// The same for a single row with two unique keys, such as a client's name and digest: another transaction may change
    /// the row that has the one, and wait for the other.
    fn lock_key(&mut self, index: &str, key: &dyn std::fmt::Debug) {
        self.keys.insert(format!("{index} {key:?}"));
    }

    fn add_opening(&mut self, opening: &'c SessionOpening) {
        self.add_key("session", &opening.session.id);
        opening.session.adopted.iter().for_each(|adopted| self.add_key("adopted", &adopted.key));
        self.accounts.insert(opening.session.subject.as_str());
        self.sessions.extend(opening.evict.iter().map(|end| end.session.as_bytes().as_slice()));
        self.log |= opening.evict.is_some() || opening.adopts.is_some();
    }

    pub(in crate::postgres) fn params(&'c self) -> LockParams<'c> {
        // One statement locks all accounts, in the stronger way if one of them is deleted.
        let is_strong = !self.deleted.is_empty();
        let all = || self.accounts.union(&self.deleted).copied().collect::<Vec<_>>();
        LockParams {
            keys: self.keys.iter().map(String::as_str).collect(),
            accounts: if is_strong { Vec::new() } else { all() },
            deleted: if is_strong { all() } else { Vec::new() },
            sessions: self.sessions.iter().copied().collect(),
            flows: self.flows.iter().copied().collect(),
            mails: self.mails.iter().copied().collect(),
            clients: self.clients.iter().copied().collect(),
            audit: self.audit,
            cluster: self.cluster,
            log: self.log,
        }
    }
}

impl LockParams<'_> {
    /// The statements that take the locks, in their order.
    pub(in crate::postgres) fn statements(&self) -> Vec<(&'static str, Vec<&dyn Param>)> {
        let mut taken: Vec<(&'static str, Vec<&dyn Param>)> = Vec::new();
        for key in &self.keys {
            taken.push((statements::LOCK_KEY, vec![key]));
        }
        if !self.accounts.is_empty() {
            taken.push((statements::LOCK_ACCOUNTS, vec![&self.accounts]));
        }
        if self.deleted.is_empty() {
            if !self.sessions.is_empty() {
                taken.push((statements::LOCK_SESSIONS, vec![&self.sessions]));
            }
        } else {
            taken.push((statements::LOCK_DELETED_ACCOUNTS, vec![&self.deleted]));
            taken.push((statements::LOCK_SESSIONS_OF, vec![&self.sessions, &self.deleted]));
        }
        if !self.flows.is_empty() {
            taken.push((statements::LOCK_FLOWS, vec![&self.flows]));
        }
        if !self.mails.is_empty() {
            taken.push((statements::LOCK_MAILS, vec![&self.mails]));
        }
        if !self.clients.is_empty() {
            taken.push((statements::LOCK_CLIENTS, vec![&self.clients]));
        }
        if self.audit {
            taken.push((statements::LOCK_AUDIT, Vec::new()));
        }
        if self.cluster {
            taken.push((statements::LOCK_CLUSTER, Vec::new()));
        }
        if self.log {
            taken.push((statements::LOCK_LOG, Vec::new()));
        }
        taken
    }
}
