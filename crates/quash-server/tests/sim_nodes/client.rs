//! The clients of nodes: users sign in, refresh and log out at any node, operators end what they want and
//! change keys, and thieves present tokens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::decide::{Device, RevokedKeySessions};
use quash_core::model::{Actor, Clock, EndCause, Invalid, Kid, Reason, Refusal, Seq, SessionId, Subject};
use quash_core::token::{Issued, TokenType};
use quash_service::{DeviceTokenInput, Failure, Takeover, Unavailable};
use quash_store::Store;
use quash_verify::{VerifyError, WhenStale};
use tokio::task::{JoinHandle, JoinSet};

use crate::chance::Chance;
use crate::journal::{Ended, Given, Token};
use crate::node::Process;
use crate::other_issuer;
use crate::time::Issuers;
use crate::verifier::Said;
use crate::wait::pass;
use crate::world::{PEOPLE, World};

/// Sessions, each with a refresh token that may be its newest.
type Sessions = Vec<(SessionId, String)>;

/// A process's decision about a token.
pub(crate) struct Decision {
    pub(crate) decided: Result<(), VerifyError>,
    /// The time at which the request arrived, unless the process was alone with an old primary meanwhile.
    pub(crate) arrived: Option<Duration>,
    /// The time of the decision.
    pub(crate) at: Duration,
}

/// The time that a request takes on its way, at most, in milliseconds.
const WAY: u64 = 5;
/// The number of tokens that a thief tries after their end.
const PREY: usize = 2;

impl World {
    /// Sends a request to a process, and waits until its answer has left it. `None` if the process was
    /// killed.
    pub(crate) async fn ask<T>(&self, process: &Process, call: impl Future<Output = T>) -> Option<T> {
        self.while_alive(process.life, async {
            pass(self.chance.millis(WAY)).await;
            process.line.runs().await;
            let answer = call.await;
            process.line.runs().await;
            answer
        })
        .await
    }

    /// Runs one user, who does one action after the other.
    pub(crate) async fn live(self: Arc<Self>, chance: Chance, until: Duration) {
        let (mut sessions, mut hunts) = (Sessions::new(), Vec::new());
        while self.time.now() < until {
            pass(chance.millis(u64::try_from(self.temper.between_deeds.as_millis()).expect("short"))).await;
            let Some(process) = self.any(&chance) else { continue };
            let ended = if chance.once_in(self.temper.key_changes) {
                self.change_keys(&process, &chance).await
            } else {
                self.use_sessions(&process, &mut sessions, &chance).await
            };
            for (what, seq) in ended {
                self.hunt_everywhere(what, seq, &chance, &mut hunts).await;
            }
        }
        for hunt in hunts {
            hunt.await.expect("nobody has found something");
        }
    }

    async fn use_sessions(
        &self,
        process: &Process,
        sessions: &mut Sessions,
        chance: &Chance,
    ) -> Vec<(Ended, Seq)> {
        let (name, service) = (*chance.pick(&PEOPLE).expect("there are some"), &process.service);
        match chance.below(12) {
            0..=5 => {
                let refresh =
                    if chance.once_in(2) { sessions.pop().map(|(_, refresh)| refresh) } else { None };
                let refresh = refresh.unwrap_or_else(|| {
                    other_issuer::token(name, Issuers(Arc::clone(&self.time)).now(), &chance.jti())
                });
                // Sometimes it is sent to two nodes at once.
                let other = if chance.once_in(3) { self.any(chance) } else { None };
                let (one, two) = tokio::join!(self.refresh(process, &refresh), async {
                    match &other {
                        Some(other) => self.refresh(other, &refresh).await,
                        None => None,
                    }
                });
                sessions.extend(one.into_iter().chain(two));
                Vec::new()
            }
            6..=8 => {
                let Some((session, refresh)) = sessions.pop() else { return Vec::new() };
                self.end_session(process, session, &refresh).await
            }
            9 | 10 => {
                let subject = Subject::parse(name).expect("a subject");
                let (cause, by) = (EndCause::AccountRevoked, Actor::Operator);
                let ended = async { service.end_account(&subject, cause, by).await.ok()?.seq };
                self.while_ending(process, vec![Ended::Subject(name.into())], ended).await
            }
            _ if chance.once_in(4) && !self.temper.only_leases => {
                let ended =
                    async { service.end_everything(Reason::Revoked, Actor::Operator).await.ok()?.seq };
                self.while_ending(process, vec![Ended::Everything], ended).await
            }
            _ => Vec::new(),
        }
    }

    /// Ends a session with its refresh token.
    pub(crate) async fn end_session(
        &self,
        process: &Process,
        session: SessionId,
        refresh: &str,
    ) -> Vec<(Ended, Seq)> {
        let ended = async { process.service.blacklist(refresh).await.ok()?.seq };
        self.while_ending(process, vec![Ended::Session(session)], ended).await
    }

    async fn change_keys(&self, process: &Process, chance: &Chance) -> Vec<(Ended, Seq)> {
        let service = &process.service;
        if chance.once_in(2) {
            let takeover = if chance.once_in(3) { Takeover::Announced } else { Takeover::Now };
            let earlier = self.signers.lock().expect("no panic").clone();
            // There may be too many keys.
            let rotated = self.ask(process, service.rotate_key(takeover, Actor::Operator)).await;
            if let (Takeover::Now, Some(Ok(_))) = (takeover, rotated) {
                for kid in earlier {
                    self.retired.lock().expect("no panic").entry(kid).or_insert(self.time.now());
                }
                // The very next requests at all nodes get tokens of the new key.
                for node in 0..self.temper.nodes {
                    let Some(process) = self.process(node) else { continue };
                    let token =
                        other_issuer::token(PEOPLE[0], Issuers(Arc::clone(&self.time)).now(), &chance.jti());
                    self.refresh(&process, &token).await;
                }
            }
            return Vec::new();
        }
        let Some(kid) = self.newest_kid() else { return Vec::new() };
        self.strike(process, kid).await
    }

    /// Revokes a key.
    pub(crate) async fn strike(&self, process: &Process, kid: Kid) -> Vec<(Ended, Seq)> {
        let service = &process.service;
        self.journal.lock().expect("no panic").strikes(kid.clone());
        let (sessions, by) = (RevokedKeySessions::Continue, Actor::Operator);
        let struck = async { service.revoke_key(&kid, sessions, by).await.ok()?.seq };
        let ended = self.while_ending(process, vec![Ended::Key(kid.clone())], struck).await;
        if !ended.is_empty() {
            self.seen.lock().expect("no panic").struck += 1;
            self.struck.lock().expect("no panic").entry(kid).or_insert(self.time.now());
        }
        ended
    }

    /// Exchanges a refresh token, and notes the access token.
    pub(crate) async fn refresh(&self, process: &Process, refresh: &str) -> Option<(SessionId, String)> {
        let (device, input) = (Device::default(), DeviceTokenInput::Unsupported);
        let call = async {
            let (arrived, before) = (self.time.now(), process.line.isolation());
            let refreshed = process.service.refresh(refresh, &device, &input).await;
            let is_alone = before.1 || before != process.line.isolation();
            // Nothing happens in between: it is the time at which the process signed.
            (refreshed, process.line.local_now(), (!is_alone).then_some(arrived))
        };
        let (refreshed, signed_at, arrived) = self.ask(process, call).await?;
        match refreshed {
            Ok(Issued::Both { access, refresh }) => {
                self.may_answer(process, arrived);
                self.gives(process, &access, arrived, signed_at).map(|session| (session, refresh))
            }
            Ok(_) => None,
            Err(Failure::Unavailable(Unavailable::Unsigned)) => panic!("it can sign"),
            Err(_) => None,
        }
    }

    /// Records an issued token. Its request had arrived at the time `arrived`, unless the process was alone
    /// with an old primary meanwhile.
    fn gives(
        &self,
        process: &Process,
        access: &str,
        arrived: Option<Duration>,
        signed_at: Duration,
    ) -> Option<SessionId> {
        self.seen.lock().expect("no panic").signed += 1;
        let kid = kid_of(access);
        self.signers.lock().expect("no panic").insert(kid.clone());
        let retired_at = self.retired.lock().expect("no panic").get(&kid).copied();
        assert!(
            retired_at.zip(arrived).is_none_or(|(retired_at, arrived)| retired_at >= arrived),
            "ring: node {} has signed with {kid} for a request of {arrived:?}, which was replaced by {retired_at:?}",
            process.life
        );
        let struck_at = self.struck.lock().expect("no panic").get(&kid).copied();
        assert!(
            struck_at.is_none_or(|struck_at| signed_at <= struck_at),
            "key: node {} has signed with {kid} at {signed_at:?}, which was revoked by {struck_at:?}",
            process.life
        );
        let token = process.service.guard().authenticate_now(access).ok()?;
        self.journal.lock().expect("no panic").gives(&token, access);
        token.session_and_rsq().ok().map(|(session, _)| session)
    }

    /// The key that signed one of the newest tokens.
    pub(crate) fn newest_kid(&self) -> Option<Kid> {
        self.journal.lock().expect("no panic").given().iter().rev().find_map(|given| match &given.token {
            Token::Own { kid, .. } => Some(kid.clone()),
            Token::Shop { .. } => None,
        })
    }

    /// Waits for a call to a process that ends something, and returns what has ended: nothing unless the call
    /// returns the number of its last entry.
    async fn while_ending(
        &self,
        process: &Process,
        ended: Vec<Ended>,
        call: impl Future<Output = Option<Seq>>,
    ) -> Vec<(Ended, Seq)> {
        let second = || Issuers(Arc::clone(&self.time)).now().as_secs();
        let begin = |what: &Ended| self.journal.lock().expect("no panic").begins(what.clone(), second());
        let begun: Vec<_> = ended.iter().map(begin).collect();
        let Some(Some(seq)) = self.ask(process, call).await else {
            let log_end = *self.shared.store.newest().borrow();
            let mut journal = self.journal.lock().expect("no panic");
            begun.into_iter().for_each(|begun| journal.gives_up(begun, log_end, second()));
            return Vec::new();
        };
        self.seen.lock().expect("no panic").ended += ended.len();
        let mut journal = self.journal.lock().expect("no panic");
        let mut confirmed = Vec::with_capacity(ended.len());
        for (what, begun) in ended.into_iter().zip(begun) {
            journal.ends(begun, seq, second(), self.time.now());
            confirmed.push((what, seq));
        }
        confirmed
    }

    /// Lets thieves try what has ended, and sometimes waits until that is in force everywhere.
    async fn hunt_everywhere(
        self: &Arc<Self>,
        what: Ended,
        seq: Seq,
        chance: &Chance,
        hunts: &mut Vec<JoinHandle<()>>,
    ) {
        hunts.push(tokio::spawn(Arc::clone(self).hunt(what.clone(), seq, false)));
        if !chance.once_in(3) {
            return;
        }
        let Some(process) = self.any(chance) else { return };
        let service = &process.service;
        let barrier = async {
            if chance.once_in(2) { service.effective(seq).await } else { service.effective_now().await }
        };
        if self.ask(&process, barrier).await.is_some_and(|barrier| barrier.is_ok()) {
            self.journal.lock().expect("no panic").in_force(seq, self.time.now());
            self.seen.lock().expect("no panic").barriers += 1;
            hunts.push(tokio::spawn(Arc::clone(self).hunt(what, seq, true)));
        }
    }

    /// A thief tries the ended tokens at every node and every verifier, at once and for as long as one of
    /// them might not know of the end.
    pub(crate) async fn hunt(self: Arc<Self>, what: Ended, seq: Seq, barrier: bool) {
        let covered = self.journal.lock().expect("no panic").covered(&what, seq, PREY);
        let after = [0, 1, 4, 10, 30, 100, 300, 600, 900, 630];
        let mut presented = JoinSet::new();
        for millis in if barrier { &after[..6] } else { &after[..] } {
            pass(Duration::from_millis(*millis)).await;
            for given in &covered {
                for node in 0..self.temper.nodes {
                    presented.spawn(Arc::clone(&self).present_to_node(node, given.clone()));
                }
                for verifier in 0..self.verifiers.len() {
                    presented.spawn(Arc::clone(&self).present_to_verifier(verifier, given.clone()));
                }
            }
        }
        presented.join_all().await;
    }

    /// Presents some token to some node and to some verifier.
    pub(crate) fn present(self: &Arc<Self>, presented: &mut JoinSet<()>) {
        let given = self.chance.pick(self.journal.lock().expect("no panic").given()).cloned();
        let Some(given) = given else { return };
        let node = usize::try_from(self.chance.below(self.temper.nodes as u64)).expect("few");
        presented.spawn(Arc::clone(self).present_to_node(node, given.clone()));
        if let Some(verifier) = self.chance.pick(&self.verifiers) {
            presented.spawn(Arc::clone(self).present_to_verifier(verifier.number, given));
        }
    }

    pub(crate) async fn present_to_node(self: Arc<Self>, node: usize, given: Given) {
        let Some(process) = self.process(node) else { return };
        let Some(Decision { decided, arrived, at }) = self.decide(&process, &given).await else { return };
        let mut seen = self.seen.lock().expect("no panic");
        match decided {
            Ok(()) => {
                seen.accepted[0] += 1;
                self.may_answer(&process, arrived);
                let journal = self.journal.lock().expect("no panic");
                journal.node_accepts(process.life, &given, arrived, at, |seq| self.shared.committed_at(seq));
            }
            Err(VerifyError::Refused(Refusal::TokenRevoked(_))) => seen.refused[0] += 1,
            Err(VerifyError::Refused(refusal)) => {
                // An old primary lacks newer keys.
                let may_be =
                    arrived.is_none() || self.journal.lock().expect("no panic").may_be_refused(&given);
                assert!(may_be, "a token that holds is refused by node {node}: {refusal:?}, {given:?}");
            }
            Err(_) => seen.unsure[0] += 1,
        }
    }

    /// Lets a process decide on a token. `None` if it was killed.
    pub(crate) async fn decide(&self, process: &Process, given: &Given) -> Option<Decision> {
        let Token::Own { text, .. } = &given.token else { return None };
        let call = async {
            let (arrived, before) = (self.time.now(), process.line.isolation());
            let decided = process.service.guard().check(text, &[TokenType::Access]).await.map(drop);
            // Nothing happens in between.
            let at = process.line.local_now();
            let is_alone = before.1 || before != process.line.isolation();
            Decision { decided, arrived: (!is_alone).then_some(arrived), at }
        };
        self.ask(process, call).await
    }

    pub(crate) async fn present_to_verifier(self: Arc<Self>, verifier: usize, given: Given) {
        let Some(said) = self.verifiers[verifier].judge(&given, WhenStale::Deny).await else { return };
        let mut seen = self.seen.lock().expect("no panic");
        let mut journal = self.journal.lock().expect("no panic");
        match said {
            Said::Accepted { cursor } => {
                journal.accepts(verifier, Some(cursor), &given, self.time.now());
                seen.accepted[1] += 1;
            }
            Said::Revoked => {
                journal.refuses(verifier, &given);
                seen.refused[1] += 1;
            }
            Said::Unsure => seen.unsure[1] += 1,
            Said::Refused(_) if journal.may_be_refused(&given) => {}
            // It has got the keys of a node that was cut from the store.
            Said::Refused(Refusal::TokenInvalid(Invalid::Key)) => seen.unsure[1] += 1,
            Said::Refused(refusal) => panic!("a token that holds is refused: {refusal:?}, {given:?}"),
        }
    }

    /// The number of answers to changes that were lost on a process's line.
    pub(crate) fn lost_answers(process: &Process) -> usize {
        usize::try_from(process.line.lost_answers.load(Ordering::Relaxed)).expect("few")
    }
}

/// The key that a token's header names.
fn kid_of(token: &str) -> Kid {
    let header = token.split('.').next().expect("a header");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    Kid::parse(header["kid"].as_str().expect("a kid")).expect("a kid")
}
