//! The service itself: what every use case shares.

use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::{Cause, PresentedForeign, renew_everything, renew_grant};
use quash_core::model::{
    Account, AccountBy, Actor, Change, Clock, Entropy, ForeignLoaded, ForeignTokens, Head, Policy, Reason, Receipt, Refusal, ScopeHasher,
    Seq, Session, SessionState, Timestamp, UserIdField, draw, fold,
};
use quash_core::token::{Algorithm, FlowKey, Grant, Issued, JwkSet, Minting, SigningKey, mint};
use quash_store::{Store, StoreError};
use quash_verify::{Guard, GuardSetup, MoreKeys};
use tokio::sync::{Notify, mpsc, watch};

use crate::failure::{Conflicts, Failure, StartError, Unavailable};
use crate::feed;
use crate::keys::{self, FetchKeys, Foreign, KeySetup, Keys};
use crate::lockout::{self, Lockout};
use crate::mail::Outbox;
use crate::passwords::{MAX_CLASSES, Passwords};
use crate::vault::MasterKey;
use crate::{HashSettings, PasswordHasher, Rehash};

/// All use cases of one process. Cloning it is cheap.
#[derive(Clone)]
pub struct Service {
    pub(crate) desk: Arc<Desk>,
}

/// What a service must be given.
pub struct Setup {
    /// Where it keeps what it must not forget.
    pub store: Arc<dyn Store>,
    /// What an operator has chosen.
    pub policy: Policy,
    /// What tokens are signed and verified with.
    pub keys: KeySetup,
    /// What asks addresses for the keys of other issuers.
    pub fetch: Arc<dyn FetchKeys>,
    /// What secrets are sealed with.
    pub master: MasterKey,
    /// What hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// How many passwords may be hashed at a time, and how many may wait.
    pub hashing: HashSettings,
    /// What becomes of a hash that isn't what would be made today.
    pub rehash: Rehash,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub entropy: Arc<dyn Entropy>,
}

pub(crate) struct Desk {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) keys: Keys,
    pub(crate) issuers: Arc<Foreign>,
    pub(crate) guard: Guard,
    pub(crate) passwords: Passwords,
    pub(crate) lockout: Lockout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) renew: Arc<Notify>,
    /// What the audit is sealed with.
    pub(crate) audit_key: SigningKey,
    pub(crate) flow_key: FlowKey,
    pub(crate) outbox: Outbox,
}

/// How long an answer waits for this process's own guard to know what was committed.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(5);

impl Service {
    /// Opens the keys, reads the log, and begins to follow it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The store or a key in it can't be used.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { store, mut policy, keys: key_setup, fetch, master, hasher, hashing, rehash, clock, entropy } = setup;
        let longest = longest_lifetime(&policy, &key_setup);
        store.commit(Change::RaiseLongestLifetime(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX))).await?;
        policy.tokens.longest_lifetime_ever = Duration::from_millis(store.longest_lifetime().await?);
        let keys = keys::open(&key_setup, &*store, &master, &*clock, &*entropy).await?;
        let scopes = ScopeHasher::ours(master.derive("scopes")).of_user_ids(policy.tokens.names.user_id_field);
        rename_bearers(&*store, &policy, &scopes, &*clock).await?;
        let (turn, rings) = mpsc::channel(1);
        let verifying = keys.verifying.clone();
        let foreign = Foreign::new(&key_setup.foreign, verifying, &master, &scopes, fetch, Arc::clone(&clock), turn)?;
        let first_ring = foreign.first_ring();
        let issuers = Arc::new(foreign);
        let asked = if issuers.has_addresses().await { Some(Arc::clone(&issuers)) } else { None };
        let guard_setup = GuardSetup {
            policy: policy.tokens.clone(),
            scopes,
            clock: Arc::clone(&clock),
            cache_key: draw(&*entropy),
            more_keys: asked.clone().map(|asked| asked as Arc<dyn MoreKeys>),
        };
        let (guard, keeper) = quash_verify::guard(guard_setup, feed::snapshot(&*store).await?, first_ring);
        let renew = Arc::new(Notify::new());
        tokio::spawn(feed::follow(Arc::clone(&store), keeper, Arc::clone(&renew), rings));
        if let Some(asked) = asked {
            tokio::spawn(async move { asked.follow().await });
        }
        let audit_key = SigningKey::new(Algorithm::EdDsa, &master.derive::<32>("audit"), None).map_err(StartError::SigningKey)?;
        let classes: Vec<_> = store.password_classes(MAX_CLASSES).await?.iter().filter_map(|class| class.parse().ok()).collect();
        let passwords = Passwords::start(hasher, rehash, hashing, &classes, &master.derive("decoys"), Arc::clone(&clock));
        let (lockout, orders) = Lockout::new(policy.lockout, &master.derive("lockout"), Arc::clone(&clock));
        let (flow_key, outbox) = (FlowKey::new(&master.derive("flows")), Outbox::default());
        let desk =
            Arc::new(Desk { store, policy, keys, issuers, guard, passwords, lockout, clock, entropy, renew, audit_key, flow_key, outbox });
        tokio::spawn(lockout::follow(Arc::downgrade(&desk), orders));
        Ok(Self { desk })
    }

    /// The guard of this process: for doors that only need to know whether a token is live.
    pub fn guard(&self) -> &Guard {
        &self.desk.guard
    }

    /// What an operator has chosen.
    pub fn policy(&self) -> &Policy {
        &self.desk.policy
    }

    /// The public keys that tokens can be verified with.
    pub fn jwks(&self) -> JwkSet {
        self.desk.guard.ring().jwks()
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// It doesn't.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.desk.store.head().await?;
        if *self.desk.store.broken().borrow() {
            return Err(Failure::Unavailable(Unavailable::StoreAway("the disk refused to keep what it was given".into())));
        }
        Ok(())
    }

    /// Becomes `true` when the process must end, because the disk refused to keep what it was given.
    pub fn broken(&self) -> watch::Receiver<bool> {
        self.desk.store.broken()
    }
}

impl Desk {
    /// Commits a change that ends something, and waits until this process's own guard knows.
    pub(crate) async fn commit_and_announce(&self, change: Change) -> Result<Receipt, StoreError> {
        let receipt = self.store.commit(change).await?;
        if let Some(seq) = receipt.seq {
            self.announce(seq).await.map_err(|_| StoreError::Unavailable("the guard does not follow the log".into()))?;
        }
        Ok(receipt)
    }

    async fn announce(&self, seq: Seq) -> Result<(), quash_verify::Denied> {
        self.guard.caught_up(seq, ANNOUNCE_WITHIN).await
    }

    /// Signs what was granted. What has become of the account meanwhile may already cover a token with the head that was
    /// read: then it would be refused by the first door, and the next exchange would come of it. It is looked at again.
    ///
    /// # Errors
    /// The session has ended meanwhile, or it can't be signed now.
    pub(crate) async fn issue(&self, grant: Grant, now: Timestamp) -> Result<Issued, Failure> {
        let mut grant = grant;
        let mut conflicts = Conflicts::default();
        while self.guard.covers_minted(grant.rsq, &[self.guard.scopes().user_id(&grant.bearer.user_id)]) {
            conflicts.again(StoreError::Conflict)?;
            let loaded = self.store.session(grant.session).await?;
            let renewed = renew_grant(&grant, &loaded, &self.policy);
            grant = self.explained(renewed, loaded.found.as_ref(), &loaded.head).await?;
        }
        let minting = Minting { policy: &self.policy.tokens, key: &self.keys.signing, secret: &self.keys.refresh };
        mint(&grant, minting, now, &*self.entropy).map_err(|_| Failure::Unavailable(Unavailable::Unsigned))
    }

    /// Whom somebody means who signs in with this, and what it is folded.
    pub(crate) fn called(&self, typed: &str) -> (AccountBy, String) {
        (self.policy.accounts.login_fields.called(typed), fold(typed))
    }

    /// What there is about a token of another issuer.
    pub(crate) async fn foreign(&self, presented: &PresentedForeign, now: Timestamp) -> Result<ForeignLoaded, Failure> {
        Ok(self.store.foreign(presented.key, &presented.scopes, presented.account.as_ref(), now).await?)
    }

    /// What was decided, with the reason of a refusal where only the fact is known.
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

    /// Adds the reason to a refusal where only the fact is known: what the session's row says, or else the first entry of
    /// the audit that raised a watermark over the account or over everything since the session was opened.
    pub(crate) async fn explain(&self, refusal: Refusal, found: Option<&(Session, Account)>, head: &Head) -> Failure {
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

/// The longest that any token which is taken here can hold.
fn longest_lifetime(policy: &Policy, keys: &KeySetup) -> Duration {
    let foreign = keys.foreign.iter().filter(|_| policy.tokens.foreign != ForeignTokens::Reject).map(|issuer| issuer.max_lifetime);
    foreign.chain([policy.tokens.longest_lifetime()]).max().unwrap_or_default()
}

/// Where tokens call accounts by another field than before, access tokens of before would be covered by nothing that is
/// revoked from now on. They end here; sessions go on, and the next refresh brings tokens with the new field.
async fn rename_bearers(store: &dyn Store, policy: &Policy, scopes: &ScopeHasher, clock: &dyn Clock) -> Result<(), StoreError> {
    const NAME: &str = "user_id_field";
    let field = match policy.tokens.names.user_id_field {
        UserIdField::Subject => "id",
        UserIdField::Username => "username",
        UserIdField::Email => "email",
    };
    let before = store.remembered(NAME).await?;
    if before.as_deref().unwrap_or("id") != field {
        let cause = Cause { reason: Reason::Revoked, actor: Actor::Rule };
        store.commit(renew_everything(&cause, scopes, clock.now())).await?;
    }
    if before.as_deref() != Some(field) {
        store.commit(Change::Remember { name: NAME, value: field.into() }).await?;
    }
    Ok(())
}
