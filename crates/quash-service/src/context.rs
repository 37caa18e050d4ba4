//! The service itself: the state that all use cases share.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use quash_core::decide::{PresentedForeign, renew_grant};
use quash_core::model::{
    Account, AccountBy, Change, Clock, Entropy, ForeignLoaded, Head, KeySource, KeyState, Policy, Receipt,
    Refusal, Seq, Session, SessionState, Timestamp, TokenPolicy, fold,
};
use quash_core::token::{FlowKey, Grant, Issued, JwkSet, Minting, SigningKey, mint};
use quash_store::{Allowance, Store, StoreConnections, StoreError, StoreFile};
use quash_verify::issuer::Guard;
use tokio::sync::{Mutex, Notify, watch};
use tracing::Instrument;

use crate::client_uses::ClientUses;
use crate::counted::Counted;
use crate::doctor::Observed;
use crate::failure::{Failure, Unavailable};
use crate::feed::Feed;
use crate::keys::{Foreign, Keys};
use crate::known_device::DeviceKey;
use crate::lockout::Lockout;
use crate::mail::Outbox;
use crate::metrics::{Load, Metrics};
use crate::node::{Node, NodeStatus};
use crate::passwords::Passwords;
use crate::quota::{Quotas, caused_by_users};
use crate::repeated::{NamesRevoked, Repeated};
use crate::retry::{Conflicts, Uncommitted};
use crate::sealer::Sealer;
use crate::traced::part;

/// All use cases of one process. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) context: Arc<Context>,
}

/// The public keys that verify tokens.
pub struct PublishedKeys {
    pub set: JwkSet,
    /// Whether no other process can have changed the keys before they were asked for.
    pub is_current: bool,
}

pub(crate) struct Context {
    pub(crate) store: Arc<dyn Store>,
    /// `None`: the store isn't a file.
    pub(crate) file: Option<Arc<dyn StoreFile>>,
    /// `None`: this is the only process over the store.
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) policy: Policy,
    pub(crate) keys: Keys,
    pub(crate) issuers: Arc<Foreign>,
    pub(crate) guard: Guard,
    pub(crate) passwords: Passwords,
    pub(crate) lockout: Lockout,
    pub(crate) quotas: Quotas,
    pub(crate) repeated: Repeated<NamesRevoked>,
    pub(crate) client_uses: ClientUses,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) feed: Feed,
    pub(crate) renew: Arc<Notify>,
    pub(crate) sealer: Sealer,
    pub(crate) flow_key: FlowKey,
    pub(crate) device_key: DeviceKey,
    pub(crate) outbox: Outbox,
    /// Held from reading the largest number of a subject until the account with the next one is written.
    pub(crate) numbering: Mutex<()>,
    pub(crate) metrics: Metrics,
    pub(crate) observed: Observed,
    /// The last count of accounts and sessions.
    pub(crate) counted: Mutex<Option<Counted>>,
    /// The uptime of the last check of the store, and the outcome.
    pub(crate) checked: Mutex<Option<(Duration, Result<(), Failure>)>>,
}

/// How long an answer waits for this process's own guard to learn of a commit.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(5);
/// How often a node signs a grant whose signature came too late.
const SIGNATURES: u32 = 3;

/// The time within which a node reads the log many times, unless the database is away.
const READ_LATELY: Duration = Duration::from_secs(2);

impl Service {
    /// The guard of this process, for callers that only need to know whether a token is live.
    pub fn guard(&self) -> &Guard {
        &self.context.guard
    }

    /// The operator's choices.
    pub fn policy(&self) -> &Policy {
        &self.context.policy
    }

    /// The public keys that verify tokens. Where several processes share the store, the keys as of now, if the
    /// store answers.
    pub async fn jwks(&self) -> PublishedKeys {
        let is_current = self.context.guard.proven().await.is_ok();
        PublishedKeys { set: self.context.guard.ring().jwks(), is_current }
    }

    /// The failed attempts that the address's networks have left. Reveals nothing about any account.
    pub async fn allowance(&self, address: IpAddr) -> Option<Allowance> {
        self.context.lockout.allowance(address).await
    }

    /// Whether this process is one of several over one store.
    pub fn is_node(&self) -> bool {
        self.context.node.is_some()
    }

    /// The state of this node. `None`: the process is the only one over its store.
    pub fn node_status(&self) -> Option<NodeStatus> {
        let node = self.context.node.as_deref()?;
        Some(node.status(self.context.clock.uptime()))
    }

    /// Whether this node has a lease and reads the log now.
    pub fn follows_the_log(&self) -> bool {
        self.node_status().is_some_and(|status| status.is_leased && status.read_before < READ_LATELY)
    }

    /// The store's connections to its server. `None`: it has no server.
    pub fn store_connections(&self) -> Option<StoreConnections> {
        self.context.store.connections()
    }

    /// Registers the metrics of the use cases.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.context.metrics.register(registry);
    }

    /// The work of this process now.
    pub fn load(&self) -> Load {
        let (hashes_running, hashes_waiting) = self.context.passwords.jobs();
        Load { hashes_running, hashes_waiting, feed_streams: self.context.feed.broadcast.readers() }
    }

    /// The time at which the signing key's successor is due, if keys rotate automatically.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn rotation_due(&self) -> Result<Option<Timestamp>, Failure> {
        let Some(every) = self.context.keys.rotate_every else { return Ok(None) };
        let keys = self.context.store.keys().await?;
        let signs = keys.iter().find(|key| key.state == KeyState::Current && key.source == KeySource::Made);
        Ok(signs.map(|key| key.created_at + every))
    }

    /// Notes that forwarding headers have arrived from a peer that isn't a trusted proxy. Returns whether they are
    /// the first.
    pub fn note_untrusted_forwarding(&self) -> bool {
        self.context.observed.forwarding()
    }

    /// Becomes `true` when the process must exit, because a write to disk failed. `None` if the store isn't a
    /// file.
    pub fn broken(&self) -> Option<watch::Receiver<bool>> {
        self.context.file.as_ref().map(|file| file.broken())
    }
}

impl Context {
    /// Commits a change that ends something, and waits until this process's own guard has applied it.
    ///
    /// # Errors
    /// The change isn't written; or, with [`StoreError::Unknown`], it may be, or this process doesn't apply it.
    pub(crate) async fn commit_and_announce(&self, change: Change) -> Result<Receipt, StoreError> {
        if self.guard.is_fenced() {
            // Its entry would name users as no token does any more.
            return Err(StoreError::Unavailable(
                "other settings that define tokens apply: restart this node".into(),
            ));
        }
        let caused = caused_by_users(&change);
        let began = self.clock.uptime();
        let committed = self.store.commit(change).instrument(part!("commit")).await;
        self.metrics.committed(&committed, self.clock.uptime().saturating_sub(began));
        let receipt = committed?;
        self.quotas.count_all(&caused, self.clock.uptime());
        if let Some(seq) = receipt.seq {
            self.announce(seq).instrument(part!("apply")).await?;
        }
        Ok(receipt)
    }

    /// Waits until this process's own guard has applied an entry. A request that finds nothing left to end waits
    /// for the head that it has read: another one may have committed the end a moment ago.
    ///
    /// # Errors
    /// It isn't applied yet: [`StoreError::Unknown`].
    pub(crate) async fn announce(&self, seq: Seq) -> Result<(), StoreError> {
        let applied = self.guard.caught_up(seq, ANNOUNCE_WITHIN).await;
        applied.map_err(|_| StoreError::Unknown("it is, and the guard is behind the log".into()))
    }

    /// Signs a grant. A change made since the head was read may already cover a token with that head: the
    /// first verifier would refuse the token, and the client would exchange it in vain. In that case the
    /// session is loaded and checked again.
    ///
    /// # Errors
    /// The session has ended meanwhile, or nothing can be signed now.
    pub(crate) async fn issue(&self, grant: Grant, now: Timestamp) -> Result<Issued, Failure> {
        let mut grant = grant;
        let mut conflicts = Conflicts::default();
        while self.guard.covers_minted(grant.rsq, &[self.guard.scopes().user_id(&grant.bearer.user_id)]) {
            if let Some(failure) = conflicts.failure(Uncommitted::Conflict) {
                return Err(failure);
            }
            let loaded = self.store.session(grant.session).await?;
            let renewed = renew_grant(&grant, &loaded, &self.policy);
            grant = self.explained(renewed, loaded.found.as_ref(), &loaded.head).await?;
        }
        let Some(node) = &self.node else { return self.sign(&grant, &*self.keys.signing().await?, now) };
        if !node.has_settings(grant.settings) {
            // The round that this waits for finds other settings, too, and stops this node.
            let _ = self.guard.proven().await;
            return Err(Failure::Unavailable(Unavailable::Stale));
        }
        for _ in 0..SIGNATURES {
            node.ring_reached(grant.ring).await?;
            let signing = self.keys.signing().await?;
            if node.ring() >= grant.ring {
                let issued = self.sign(&grant, &signing, now)?;
                // Read after signing: this process may have been paused, and the key be revoked meanwhile.
                if self.guard.is_fresh() {
                    return Ok(issued);
                }
            }
            drop(signing);
            self.guard.proven().await?;
        }
        Err(Failure::Unavailable(Unavailable::Stale))
    }

    fn sign(&self, grant: &Grant, signing: &SigningKey, now: Timestamp) -> Result<Issued, Failure> {
        let refresh_key = self.keys.refresh_signing.as_ref().unwrap_or(signing);
        let minting =
            Minting { policy: &self.policy.tokens, key: signing, refresh_key, secret: &self.keys.refresh };
        mint(grant, minting, now, &*self.entropy).map_err(|_| Failure::Unavailable(Unavailable::Unsigned))
    }

    /// Checks that a token may still be accepted by what was read from the store since the uptime `began`: this
    /// process may have been paused.
    ///
    /// # Errors
    /// It took as long as a lease.
    pub(crate) fn check_in_time(&self, began: Duration) -> Result<(), Failure> {
        let now = self.clock.uptime();
        match &self.node {
            Some(node) if !node.decides_in_time(began, now) => Err(Failure::Unavailable(Unavailable::Stale)),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that a key to sign with exists. Called before a token is consumed in an exchange.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub(crate) async fn can_sign(&self) -> Result<(), Failure> {
        drop(self.keys.signing().await?);
        Ok(())
    }

    /// The account that the typed login name denotes, and the folded text. A text longer than any name is
    /// treated as an unused name.
    pub(crate) fn resolve_login(&self, typed: &str) -> (AccountBy, String) {
        let by = self
            .policy
            .accounts
            .login_fields
            .account_by(typed)
            .unwrap_or_else(|| AccountBy::Name(String::new()));
        (by, fold(typed))
    }

    /// The rules that tokens must meet. Another node may have allowed longer lifetimes since this one started.
    pub(crate) fn token_policy(&self) -> Cow<'_, TokenPolicy> {
        let longest_lifetime_ever = self.guard.longest_lifetime();
        if longest_lifetime_ever == self.policy.tokens.longest_lifetime_ever {
            return Cow::Borrowed(&self.policy.tokens);
        }
        Cow::Owned(TokenPolicy { longest_lifetime_ever, ..self.policy.tokens.clone() })
    }

    /// Loads the state that concerns another issuer's token.
    pub(crate) async fn foreign(
        &self,
        presented: &PresentedForeign,
        now: Timestamp,
    ) -> Result<ForeignLoaded, Failure> {
        Ok(self
            .store
            .foreign(presented.key, &presented.scopes, presented.user, presented.account.as_ref(), now)
            .await?)
    }

    /// Adds the reason to a refusal, as [`Self::explain`] does; passes a success through.
    pub(crate) async fn explained<T>(
        &self,
        decided: Result<T, Refusal>,
        found: Option<&(Session, Account)>,
        head: &Head,
    ) -> Result<T, Failure> {
        match decided {
            Ok(decided) => Ok(decided),
            Err(refusal) => Err(self.explain(refusal, found, head).await),
        }
    }

    /// Adds the reason to a refusal that only states a revocation: the session's row has it, or else the
    /// first audit entry since the session was opened that raised a watermark over the account or over
    /// everything.
    pub(crate) async fn explain(
        &self,
        refusal: Refusal,
        found: Option<&(Session, Account)>,
        head: &Head,
    ) -> Failure {
        let (Refusal::TokenRevoked(None), Some((session, account))) = (refusal, found) else {
            return Failure::Refused(refusal);
        };
        if let SessionState::Ended(ending) = &session.state {
            return Failure::Refused(Refusal::TokenRevoked(Some(ending.reason)));
        }
        if session.is_live(account, head) {
            return Failure::Refused(refusal);
        }
        let found = self.store.endings(&session.subject, &[session.opened_seq]).await.unwrap_or_default();
        let reason = found.into_iter().next().flatten().map(|ending| ending.reason);
        Failure::Refused(Refusal::TokenRevoked(reason))
    }
}
