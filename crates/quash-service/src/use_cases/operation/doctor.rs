//! The doctor in the process that has opened the store: gathers the store's facts, and judges them for the admin API.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{
    Account, Change, Client, KeySource, KeyState, ProcessLabel, Right, Timestamp, limits,
};
use serde::{Deserialize, Serialize};

use crate::context::Service;
use crate::doctor::{
    AccountFacts, AuditFacts, BackupFacts, ClientFacts, FactSource, Facts, Finding, InstanceFacts,
    InstanceState, KeyFacts, KeyPhase, NodeFacts, StoreFacts, StoreFault, WaitingMails, examine,
};
use crate::failure::Failure;
use crate::use_cases::feed::barrier::VerifierState;
use crate::use_cases::feed::serve::VerifierInfo;
use crate::use_cases::operation::audit::AuditRefused;

/// The most accounts and clients that are examined: reading more would take long.
const EXAMINED: usize = 10_000;
/// The time in which users confirm their address.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30 * 24 * 3600);
/// The name under which the last backup is stored.
const LAST_BACKUP: &str = "last_backup";

/// How long findings are reused: clients of the admin API can't keep the server reading the audit.
const HOLDS: Duration = Duration::from_secs(10);

/// The record of the last backup, in the store.
#[derive(Serialize, Deserialize)]
pub(crate) struct BackupRecord {
    /// In milliseconds since the epoch.
    at: i64,
    path: String,
}

impl BackupRecord {
    /// The change that records a backup which was written.
    pub(crate) fn change(at: Timestamp, path: &Path) -> Change {
        let record = Self { at: at.as_millis(), path: path.to_string_lossy().into_owned() };
        Change::Remember { name: LAST_BACKUP, value: serde_json::to_string(&record).unwrap_or_default() }
    }
}

impl Service {
    /// Sets the source of the facts that the store doesn't have, once.
    pub fn set_fact_source(&self, source: Arc<dyn FactSource>) {
        let _ = self.context.observed.source.set(source);
    }

    /// Checks this installation, without requests to other machines. Callers within ten seconds share the findings.
    /// Without a source of facts, all checks are skipped that need more than the store.
    pub async fn diagnose(&self) -> Vec<Finding> {
        let context = &*self.context;
        // Held during the checks, so that concurrent callers wait for the findings.
        let mut found = context.observed.found.lock().await;
        if let Some((at, findings)) = &*found
            && context.clock.uptime().saturating_sub(*at) < HOLDS
        {
            return findings.clone();
        }
        let source = context.observed.source.get();
        let facts = match source {
            Some(source) => source.facts().await,
            None => Facts::default(),
        };
        let store = self
            .store_facts()
            .await
            .map_err(|failure| StoreFault { message: failure.to_string(), remedy: None });
        let facts = match source {
            Some(source) => facts.with_store(store, &**source),
            None => Facts { store: Some(store), ..facts },
        };
        let findings = examine(&facts);
        *found = Some((context.clock.uptime(), findings.clone()));
        findings
    }
}

impl Service {
    /// Gathers what the checks of `doctor` need of the store. Reads the whole audit.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn store_facts(&self) -> Result<StoreFacts, Failure> {
        let context = &*self.context;
        let not_ready = self.ready().await.err().map(|failure| self.not_ready(&failure).as_str().to_owned());
        let head = context.store.head().await?;
        let (now, uptime) = (context.clock.now(), context.clock.uptime());
        let mut keys = Vec::new();
        for key in context.store.keys().await? {
            keys.push(KeyFacts {
                state: phase(key.state, now),
                kid: key.kid.to_string(),
                age: now.since(key.created_at),
                is_generated: key.source == KeySource::Made,
            });
        }
        let nodes = self.nodes().await?.into_iter().map(|listed| NodeFacts {
            label: label(&listed.label),
            is_leased: listed.leased_for.is_some(),
            version: listed.node.version,
            settings: listed.node.settings,
        });
        Ok(StoreFacts {
            server: context.observed.server(uptime),
            not_ready,
            head: head.seq.as_u64(),
            log_entries: context.guard.entries() as u64,
            keys,
            clients: self.client_facts(now).await?,
            nodes: nodes.collect(),
            mails: self.waiting_mails(now).await?,
            audit: self.audit_facts(now).await?,
            accounts: self.account_facts(now).await?,
            backup: self.last_backup(now).await?,
        })
    }

    async fn client_facts(&self, now: Timestamp) -> Result<Vec<ClientFacts>, Failure> {
        let verifiers = self.verifiers().await?;
        let mut found: Vec<ClientFacts> = Vec::new();
        let mut after = None;
        loop {
            let page = self.clients(after.as_ref(), limits::PAGE).await?;
            let is_last = page.len() < limits::PAGE as usize;
            after = page.last().map(|stored| stored.client.name.clone());
            found.extend(page.iter().map(|stored| of_client(&stored.client, &verifiers, now)));
            if is_last || found.len() >= EXAMINED {
                return Ok(found);
            }
        }
    }

    /// The mails that aren't sent, including those whose next attempt is due later.
    async fn waiting_mails(&self, now: Timestamp) -> Result<WaitingMails, Failure> {
        let later = now + limits::MAIL_LONGEST_PAUSE;
        let mails = self.context.store.mails_due(later, limits::PAGE).await?;
        Ok(WaitingMails {
            count: mails.len() as u64,
            oldest: mails.iter().map(|mail| now.since(mail.created_at)).max().unwrap_or_default(),
            attempts: mails.iter().map(|mail| mail.attempts).max().unwrap_or_default(),
        })
    }

    async fn audit_facts(&self, now: Timestamp) -> Result<AuditFacts, Failure> {
        match self.verify_audit(None).await {
            Ok(verified) => Ok(AuditFacts {
                fault: None,
                accepted: verified.accepted,
                unsealed: verified.unsealed,
                sealed_ahead: verified.sealed_at.since(now),
            }),
            Err(AuditRefused::Failed(failure)) => Err(failure),
            Err(refused) => Ok(AuditFacts { fault: Some(refused.to_string()), ..AuditFacts::default() }),
        }
    }

    async fn account_facts(&self, now: Timestamp) -> Result<AccountFacts, Failure> {
        let mut facts = AccountFacts::default();
        let mut after: Option<String> = None;
        while facts.examined < EXAMINED as u64 {
            let page = self.accounts(after.as_deref(), limits::PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.username.folded().to_owned());
            facts.examined += page.len() as u64;
            let is_unconfirmed = |account: &&Account| {
                account.email.as_ref().is_some_and(|email| email.verified_at.is_none())
                    && now.since(account.created_at) > CONFIRMED_WITHIN
            };
            facts.unconfirmed += page.iter().filter(is_unconfirmed).count() as u64;
            if page.len() < limits::PAGE as usize {
                break;
            }
        }
        Ok(facts)
    }

    async fn last_backup(&self, now: Timestamp) -> Result<Option<BackupFacts>, Failure> {
        let record = self.context.store.remembered(LAST_BACKUP).await?;
        let record: Option<BackupRecord> = record.and_then(|text| serde_json::from_str(&text).ok());
        Ok(record.map(|BackupRecord { at, path }| BackupFacts {
            age: now.since(Timestamp::from_millis(at)),
            path,
        }))
    }
}

fn phase(state: KeyState, now: Timestamp) -> KeyPhase {
    match state {
        KeyState::Next { .. } => KeyPhase::Next,
        KeyState::Current => KeyPhase::Current,
        KeyState::Retiring { until } => KeyPhase::Retiring { over_for: now.since(until) },
        KeyState::Revoked { .. } => KeyPhase::Revoked,
    }
}

fn of_client(client: &Client, verifiers: &[VerifierInfo], now: Timestamp) -> ClientFacts {
    let own = verifiers.iter().filter(|verifier| verifier.id.name == client.name.as_str());
    let instances = own.map(|verifier| InstanceFacts {
        label: label(&verifier.label),
        state: match verifier.state {
            VerifierState::Confirmed => InstanceState::Leased,
            VerifierState::Stale => InstanceState::Stale,
            VerifierState::NotBound => InstanceState::NotBound,
        },
    });
    ClientFacts {
        name: client.name.to_string(),
        age: now.since(client.created_at),
        is_verifier: client.is_verifier(),
        has_secret: !client.may(Right::RevokeAsPublic),
        instances: instances.collect(),
    }
}

/// The host and the process, as far as they are known.
fn label(of: &ProcessLabel) -> String {
    let pid = of.pid().map(|pid| format!(" (process {pid})")).unwrap_or_default();
    format!("{}{pid}", of.host().unwrap_or("an unnamed host"))
}
