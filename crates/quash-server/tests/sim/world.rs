//! The simulated world: a clock, a network, an issuer that is killed and restarted, and users who sign in and
//! whose sessions are ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use quash_core::model::{
    Change, Clock, ForeignTokens, KeyRecord, Kid, OldSessions, Policy, Rights, Seeded, Seq,
};
use quash_core::token::{Algorithm, TokenType};
use quash_server::HttpSettings;
use quash_service::{
    Argon2Hasher, FetchNothing, HashSettings, KeySetup, KnownLogEnd, MasterKey, NewAccount, NewState, Rehash,
    Service, Setup, begin_after_restore, begin_if_gone_back, revoke_after_restore,
};
use quash_store::{MemoryCoordination, MemoryCounters, MemoryStore, Store};
use quash_verify::WhenStale;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::chance::Chance;
use crate::disk::{Answers, Disk};
use crate::journal::{Ended, Given, Journal, Token};
use crate::other_issuer;
use crate::parameters::Parameters;
use crate::time::{Drifting, Issuers, Time};
use crate::verifier::{Exit, Said, Verifier};
use crate::wait::pass;
use crate::{Seen, TERM, VERIFIERS, shop};

pub(crate) struct World {
    chance: Chance,
    seed: u64,
    pub(crate) time: Arc<Time>,
    store: Mutex<Arc<MemoryStore>>,
    /// An earlier copy of the store.
    copy: Mutex<Option<MemoryStore>>,
    /// The number of the process, and the process while it runs.
    issuer: watch::Sender<(u64, Option<Issuer>)>,
    credentials: OnceLock<Credentials>,
    /// Set while that process lives.
    alive: Mutex<Arc<AtomicBool>>,
    /// The time until which each verifier's network swallows everything.
    cut: Mutex<[Duration; VERIFIERS]>,
    pub(crate) verifiers: Vec<Arc<Verifier>>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) seen: Mutex<Seen>,
    calm: Arc<AtomicBool>,
    answers: Arc<Answers>,
    pub(crate) temper: Parameters,
    /// The last response from each path, which the network has kept.
    kept: Mutex<BTreeMap<String, Bytes>>,
}

/// The credentials of clients.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// For the feed, and for introspecting quash's own tokens.
    pub(crate) verifier: String,
    /// For the feed, and for the namespace of the shop.
    pub(crate) shop: String,
}

/// A process of the issuer.
#[derive(Clone)]
struct Issuer {
    service: Service,
    door: Router,
}

const STEP: Duration = Duration::from_millis(1);
pub(crate) const PEOPLE: [&str; 4] = ["dana", "noor", "kim", "sam"];
/// The simulated time between two presented tokens.
const BETWEEN: u64 = 12;
/// The number of tokens that a thief tries after their end.
const PREY: usize = 4;
/// Longer than entries are kept.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(40 * 86_400);

impl World {
    pub(crate) async fn start(seed: u64) -> Arc<Self> {
        let (chance, time) = (Chance::new(seed), Arc::new(Time::default()));
        let drift = |chance: &Chance| i64::try_from(chance.below(401)).expect("small") - 200;
        let temper = Parameters::of(&chance);
        let verifiers = (0..temper.verifiers).map(|number| {
            let clock = Drifting { time: Arc::clone(&time), ppm: drift(&chance) };
            Arc::new(Verifier::new(number, Arc::new(clock), chance.fork()))
        });
        let world = Arc::new(Self {
            verifiers: verifiers.collect(),
            seed,
            time,
            store: Mutex::default(),
            copy: Mutex::default(),
            issuer: watch::Sender::new((0, None)),
            credentials: OnceLock::new(),
            cut: Mutex::default(),
            journal: Mutex::default(),
            seen: Mutex::default(),
            alive: Mutex::default(),
            calm: Arc::default(),
            answers: Arc::default(),
            temper,
            kept: Mutex::default(),
            chance,
        });
        let time = Arc::clone(&world.time);
        tokio::spawn(async move {
            loop {
                pass(STEP).await;
                time.goes_on();
            }
        });
        let service = world.issuer_starts().await;
        for name in PEOPLE {
            let new = NewAccount {
                name: name.into(),
                email: None,
                verified: false,
                subject: Some(name.into()),
                password: None,
                state: NewState::Active,
                claims: None,
            };
            service.add_account(new).await.expect("an account");
        }
        let (_, verifier) = service.add_client("api", Rights::VERIFIER, None).await.expect("a verifier");
        let (_, shop) = service.add_namespace_client("site", shop::NAME, None).await.expect("a client");
        let [verifier, shop] = [verifier, shop].map(|secret| secret.into_text().to_string());
        world.credentials.set(Credentials { verifier, shop }).expect("they are set once");
        for verifier in &world.verifiers {
            verifier.start(&world);
        }
        world
    }

    async fn issuer_starts(&self) -> Service {
        let life = self.issuer.borrow().0 + 1;
        let may_be_lost = self.answers.may_be_lost.swap(false, Ordering::Relaxed);
        let alive = Arc::new(AtomicBool::new(true));
        *self.alive.lock().expect("no panic") = Arc::clone(&alive);
        let disk = Disk {
            store: self.store(),
            time: Arc::clone(&self.time),
            alive,
            seed: self.seed,
            slow_millis: u64::try_from(self.temper.disk.as_millis()).expect("small"),
            calm: Arc::clone(&self.calm),
            answers: Arc::clone(&self.answers),
        };
        let mut policy = Policy::default();
        policy.tokens.foreign = ForeignTokens::Accept;
        policy.tokens.namespaces = vec![shop::namespace()];
        policy.feed.term = TERM;
        let (disk, clock): (Arc<dyn Store>, Arc<dyn Clock>) =
            (Arc::new(disk), Arc::new(Issuers(Arc::clone(&self.time))));
        let coordination = MemoryCoordination::beside(Arc::clone(&disk), TERM, clock.uptime());
        let setup = Setup {
            store: disk,
            file: None,
            node: None,
            coordination: Arc::new(coordination.await.expect("a store")),
            counters: Arc::new(MemoryCounters::new(policy.lockout)),
            audit_seal: None,
            policy,
            keys: KeySetup { foreign: vec![other_issuer::setup()], ..KeySetup::of(Algorithm::EdDsa) },
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&Seeded::new(self.seed)),
            hasher: Arc::new(Argon2Hasher::new()),
            hashing: HashSettings { slots: 1, longest_wait: Duration::from_secs(1), places_per_network: 1 },
            rehash: Rehash::Never,
            clock,
            entropy: Arc::new(Seeded::new(self.seed.wrapping_mul(1000) + life)),
        };
        let service = Service::start(setup).await.expect("a service");
        let door = quash_server::router(service.clone(), HttpSettings::default());
        self.issuer.send_replace((life, Some(Issuer { service: service.clone(), door })));
        self.answers.may_be_lost.store(may_be_lost, Ordering::Relaxed);
        service
    }

    /// The number of the issuer's process, and its router while it runs.
    pub(crate) fn door(&self) -> (u64, Option<Router>) {
        let (life, issuer) = &*self.issuer.borrow();
        (*life, issuer.as_ref().map(|issuer| issuer.door.clone()))
    }

    pub(crate) fn service(&self) -> (u64, Option<Service>) {
        let (life, issuer) = &*self.issuer.borrow();
        (*life, issuer.as_ref().map(|issuer| issuer.service.clone()))
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        self.credentials.get().expect("they are set before verifiers start")
    }

    /// Waits for a future as long as this process of the issuer lives.
    pub(crate) async fn while_alive<T>(&self, life: u64, something: impl Future<Output = T>) -> Option<T> {
        let mut issuer = self.issuer.subscribe();
        let killed =
            async { while issuer.borrow_and_update().0 == life && issuer.changed().await.is_ok() {} };
        tokio::select! {
            biased;
            () = killed => None,
            done = something => Some(done),
        }
    }

    /// Waits for a call to this process of the issuer that ends something, and returns what has ended: nothing
    /// unless the call returns the number of its last entry.
    pub(crate) async fn while_ending(
        &self,
        life: u64,
        ended: Vec<Ended>,
        call: impl Future<Output = Option<Seq>>,
    ) -> Vec<(Ended, Seq)> {
        let second = || Issuers(Arc::clone(&self.time)).now().as_secs();
        let begin = |what: &Ended| self.journal.lock().expect("no panic").begins(what.clone(), second());
        let begun: Vec<_> = ended.iter().map(begin).collect();
        let Some(Some(last)) = self.while_alive(life, call).await else {
            let log_end = self.store().head().await.expect("a head").seq;
            let mut journal = self.journal.lock().expect("no panic");
            begun.into_iter().for_each(|begun| journal.gives_up(begun, log_end, second()));
            return Vec::new();
        };
        self.seen.lock().expect("no panic").ended += ended.len();
        let mut journal = self.journal.lock().expect("no panic");
        let mut confirmed = Vec::with_capacity(ended.len());
        let count = ended.len() as u64;
        for ((place, what), begun) in (1..).zip(ended).zip(begun) {
            // An entry of a presence may be older.
            let seq = if what.is_presence() { last } else { Seq::from_u64(last.as_u64() + place - count) };
            journal.ends(begun, seq, second(), self.time.now());
            confirmed.push((what, seq));
        }
        confirmed
    }

    /// Lets a thief try what has ended, and sometimes waits until that is in force everywhere.
    pub(crate) async fn hunt_everywhere(
        self: &Arc<Self>,
        what: Ended,
        seq: Seq,
        chance: &Chance,
        hunts: &mut Vec<JoinHandle<()>>,
    ) {
        let (life, Some(service)) = self.service() else { return };
        hunts.push(tokio::spawn(Arc::clone(self).hunt(what.clone(), seq, false)));
        let barrier = self.while_alive(life, service.effective(seq));
        if chance.once_in(3) && barrier.await.is_some_and(|barrier| barrier.is_ok()) {
            self.journal.lock().expect("no panic").in_force(seq, self.time.now());
            self.seen.lock().expect("no panic").barriers += 1;
            hunts.push(tokio::spawn(Arc::clone(self).hunt(what, seq, true)));
        }
    }

    pub(crate) fn is_cut(&self, verifier: usize) -> bool {
        self.cut.lock().expect("no panic")[verifier] > self.time.now()
    }

    /// The network may keep a response, and replay it for a later request to the same path.
    pub(crate) fn kept_on_the_way(&self, path: String, answer: Bytes, chance: &Chance) -> Bytes {
        let mut kept = self.kept.lock().expect("no panic");
        if let Some(kept) = kept.get(&path).filter(|_| !self.is_calm() && chance.once_in(4)) {
            return kept.clone();
        }
        kept.insert(path, answer.clone());
        answer
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// The delay of a message.
    pub(crate) fn delay(&self, chance: &Chance) -> Duration {
        if self.is_calm() { chance.millis(8) } else { chance.delay(self.temper.slow) }
    }

    /// Returns whether a fault occurs, `rarer` times less often than the parameters say.
    pub(crate) fn faulty(&self, chance: &Chance, rarer: u64) -> bool {
        !self.is_calm() && chance.once_in(self.temper.faulty * rarer)
    }

    pub(crate) fn seen(&self) -> Seen {
        let lost_answers = self.answers.lost.load(Ordering::Relaxed);
        Seen { lost_answers, ..*self.seen.lock().expect("no panic") }
    }

    /// Runs users and faults for this long.
    pub(crate) async fn let_faults_happen(self: &Arc<Self>, span: Duration) {
        let until = self.time.now() + span;
        self.answers.may_be_lost.store(true, Ordering::Relaxed);
        let people: Vec<_> =
            (0..3).map(|_| tokio::spawn(Arc::clone(self).live(self.chance.fork(), until))).collect();
        let shop = tokio::spawn(Arc::clone(self).keep_shop(self.chance.fork(), until));
        let faults = tokio::spawn(Arc::clone(self).cause_faults(self.chance.fork(), until));
        let mut presented = JoinSet::new();
        while self.time.now() < until {
            pass(self.chance.millis(BETWEEN)).await;
            self.present(&mut presented);
            while let Some(decided) = presented.try_join_next() {
                decided.expect("nobody has found something");
            }
        }
        presented.join_all().await;
        for task in people.into_iter().chain([shop, faults]) {
            task.await.expect("nobody has found something");
        }
    }

    /// Presents some token to some verifier.
    fn present(self: &Arc<Self>, presented: &mut JoinSet<()>) {
        let given = self.chance.pick(self.journal.lock().expect("no panic").given()).cloned();
        if let (Some(given), Some(verifier)) = (given, self.chance.pick(&self.verifiers)) {
            let when_stale =
                if self.chance.once_in(8) { WhenStale::IntrospectThenDeny } else { WhenStale::Deny };
            presented.spawn(Arc::clone(self).present_to(verifier.number, given, when_stale));
        }
    }

    async fn present_to(self: Arc<Self>, verifier: usize, given: Given, when_stale: WhenStale) {
        let asked_at = self.time.now();
        let Some(said) = self.verifiers[verifier].judge(&given, when_stale).await else { return };
        let (mut journal, mut seen) =
            (self.journal.lock().expect("no panic"), self.seen.lock().expect("no panic"));
        match said {
            // Perhaps after introspection: the issuer needn't know of an end that happened meanwhile.
            Said::Accepted { .. } if when_stale == WhenStale::IntrospectThenDeny => {
                journal.accepts(verifier, None, &given, asked_at);
                seen.introspected += 1;
            }
            Said::Accepted { cursor } => {
                journal.accepts(verifier, Some(cursor), &given, self.time.now());
                seen.accepted += 1;
            }
            // The issuer, with another clock, may only have found that it expired.
            Said::Revoked if when_stale == WhenStale::IntrospectThenDeny && self.temper.clocks_are_set => {}
            Said::Revoked => {
                journal.refuses(verifier, &given);
                seen.refused += 1;
                seen.named += usize::from(given.named().is_some());
            }
            Said::Unsure => seen.stale += 1,
            // By another clock it has expired or isn't valid yet; or its key is no longer known.
            Said::Refused(_) if self.temper.clocks_are_set || journal.may_be_refused(&given) => {}
            Said::Refused(refusal) => panic!("a token that holds is refused: {refusal:?}, {given:?}"),
        }
    }

    /// A thief tries the ended tokens everywhere: immediately at the issuer, and at every verifier for as
    /// long as one of them might not know of the end, and a little longer.
    pub(crate) async fn hunt(self: Arc<Self>, what: Ended, seq: Seq, barrier: bool) {
        let covered = self.journal.lock().expect("no panic").covered(&what, seq, PREY);
        if let (life, Some(service)) = self.service() {
            for given in &covered {
                let is_accepted = match (&given.token, given.named()) {
                    (Token::Own { text, .. }, _) => {
                        service.guard().check_now(text, &[TokenType::Access]).is_ok()
                    }
                    (Token::Shop { .. }, named) => {
                        let named = named.expect("it has names");
                        let asked = self.while_alive(life, service.is_name_revoked(&named)).await;
                        matches!(asked, Some(Ok(false)))
                    }
                };
                if is_accepted {
                    self.journal.lock().expect("no panic").issuer_accepts(given, self.time.now());
                }
            }
        }
        let after = [1, 2, 4, 10, 30, 100, 300, 600, 900, 630];
        let mut presented = JoinSet::new();
        for millis in if barrier { &after[..6] } else { &after[..] } {
            pass(Duration::from_millis(*millis)).await;
            for (given, verifier) in covered
                .iter()
                .flat_map(|given| (0..self.verifiers.len()).map(move |verifier| (given, verifier)))
            {
                presented.spawn(Arc::clone(&self).present_to(verifier, given.clone(), WhenStale::Deny));
            }
        }
        presented.join_all().await;
    }

    async fn cause_faults(self: Arc<Self>, chance: Chance, until: Duration) {
        let span = |longest: Duration| chance.millis(u64::try_from(longest.as_millis()).expect("short"));
        while self.time.now() < until {
            pass(span(self.temper.between_faults)).await;
            if chance.once_in(10) {
                *self.copy.lock().expect("no panic") = Some(self.store().copy());
            }
            if self.temper.clocks_are_set && chance.once_in(10) {
                self.time.is_set(&chance);
            }
            let fault = chance.below(10);
            if fault < self.temper.kills {
                self.alive.lock().expect("no panic").store(false, Ordering::Relaxed);
                self.issuer.send_modify(|issuer| *issuer = (issuer.0 + 1, None));
                pass(chance.millis(if chance.once_in(4) { 3000 } else { 100 })).await;
                if chance.once_in(8) {
                    self.store_goes_back(&chance).await;
                } else if chance.once_in(15) && !self.temper.clocks_are_set {
                    self.store_forgets().await;
                }
                self.issuer_starts().await;
                self.seen.lock().expect("no panic").crashes += 1;
            } else if fault < self.temper.kills + self.temper.restarts {
                let down = if chance.once_in(4) { TERM * 3 / 2 } else { Duration::ZERO };
                let verifier = Arc::clone(chance.pick(&self.verifiers).expect("there are some"));
                let how = if chance.once_in(2) { Exit::Leaves } else { Exit::IsKilled };
                tokio::spawn(verifier.restart(how, down, Arc::clone(&self)));
                self.seen.lock().expect("no panic").left += usize::from(how == Exit::Leaves);
            } else {
                let verifier = chance.pick(&self.verifiers).expect("there are some").number;
                self.cut.lock().expect("no panic")[verifier] =
                    self.time.now() + span(self.temper.between_faults * 2);
            }
        }
    }

    /// Resets the store to an earlier copy, if there is one: by a restore, or by an older file in its place.
    /// The issuer learns how far the log had advanced; in both cases everything that was issued before has
    /// ended.
    async fn store_goes_back(&self, chance: &Chance) {
        let proven = self.store().head().await.expect("a head").seq;
        let Some(copy) = self.copy.lock().expect("no panic").take() else { return };
        let (master, clock) = (MasterKey::new(&Seeded::new(self.seed)), Issuers(Arc::clone(&self.time)));
        let keys = self.store().keys().await.expect("keys");
        // Only a restore can know of keys that were revoked meanwhile.
        let may_be_by_hand = struck(&keys) == struck(&copy.keys().await.expect("keys"));
        let noticed = if may_be_by_hand && chance.once_in(2) {
            begin_if_gone_back(&copy, &master, proven.into(), &clock).await.expect("an epoch")
        } else {
            None
        };
        let began = match noticed {
            Some(noticed) => noticed.seq,
            None => {
                let beyond = KnownLogEnd { seq: Some(proven), epoch: None };
                let began = begin_after_restore(&copy, &master, beyond, OldSessions::End, &clock)
                    .await
                    .expect("an epoch");
                let entropy = Seeded::new(chance.below(u64::MAX));
                revoke_after_restore(&keys, &copy, &master, &clock, &entropy).await.expect("strikes");
                began
            }
        };
        *self.store.lock().expect("no panic") = Arc::new(copy);
        let (now, second) = (self.time.now(), clock.now().as_secs());
        self.journal.lock().expect("no panic").goes_back(began, second, now);
        self.seen.lock().expect("no panic").restores += 1;
    }

    fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store.lock().expect("no panic"))
    }

    /// Deletes the log's entries, as upkeep does by a clock that is wrong for more than an hour.
    async fn store_forgets(&self) {
        let (store, now) = (self.store(), Issuers(Arc::clone(&self.time)).now() + FORGOTTEN_AFTER);
        let limit = u32::MAX;
        store.commit(Change::MarkExpired { now, limit }).await.expect("marks");
        store.commit(Change::DeleteMarked { now, marked_until: now, limit }).await.expect("deletions");
        let forgotten = store.head().await.expect("a head").forgotten;
        self.journal.lock().expect("no panic").forgets(forgotten);
        self.seen.lock().expect("no panic").forgotten += 1;
    }

    /// Ends all faults: every verifier catches up.
    pub(crate) async fn heal(self: &Arc<Self>) {
        self.calm.store(true, Ordering::Relaxed);
        *self.cut.lock().expect("no panic") = Default::default();
        if self.issuer.borrow().1.is_none() {
            self.issuer_starts().await;
        }
        pass(TERM * 6).await;
        for verifier in &self.verifiers {
            assert!(verifier.is_fresh(), "verifier {} has not come back: {verifier:?}", verifier.number);
        }
        let (given, mut presented) =
            (self.journal.lock().expect("no panic").given().to_vec(), JoinSet::new());
        for (given, verifier) in given
            .into_iter()
            .flat_map(|given| (0..self.verifiers.len()).map(move |number| (given.clone(), number)))
        {
            presented.spawn(Arc::clone(self).present_at_the_end(verifier, given));
        }
        presented.join_all().await;
        self.verifiers.iter().for_each(|verifier| verifier.stop());
    }

    async fn present_at_the_end(self: Arc<Self>, verifier: usize, given: Given) {
        let said =
            self.verifiers[verifier].judge(&given, WhenStale::Deny).await.expect("nobody is killed any more");
        let mut journal = self.journal.lock().expect("no panic");
        match said {
            Said::Accepted { .. } if journal.is_over(&given) => panic!("it is over, and let in: {given:?}"),
            Said::Accepted { cursor } => journal.accepts(verifier, Some(cursor), &given, self.time.now()),
            Said::Revoked => journal.refuses(verifier, &given),
            Said::Refused(_) if self.temper.clocks_are_set || journal.may_be_refused(&given) => {}
            Said::Unsure | Said::Refused(_) => panic!("{said:?} after healing: {given:?}"),
        }
    }
}

/// The revoked ones of these keys.
fn struck(keys: &[KeyRecord]) -> BTreeSet<&Kid> {
    keys.iter().filter(|key| key.state.is_revoked()).map(|key| &key.kid).collect()
}
