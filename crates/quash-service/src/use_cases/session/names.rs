//! Revocation in the namespace of another issuer, and the question whether a name is revoked.

use quash_core::decide::{NameRevocation, revoke_names};
use quash_core::model::{
    Actor, Change, Client, Namespace, Scope, Seq, SessionLoaded, Timestamp, UserIdField,
};
use quash_core::watch::{Named, Revoked, admit_named};

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::repeated::NamesRevoked;

impl Service {
    /// The namespace of this name in the settings.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.policy().tokens.namespace(name)
    }

    /// Revokes in a namespace on behalf of a client. With a key, a repeated request of the same client gets
    /// the first answer again.
    ///
    /// # Errors
    /// Like [`Service::revoke_names_by`].
    pub async fn revoke_names(
        &self,
        client: &Client,
        namespace: &Namespace,
        items: &[NameRevocation],
        key: Option<&str>,
    ) -> Result<NamesRevoked, Failure> {
        let request = self.revoke_names_by(Actor::Client(client.name.clone()), namespace, items);
        self.context.once(client, key, request).await
    }

    /// Revokes in a namespace on behalf of an actor, in one transaction. Once this returns, this process
    /// refuses the tokens.
    ///
    /// # Errors
    /// The store is unavailable. The revocations may or may not have been written.
    pub async fn revoke_names_by(
        &self,
        actor: Actor,
        namespace: &Namespace,
        items: &[NameRevocation],
    ) -> Result<NamesRevoked, Failure> {
        let context = &*self.context;
        let ours = context.guard.scopes();
        let scopes = items.iter().map(|item| item.name.scope(namespace, ours));
        let keys: Vec<_> = scopes.filter(|(kind, _)| kind.is_presence()).map(|(_, key)| key).collect();
        let known = context.store.entries_of(&keys).await?;
        let (revocation, newest_known) =
            revoke_names(items, &known, namespace, ours, &actor, context.clock.now());
        let written = revocation.entries.len();
        // Another request may write the same session meanwhile: two entries cover what one does.
        let receipt = context.commit_and_announce(Change::RevokeNames(Box::new(revocation))).await?;
        let seq = receipt.seq.max(newest_known).unwrap_or(Seq::ZERO);
        context.announce(seq).await?;
        Ok(NamesRevoked { seq, written })
    }

    /// Returns whether the store has a revocation that covers a named token. A token that can't be judged
    /// counts as revoked, and so does one whose namespace isn't in the settings. A session of quash's own is
    /// revoked unless it is live: an entry that only renews access tokens doesn't end it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn is_name_revoked(&self, named: &Named<'_>) -> Result<bool, Failure> {
        let context = &*self.context;
        let (policy, ours, now) = (&context.policy.tokens, context.guard.scopes(), context.clock.now());
        let Ok(mut keys) = named.scopes(policy, ours, now) else { return Ok(true) };
        if let (None, Some(session)) = (named.namespace, named.session) {
            let Ok(session) = session.parse() else { return Ok(true) };
            let loaded = context.store.session(session).await?;
            let is_ahead = named.position.is_some_and(|position| position > loaded.head.seq.as_u64());
            return Ok(is_ahead || !is_live_for(&loaded, named, policy.names.user_id_field, now));
        }
        keys.push(ours.key(&Scope::Everything));
        // The head is read last: it has a record of the entries that are deleted meanwhile.
        let known = context.store.entries_of(&keys).await?;
        let head = context.store.head().await?;
        let revoked = Revoked::from_snapshot(head.seq, head.chain, &known).forgetting(head.forgotten);
        Ok(admit_named(named, policy, ours, &revoked, now).is_err())
    }
}

impl Context {
    /// Carries a client's request out, or returns the first answer to a request with the same key.
    pub(super) async fn once(
        &self,
        client: &Client,
        key: Option<&str>,
        request: impl Future<Output = Result<NamesRevoked, Failure>>,
    ) -> Result<NamesRevoked, Failure> {
        match key {
            Some(key) => self.repeated.once(client, key, self.clock.uptime(), request).await,
            None => request.await,
        }
    }
}

/// Returns whether a session of quash's own is live and belongs to the named user.
fn is_live_for(loaded: &SessionLoaded, named: &Named<'_>, field: UserIdField, now: Timestamp) -> bool {
    loaded.found.as_ref().is_some_and(|(session, account)| {
        session.is_live(account, &loaded.head)
            && now < session.idle_until
            && named.subject.is_none_or(|subject| account.user_id(field) == Some(subject))
    })
}
