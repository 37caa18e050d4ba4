//! Starts a service from its parts, in order. The parts are described in `context.rs`.

use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::{Cause, apply_settings};
use quash_core::model::{
    Actor, AuditSeal, Change, Clock, Entropy, ForeignTokens, Policy, Reason, ScopeHasher, TokenPolicy,
    UserIdField, UserIdType, draw, limits,
};
use quash_core::token::FlowKey;
use quash_core::watch::frame::CursorKey;
use quash_store::{Coordination, Counters, Store, StoreError, StoreFile};
use quash_verify::issuer::{GuardSetup, KeyFetcher, guard, guard_of_node};
use tokio::sync::{Mutex, Notify, mpsc};

use crate::client_uses::ClientUses;
use crate::context::{Context, Service};
use crate::doctor::Observed;
use crate::failure::StartError;
use crate::feed::{self, Feed, FeedBroadcast, Snapshots};
use crate::keys::{self, CurrentKey, FetchKeys, FetchOnDemand, Foreign, KeySetup, Keys};
use crate::known_device::DeviceKey;
use crate::lockout::Lockout;
use crate::mail::Outbox;
use crate::metrics::Metrics;
use crate::node::follower::NodeFollower;
use crate::node::{Node, NodeSetup, lease};
use crate::passwords::{MAX_CLASSES, Passwords};
use crate::quota::Quotas;
use crate::repeated::Repeated;
use crate::retry::repeated;
use crate::sealer::Sealer;
use crate::use_cases::keys::rotation;
use crate::use_cases::operation::epoch::{check_master_key, store_id};
use crate::use_cases::operation::fail_over;
use crate::use_cases::session::lock;
use crate::vault::MasterKey;
use crate::{HashSettings, PasswordHasher, Rehash};

/// The parts and settings of a service.
pub struct Setup {
    /// Persistent storage.
    pub store: Arc<dyn Store>,
    /// The same store, if it is a file.
    pub file: Option<Arc<dyn StoreFile>>,
    /// Present if the process shares the store with others.
    pub node: Option<NodeSetup>,
    /// The leases of verifiers, and of nodes.
    pub coordination: Arc<dyn Coordination>,
    /// The counters of attempts and requests.
    pub counters: Arc<dyn Counters>,
    /// The newest seal of the audit that is remembered outside of the store.
    pub audit_seal: Option<AuditSeal>,
    /// The operator's choices.
    pub policy: Policy,
    /// The keys that sign and verify tokens.
    pub keys: KeySetup,
    /// Fetches the keys of other issuers.
    pub fetch: Arc<dyn FetchKeys>,
    /// Seals the secrets in the store.
    pub master: MasterKey,
    pub hasher: Arc<dyn PasswordHasher>,
    /// The number of passwords hashed at once, and of waiting ones.
    pub hashing: HashSettings,
    /// The treatment of hashes with outdated formats or costs.
    pub rehash: Rehash,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Service {
    /// Opens the keys, reads the log, and begins to follow it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The store or a key in it can't be used.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup {
            store,
            file,
            node,
            coordination,
            counters,
            audit_seal,
            mut policy,
            keys: key_setup,
            fetch,
            master,
            hasher,
            hashing,
            rehash,
            clock,
            entropy,
        } = setup;
        let fail_over = node.as_ref().and_then(|node| node.fail_over.clone());
        // Before the audit, whose seal would look forged, and before any change.
        check_master_key(&store.keys().await?, &master)?;
        // The keys are read later, and are at least as new.
        let ring = store.head().await?.ring;
        // Other nodes sign with the current key: a command, or a restart with older settings, mustn't replace it.
        let current_key = match &node {
            Some(NodeSetup { applies_settings: false, .. }) => CurrentKey::Stays,
            Some(_) | None => CurrentKey::BySettings,
        };
        let open = || keys::open(&key_setup, current_key, &*store, &master, &*clock, &*entropy);
        let opened = repeated(open).await?;
        // After the keys: of two first starts with a master key each, only one may seal the audit.
        let open_sealer = || Sealer::open(&master, audit_seal.clone(), &*store, &*clock, &*entropy);
        let sealer = repeated(open_sealer).await?;
        if node.is_some() {
            policy.tokens.signers_ahead = limits::SIGNERS_AHEAD;
        }
        let longest = longest_lifetime(&policy, &key_setup);
        store
            .commit(Change::RaiseLongestLifetime(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
            .await?;
        let head = store.head().await?;
        policy.tokens.longest_lifetime_ever = head.longest_lifetime;
        let scope_key = master.derive("scopes");
        let scopes = ScopeHasher::ours(scope_key).of_user_ids(policy.tokens.names.user_id_field);
        let settings =
            repeated(|| apply_fenced_settings(&*store, &policy, &scopes, &*clock, node.as_ref())).await?;
        let (turn, rings) = mpsc::channel(1);
        let (foreign, first_ring) = Foreign::new(
            &key_setup.foreign,
            opened.own.clone(),
            &master,
            &scopes,
            fetch,
            Arc::clone(&clock),
            turn,
        )?;
        let issuers = Arc::new(foreign);
        let asked = if issuers.has_addresses().await { Some(Arc::clone(&issuers)) } else { None };
        let guard_setup = GuardSetup {
            policy: policy.tokens.clone(),
            scopes,
            clock: Arc::clone(&clock),
            cache_key: draw(&*entropy),
            key_fetcher: asked.clone().map(|asked| Arc::new(FetchOnDemand(asked)) as Arc<dyn KeyFetcher>),
        };
        let classes: Vec<_> = store
            .password_classes(MAX_CLASSES)
            .await?
            .iter()
            .filter_map(|class| class.parse().ok())
            .collect();
        let node = node.map(|setup| Arc::new(Node::new(setup, settings, ring)));
        let (revoked, forgotten) = feed::snapshot(&*store).await?;
        let make = if node.is_some() { guard_of_node } else { guard };
        let (guard, keeper) = make(guard_setup, revoked, first_ring);
        let renew = Arc::new(Notify::new());
        let broadcast = Arc::new(FeedBroadcast::new(keeper.cursor()));
        let cursors = CursorKey::new(&master.derive("cursors"), &store_id(&*store).await?);
        let feed = Feed {
            broadcast: Arc::clone(&broadcast),
            coordination: Arc::clone(&coordination),
            cursors,
            scope_key,
            snapshots: Snapshots::new(),
        };
        match &node {
            None => {
                tokio::spawn(feed::follow(Arc::clone(&store), keeper, broadcast, Arc::clone(&renew), rings));
            }
            Some(node) => {
                let (node, clock) = (Arc::clone(node), Arc::clone(&clock));
                tokio::spawn(lease::hold(Arc::clone(&node), Arc::clone(&coordination), Arc::clone(&clock)));
                tokio::spawn(lease::sight(Arc::clone(&coordination), Arc::clone(&clock)));
                let follower = NodeFollower::new(
                    node,
                    Arc::clone(&store),
                    coordination,
                    clock,
                    keeper,
                    broadcast,
                    forgotten,
                );
                tokio::spawn(follower.follow(Arc::clone(&renew), rings));
            }
        }
        if let Some(asked) = asked {
            tokio::spawn(async move { asked.follow().await });
        }
        let passwords =
            Passwords::start(hasher, rehash, hashing, &classes, &master.derive("decoys"), Arc::clone(&clock));
        let (lockout, orders) =
            Lockout::new(policy.lockout, counters, &master.derive("lockout"), Arc::clone(&clock));
        let (flow_key, outbox) = (FlowKey::new(&master.derive("flows")), Outbox::default());
        let device_key = DeviceKey::new(&master.derive("devices"));
        let keys = Keys::new(&key_setup, opened, Arc::clone(issuers.rings()), master);
        let context = Arc::new(Context {
            store,
            file,
            node,
            policy,
            keys,
            issuers,
            guard,
            passwords,
            lockout,
            quotas: Quotas::default(),
            repeated: Repeated::default(),
            client_uses: ClientUses::default(),
            clock,
            entropy,
            feed,
            renew,
            sealer,
            flow_key,
            device_key,
            outbox,
            numbering: Mutex::default(),
            metrics: Metrics::new(),
            observed: Observed::default(),
            counted: Mutex::default(),
            checked: Mutex::default(),
        });
        tokio::spawn(lock::follow(Arc::downgrade(&context), orders));
        if let Some(fail_over) = fail_over {
            tokio::spawn(fail_over::follow(Arc::downgrade(&context), fail_over));
        }
        if context.node.is_some() {
            tokio::spawn(rotation::follow_keys(Arc::downgrade(&context)));
        }
        let service = Self { context };
        if service.context.guard.proven().await.is_err() {
            // Its row may be there: others would wait for it until it expires.
            service.leave().await;
            if service.context.guard.is_fenced() {
                return Err(StartError::SettingsChanged);
            }
            let cause = "this node's lease could not be registered in time";
            return Err(StoreError::Unavailable(cause.into()).into());
        }
        Ok(service)
    }
}

/// The longest lifetime of any token accepted here.
fn longest_lifetime(policy: &Policy, keys: &KeySetup) -> Duration {
    let foreign = keys
        .foreign
        .iter()
        .filter(|_| policy.tokens.foreign != ForeignTokens::Reject)
        .map(|issuer| issuer.max_lifetime);
    let namespaces = policy.tokens.namespaces.iter().map(|namespace| namespace.max_lifetime);
    foreign.chain(namespaces).chain([policy.tokens.longest_lifetime()]).max().unwrap_or_default()
}

/// The stored name of the account's field in tokens.
const USER_ID_FIELD: &str = "user_id_field";

/// The settings that define tokens: the stored name, the name in the settings, and the value. A node with another
/// one would take the other nodes' tokens for invalid, and answer their revocation without ending anything.
fn fenced(tokens: &TokenPolicy) -> [(&'static str, &'static str, String); 6] {
    let names = &tokens.names;
    let user_id_type = match names.user_id_type {
        UserIdType::Text => "text",
        UserIdType::Integer => "integer",
    };
    [
        (USER_ID_FIELD, "tokens.user_id_field", names.user_id_field.as_str().to_owned()),
        ("user_id_type", "tokens.user_id_type", user_id_type.to_owned()),
        ("issuer", "tokens.issuer", tokens.issuer.clone().unwrap_or_default()),
        ("token_type_claim", "tokens.token_type_claim", names.token_type.clone()),
        ("jti_claim", "tokens.jti_claim", names.jti.clone()),
        ("user_id_claim", "tokens.user_id_claim", names.user_id.clone()),
    ]
}

/// Stores the settings that define tokens, if they differ from the stored ones. Ends all access tokens if tokens
/// now identify accounts by another field: later revocations wouldn't cover the old ones. Sessions stay, and
/// their next refresh returns tokens with the new field. A node only compares them, unless it is told to apply them.
/// Returns the number of changes of the settings that have these values.
async fn apply_fenced_settings(
    store: &dyn Store,
    policy: &Policy,
    scopes: &ScopeHasher,
    clock: &dyn Clock,
    node: Option<&NodeSetup>,
) -> Result<u64, StartError> {
    let head = store.head().await?;
    let (mut values, mut is_other) = (Vec::new(), false);
    for (name, setting, own) in fenced(&policy.tokens) {
        let before = store.remembered(name).await?;
        if before.as_deref() == Some(own.as_str()) {
            continue;
        }
        if let (Some(NodeSetup { applies_settings: false, .. }), Some(stored)) = (node, &before) {
            return Err(StartError::OtherSettings { name: setting, stored: stored.clone(), own });
        }
        is_other |=
            name == USER_ID_FIELD && before.as_deref().unwrap_or(UserIdField::Subject.as_str()) != own;
        values.push((name, own));
    }
    if values.is_empty() {
        return Ok(head.settings);
    }
    let cause = Cause { reason: Reason::Revoked, actor: Actor::Rule };
    store.commit(apply_settings(&head, values, is_other.then_some(&cause), scopes, clock.now())).await?;
    Ok(head.settings + 1)
}
