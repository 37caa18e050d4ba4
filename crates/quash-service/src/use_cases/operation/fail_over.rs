//! Takes a promoted server over: decides, before anything is accepted or signed, whether entries of the log may be
//! lost. A loss, or the lack of a proof that there is none, begins a new epoch.

use std::sync::Weak;
use std::time::Duration;

use quash_core::decide::{AtFailOver, FailOverFacts, NotedEntry, at_fail_over, begin_epoch, compare_end};
use quash_core::model::{Actor, Clock, Epoch, NotedEnd, OldSessions, ScopeHasher, Seq};
use quash_store::{PromotedServer, StoreError, counted};

use super::epoch::{check_master_key, scopes};
use crate::context::Context;
use crate::failure::StartError;
use crate::node::{FailOverSetup, Node};
use crate::rfc3339::rfc3339;
use crate::vault::MasterKey;

/// The pause between two inspections of a server while others compare what they have seen.
const AGAIN: Duration = Duration::from_millis(100);

/// The interval at which the task notices that the service has ended.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A process that takes over.
struct Taker<'a> {
    setup: &'a FailOverSetup,
    /// Its lease, and the keys that it has. A process that starts has none yet.
    node: Option<&'a Node>,
    /// The newest end of the log that it has seen.
    noted: NotedEnd,
    scopes: &'a ScopeHasher,
    clock: &'a dyn Clock,
    /// The least time for which it waits for others: the term of its own lease.
    patience: Duration,
}

/// Takes a promoted server over when a process starts. `noted` is the end of the log in its data directory.
///
/// # Errors
/// The store can't be used, or there is no epoch left.
pub async fn take_over_at_start(
    setup: &FailOverSetup,
    noted: Option<NotedEnd>,
    master: &MasterKey,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<(), StartError> {
    // The directory of another installation proves nothing.
    check_master_key(&setup.server.keys().await?, master)?;
    let scopes = scopes(master);
    let noted = noted.unwrap_or_else(|| setup.server.seen());
    Taker { setup, node: None, noted, scopes: &scopes, clock, patience }.take_over().await
}

/// Takes promoted servers over for as long as the process runs.
pub(crate) async fn follow(context: Weak<Context>, setup: FailOverSetup) {
    let mut due = setup.server.is_due();
    loop {
        let found =
            tokio::time::timeout(LOOK_EVERY, due.wait_for(|due| *due)).await.is_ok_and(|found| found.is_ok());
        let Some(context) = context.upgrade() else { return };
        if !found {
            continue;
        }
        let Some(node) = context.node.as_deref() else { return };
        let taker = Taker {
            setup: &setup,
            node: Some(node),
            noted: setup.server.seen(),
            scopes: context.guard.scopes(),
            clock: &*context.clock,
            patience: node.term,
        };
        if let Err(error) = taker.take_over().await {
            tracing::warn!(%error, "failed to take the promoted server over; retrying");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Taker<'_> {
    async fn take_over(&self) -> Result<(), StartError> {
        let server = &*self.setup.server;
        let began = self.clock.uptime();
        tracing::warn!(
            "the PostgreSQL server was promoted or recovered: comparing its log with what this node has seen"
        );
        let mut is_marked = false;
        loop {
            let promoted = server.inspect(self.noted).await?;
            let noted_entry = compare_end(&promoted.head, self.noted, promoted.noted_chain);
            let facts = FailOverFacts {
                noted_entry,
                is_decided: promoted.is_decided,
                was_synchronous: promoted.was_synchronous,
                all_compared: promoted.all_compared,
                has_waited: self.clock.uptime().saturating_sub(began)
                    >= counted(self.patience.max(promoted.longest_term)),
            };
            if noted_entry != NotedEntry::Lost
                && !is_marked
                && let Some(node) = self.node
            {
                server.compared(&node.id).await?;
                is_marked = true;
                continue;
            }
            match at_fail_over(self.setup.rule, facts) {
                AtFailOver::Wait => tokio::time::sleep(AGAIN).await,
                AtFailOver::Continue(grounds) => {
                    self.use_server().await?;
                    if self.noted.seq > Seq::ZERO && promoted.head.seq.epoch() > self.noted.seq.epoch() {
                        tracing::warn!("this node uses the promoted server, whose log is in a new epoch");
                    } else {
                        tracing::warn!(
                            because = grounds.as_str(),
                            "this node uses the promoted server: the log continues, and no user is signed out"
                        );
                    }
                    return Ok(());
                }
                AtFailOver::BeginEpoch => match self.begin_epoch(&promoted).await {
                    // Another process has decided meanwhile.
                    Err(StartError::Store(StoreError::Conflict)) => {}
                    Err(error) => return Err(error),
                    Ok(epoch) => {
                        // Only this inspection knows what is lost.
                        self.report(&promoted, noted_entry, epoch);
                        self.use_server().await?;
                        return Ok(());
                    }
                },
            }
        }
    }

    async fn use_server(&self) -> Result<(), StoreError> {
        if let Some(node) = self.node {
            self.setup.server.advance_ring(node.ring()).await?;
        }
        self.setup.server.take_over().await
    }

    /// Returns the number of the new epoch.
    async fn begin_epoch(&self, promoted: &PromotedServer) -> Result<u64, StartError> {
        let known = Epoch::of(self.noted.seq);
        let now = self.clock.now();
        let change = begin_epoch(&promoted.head, known, OldSessions::End, Actor::Rule, self.scopes, now)?;
        let begun = self.setup.server.begin_epoch(change).await?;
        Ok(begun.seq.unwrap_or_default().epoch())
    }

    /// Logs what is lost, as far as this process knows it.
    fn report(&self, promoted: &PromotedServer, noted_entry: NotedEntry, epoch: u64) {
        for entry in &promoted.lost {
            tracing::error!(
                seq = entry.seq.as_u64(),
                kind = entry.kind.as_str(),
                reason = entry.reason.as_str(),
                at = rfc3339(entry.at),
                "the promoted server has lost this entry of the log"
            );
        }
        let found = promoted.head.seq.as_u64();
        let seen = self.noted.seq.as_u64();
        if noted_entry == NotedEntry::Lost {
            tracing::error!(
                found,
                seen,
                epoch,
                "the promoted server lacks entries of the log, so everything issued before has ended, and all users must \
                 sign in again"
            );
        } else {
            tracing::error!(
                found,
                seen,
                epoch,
                "nothing proves that the promoted server lacks no entry of the log (postgres.after_failover), so everything \
                 issued before has ended, and all users must sign in again"
            );
        }
    }
}
