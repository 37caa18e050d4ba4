//! The history as clients saw it: tokens that were issued, ends that were confirmed, and the outcomes that
//! they allow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Kid, Seq, SessionId};
use quash_core::token::Authentic;

use crate::TERM;

/// An issued token.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) number: usize,
    /// As issued.
    pub(crate) text: Arc<str>,
    pub(crate) session: SessionId,
    pub(crate) subject: String,
    pub(crate) kid: Kid,
    pub(crate) rsq: Seq,
}

/// The coverage of an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Session(SessionId),
    Subject(String),
    /// Everything that the key has signed so far. If the store was restored since, it may sign again.
    Key(Kid),
    Everything,
}

/// A confirmed end.
#[derive(Clone, Debug)]
struct End {
    what: Ended,
    seq: Seq,
    /// The time at which the call that ended it returned.
    answered: Duration,
    /// The time at which the call that waits until it is in force everywhere returned.
    in_force: Option<Duration>,
}

#[derive(Default)]
pub(crate) struct Journal {
    given: Vec<Given>,
    ends: Vec<End>,
    /// Keys that an operator has begun to revoke, confirmed or not.
    struck: BTreeSet<Kid>,
    /// The tokens that each verifier has called revoked.
    refused: BTreeSet<(usize, usize)>,
}

/// The maximum difference between verifiers' clocks, and the size of a time step.
const SLACK: Duration = Duration::from_millis(8);

impl Journal {
    pub(crate) fn gives(&mut self, token: &Authentic, text: &str) {
        let (session, rsq) = token.session_and_rsq().expect("a token of ours");
        let subject = token.claims().user_id.clone().expect("a subject");
        let number = self.given.len();
        self.given.push(Given { number, text: text.into(), session, subject, kid: token.kid().clone(), rsq });
    }

    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    /// An operator revokes a key.
    pub(crate) fn strikes(&mut self, kid: Kid) {
        self.struck.insert(kid);
    }

    /// Returns whether a token's key may be unknown by now.
    pub(crate) fn may_lack_its_key(&self, given: &Given) -> bool {
        self.struck.contains(&given.kid) || self.is_over(given)
    }

    /// A call that ends something has returned.
    pub(crate) fn ends(&mut self, what: Ended, seq: Seq, now: Duration) {
        self.ends.push(End { what, seq, answered: now, in_force: None });
    }

    /// A call that waits until every verifier knows of an entry has returned.
    pub(crate) fn in_force(&mut self, seq: Seq, now: Duration) {
        // A verifier that knows an entry knows all before it.
        for end in self.ends.iter_mut().filter(|end| end.seq <= seq && end.in_force.is_none()) {
            end.in_force = Some(now);
        }
    }

    /// The newest tokens that an end covers.
    pub(crate) fn covered(&self, what: &Ended, seq: Seq, most: usize) -> Vec<Given> {
        self.given.iter().rev().filter(|given| what.covers(seq, given)).take(most).cloned().collect()
    }

    /// The issuer itself has accepted a token. Panics if that is wrong: the issuer knows of every end before
    /// it is confirmed.
    pub(crate) fn issuer_accepts(&self, given: &Given, now: Duration) {
        let end = self.ends.iter().find(|end| end.what.covers(end.seq, given));
        assert!(
            end.is_none(),
            "answered: the issuer accepted token {} at {now:?}, ended by {end:?}",
            given.number
        );
    }

    /// Returns whether every verifier that has caught up must refuse a token.
    pub(crate) fn is_over(&self, given: &Given) -> bool {
        self.ends.iter().any(|end| end.what.covers(end.seq, given))
    }

    /// A verifier has refused a token as revoked.
    pub(crate) fn refuses(&mut self, verifier: usize, given: &Given) {
        self.refused.insert((verifier, given.number));
    }

    /// A verifier has accepted a token based on its knowledge at the time `now`; `cursor` is its newest entry
    /// if it decided by itself. Panics if that is wrong.
    pub(crate) fn accepts(&self, verifier: usize, cursor: Option<Seq>, given: &Given, now: Duration) {
        if let Some(cursor) = cursor {
            assert!(
                given.rsq <= cursor,
                "causality: verifier {verifier} at {cursor} accepted a token minted at {}",
                given.rsq
            );
        }
        assert!(
            !self.refused.contains(&(verifier, given.number)),
            "resurrection: verifier {verifier}, token {}",
            given.number
        );
        for end in self.ends.iter().filter(|end| end.what.covers(end.seq, given)) {
            let latest = end.answered + TERM + SLACK;
            assert!(
                now <= latest,
                "bound: verifier {verifier} accepted token {} at {now:?}, ended by {end:?}",
                given.number
            );
            let in_force = end.in_force.is_some_and(|in_force| in_force < now);
            assert!(
                !in_force,
                "barrier: verifier {verifier} accepted token {} at {now:?}, ended by {end:?}",
                given.number
            );
        }
    }
}

impl Ended {
    fn covers(&self, seq: Seq, given: &Given) -> bool {
        match self {
            Self::Session(session) => *session == given.session,
            Self::Subject(subject) => *subject == given.subject && given.rsq < seq,
            Self::Key(kid) => *kid == given.kid && given.rsq < seq,
            Self::Everything => given.rsq < seq,
        }
    }
}
