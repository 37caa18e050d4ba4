//! Compares the known entries with those known to exist, and waits for missing ones. Every method here takes
//! a lock for a moment, so a check calls them only when the state that it loaded doesn't suffice.

use std::time::Duration;

use quash_core::model::Seq;

use crate::shared::VerifierShared;
use crate::state::VerifierState;
use crate::verify_error::VerifyError;

/// The longest that a check waits for an entry that a token names.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(50);

impl VerifierShared {
    /// Waits until the entry `seq` is known.
    pub(crate) async fn caught_up(&self, seq: Seq, within: Duration) -> Result<(), VerifyError> {
        let mut cursor = self.cursor.subscribe();
        match tokio::time::timeout(within, cursor.wait_for(|cursor| *cursor >= seq)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(VerifyError::Stale),
        }
    }

    /// Waits a moment for the entry that a token names; the caller checks again, and sees whether it has
    /// arrived. If it `exists`, it is overdue: the verifier is behind until it knows it. A number that another
    /// issuer has written may be wrong, so it concerns that token alone.
    pub(crate) async fn wait_for_named(&self, seq: Seq, exists: bool) {
        if exists {
            self.prove(seq);
            self.missing_entry.notify_one();
        }
        let _ = self.caught_up(seq, CATCH_UP).await;
    }

    /// Wakes the tasks that wait for an entry up to `cursor`, which are all known now.
    pub(crate) fn reach(&self, cursor: Seq) {
        self.prove(cursor);
        // A lease changes no cursor, and must wake no task that waits for an entry.
        self.cursor.send_if_modified(|known| std::mem::replace(known, cursor) != cursor);
    }

    /// Wakes the tasks that wait for an entry, although there is none: they check again.
    pub(crate) fn wake(&self) {
        self.cursor.send_modify(|_| {});
    }

    /// Wakes the tasks that wait for a key: the ring has changed.
    pub(crate) fn notify_key_waiters(&self) {
        self.ring.send_replace(());
    }

    /// Notes that the entry `seq` exists, and wakes the task that fetches entries.
    pub(crate) fn prove(&self, seq: Seq) {
        self.known_to_exist.send_if_modified(|known_to_exist| {
            let is_newer = seq > *known_to_exist;
            *known_to_exist = seq.max(*known_to_exist);
            is_newer
        });
    }

    /// Returns the state of the known revocations now.
    pub(crate) fn verifier_state(&self) -> VerifierState {
        let state = self.state.load();
        if state.trust.is_none() {
            VerifierState::Boot
        } else if !state.freshness.holds(self.clock.uptime()) {
            VerifierState::Stale
        } else if *self.known_to_exist.borrow() > state.revoked.cursor() {
            VerifierState::Behind
        } else {
            VerifierState::Fresh
        }
    }

    /// Returns the number of entries known to exist after `cursor`. Entries can't be counted across epochs;
    /// the result is then 1.
    pub(crate) fn lag(&self, cursor: Seq) -> u64 {
        let known_to_exist = *self.known_to_exist.borrow();
        if known_to_exist.epoch() > cursor.epoch() {
            1
        } else {
            known_to_exist.as_u64().saturating_sub(cursor.as_u64())
        }
    }
}
