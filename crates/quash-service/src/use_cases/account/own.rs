//! Owners' use cases: view, change, deactivate and delete their account, and end its sessions. Changes of the
//! name or the password require the password again, as do deactivation and deletion.

use std::net::IpAddr;

use quash_core::decide::{
    Cause, SessionSurvival, SurvivorTokens, change_password, counted_from, delete_account, edit_account,
    end_others, end_session, judge_one_time_password, judge_reauthentication,
};
use quash_core::model::{
    Account, AccountBy, AccountFields, AccountState, Actor, Change, EndCause, MailKind, Name, NameChanges,
    NameFault, NumericNames, PasswordHash, Reason, Refusal, SessionId, SessionLoaded, Subject, Subjects,
    Timestamp,
};
use quash_core::token::{Issued, Origin};
use quash_core::watch::Live;
use quash_store::StoreError;
use zeroize::Zeroizing;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::known_device::DeviceTokenInput;
use crate::passwords::{Requester, check_length};
use crate::retry::{Uncommitted, retry};
use crate::use_cases::session::end::Ended;
use crate::use_cases::session::prove::{Authenticated, Proof};

/// An account as its owner sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Me {
    pub account: Account,
    /// The requesting session. Another issuer's token has none.
    pub session: Option<SessionId>,
}

/// The password for a change that requires it again.
pub struct Reauthentication {
    /// The password, as received.
    pub password: Zeroizing<String>,
    /// The client's network, if its waiting attempts are to be limited.
    pub network: Option<IpAddr>,
    /// The device token that the client sent, if any. The client gets no new one.
    pub device_token: DeviceTokenInput,
}

impl Service {
    /// The account of a live token.
    ///
    /// # Errors
    /// The account no longer exists, or the store is unavailable.
    pub async fn me(&self, live: &Live) -> Result<Me, Failure> {
        self.context.me(live).await
    }

    /// Ends a session of a live token's account. A session that has already ended is no error.
    ///
    /// # Errors
    /// The account has no such session, or the store is unavailable.
    pub async fn end_own_session(&self, live: &Live, session: SessionId) -> Result<(), Failure> {
        let context = &*self.context;
        let me = context.me(live).await?;
        let cause = Cause { reason: Reason::Ended, actor: Actor::Owner };
        retry!({
            let loaded = context.store.session(session).await?;
            if loaded.found.as_ref().is_none_or(|(session, _)| session.subject != me.account.subject) {
                return Err(Refusal::SessionNotFound.into());
            }
            let Ok(end) = end_session(&loaded, &cause, context.guard.scopes(), context.clock.now()) else {
                context.announce(loaded.head.seq).await?;
                return Ok(());
            };
            context.quotas.check(&me.account.subject, context.clock.uptime())?;
            let change = Change::EndSessions { sessions: vec![end], tokens: Vec::new() };
            context.end(change).await?;
            Ok(())
        })
    }

    /// Ends all sessions of a live token's account except its own, which gets new tokens. If there is no
    /// other session, this is a plain refresh and revokes nothing.
    ///
    /// # Errors
    /// The token has no session that could be kept, the account has caused too many entries, or the store is
    /// unavailable.
    pub async fn end_other_sessions(&self, live: &Live) -> Result<Issued, Failure> {
        let context = &*self.context;
        retry!({
            let now = context.clock.now();
            let (survivor_tokens, loaded) = context.own_session(live).await?;
            let subject = loaded
                .found
                .as_ref()
                .map(|(_, account)| account.subject.clone())
                .ok_or(Refusal::AccountNotFound)?;
            // Counted after loading the session, so that a session opened meanwhile is included.
            let counted = context
                .store
                .account(&AccountBy::Subject(subject.clone()), counted_from(&context.policy, now))
                .await?;
            let survival =
                end_others(survivor_tokens, &loaded, &counted, &context.policy, context.guard.scopes(), now)?;
            if survival.ends_others() {
                context.quotas.check(&subject, context.clock.uptime())?;
            }
            context.survive(survival, now).await
        })
    }

    /// Ends all sessions of a live token's account.
    ///
    /// # Errors
    /// The account no longer exists, or the store is unavailable.
    pub async fn end_own_sessions(&self, live: &Live) -> Result<Ended, Failure> {
        let me = self.context.me(live).await?;
        self.end_account(&me.account.subject, EndCause::LogOutEverywhere, Actor::Owner).await
    }

    /// Renames a live token's account. All its sessions end if tokens identify accounts by their names.
    ///
    /// # Errors
    /// The password is wrong, the name is invalid or taken, or users may not change names here.
    pub async fn rename_own(
        &self,
        live: &Live,
        name: &str,
        reauthentication: Reauthentication,
    ) -> Result<Me, Failure> {
        let context = &*self.context;
        if context.policy.accounts.names == NameChanges::Refused {
            return Err(Refusal::ChangeNotAllowed.into());
        }
        let me = context.me(live).await?;
        let name = context.new_name(name, Some(&me.account)).map_err(Refusal::NameRefused)?;
        context.quotas.check(&me.account.subject, context.clock.uptime())?;
        let mut proof = reauthentication_proof(&me.account, reauthentication);
        retry!({
            let proven = context.reauthenticate(&mut proof).await?;
            if context.is_taken(&name, &proven.account.subject, proven.started).await? {
                return Err(Refusal::NameTaken.into());
            }
            let fields = AccountFields { username: Some(name.clone()), ..AccountFields::default() };
            if !fields.differ_from(&proven.account) {
                return Ok(Me { account: proven.account, ..me.clone() });
            }
            context.edit_proven(&proven, EndCause::NameChanged, fields).await?;
            Ok(Me { account: Account { username: name.clone(), ..proven.account }, ..me.clone() })
        })
    }

    /// Changes the password: all other sessions end, and this one gets new tokens.
    ///
    /// # Errors
    /// The current password is wrong, the new one is refused, or the token has no session that could be kept.
    pub async fn change_own_password(
        &self,
        live: &Live,
        reauthentication: Reauthentication,
        new: Zeroizing<String>,
    ) -> Result<Issued, Failure> {
        let context = &*self.context;
        let me = context.me(live).await?;
        context.own_session(live).await?;
        context.quotas.check(&me.account.subject, context.clock.uptime())?;
        check_length(&new).map_err(Refusal::PasswordRefused)?;
        let network = reauthentication.network;
        let mut proof = reauthentication_proof(&me.account, reauthentication);
        let mut hash: Option<PasswordHash> = None;
        retry!({
            let proven = context.reauthenticate(&mut proof).await?;
            let password = match &hash {
                Some(hash) => hash.clone(),
                None => hash.insert(context.new_hash(new.clone(), &proven, network).await?).clone(),
            };
            let account = proven.account;
            let now = context.clock.now();
            let (survivor_tokens, loaded) = context.own_session(live).await?;
            // Another request may have changed the password since the proof.
            if loaded.found.as_ref().is_some_and(|(_, found)| found.version != account.version) {
                return Err(Uncommitted::Conflict);
            }
            let mut survival = change_password(
                survivor_tokens,
                &loaded,
                password,
                &context.policy,
                context.guard.scopes(),
                now,
            )?;
            survival.change =
                context.with_notice(survival.change, MailKind::PasswordWasChanged, &account, now);
            context.survive(survival, now).await
        })
    }

    /// Replaces a temporary password. The user isn't signed in by this, and all sessions end.
    ///
    /// # Errors
    /// The current password isn't a temporary one, or the new one is refused.
    pub async fn change_one_time_password(
        &self,
        name: &str,
        reauthentication: Reauthentication,
        new: Zeroizing<String>,
    ) -> Result<(), Failure> {
        let context = &*self.context;
        // The pool checks everything else, after the current password has been proven.
        check_length(&new).map_err(Refusal::PasswordRefused)?;
        let network = reauthentication.network;
        let (by, folded) = context.resolve_login(name);
        let mut proof = Proof::new(
            by,
            folded,
            reauthentication.password,
            reauthentication.network,
            reauthentication.device_token,
        );
        let mut hash: Option<PasswordHash> = None;
        retry!({
            let proven = context.prove(&mut proof, judge_one_time_password).await?;
            let password = match &hash {
                Some(hash) => hash.clone(),
                None => hash.insert(context.new_hash(new.clone(), &proven, network).await?).clone(),
            };
            let fields = AccountFields { password: Some(Some(password)), ..AccountFields::default() };
            context.edit_proven(&proven, EndCause::PasswordChanged, fields).await?;
            Ok(())
        })
    }

    /// Deactivates a live token's account: its sessions end, and it can't sign in.
    ///
    /// # Errors
    /// The password is wrong, or the store is unavailable.
    pub async fn deactivate_own(
        &self,
        live: &Live,
        reauthentication: Reauthentication,
    ) -> Result<(), Failure> {
        let context = &*self.context;
        let mut proof = reauthentication_proof(&context.me(live).await?.account, reauthentication);
        retry!({
            let proven = context.reauthenticate(&mut proof).await?;
            let state = Some(AccountState::Deactivated { at: context.clock.now() });
            let fields = AccountFields { state, ..AccountFields::default() };
            context.edit_proven(&proven, EndCause::Deactivated, fields).await?;
            Ok(())
        })
    }

    /// Deletes a live token's account and all its sessions.
    ///
    /// # Errors
    /// The password is wrong, or the store is unavailable.
    pub async fn delete_own(&self, live: &Live, reauthentication: Reauthentication) -> Result<(), Failure> {
        let context = &*self.context;
        let mut proof = reauthentication_proof(&context.me(live).await?.account, reauthentication);
        retry!({
            let proven = context.reauthenticate(&mut proof).await?;
            let change = delete_account(
                &proven.account,
                Actor::Owner.into(),
                context.guard.scopes(),
                context.clock.now(),
            );
            context.end(change).await?;
            Ok(())
        })
    }
}

impl Context {
    async fn me(&self, live: &Live) -> Result<Me, Failure> {
        if let Origin::Foreign(_) = live.authentic().origin() {
            let account = self.foreign_account(live.authentic()).await?;
            return Ok(Me { account, session: None });
        }
        let (session, _) = live.authentic().session_and_rsq()?;
        let (_, account) = self.store.session(session).await?.found.ok_or(Refusal::AccountNotFound)?;
        self.check_owner(live, &account)?;
        Ok(Me { account, session: Some(session) })
    }

    /// The session of a live token, and the basis of its new tokens if it is kept while others end.
    async fn own_session(&self, live: &Live) -> Result<(SurvivorTokens, SessionLoaded), Failure> {
        if let Origin::Foreign(_) = live.authentic().origin() {
            return Err(Refusal::SessionRequired.into());
        }
        let (session, _) = live.authentic().session_and_rsq()?;
        let loaded = self.store.session(session).await?;
        if let Some((_, account)) = &loaded.found {
            self.check_owner(live, account)?;
        }
        let survivor_tokens = SurvivorTokens::of(live.authentic(), &loaded, &self.keys.refresh);
        let survivor_tokens = self.explained(survivor_tokens, loaded.found.as_ref(), &loaded.head).await?;
        Ok((survivor_tokens, loaded))
    }

    /// An attacker with a stolen signing key can write any name into a token, but no row.
    fn check_owner(&self, live: &Live, account: &Account) -> Result<(), Refusal> {
        let (scopes, user_id) = (self.guard.scopes(), live.claims().user_id.as_deref().unwrap_or_default());
        if scopes.account(account) == scopes.user_id(user_id) {
            Ok(())
        } else {
            Err(Refusal::AccountNotFound)
        }
    }

    /// Checks the password of a signed-in user again.
    async fn reauthenticate(&self, proof: &mut Proof) -> Result<Authenticated, Failure> {
        self.prove(proof, judge_reauthentication).await.map_err(|failure| match failure {
            Failure::Refused(Refusal::BadCredentials) => Refusal::WrongPassword.into(),
            other => other,
        })
    }

    /// Hashes the new password of an account whose current password was proven.
    async fn new_hash(
        &self,
        new: Zeroizing<String>,
        proven: &Authenticated,
        network: Option<IpAddr>,
    ) -> Result<PasswordHash, Failure> {
        let requester = Requester::new(network, proven.known_device.is_some());
        let hash =
            self.passwords.hash_new(new, &own_words(&proven.account), requester, &*self.entropy).await?;
        Ok(hash.map_err(Refusal::PasswordRefused)?)
    }

    /// Commits the end of the other sessions, and issues tokens to the one that is kept.
    async fn survive(
        &self,
        survival: SessionSurvival,
        now: Timestamp,
    ) -> Result<Issued, Uncommitted<Failure>> {
        self.can_sign().await?;
        let Ended { seq } = self.end(survival.change.clone()).await?;
        Ok(self.issue(survival.grant(seq), now).await?)
    }

    /// Changes the account as it was when its password was proven. A conflict if it has changed since.
    async fn edit_proven(
        &self,
        proven: &Authenticated,
        cause: EndCause,
        fields: AccountFields,
    ) -> Result<Ended, StoreError> {
        let now = self.clock.now();
        let edit = edit_account(
            &proven.account,
            cause,
            fields,
            Actor::Owner.into(),
            &self.policy,
            self.guard.scopes(),
            now,
        );
        let change = Change::EditAccount(Box::new(edit));
        let change = match cause {
            EndCause::PasswordChanged => {
                self.with_notice(change, MailKind::PasswordWasChanged, &proven.account, now)
            }
            _ => change,
        };
        self.end(change).await
    }

    /// Parses a new name. The account's current name is accepted in any form.
    pub(crate) fn new_name(&self, text: &str, account: Option<&Account>) -> Result<Name, NameFault> {
        match Name::parse(text) {
            Ok(name) if account.is_some_and(|account| account.username.folded() == name.folded()) => Ok(name),
            _ if self.policy.accounts.subjects == Subjects::Integer => {
                Name::parse_new(text, NumericNames::Refused)
            }
            _ => Name::parse_new(text, self.policy.accounts.numeric_names),
        }
    }

    /// Returns whether another account has the name, as its name or as its subject.
    pub(crate) async fn is_taken(
        &self,
        name: &Name,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let found = self.store.account(&AccountBy::Name(name.folded().to_owned()), now).await?.account;
        let is_name = found.is_some_and(|found| found.subject != *subject);
        Ok(is_name || self.is_subject_of_another(name, Some(subject), now).await?)
    }

    /// Returns whether a name is the subject of an account other than `own`: commands with that name would be
    /// ambiguous.
    pub(crate) async fn is_subject_of_another(
        &self,
        name: &Name,
        own: Option<&Subject>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        for text in [name.shown(), name.folded()] {
            let Ok(subject) = Subject::parse(text) else { continue };
            if Some(&subject) != own
                && self.store.account(&AccountBy::Subject(subject), now).await?.account.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Starts the proof of an account's password by its subject, which a renaming doesn't change.
pub(crate) fn reauthentication_proof(account: &Account, reauthentication: Reauthentication) -> Proof {
    let Reauthentication { password, network, device_token } = reauthentication;
    Proof::new(
        AccountBy::Subject(account.subject.clone()),
        account.username.folded().to_owned(),
        password,
        network,
        device_token,
    )
}

/// Words that an account's password must not be.
pub(crate) fn own_words(account: &Account) -> Vec<&str> {
    let address = account.email.as_ref().map(|email| email.shown.as_str());
    std::iter::once(account.username.shown()).chain(address).collect()
}
