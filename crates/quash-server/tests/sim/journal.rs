//! The history as clients saw it: tokens that were issued, ends that were begun and confirmed, and the
//! outcomes that they allow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::RevokedName;
use quash_core::model::{Forgotten, Kid, Seq, SessionId, Timestamp};
use quash_core::token::Authentic;
use quash_core::watch::Named;

use crate::TERM;

/// An issued token.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) number: usize,
    pub(crate) token: Token,
    /// The newest number that its issuer knew; `None` if the issuer doesn't write it.
    pub(crate) position: Option<Seq>,
}

/// A token as its issuer made it.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    /// One of quash's own.
    Own { text: Arc<str>, session: SessionId, subject: String, kid: Kid },
    /// One of the shop, which goes on issuing its own.
    Shop { session: String, id: String, subject: &'static str, issued_at: i64, expires_at: i64 },
}

/// The coverage of an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Session(SessionId),
    Subject(String),
    /// Everything that the key has signed so far. If the store was restored since, it may sign again.
    Key(Kid),
    /// Everything of quash's own and of the shop.
    Everything,
    /// In the namespace of the shop, with the second of the event if it is reported late.
    InShop(RevokedName, Option<i64>),
}

/// An end, confirmed or not.
#[derive(Clone, Debug)]
struct End {
    what: Ended,
    /// The number of its entry. Unless it is confirmed, a number that the entry's isn't above.
    seq: Seq,
    /// The seconds in which the entry was made, at the earliest and at the latest.
    made: (i64, i64),
    /// The time at which the call that ended it returned.
    answered: Option<Duration>,
    /// The time at which the call that waits until it is in force everywhere returned.
    in_force: Option<Duration>,
}

/// An end whose call hasn't returned.
#[derive(Clone, Copy)]
pub(crate) struct Begun(usize);

#[derive(Default)]
pub(crate) struct Journal {
    given: Vec<Given>,
    ends: Vec<End>,
    /// Keys that an operator has begun to revoke, confirmed or not.
    struck: BTreeSet<Kid>,
    /// The tokens that each verifier has called revoked.
    refused: BTreeSet<(usize, usize)>,
    /// The deleted part of the log.
    forgotten: Option<Forgotten>,
    /// The first entry after the store last went back.
    began: Option<Seq>,
}

/// The maximum difference between verifiers' clocks, and the size of a time step.
const SLACK: Duration = Duration::from_millis(8);
/// The longest lifetime of the shop's tokens, in seconds.
pub(crate) const LIFETIME: i64 = 86_400;
/// The tolerance of a late end, in seconds.
const LATE_BY: i64 = 5;
/// The number of late ends of one scope that a verifier keeps apart.
const LATE_ENDS: usize = 8;

impl Journal {
    pub(crate) fn gives(&mut self, token: &Authentic, text: &str) {
        let (session, rsq) = token.session_and_rsq().expect("a token of ours");
        let subject = token.claims().user_id.clone().expect("a subject");
        self.give(Token::Own { text: text.into(), session, subject, kid: token.kid().clone() }, Some(rsq));
    }

    pub(crate) fn give(&mut self, token: Token, position: Option<Seq>) {
        self.given.push(Given { number: self.given.len(), token, position });
    }

    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    /// An operator revokes a key.
    pub(crate) fn strikes(&mut self, kid: Kid) {
        self.struck.insert(kid);
    }

    /// Returns whether a token may be refused although nothing has ended it.
    pub(crate) fn may_be_refused(&self, given: &Given) -> bool {
        match &given.token {
            // Its key may be unknown by now.
            Token::Own { kid, .. } => self.struck.contains(kid) || self.is_over(given),
            Token::Shop { .. } => given.lives_too_long(),
        }
    }

    /// A call that ends something begins, at this second of the issuer's clock.
    pub(crate) fn begins(&mut self, what: Ended, now: i64) -> Begun {
        // Until the call returns, it may have any number.
        let made = (now, i64::MAX);
        self.ends.push(End { what, seq: Seq::MAX, made, answered: None, in_force: None });
        Begun(self.ends.len() - 1)
    }

    /// A call that ends something has returned, at this second of the issuer's clock.
    pub(crate) fn ends(&mut self, begun: Begun, seq: Seq, second: i64, now: Duration) {
        let end = &mut self.ends[begun.0];
        (end.seq, end.answered) = (seq, Some(now));
        end.close(second);
    }

    /// The process of the issuer that ran a call has been killed, or has answered with an error. The log ends
    /// with this number, and the issuer's clock shows this second.
    pub(crate) fn gives_up(&mut self, begun: Begun, log_end: Seq, second: i64) {
        let end = &mut self.ends[begun.0];
        end.seq = log_end;
        end.close(second);
    }

    /// A call that waits until every verifier knows of an entry has returned.
    pub(crate) fn in_force(&mut self, seq: Seq, now: Duration) {
        // A verifier that knows an entry knows all before it.
        let known = self.ends.iter_mut().filter(|end| end.answered.is_some() && end.seq <= seq);
        for end in known.filter(|end| end.in_force.is_none()) {
            end.in_force = Some(now);
        }
    }

    /// The issuer has deleted entries about the shop's tokens.
    pub(crate) fn forgets(&mut self, forgotten: Forgotten) {
        self.forgotten = Some(forgotten);
    }

    /// The store has gone back, and its log continues with this entry over everything.
    pub(crate) fn goes_back(&mut self, began: Seq, second: i64, now: Duration) {
        self.began = Some(began);
        let begun = self.begins(Ended::Everything, second);
        self.ends(begun, began, second, now);
        // The shop may issue tokens in a session whose end is lost.
        let given = &self.given;
        let is_kept = |number: usize| given[number].named().is_none() || self.is_over(&given[number]);
        let refused = self.refused.iter().copied().filter(|(_, number)| is_kept(*number)).collect();
        self.refused = refused;
    }

    /// The newest tokens that an end covers.
    pub(crate) fn covered(&self, what: &Ended, seq: Seq, most: usize) -> Vec<Given> {
        let ends: Vec<_> = self.ends.iter().filter(|end| end.seq == seq && end.what == *what).collect();
        let is_covered = |given: &&Given| ends.iter().any(|end| self.must_cover(end, given));
        self.given.iter().rev().filter(is_covered).take(most).cloned().collect()
    }

    /// The issuer itself has accepted a token. Panics if that is wrong: the issuer knows of every end before
    /// it is confirmed.
    pub(crate) fn issuer_accepts(&self, given: &Given, now: Duration) {
        let end = self.ends.iter().find(|end| self.must_cover(end, given));
        assert!(
            end.is_none(),
            "answered: the issuer accepted token {} at {now:?}, ended by {end:?}",
            given.number
        );
    }

    /// Returns whether every verifier that has caught up must refuse a token.
    pub(crate) fn is_over(&self, given: &Given) -> bool {
        self.ends.iter().any(|end| self.must_cover(end, given))
    }

    /// A verifier has refused a token as revoked. Panics if nothing can have revoked it. Ends of quash's own
    /// tokens aren't all known here: a token that is used again ends its session, too.
    pub(crate) fn refuses(&mut self, verifier: usize, given: &Given) {
        // A verifier may have the deleted entries themselves, and accept the token.
        let is_reached = self.forgotten.is_some_and(|forgotten| given.is_reached(forgotten));
        // A verifier may keep late ends apart that another has merged.
        let is_merged = self.is_merged_over(given);
        if self.ends.iter().any(|end| end.covers(given, end.made.1)) {
            self.refused.insert((verifier, given.number));
        } else if given.named().is_some() {
            assert!(
                is_reached || is_merged,
                "precision: verifier {verifier} refused {given:?}, which nothing has ended"
            );
        } else if !is_reached {
            self.refused.insert((verifier, given.number));
        }
    }

    /// A verifier has accepted a token based on its knowledge at the time `now`; `cursor` is its newest entry
    /// if it decided by itself. Panics if that is wrong.
    pub(crate) fn accepts(&self, verifier: usize, cursor: Option<Seq>, given: &Given, now: Duration) {
        if let (Some(cursor), Some(position)) = (cursor, given.position) {
            assert!(
                position <= cursor,
                "causality: verifier {verifier} at {cursor} accepted a token minted at {position}"
            );
        }
        assert!(!given.lives_too_long(), "lifetime: verifier {verifier} accepted {given:?}");
        assert!(
            !self.refused.contains(&(verifier, given.number)),
            "resurrection: verifier {verifier}, {given:?}"
        );
        for end in self.ends.iter().filter(|end| self.must_cover(end, given)) {
            let latest = end.answered.map(|answered| answered + TERM + SLACK);
            assert!(
                latest.is_none_or(|latest| now <= latest),
                "bound: verifier {verifier} accepted {given:?} at {now:?}, ended by {end:?}"
            );
            let in_force = end.in_force.is_some_and(|in_force| in_force < now);
            assert!(
                !in_force,
                "barrier: verifier {verifier} accepted {given:?} at {now:?}, ended by {end:?}"
            );
        }
    }

    /// A node has accepted a token at the time `now`. The request had arrived at the time `arrived`, which
    /// is `None` if the node was left alone with an old primary meanwhile. Panics if that is wrong.
    pub(crate) fn node_accepts(
        &self,
        node: u64,
        given: &Given,
        arrived: Option<Duration>,
        now: Duration,
        committed_at: impl Fn(Seq) -> Option<Duration>,
    ) {
        for end in self.ends.iter().filter(|end| self.must_cover(end, given)) {
            let knew_it =
                arrived.is_some_and(|arrived| end.answered.is_some_and(|answered| answered < arrived));
            assert!(
                !knew_it,
                "exact: node {node} accepted {given:?}, asked at {arrived:?}, ended by {end:?}"
            );
            let latest = committed_at(end.seq).map(|committed| committed + TERM + SLACK);
            assert!(
                latest.is_none_or(|latest| now <= latest),
                "term: node {node} accepted {given:?} at {now:?}, ended by {end:?}"
            );
            let in_force = end.in_force.is_some_and(|in_force| in_force < now);
            assert!(!in_force, "barrier: node {node} accepted {given:?} at {now:?}, ended by {end:?}");
        }
    }

    /// Returns whether a confirmed end covers a token.
    fn must_cover(&self, end: &End, given: &Given) -> bool {
        end.answered.is_some()
            && end.covers(given, end.made.0)
            && (given.named().is_none() || self.is_known(end, given))
    }

    /// Returns whether the issuer knows of an end over a token of the shop. When the store goes back,
    /// everything ends. What is deleted is replaced by the record of it.
    fn is_known(&self, end: &End, given: &Given) -> bool {
        self.began.is_none_or(|began| end.seq >= began)
            && self.forgotten.is_none_or(|forgotten| end.seq > forgotten.seq || given.is_reached(forgotten))
    }

    /// Returns whether a verifier can have merged so many late ends that the result covers a token.
    fn is_merged_over(&self, given: &Given) -> bool {
        let late = |end: &&End| matches!(&end.what, Ended::InShop(name, Some(_)) if given.is_under(name));
        let late: Vec<_> = self.ends.iter().filter(late).collect();
        let until = late.iter().filter_map(|end| end.what.until()).max();
        let seq = late.iter().map(|end| end.seq).max();
        late.len() > LATE_ENDS
            && given.position < seq
            && until.is_some_and(|until| given.issued_at() <= until + LATE_BY)
    }
}

impl End {
    /// Its call has returned or failed at this second of the issuer's clock, which may have been set
    /// meanwhile.
    fn close(&mut self, second: i64) {
        let began = self.made.0;
        self.made = (began.min(second), began.max(second));
    }

    /// Returns whether it covers a token, if its entry was made in this second.
    fn covers(&self, given: &Given, made: i64) -> bool {
        let is_older = given.position.is_some_and(|position| position < self.seq);
        match (&self.what, &given.token) {
            (Ended::Session(ended), Token::Own { session, .. }) => ended == session,
            (Ended::Subject(ended), Token::Own { subject, .. }) => ended == subject && is_older,
            (Ended::Key(ended), Token::Own { kid, .. }) => ended == kid && is_older,
            (Ended::Everything, Token::Own { .. }) => is_older,
            (Ended::Everything, Token::Shop { issued_at, .. }) => match given.position {
                Some(_) => is_older,
                None => *issued_at <= made,
            },
            (Ended::InShop(RevokedName::Session(ended), _), Token::Shop { session, .. }) => ended == session,
            (Ended::InShop(RevokedName::Token(ended), _), Token::Shop { id, .. }) => ended == id,
            (Ended::InShop(name, until), Token::Shop { issued_at, .. }) => {
                given.is_under(name)
                    && match given.position {
                        Some(_) => is_older && until.is_none_or(|until| *issued_at <= until + LATE_BY),
                        None => *issued_at <= until.unwrap_or(made),
                    }
            }
            (Ended::Session(_) | Ended::Subject(_) | Ended::Key(_), Token::Shop { .. })
            | (Ended::InShop(..), Token::Own { .. }) => false,
        }
    }
}

impl Ended {
    /// Returns whether it covers tokens of any age.
    pub(crate) fn is_presence(&self) -> bool {
        matches!(self, Self::Session(_) | Self::InShop(RevokedName::Session(_) | RevokedName::Token(_), _))
    }

    fn until(&self) -> Option<i64> {
        match self {
            Self::InShop(_, until) => *until,
            Self::Session(_) | Self::Subject(_) | Self::Key(_) | Self::Everything => None,
        }
    }
}

impl Given {
    /// The names of a token of the shop.
    pub(crate) fn named(&self) -> Option<Named<'_>> {
        let Token::Shop { session, id, subject, issued_at, expires_at } = &self.token else { return None };
        Some(Named {
            namespace: Some(crate::shop::NAME),
            session: Some(session),
            token: Some(id),
            subject: Some(subject),
            position: self.position.map(Seq::as_u64),
            issued_at: *issued_at,
            expires_at: *expires_at,
        })
    }

    fn issued_at(&self) -> i64 {
        self.named().map_or(i64::MIN, |named| named.issued_at)
    }

    fn lives_too_long(&self) -> bool {
        self.named().is_some_and(|named| named.expires_at - named.issued_at > LIFETIME)
    }

    /// Returns whether a watermark of the shop is about this token.
    fn is_under(&self, watermark: &RevokedName) -> bool {
        match (watermark, &self.token) {
            (RevokedName::Subject(ended), Token::Shop { subject, .. }) => ended == subject,
            (RevokedName::Everything, Token::Shop { .. }) => true,
            (RevokedName::Session(_) | RevokedName::Token(_), _) | (_, Token::Own { .. }) => false,
        }
    }

    /// Returns whether a deleted entry may have covered a token of the shop.
    fn is_reached(&self, forgotten: Forgotten) -> bool {
        self.position.is_some_and(|position| position < forgotten.seq)
            || self.named().is_some_and(|named| {
                let [issued_at, expires_at] = [named.issued_at, named.expires_at].map(Timestamp::from_secs);
                issued_at <= forgotten.at + FORGOTTEN_LEEWAY && expires_at <= forgotten.until
            })
    }
}

/// An issuer's clock may be ahead by this much.
const FORGOTTEN_LEEWAY: Duration = Duration::from_secs(300);
