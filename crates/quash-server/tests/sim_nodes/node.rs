//! Starts the process of a node.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use quash_core::model::{Clock, ForeignTokens, InstanceId, Policy, ProcessLabel, Seeded};
use quash_core::token::Algorithm;
use quash_server::HttpSettings;
use quash_service::{
    Argon2Hasher, FetchNothing, HashSettings, KeySetup, MasterKey, NodeSetup, Rehash, Service, Setup,
};
use quash_store::{Coordination, MemoryCounters, NodeCoordination, Store};

use crate::line::{Draws, Line};
use crate::link::{LeaseLink, StoreLink};
use crate::other_issuer;
use crate::wait::pass;
use crate::world::World;
use crate::{NODES, TERM};

/// A process of a node.
#[derive(Clone)]
pub(crate) struct Process {
    /// Its number: no two have the same.
    pub(crate) life: u64,
    pub(crate) line: Arc<Line>,
    pub(crate) service: Service,
    pub(crate) door: Router,
    /// The time at which it had started.
    pub(crate) since: Duration,
}

/// The time after which an expired row is deleted.
pub(crate) const ROWS_KEPT: Duration = Duration::from_millis(500);

impl Process {
    /// The number of its node.
    pub(crate) fn node(&self) -> usize {
        usize::try_from(self.life).expect("few") % NODES
    }

    /// Nothing goes wrong while it starts.
    pub(crate) async fn start(world: &World, life: u64) -> Self {
        let line = Arc::new(Line::new(Arc::clone(&world.time), world.temper, world.chance.fork()));
        let store: Arc<dyn Store> = Arc::new(StoreLink::new(Arc::clone(&line), Arc::clone(&world.shared)));
        let rows = NodeCoordination::over(Arc::clone(&world.rows)).keeping_rows_for(ROWS_KEPT);
        let (chance, shared) = (world.chance.fork(), Arc::clone(&world.shared));
        let leases = LeaseLink { line: Arc::clone(&line), shared, rows, chance };
        let coordination: Arc<dyn Coordination> = Arc::new(leases);
        let mut policy = Policy::default();
        policy.tokens.foreign = ForeignTokens::Accept;
        policy.feed.term = TERM;
        let mut number = [0; 16];
        number[..8].copy_from_slice(&life.to_be_bytes());
        let id = InstanceId::of_node(number);
        let clock: Arc<dyn Clock> = Arc::<Line>::clone(&line);
        let setup = Setup {
            store,
            file: None,
            node: Some(NodeSetup {
                id,
                label: ProcessLabel::default(),
                term: TERM,
                applies_settings: false,
                fail_over: None,
            }),
            coordination: Arc::clone(&coordination),
            counters: Arc::new(MemoryCounters::new(policy.lockout)),
            audit_seal: None,
            policy,
            keys: KeySetup { foreign: vec![other_issuer::setup()], ..KeySetup::of(Algorithm::EdDsa) },
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&Seeded::new(world.seed)),
            hasher: Arc::new(Argon2Hasher::new()),
            hashing: HashSettings { slots: 1, longest_wait: Duration::from_secs(1), places_per_network: 1 },
            rehash: Rehash::Never,
            clock,
            entropy: Arc::new(Draws {
                line: Arc::clone(&line),
                seeded: Seeded::new(world.seed.wrapping_mul(1000) + life),
            }),
        };
        let service = Service::start(setup).await.expect("a service");
        let door = quash_server::router(service.clone(), HttpSettings::default());
        let door = door.layer(from_fn_with_state(Arc::clone(&line), wait_while_paused));
        let deleting = Arc::clone(&line);
        tokio::spawn(async move {
            loop {
                pass(Duration::from_millis(300)).await;
                let (coordination, deleting) = (Arc::clone(&coordination), Arc::clone(&deleting));
                // One that takes long doesn't delay the next.
                tokio::spawn(async move { coordination.upkeep(deleting.uptime()).await });
            }
        });
        Self { life, line, service, door, since: world.time.now() }
    }
}

/// Requests are read, and answers written, while the process runs.
async fn wait_while_paused(State(line): State<Arc<Line>>, request: Request, next: Next) -> Response {
    line.runs().await;
    let answer = next.run(request).await;
    line.runs().await;
    answer
}
