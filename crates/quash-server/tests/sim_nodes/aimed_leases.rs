//! Faults that are aimed at leases: at the deletion of their rows, at the head that a lease counts with, and at what
//! a node confirms. Each needs several steps in one order, which gates and cuts put them in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quash_core::model::SessionId;
use tokio::task::JoinSet;

use crate::TERM;
use crate::aimed::{BETWEEN, millis, until, until_within};
use crate::chance::Chance;
use crate::journal::{Given, Token};
use crate::node::{Process, ROWS_KEPT};
use crate::verifier::{Exit, Verifier};
use crate::wait::pass;
use crate::world::{TARGET, World};

/// The time in which a row that has expired is surely deleted, if its node reaches the store.
const DELETED_WITHIN: Duration = Duration::from_millis(900);
/// The interval at which nodes read all rows.
const SIGHTED_EVERY: Duration = Duration::from_secs(1);
/// The time in which a verifier that is reachable again gets a lease.
const BACK_WITHIN: Duration = Duration::from_millis(1500);
/// The time in which the rest of a fault must happen, once a lease was granted or a read has begun.
const STEP_WITHIN: Duration = Duration::from_millis(600);
/// The number of times that a token is presented at the end of a fault.
const PRESENTED: usize = 5;

impl World {
    /// Causes one after the other.
    pub(crate) async fn aim_at_leases(self: Arc<Self>, chance: Chance, until: Duration) {
        while self.time.now() < until {
            pass(chance.millis(BETWEEN)).await;
            let Some((one, other)) = self.two(&chance) else { continue };
            let is_complete = match chance.below(4) {
                0 => self.renew_while_the_row_is_deleted(&other, &chance).await,
                1 => self.return_after_the_row_is_deleted(&one, &other, &chance).await,
                2 => self.renew_while_the_head_is_read(&one, &other, &chance).await,
                _ => self.revoke_a_key_before_others_load_keys(&one, &other, &chance).await,
            };
            if is_complete {
                self.seen.lock().expect("no panic").aimed_at_leases += 1;
            }
        }
    }

    /// A verifier that was away gets a lease after nodes have read its expired row, and before they delete it. A row
    /// that was renewed meanwhile must stay: the next barrier waits for the verifier.
    async fn renew_while_the_row_is_deleted(self: &Arc<Self>, process: &Process, chance: &Chance) -> bool {
        let verifier = Arc::clone(chance.pick(&self.verifiers).expect("there are some"));
        let Some((session, refresh)) = self.open_as(TARGET, process, chance).await else { return false };
        let nodes: Vec<_> = (0..self.temper.nodes).filter_map(|node| self.process(node)).collect();
        nodes.iter().for_each(|node| node.line.gates.deletions.close());
        self.be_away(&verifier, chance).await;
        let is_back = self.come_back(&verifier, chance).await;
        nodes.iter().for_each(|node| node.line.gates.deletions.open());
        if !is_back {
            return false;
        }
        // Now the rows are deleted that the nodes have read.
        pass(Duration::from_millis(5) + chance.millis(30)).await;
        self.end_and_present_to(&verifier, process, process, session, &refresh).await
    }

    /// A node knows a verifier's first lease. While both are away, the verifier's row is deleted. The verifier gets
    /// another lease, which the node must not take for the one that it knows.
    async fn return_after_the_row_is_deleted(
        self: &Arc<Self>,
        away: &Process,
        other: &Process,
        chance: &Chance,
    ) -> bool {
        let verifier = Arc::clone(chance.pick(&self.verifiers).expect("there are some"));
        Arc::clone(&verifier).restart(Exit::IsKilled, Duration::ZERO, Arc::clone(self)).await;
        let Some((session, refresh)) = self.open_as(TARGET, other, chance).await else { return false };
        until_within(BACK_WITHIN, || verifier.is_fresh()).await;
        if !matches!(self.ask(away, away.service.verifiers()).await, Some(Ok(_))) {
            return false;
        }
        away.line.cut(TERM * 5);
        self.be_away(&verifier, chance).await;
        let is_back = self.come_back(&verifier, chance).await;
        away.line.cut(Duration::ZERO);
        is_back && self.end_and_present_to(&verifier, other, away, session, &refresh).await
    }

    /// A node without a lease reads the head. Before the answer arrives, something ends, which needn't wait for the
    /// node, and the node gets a lease. It must not decide with that lease and the older head.
    async fn renew_while_the_head_is_read(
        self: &Arc<Self>,
        one: &Process,
        other: &Process,
        chance: &Chance,
    ) -> bool {
        let Some((session, refresh)) = self.open_as(TARGET, other, chance).await else { return false };
        let Some(given) = self.token_of(session) else { return false };
        let gates = &one.line.gates;
        gates.leases.close();
        // The node's lease expires, and the others have seen its last renewal long enough ago.
        pass(TERM + SIGHTED_EVERY + Duration::from_millis(50) + chance.millis(300)).await;
        let mut presented = JoinSet::new();
        for _ in 0..PRESENTED {
            presented.spawn(Arc::clone(self).present_to_node(one.node(), given.clone()));
        }
        pass(Duration::from_millis(10) + chance.millis(20)).await;
        gates.reads.close();
        until(|| gates.reads.has_stopped_one()).await;
        pass(chance.millis(20)).await;
        let is_in_force = self.end_within(STEP_WITHIN, other, other, session, &refresh).await;
        gates.leases.open();
        pass(Duration::from_millis(10) + chance.millis(150)).await;
        gates.reads.open();
        presented.join_all().await;
        is_in_force
    }

    /// A node signs an answer to a change that was written before its key is revoked at another node, and it has read
    /// that the keys have changed, but doesn't get them. It must not confirm what it hasn't loaded: the revocation
    /// waits for it, or for the end of its lease.
    async fn revoke_a_key_before_others_load_keys(
        &self,
        one: &Process,
        other: &Process,
        chance: &Chance,
    ) -> bool {
        let Some((session, refresh)) = self.open_as(TARGET, one, chance).await else { return false };
        let Some(Token::Own { kid, .. }) = self.token_of(session).map(|given| given.token) else {
            return false;
        };
        let (gates, is_revoked) = (&one.line.gates, AtomicBool::new(false));
        gates.keys.close();
        gates.commits.close();
        let revoking = async {
            until(|| gates.commits.has_stopped_one()).await;
            let struck = self.strike(other, kid).await;
            is_revoked.store(true, Ordering::Relaxed);
            !struck.is_empty()
        };
        let answering = async {
            until_within(chance.millis(millis(TERM) * 2), || is_revoked.load(Ordering::Relaxed)).await;
            gates.commits.open();
            pass(chance.millis(millis(TERM))).await;
            gates.keys.open();
        };
        let (_, is_complete, ()) = tokio::join!(self.refresh(one, &refresh), revoking, answering);
        is_complete
    }

    /// Cuts a verifier off until its lease has expired, and its row is due to be deleted.
    async fn be_away(&self, verifier: &Verifier, chance: &Chance) {
        let away = TERM + ROWS_KEPT + DELETED_WITHIN + chance.millis(600);
        self.cut_off(verifier.number, away);
        pass(away).await;
    }

    /// Waits until a verifier has a lease again, and cuts it off. Returns whether it has one.
    async fn come_back(&self, verifier: &Verifier, chance: &Chance) -> bool {
        until_within(BACK_WITHIN, || verifier.is_fresh()).await;
        pass(chance.millis(3)).await;
        self.cut_off(verifier.number, TERM);
        verifier.is_fresh()
    }

    /// Ends a session at a node, and waits at a node until that is in force, or for less than the rest of a verifier's
    /// lease. Then presents a token of the session to the verifier. Returns whether that may accept it.
    async fn end_and_present_to(
        self: &Arc<Self>,
        verifier: &Verifier,
        ends_at: &Process,
        waits_at: &Process,
        session: SessionId,
        refresh: &str,
    ) -> bool {
        let Some(given) = self.token_of(session) else { return false };
        self.end_within(STEP_WITHIN * 2, ends_at, waits_at, session, refresh).await;
        let is_fresh = verifier.is_fresh();
        for _ in 0..PRESENTED {
            pass(Duration::from_millis(5)).await;
            Arc::clone(self).present_to_verifier(verifier.number, given.clone()).await;
        }
        is_fresh
    }

    /// Ends a session at a node, and waits at a node until that is in force. Returns whether both happened in time.
    async fn end_within(
        &self,
        span: Duration,
        ends_at: &Process,
        waits_at: &Process,
        session: SessionId,
        refresh: &str,
    ) -> bool {
        let latest = self.time.now() + span;
        let ended = self.end_session(ends_at, session, refresh).await;
        let Some((_, seq)) = ended.first() else { return false };
        let left = latest.saturating_sub(self.time.now());
        let barrier = self.ask(waits_at, waits_at.service.effective(*seq));
        let is_in_force = matches!(tokio::time::timeout(left, barrier).await, Ok(Some(Ok(_))));
        if is_in_force {
            self.journal.lock().expect("no panic").in_force(*seq, self.time.now());
            self.seen.lock().expect("no panic").barriers += 1;
        }
        is_in_force
    }

    /// The newest token of a session.
    fn token_of(&self, session: SessionId) -> Option<Given> {
        let is_its =
            |given: &&Given| matches!(&given.token, Token::Own { session: its, .. } if *its == session);
        self.journal.lock().expect("no panic").given().iter().rev().find(is_its).cloned()
    }
}
