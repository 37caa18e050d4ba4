//! The simulated world: a clock, a store that all nodes share, nodes that are killed and restarted, a network
//! between verifiers and nodes, and clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use quash_core::model::{Change, Kid, Rights};
use quash_service::{NewAccount, NewState, Service};
use quash_store::{LeaseRows, Store};
use quash_verify::VerifyError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::journal::{Given, Journal};
use crate::link::Shared;
use crate::node::Process;
use crate::parameters::Parameters;
use crate::time::{Drifting, Time};
use crate::verifier::{Exit, Verifier};
use crate::wait::pass;
use crate::{NODES, Seen, TERM, VERIFIERS};

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) seed: u64,
    pub(crate) time: Arc<Time>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rows: Arc<LeaseRows>,
    /// For each node, the number of its process, and the process while it runs.
    nodes: Vec<watch::Sender<(u64, Option<Process>)>>,
    credentials: OnceLock<Credentials>,
    /// The time until which each verifier's network swallows everything.
    cut: Mutex<[Duration; VERIFIERS]>,
    pub(crate) verifiers: Vec<Arc<Verifier>>,
    pub(crate) journal: Mutex<Journal>,
    /// The keys whose revocation was answered, and when.
    pub(crate) struck: Mutex<BTreeMap<Kid, Duration>>,
    /// The keys that have signed, and those of them whose replacement was answered, and when.
    pub(crate) signers: Mutex<BTreeSet<Kid>>,
    pub(crate) retired: Mutex<BTreeMap<Kid, Duration>>,
    /// The time at which the settings last changed.
    applied: Mutex<Duration>,
    pub(crate) seen: Mutex<Seen>,
    calm: AtomicBool,
    pub(crate) temper: Parameters,
    /// The last response from each path, which the network has kept.
    kept: Mutex<BTreeMap<String, Bytes>>,
}

/// The credentials of clients.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// For the feed.
    pub(crate) verifier: String,
    /// The same: there is no other issuer's service.
    pub(crate) shop: String,
}

const STEP: Duration = Duration::from_millis(1);
pub(crate) const PEOPLE: [&str; 4] = ["dana", "noor", "kim", "sam"];
/// A user whose sessions only aimed faults end.
pub(crate) const TARGET: &str = "lee";
/// The number of clients that act at once.
const PERSONS: usize = 6;
/// The simulated time between two presented tokens.
const BETWEEN: u64 = 12;
/// A barrier or a revocation of a key ends within this time while nothing goes wrong.
const SOON: Duration = Duration::from_millis(500);

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
            shared: Arc::new(Shared::new()),
            rows: Arc::default(),
            nodes: (0..temper.nodes).map(|node| watch::Sender::new((life_of(node, 0), None))).collect(),
            credentials: OnceLock::new(),
            cut: Mutex::default(),
            journal: Mutex::default(),
            struck: Mutex::default(),
            signers: Mutex::default(),
            retired: Mutex::default(),
            applied: Mutex::default(),
            seen: Mutex::default(),
            calm: AtomicBool::new(true),
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
        for node in 0..temper.nodes {
            world.node_starts(node).await;
        }
        let service = world.process(0).expect("it runs").service;
        for name in PEOPLE.into_iter().chain([TARGET]) {
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
        world.set_credentials(&service).await;
        for verifier in &world.verifiers {
            verifier.start(&world);
        }
        world
    }

    async fn set_credentials(&self, service: &Service) {
        let mut secrets = Vec::new();
        for name in ["api", "shop"] {
            let (_, secret) = service.add_client(name, Rights::VERIFIER, None).await.expect("a verifier");
            secrets.push(secret.into_text().to_string());
        }
        let [verifier, shop] = <[String; 2]>::try_from(secrets).expect("two");
        self.credentials.set(Credentials { verifier, shop }).expect("they are set once");
    }

    async fn node_starts(&self, node: usize) {
        let life = self.nodes[node].borrow().0 + NODES as u64;
        let process = Process::start(self, life).await;
        process.line.calm.store(self.is_calm(), Ordering::Relaxed);
        self.nodes[node].send_replace((life, Some(process)));
    }

    /// The process of a node, while it runs.
    pub(crate) fn process(&self, node: usize) -> Option<Process> {
        self.nodes[node].borrow().1.clone()
    }

    /// The process of some node that runs.
    pub(crate) fn any(&self, chance: &Chance) -> Option<Process> {
        let running: Vec<_> = (0..self.nodes.len()).filter_map(|node| self.process(node)).collect();
        chance.pick(&running).cloned()
    }

    /// The processes of two nodes that run, in any order.
    pub(crate) fn two(&self, chance: &Chance) -> Option<(Process, Process)> {
        let one = self.any(chance)?;
        let others = (0..self.nodes.len()).filter_map(|node| self.process(node));
        let others: Vec<_> = others.filter(|other| other.life != one.life).collect();
        Some((one, chance.pick(&others)?.clone()))
    }

    /// The number of some node's process, and its router while it runs.
    pub(crate) fn door(&self) -> (u64, Option<Router>) {
        let node = usize::try_from(self.chance.below(self.nodes.len() as u64)).expect("few");
        let (life, process) = &*self.nodes[node].borrow();
        (*life, process.as_ref().map(|process| process.door.clone()))
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        self.credentials.get().expect("they are set before verifiers start")
    }

    /// Waits for a future as long as this process of a node lives.
    pub(crate) async fn while_alive<T>(&self, life: u64, something: impl Future<Output = T>) -> Option<T> {
        let node = usize::try_from(life).expect("few") % NODES;
        let mut process = self.nodes[node].subscribe();
        let killed =
            async { while process.borrow_and_update().0 == life && process.changed().await.is_ok() {} };
        tokio::select! {
            biased;
            () = killed => None,
            done = something => Some(done),
        }
    }

    /// Cuts a verifier off.
    pub(crate) fn cut_off(&self, verifier: usize, span: Duration) {
        self.cut.lock().expect("no panic")[verifier] = self.time.now() + span;
    }

    pub(crate) fn is_cut(&self, verifier: usize) -> bool {
        self.cut.lock().expect("no panic")[verifier] > self.time.now()
    }

    /// The network may keep a response, and replay it for a later request to the same path.
    pub(crate) fn kept_on_the_way(&self, path: String, answer: Bytes, chance: &Chance) -> Bytes {
        let mut kept = self.kept.lock().expect("no panic");
        if let Some(kept) = kept.get(&path).filter(|_| !self.is_calm() && chance.once_in(8)) {
            return kept.clone();
        }
        kept.insert(path, answer.clone());
        answer
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
        for process in (0..self.nodes.len()).filter_map(|node| self.process(node)) {
            process.line.calm.store(calm, Ordering::Relaxed);
        }
    }

    /// The delay of a message between a verifier and a node.
    pub(crate) fn delay(&self, chance: &Chance) -> Duration {
        if self.is_calm() { chance.millis(4) } else { chance.delay(self.temper.slow * 2) }
    }

    /// Returns whether a fault occurs, `rarer` times less often than the parameters say.
    pub(crate) fn faulty(&self, chance: &Chance, rarer: u64) -> bool {
        !self.is_calm() && chance.once_in(self.temper.faulty * rarer)
    }

    pub(crate) fn seen(&self) -> Seen {
        let mut seen = *self.seen.lock().expect("no panic");
        for node in 0..self.nodes.len() {
            if let Some(process) = self.process(node) {
                count(&mut seen, &process);
            }
        }
        seen.rotated = self.shared.rotated.lock().expect("no panic").len();
        seen
    }

    /// Runs clients and faults for this long.
    pub(crate) async fn let_faults_happen(self: &Arc<Self>, span: Duration) {
        let until = self.time.now() + span;
        self.set_calm(false);
        let people: Vec<_> =
            (0..PERSONS).map(|_| tokio::spawn(Arc::clone(self).live(self.chance.fork(), until))).collect();
        let mut faults = Vec::new();
        if self.temper.only_leases {
            faults.push(tokio::spawn(Arc::clone(self).aim_at_leases(self.chance.fork(), until)));
        } else {
            faults.push(tokio::spawn(Arc::clone(self).cause_faults(self.chance.fork(), until)));
            faults.push(tokio::spawn(Arc::clone(self).aim(self.chance.fork(), until)));
        }
        let mut presented = JoinSet::new();
        while self.time.now() < until {
            pass(self.chance.millis(BETWEEN)).await;
            self.present(&mut presented);
            while let Some(decided) = presented.try_join_next() {
                decided.expect("nobody has found something");
            }
        }
        presented.join_all().await;
        for task in faults.into_iter().chain(people) {
            task.await.expect("nobody has found something");
        }
    }

    async fn cause_faults(self: Arc<Self>, chance: Chance, until: Duration) {
        let span = |longest: Duration| chance.millis(u64::try_from(longest.as_millis()).expect("short"));
        let Parameters { kills, cuts, isolations, slow_keys, lags, settings, .. } = self.temper;
        let mut aside = JoinSet::new();
        while self.time.now() < until {
            pass(span(self.temper.between_faults)).await;
            let node = usize::try_from(chance.below(self.nodes.len() as u64)).expect("few");
            let Some(process) = self.process(node) else { continue };
            let (mut fault, line) = (chance.below(10), &process.line);
            let mut is_one_of = |number: u64| {
                let is_it = fault < number;
                fault = if is_it { u64::MAX } else { fault.saturating_sub(number) };
                is_it
            };
            if is_one_of(settings) {
                self.apply_settings().await;
                // The next requests at all nodes, which may not have read of it.
                for node in 0..self.nodes.len() {
                    let Some(process) = self.process(node) else { continue };
                    process.line.lag(TERM / 4);
                    for _ in 0..4 {
                        let (world, process, chance) = (Arc::clone(&self), process.clone(), chance.fork());
                        aside.spawn(async move { drop(world.open(&process, &chance).await) });
                    }
                }
                for node in 0..self.nodes.len() {
                    pass(chance.millis(500)).await;
                    let Some(process) = self.process(node) else { continue };
                    self.kill(node, &process);
                    self.node_starts(node).await;
                }
            } else if is_one_of(kills) {
                self.kill(node, &process);
                pass(chance.millis(if chance.once_in(4) { 3000 } else { 100 })).await;
                self.node_starts(node).await;
            } else if is_one_of(cuts) {
                line.cut(span(TERM * 2));
                self.seen.lock().expect("no panic").cuts += 1;
            } else if is_one_of(isolations) {
                line.isolate(self.shared.store.copy(), span(TERM * 3));
                self.seen.lock().expect("no panic").isolated += 1;
            } else if is_one_of(slow_keys) {
                line.slow_keys(TERM * 4);
            } else if is_one_of(lags) {
                line.lag(TERM);
            } else if chance.once_in(2) {
                line.pause(span(TERM * 2));
            } else if chance.once_in(2) {
                let down = if chance.once_in(4) { TERM * 3 / 2 } else { Duration::ZERO };
                let verifier = Arc::clone(chance.pick(&self.verifiers).expect("there are some"));
                let how = if chance.once_in(2) { Exit::Leaves } else { Exit::IsKilled };
                tokio::spawn(verifier.restart(how, down, Arc::clone(&self)));
            } else {
                let verifier = chance.pick(&self.verifiers).expect("there are some").number;
                self.cut_off(verifier, span(TERM * 2));
            }
        }
        aside.join_all().await;
    }

    /// Writes that the settings which define tokens have changed, as another node would at its start.
    async fn apply_settings(&self) {
        let from = self.shared.store.head().await.expect("a head").settings;
        let change = Change::ApplySettings { from, values: Vec::new(), entry: None };
        self.shared.store.commit(change).await.expect("it is written");
        *self.applied.lock().expect("no panic") = self.time.now();
        self.seen.lock().expect("no panic").settings += 1;
    }

    /// Panics if a process answers a request that arrived after the settings had changed since its start.
    pub(crate) fn may_answer(&self, process: &Process, arrived: Option<Duration>) {
        let applied = *self.applied.lock().expect("no panic");
        let is_other = applied > process.since && arrived.is_some_and(|arrived| arrived > applied);
        assert!(!is_other, "settings: node {} answered a request of {arrived:?}", process.life);
    }

    fn kill(&self, node: usize, process: &Process) {
        process.line.kill();
        self.nodes[node].send_modify(|running| *running = (running.0 + NODES as u64, None));
        let mut seen = self.seen.lock().expect("no panic");
        count(&mut seen, process);
        seen.kills += 1;
    }

    /// Ends all faults: every node and every verifier catches up.
    pub(crate) async fn heal(self: &Arc<Self>) {
        self.set_calm(true);
        *self.cut.lock().expect("no panic") = Default::default();
        pass(TERM * 6).await;
        for verifier in &self.verifiers {
            assert!(verifier.is_fresh(), "verifier {} has not come back: {verifier:?}", verifier.number);
        }
        let given = self.journal.lock().expect("no panic").given().to_vec();
        let mut presented = JoinSet::new();
        for node in 0..self.nodes.len() {
            let service = self.process(node).expect("it runs").service;
            let barrier = tokio::time::timeout(SOON, service.effective_now()).await;
            assert!(matches!(barrier, Ok(Ok(_))), "a barrier at node {node} takes too long after healing");
            for given in &given {
                presented.spawn(Arc::clone(self).present_at_the_end(node, given.clone()));
            }
        }
        presented.join_all().await;
        self.verifiers.iter().for_each(|verifier| verifier.stop());
        for node in 0..self.nodes.len() {
            if let Some(process) = self.process(node) {
                process.line.kill();
            }
        }
    }

    async fn present_at_the_end(self: Arc<Self>, node: usize, given: Given) {
        let process = self.process(node).expect("nobody is killed any more");
        let decision = self.decide(&process, &given).await.expect("nobody is killed any more");
        let journal = self.journal.lock().expect("no panic");
        match decision.decided {
            Ok(()) => assert!(!journal.is_over(&given), "it is over, and accepted by node {node}: {given:?}"),
            Err(VerifyError::Refused(_)) => {}
            Err(error) => panic!("{error:?} at node {node} after healing: {given:?}"),
        }
    }
}

/// The number of the first process of a node.
fn life_of(node: usize, life: usize) -> u64 {
    (life * NODES + node) as u64
}

fn count(seen: &mut Seen, process: &Process) {
    seen.pauses += usize::try_from(process.line.pauses.load(Ordering::Relaxed)).expect("few");
    seen.lost_answers += World::lost_answers(process);
}
