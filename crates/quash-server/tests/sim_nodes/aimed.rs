//! Faults that are aimed at one rule each, which random faults hit too seldom.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Clock, SessionId};
use tokio::task::JoinSet;

use crate::TERM;
use crate::chance::Chance;
use crate::journal::Given;
use crate::node::Process;
use crate::other_issuer;
use crate::time::Issuers;
use crate::verifier::Exit;
use crate::wait::pass;
use crate::world::{PEOPLE, World};

/// The longest time between two of them, in milliseconds.
pub(crate) const BETWEEN: u64 = 1500;
/// The pause between two looks at whether something has happened.
const LOOK: Duration = Duration::from_millis(2);
/// The time for which something may take to happen.
const WITHIN: Duration = Duration::from_secs(1);

impl World {
    /// Causes one after the other.
    pub(crate) async fn aim(self: Arc<Self>, chance: Chance, until: Duration) {
        while self.time.now() < until {
            pass(chance.millis(BETWEEN)).await;
            let Some((one, other)) = self.two(&chance) else { continue };
            match chance.below(5) {
                0 => self.revoke_a_key_while_it_signs(&one, &other, &chance).await,
                1 => self.revoke_a_key_while_a_rotation_is_written(&one, &other, &chance).await,
                2 => self.isolate_after_a_lease(&one, &other, &chance).await,
                3 => self.commit_before_a_lease_is_written(&one, &other, &chance).await,
                _ => self.cut_a_new_verifier(&other, &chance).await,
            }
            self.seen.lock().expect("no panic").aimed += 1;
        }
    }

    /// Opens a session at a node.
    pub(crate) async fn open(&self, process: &Process, chance: &Chance) -> Option<(SessionId, String)> {
        self.open_as(chance.pick(&PEOPLE).expect("there are some"), process, chance).await
    }

    /// Opens a session of a user at a node.
    pub(crate) async fn open_as(
        &self,
        name: &str,
        process: &Process,
        chance: &Chance,
    ) -> Option<(SessionId, String)> {
        let token = other_issuer::token(name, Issuers(Arc::clone(&self.time)).now(), &chance.jti());
        self.refresh(process, &token).await
    }

    /// A node is paused between its look at the store and its signature; another one revokes the key.
    async fn revoke_a_key_while_it_signs(&self, one: &Process, other: &Process, chance: &Chance) {
        let Some((_, refresh)) = self.open(one, chance).await else { return };
        let Some(kid) = self.newest_kid() else { return };
        one.line.pause_at_signature(chance.millis(millis(TERM) * 2));
        let revoking = async {
            until(|| one.line.local_now() > self.time.now()).await;
            self.strike(other, kid).await
        };
        tokio::join!(self.refresh(one, &refresh), revoking);
    }

    /// The answer to a rotation takes long, and so do the new keys; meanwhile another node revokes the key.
    async fn revoke_a_key_while_a_rotation_is_written(
        &self,
        one: &Process,
        other: &Process,
        chance: &Chance,
    ) {
        let Some((_, refresh)) = self.open(one, chance).await else { return };
        let Some(kid) = self.newest_kid() else { return };
        one.line.slow_keys(TERM * 4);
        one.line.slow_commits(Duration::from_millis(100));
        let revoking = async {
            pass(chance.millis(30)).await;
            self.strike(other, kid).await
        };
        tokio::join!(self.refresh(one, &refresh), revoking);
    }

    /// A node is left alone with an old primary right after its lease was written, and before it knows that.
    async fn isolate_after_a_lease(self: &Arc<Self>, one: &Process, other: &Process, chance: &Chance) {
        let Some((session, refresh)) = self.open(other, chance).await else { return };
        one.line.isolate_after_next_lease(true);
        until(|| one.line.isolation().1).await;
        one.line.isolate_after_next_lease(false);
        if !one.line.isolation().1 {
            return;
        }
        self.seen.lock().expect("no panic").isolated += 1;
        let ended = self.end_session(other, session, &refresh).await;
        for (what, seq) in ended {
            let covered = self.journal.lock().expect("no panic").covered(&what, seq, 1);
            self.present_often(one, covered.first(), TERM * 2).await;
        }
    }

    /// A node's lease is on its way to the store for long, and the answers to its reads are late; something is ended
    /// after a read, and before the lease is written.
    async fn commit_before_a_lease_is_written(
        self: &Arc<Self>,
        one: &Process,
        other: &Process,
        chance: &Chance,
    ) {
        let Some((session, refresh)) = self.open(other, chance).await else { return };
        let given = self.journal.lock().expect("no panic").given().last().cloned();
        one.line.race(TERM * 2);
        let ending = async {
            pass(Duration::from_millis(500) + chance.millis(2000)).await;
            self.end_in_force(other, session, &refresh).await;
        };
        tokio::join!(self.present_often(one, given.as_ref(), TERM * 2), ending);
    }

    /// A verifier gets its first lease, and is cut off.
    async fn cut_a_new_verifier(self: &Arc<Self>, process: &Process, chance: &Chance) {
        let Some((session, refresh)) = self.open(process, chance).await else { return };
        let verifier = Arc::clone(chance.pick(&self.verifiers).expect("there are some"));
        Arc::clone(&verifier).restart(Exit::IsKilled, Duration::ZERO, Arc::clone(self)).await;
        until(|| verifier.is_fresh()).await;
        self.cut_off(verifier.number, TERM);
        self.end_in_force(process, session, &refresh).await;
    }

    /// Ends a session at a node, and waits there until that is in force, while thieves try its tokens.
    pub(crate) async fn end_in_force(self: &Arc<Self>, process: &Process, session: SessionId, refresh: &str) {
        for (what, seq) in self.end_session(process, session, refresh).await {
            let early = tokio::spawn(Arc::clone(self).hunt(what.clone(), seq, false));
            let barrier = self.ask(process, process.service.effective(seq)).await;
            if barrier.is_some_and(|barrier| barrier.is_ok()) {
                self.journal.lock().expect("no panic").in_force(seq, self.time.now());
                self.seen.lock().expect("no panic").barriers += 1;
                Arc::clone(self).hunt(what, seq, true).await;
            }
            early.await.expect("nobody has found something");
        }
    }

    /// Presents a token to a node again and again.
    async fn present_often(self: &Arc<Self>, process: &Process, given: Option<&Given>, span: Duration) {
        let Some(given) = given else { return };
        let node = process.node();
        let (until, mut presented) = (self.time.now() + span, JoinSet::new());
        while self.time.now() < until {
            pass(Duration::from_millis(25)).await;
            presented.spawn(Arc::clone(self).present_to_node(node, given.clone()));
        }
        presented.join_all().await;
    }
}

/// Waits until something has happened, or for a while.
pub(crate) async fn until(happened: impl Fn() -> bool) {
    until_within(WITHIN, happened).await;
}

/// Waits until something has happened, or for this time.
pub(crate) async fn until_within(span: Duration, happened: impl Fn() -> bool) {
    let mut waited = Duration::ZERO;
    while waited < span && !happened() {
        pass(LOOK).await;
        waited += LOOK;
    }
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("a short run")
}
