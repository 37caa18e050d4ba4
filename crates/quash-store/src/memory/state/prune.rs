//! Marks and deletes expired data in memory.

use quash_core::model::{Forgotten, Receipt, Session, Timestamp, limits};

use super::{Logged, State};

impl State {
    pub(super) fn mark_expired(&mut self, now: Timestamp, limit: u32) -> Receipt {
        let unmarked = self.log.values().filter(|logged| logged.marked_at.is_none());
        let mut due: Vec<_> = unmarked
            .filter_map(|Logged { entry, .. }| {
                entry.drop_after.filter(|after| *after <= now).map(|after| (after, entry.seq))
            })
            .collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        for (_, seq) in &due {
            if let Some(logged) = self.log.get_mut(seq) {
                logged.marked_at = Some(now);
            }
        }
        Receipt::pruned(due.len())
    }

    pub(super) fn forget_expired(&mut self, now: Timestamp, limit: u32) -> Receipt {
        let kept_until = |session: &Session| {
            session.adopted.map_or(session.idle_until, |adopted| adopted.until.max(session.idle_until))
        };
        let spent = self.sessions.values().filter(|session| kept_until(session) < now - limits::SESSION_KEPT);
        let mut forgotten: Vec<_> = spent.map(|session| (kept_until(session), session.id)).collect();
        forgotten.sort_unstable();
        forgotten.truncate(limit as usize);
        for (_, id) in &forgotten {
            self.sessions.remove(id);
        }
        let mut spent: Vec<_> = self
            .adopted
            .iter()
            .filter(|(_, until)| **until < now - limits::SESSION_KEPT)
            .map(|(key, until)| (*until, *key))
            .collect();
        spent.sort_unstable();
        spent.truncate(limit as usize);
        for (_, key) in &spent {
            self.adopted.remove(key);
        }
        Receipt::pruned(forgotten.len() + spent.len() + self.mail.forget_expired(now, limit))
    }

    pub(super) fn delete_marked(&mut self, now: Timestamp, marked_until: Timestamp, limit: u32) -> Receipt {
        let past =
            self.log.values().filter(|logged| logged.entry.drop_after.is_some_and(|after| after <= now));
        let mut due: Vec<_> = past
            .filter_map(|logged| {
                logged
                    .marked_at
                    .filter(|marked| *marked <= marked_until)
                    .map(|marked| (marked, logged.entry.seq))
            })
            .collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        for (_, seq) in &due {
            let Some(Logged { entry, .. }) = self.log.remove(seq) else { continue };
            let Forgotten { seq, at, until } = self.forgotten;
            let until = entry.drop_after.map_or(until, |after| after.max(until));
            self.forgotten = Forgotten { seq: seq.max(entry.seq), at: at.max(entry.at), until };
        }
        Receipt::pruned(due.len())
    }
}
