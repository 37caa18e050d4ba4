//! What is known here beside what is known to exist, and waiting for it. Whoever asks here takes a lock for a moment, so a
//! check comes here only when it can't decide on what it sees.

use std::time::Duration;

use quash_core::model::Seq;

use crate::denied::Denied;
use crate::shared::Shared;
use crate::verifier::VerifierState;

impl Shared {
    /// Waits until the entry `seq` is known.
    pub(crate) async fn caught_up(&self, seq: Seq, within: Duration) -> Result<(), Denied> {
        let mut cursor = self.cursor.subscribe();
        match tokio::time::timeout(within, cursor.wait_for(|cursor| *cursor >= seq)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Denied::Stale),
        }
    }

    /// Tells whoever waits for an entry that everything up to `cursor` is known now.
    pub(crate) fn reach(&self, cursor: Seq) {
        self.prove(cursor);
        // Whoever waits for an entry isn't woken by a lease.
        self.cursor.send_if_modified(|known| std::mem::replace(known, cursor) != cursor);
    }

    /// Tells those that wait for a key that there are others.
    pub(crate) fn turned(&self) {
        self.ring.send_replace(());
    }

    /// Tells whoever feeds this that the entry `seq` exists.
    pub(crate) fn prove(&self, seq: Seq) {
        self.proven.send_if_modified(|proven| {
            let is_newer = seq > *proven;
            *proven = seq.max(*proven);
            is_newer
        });
    }

    /// How far what is known here can be vouched for now.
    pub(crate) fn standing(&self) -> VerifierState {
        let state = self.state.load();
        if state.trust.is_none() {
            VerifierState::Boot
        } else if !state.freshness.holds(self.clock.uptime()) {
            VerifierState::Stale
        } else if *self.proven.borrow() > state.revoked.cursor() {
            VerifierState::Behind
        } else {
            VerifierState::Fresh
        }
    }

    /// How many entries are known to exist beyond this one. Over epochs nobody can count.
    pub(crate) fn lag(&self, cursor: Seq) -> u64 {
        let proven = *self.proven.borrow();
        if proven.epoch() > cursor.epoch() { 1 } else { proven.as_u64().saturating_sub(cursor.as_u64()) }
    }
}
