//! The world of the stories: the domain, the memory store, a clock that only `wait` moves, and requests that
//! can be paused between load and commit.

mod foreign_issuer;

use std::collections::BTreeMap;
use std::time::Duration;

use quash_core::decide::{
    Cause, Device, Kind, MarkDiffers, PasswordCheck, PresentedRefresh, PresentedSliding, Provisioning,
    Refreshed, RevokedKeySessions, SessionSurvival, SiteMark, SurvivorTokens, TokenRequest, change_password,
    counted_from, edit_account, end_everything, end_others, end_presented, end_token_session, judge_sign_in,
    open_session, provision, refresh, refresh_sliding, renew_grant, reset_password, revoke_keys,
};
use quash_core::model::{
    Account, AccountBy, AccountFields, AccountLoaded, AccountState, Actor, Change, CustomClaims, Email,
    EndCause, ForeignLoaded, Generation, Head, KeyRecord, KeySource, KeyState, Kid, Name, NewState,
    PasswordHash, Policy, Reason, Receipt, Refusal, ScopeHasher, Sealed, Seeded, Seq, SessionId,
    SessionLoaded, Subject, Timestamp,
};
use quash_core::token::{
    Algorithm, Authentic, Grant, Issued, KeyRing, Minting, RefreshKey, SigningKey, TokenType, Tokens,
    authenticate, mint,
};
use quash_core::watch::{Revoked, Verdict, admit, refuse_unknown};
use quash_store::{MemoryStore, Store, StoreError};

use self::foreign_issuer::ForeignIssuer;

/// The state of a story.
pub(crate) struct World {
    store: MemoryStore,
    policy: Policy,
    now: Timestamp,
    entropy: Seeded,
    key: SigningKey,
    refresh_key: SigningKey,
    ring: KeyRing,
    secret: RefreshKey,
    scopes: ScopeHasher,
    foreign_issuer: ForeignIssuer,
    sessions: BTreeMap<String, SessionId>,
    access: BTreeMap<String, String>,
    /// Refresh tokens by session and generation, sliding ones by session, foreign ones by their name in the
    /// story.
    refresh: BTreeMap<String, String>,
    under_way: BTreeMap<String, Request>,
    /// The last grant of each session.
    granted: BTreeMap<String, Grant>,
}

/// A request that has loaded and not yet committed.
enum Request {
    SignIn { name: String, kind: Kind, loaded: AccountLoaded },
    Adopt { name: String, token: String, loaded: Box<ForeignLoaded> },
    Refresh { name: String, token: String, loaded: SessionLoaded },
    ChangePassword { name: String, loaded: SessionLoaded },
    Others { name: String, loaded: SessionLoaded, counted: Box<AccountLoaded> },
    Reset { loaded: AccountLoaded },
}

type Said = Result<String, String>;

impl World {
    pub(crate) fn new() -> Self {
        let key = SigningKey::new(Algorithm::EdDsa, &[1; 32], None).expect("a key");
        let refresh_key = SigningKey::new(Algorithm::Hs256, &[4; 32], Kid::parse("r1").ok()).expect("a key");
        let scopes = ScopeHasher::ours([3; 16]);
        let foreign_issuer = ForeignIssuer::new(&scopes);
        Self {
            store: MemoryStore::new(),
            policy: Policy::default(),
            now: foreign_issuer::START,
            entropy: Seeded::new(7),
            ring: KeyRing::with_foreign(1, vec![key.verifying().clone()], vec![foreign_issuer.key()])
                .with_refresh_key(refresh_key.verifying().clone()),
            key,
            refresh_key,
            secret: RefreshKey::new(&[2; 32]),
            scopes,
            foreign_issuer,
            sessions: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            under_way: BTreeMap::new(),
            granted: BTreeMap::new(),
        }
    }

    /// Runs a command and returns the answer.
    pub(crate) async fn act(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let said = match words.as_slice() {
            ["grace", span] => self.set(|policy, span| policy.rotation.grace = span, span),
            ["clocks", "of", "nodes", span] => {
                self.set(|policy, span| policy.tokens.signers_ahead = span, span)
            }
            ["rotation", word] => self.set_word(|policy, on| policy.rotation.rotate = on, word),
            ["blacklist", word] => self.set_word(|policy, on| policy.rotation.blacklist = on, word),
            ["sessions", "last", span] => {
                self.set(|policy, span| policy.sessions.absolute_lifetime = Some(span), span)
            }
            ["at", "most", count, "sessions"] => {
                self.policy.sessions.max_per_account = count.parse().expect("a number");
                Ok("ok".into())
            }
            ["wait", span] => {
                self.now = self.now + parse_span(span);
                Ok("ok".into())
            }
            ["set", "the", "clock", "back", "by", span] => {
                self.now = self.now - parse_span(span);
                Ok("ok".into())
            }
            ["account", name] => self.add_account(name, false).await,
            ["account", name, "with", "our", "own", "password"] => self.add_account(name, true).await,
            ["foreign", "tokens", word] => self.take_foreign(word),
            ["sign", account, "in", "elsewhere", "as", token] => {
                self.sign_foreign(TokenType::Refresh, account, token)
            }
            ["sign", account, "in", "elsewhere", "sliding", "as", token] => {
                self.sign_foreign(TokenType::Sliding, account, token)
            }
            ["present", token, "as", name] => self.whole(&["present", token, "as", name]).await,
            ["sign", "in", account, "sliding", "as", name] => {
                self.whole(&["sign", "in", account, "sliding", "as", name]).await
            }
            ["exchange", name] => self.exchange(name).await,
            ["sign", "in", account, "as", name] => self.whole(&["sign", "in", account, "as", name]).await,
            ["refresh", token] => self.whole(&["refresh", token]).await,
            ["change", "password", "at", name] => self.whole(&["change", "password", "at", name]).await,
            ["log", "out", "everywhere", "else", "at", name] => {
                self.whole(&["log", "out", "everywhere", "else", "at", name]).await
            }
            ["reset", account] => self.whole(&["reset", account]).await,
            [request, "loads:", what @ ..] => self.load(request, what).await,
            [request, "commits"] => self.commit(request).await,
            [request, "reads", "the", "head", "again"] => self.reread_head(request).await,
            ["log", "out", token] => self.log_out(token).await,
            ["give", account, "the", "role", role] => self.give_role(account, role).await,
            ["which", "role", "has", "access", "of", name] => Ok(self.role_of(name)),
            ["look", "again", "at", name] => self.look_again(name).await,
            ["deactivate", account] => self.deactivate(account).await,
            ["the", "site", "sends", account, "with", values @ ..] => self.provision(account, values).await,
            ["end", "everything"] => self.end_everything().await,
            ["stop", "publishing", "the", "key"] => self.stop_publishing(),
            ["revoke", "the", "key"] => self.revoke_key().await,
            ["forge", "a", "wrong", "id", "into", token] => {
                self.forge(token, |claims| claims.jti = Some("0".repeat(32)))
            }
            ["forge", "generation", generation, "into", token] => {
                let generation = Generation(generation.parse().expect("a number"));
                let secret = self.secret.clone();
                let seed = self.seed_of(token).await;
                self.forge(token, move |claims| {
                    claims.generation = Some(generation);
                    claims.jti = claims.sid.map(|sid| secret.jti(sid, &seed, generation).to_string());
                })
            }
            ["use", "access", "of", name] => self.verify_token(&self.access[*name], TokenType::Access).await,
            ["use", "sliding", token] => self.verify_token(&self.refresh[*token], TokenType::Sliding).await,
            ["are", rest @ ..] => self.compare(rest),
            _ => Err(format!("unknown command: {command}")),
        };
        said.unwrap_or_else(|refused| refused)
    }

    fn set(&mut self, put: impl Fn(&mut Policy, Duration), span: &str) -> Said {
        put(&mut self.policy, parse_span(span));
        Ok("ok".into())
    }

    fn set_word(&mut self, put: impl Fn(&mut Policy, bool), word: &str) -> Said {
        put(&mut self.policy, word == "on");
        Ok("ok".into())
    }

    async fn whole(&mut self, what: &[&str]) -> Said {
        self.load("the request", what).await?;
        self.commit("the request").await
    }

    async fn add_account(&mut self, name: &str, is_own: bool) -> Said {
        let new = Account::new(
            Subject::parse(name).expect("a subject"),
            Name::parse(name).expect("a name"),
            self.now,
        );
        let hash = PasswordHash::new("old".into());
        let account =
            if is_own { new.with_own_password(hash) } else { Account { password: Some(hash), ..new } };
        self.store
            .commit(Change::AddAccount(account, Actor::Operator))
            .await
            .map_err(|error| error.to_string())?;
        Ok("ok".into())
    }

    async fn load(&mut self, request: &str, what: &[&str]) -> Said {
        let loaded = match what {
            ["sign", "in", account, "as", name] => Request::SignIn {
                name: (*name).into(),
                kind: Kind::Pair,
                loaded: self.account(account).await,
            },
            ["sign", "in", account, "sliding", "as", name] => Request::SignIn {
                name: (*name).into(),
                kind: Kind::Sliding,
                loaded: self.account(account).await,
            },
            ["present", token, "as", name] => {
                let loaded = Box::new(self.foreign(&self.refresh[*token]).await?);
                Request::Adopt { name: (*name).into(), token: (*token).into(), loaded }
            }
            ["refresh", token] => {
                let (name, _) = token.split_once('/').expect("session/generation");
                Request::Refresh {
                    name: name.into(),
                    token: (*token).into(),
                    loaded: self.session(name).await,
                }
            }
            ["change", "password", "at", name] => {
                Request::ChangePassword { name: (*name).into(), loaded: self.session(name).await }
            }
            ["log", "out", "everywhere", "else", "at", name] => {
                let loaded = self.session(name).await;
                let subject = loaded
                    .found
                    .as_ref()
                    .map(|(_, account)| account.subject.clone())
                    .ok_or("there is no such session")?;
                let counted = self
                    .store
                    .account(&AccountBy::Subject(subject), counted_from(&self.policy, self.now))
                    .await
                    .expect("a read");
                Request::Others { name: (*name).into(), loaded, counted: Box::new(counted) }
            }
            ["reset", account] => Request::Reset { loaded: self.account(account).await },
            other => return Err(format!("unknown request: {}", other.join(" "))),
        };
        self.under_way.insert(request.into(), loaded);
        Ok("ok".into())
    }

    /// Acts as a careless caller: replaces the head that was read first with the newest one.
    async fn reread_head(&mut self, request: &str) -> Said {
        let newest = self.store.head().await.expect("a head");
        let head: &mut Head = match self.under_way.get_mut(request).expect("a request under way") {
            Request::SignIn { loaded, .. } | Request::Reset { loaded } => &mut loaded.head,
            Request::Adopt { loaded, .. } => &mut loaded.account.head,
            Request::Refresh { loaded, .. }
            | Request::ChangePassword { loaded, .. }
            | Request::Others { loaded, .. } => &mut loaded.head,
        };
        head.seq = newest.seq;
        Ok("ok".into())
    }

    async fn commit(&mut self, request: &str) -> Said {
        match self.under_way.remove(request).expect("a request under way") {
            Request::Adopt { name, token, loaded } => self.commit_adoption(&name, &token, &loaded).await,
            Request::SignIn { name, kind, loaded } => {
                let account = judge_sign_in(&loaded, PasswordCheck::Right, self.now).map_err(refused)?;
                let device = Device::default();
                let opened = open_session(
                    kind,
                    &loaded,
                    account,
                    None,
                    &device,
                    None,
                    None,
                    &self.policy,
                    &self.scopes,
                    self.now,
                    &self.entropy,
                )
                .map_err(refused)?;
                self.write(opened.change).await?;
                self.sessions.insert(name.clone(), opened.grant.session);
                Ok(format!("opened: {}", self.give(&name, &opened.grant)))
            }
            Request::Refresh { name, token, loaded } => self.commit_refresh(&name, &token, &loaded).await,
            Request::ChangePassword { name, loaded } => {
                let new = PasswordHash::new("new".into());
                let survival = change_password(
                    self.survivor_tokens(&name, &loaded)?,
                    &loaded,
                    new,
                    &self.policy,
                    &self.scopes,
                    self.now,
                )
                .map_err(refused)?;
                self.survive(&name, survival).await
            }
            Request::Others { name, loaded, counted } => {
                let survivor_tokens = self.survivor_tokens(&name, &loaded)?;
                let survival =
                    end_others(survivor_tokens, &loaded, &counted, &self.policy, &self.scopes, self.now)
                        .map_err(refused)?;
                self.survive(&name, survival).await
            }
            Request::Reset { loaded } => {
                let new = PasswordHash::new("reset".into());
                let change = reset_password(&loaded, new, Actor::Owner, &self.policy, &self.scopes, self.now)
                    .map_err(refused)?;
                self.write(change).await.map(|_| "reset".into())
            }
        }
    }

    async fn commit_refresh(&mut self, name: &str, token: &str, loaded: &SessionLoaded) -> Said {
        let presented = self.presented(token)?;
        self.apply_refresh(
            name,
            refresh(&presented, loaded, &self.policy, &self.secret, &self.scopes, self.now),
        )
        .await
    }

    /// Writes the change of a refresh and mints its grant.
    async fn apply_refresh(&mut self, name: &str, refreshed: Result<Refreshed, Refusal>) -> Said {
        match refreshed.map_err(refused)? {
            Refreshed::Write { change, grant } if matches!(change, Change::OpenSession(_)) => {
                self.write(change).await?;
                self.sessions.insert(name.into(), grant.session);
                Ok(format!("adopted: {}", self.give(name, &grant)))
            }
            Refreshed::Write { change, grant } => {
                self.write(change).await?;
                Ok(format!("rotated: {}", self.give(name, &grant)))
            }
            Refreshed::Answer { grant } => Ok(format!("nothing written: {}", self.give(name, &grant))),
            Refreshed::End { change, refusal } => {
                self.write(change).await?;
                Err(refused(refusal))
            }
        }
    }

    async fn survive(&mut self, name: &str, survival: SessionSurvival) -> Said {
        let receipt = self.write(survival.change.clone()).await?;
        let grant = survival.grant(receipt.seq);
        let what = if receipt.seq.is_some() { "all others ended" } else { "nothing to end" };
        Ok(format!("{what}: {}", self.give(name, &grant)))
    }

    /// Logs out with a refresh, sliding or foreign token.
    async fn log_out(&mut self, token: &str) -> Said {
        if self.foreign_issuer.signed(&self.refresh[token]) {
            return self.log_out_foreign(token).await;
        }
        let (name, generation) =
            token.split_once('/').map_or((token, None), |(name, generation)| (name, Some(generation)));
        let loaded = self.session(name).await;
        let end = match generation {
            Some(_) => end_presented(&self.presented(token)?, &loaded, &self.secret, &self.scopes, self.now),
            None => end_token_session(
                &self.authentic(&self.refresh[token]),
                &loaded,
                &self.secret,
                &self.scopes,
                self.now,
            ),
        };
        let change = Change::EndSessions { sessions: vec![end.map_err(refused)?], tokens: Vec::new() };
        self.write(change).await.map(|_| "ended".into())
    }

    async fn exchange(&mut self, name: &str) -> Said {
        let presented = self.presented_sliding(name)?;
        let loaded = self.session(name).await;
        let grant =
            refresh_sliding(&presented, &loaded, &self.policy, &self.secret, self.now).map_err(refused)?;
        Ok(format!("nothing written: {}", self.give(name, &grant)))
    }

    /// Returns the tokens that a surviving session gets for its access or sliding token.
    fn survivor_tokens(&self, name: &str, loaded: &SessionLoaded) -> Result<SurvivorTokens, String> {
        let token = self.access.get(name).or_else(|| self.refresh.get(name)).expect("a token");
        SurvivorTokens::of(&self.authentic(token), loaded, &self.secret).map_err(refused)
    }

    async fn give_role(&mut self, account: &str, role: &str) -> Said {
        let account = self.account(account).await.account.ok_or_else(|| refused(Refusal::NoActiveAccount))?;
        let claims = CustomClaims::new(&[("role".into(), role.into())]).expect("claims");
        let fields = AccountFields { claims: Some(claims), ..AccountFields::default() };
        let edit = edit_account(
            &account,
            EndCause::ClaimsChanged,
            fields,
            Actor::Operator.into(),
            &self.policy,
            &self.scopes,
            self.now,
        );
        self.write(Change::EditAccount(Box::new(edit))).await.map(|_| "access tokens ended".into())
    }

    fn role_of(&self, name: &str) -> String {
        let token = self.authentic(&self.access[name]);
        token
            .claims()
            .custom
            .iter()
            .find(|(name, _)| name == "role")
            .map_or_else(|| "none".into(), |(_, role)| role.to_string())
    }

    /// Acts as a service that finds the tokens it is about to sign already covered.
    async fn look_again(&mut self, name: &str) -> Said {
        let grant =
            renew_grant(&self.granted[name], &self.session(name).await, &self.policy).map_err(refused)?;
        Ok(format!("signed anew: {}", self.give(name, &grant)))
    }

    async fn deactivate(&mut self, account: &str) -> Said {
        let loaded = self.account(account).await;
        let account = loaded.account.ok_or_else(|| refused(Refusal::NoActiveAccount))?;
        let fields = AccountFields {
            state: Some(AccountState::Deactivated { at: self.now }),
            ..AccountFields::default()
        };
        let edit = edit_account(
            &account,
            EndCause::Deactivated,
            fields,
            Actor::Operator.into(),
            &self.policy,
            &self.scopes,
            self.now,
        );
        self.write(Change::EditAccount(Box::new(edit))).await.map(|_| "deactivated".into())
    }

    /// Acts as a system that says how the account should be. Answers the events that follow.
    async fn provision(&mut self, account: &str, values: &[&str]) -> Said {
        let account = self.account(account).await.account.ok_or_else(|| refused(Refusal::NoActiveAccount))?;
        let mut wanted = Provisioning::default();
        for value in values {
            match value.split_once('=').expect("name=value") {
                ("name", name) => wanted.username = Name::parse(name).ok(),
                ("address", "none") => wanted.email = Some(None),
                ("address", email) => wanted.email = Some(Email::parse(email).ok()),
                ("confirmed", email) => {
                    let email = Email::parse(email).expect("an address");
                    wanted.email = Some(Some(Email { verified_at: Some(self.now), ..email }));
                }
                ("hash", "none") => wanted.password = Some(None),
                ("mark", mark) => wanted.mark = Some(SiteMark { mark: mark.into(), before: None }),
                ("before", before) => {
                    let mark = wanted.mark.take().ok_or("a mark comes before the former one")?;
                    wanted.mark = Some(SiteMark { before: Some(before.into()), ..mark });
                }
                ("hash", hash) => wanted.password = Some(Some(PasswordHash::new(hash.into()))),
                ("claims", "none") => wanted.claims = Some(CustomClaims::default()),
                ("role", role) => {
                    wanted.claims = CustomClaims::new(&[("role".into(), role.into())]).ok();
                }
                ("state", "active") => wanted.state = Some(NewState::Active),
                ("state", "deactivated") => wanted.state = Some(NewState::Deactivated),
                other => return Err(format!("unknown value: {other:?}")),
            }
        }
        let by = Actor::Operator.into();
        let edits = provision(&account, &wanted, &by, &self.policy, &self.scopes, self.now)
            .map_err(|MarkDiffers| "refused: another mark".to_owned())?;
        let events: Vec<_> = edits.iter().map(|edit| edit.event.as_str()).collect();
        let edits = edits.into_iter().map(|edit| Change::EditAccount(Box::new(edit)));
        self.write(Change::Together(edits.collect())).await?;
        Ok(if events.is_empty() { "nothing written".into() } else { events.join(", ") })
    }

    async fn end_everything(&mut self) -> Said {
        let cause = Cause { reason: Reason::Revoked, actor: Actor::Operator };
        self.write(end_everything(&cause, &self.scopes, self.now)).await.map(|_| "ended".into())
    }

    /// Acts as a verifier that reads the published keys, from which the only key has gone.
    fn stop_publishing(&mut self) -> Said {
        let longest = self.policy.tokens.longest_lifetime_ever;
        self.ring = KeyRing::new(2, Vec::new()).succeeding(&self.ring, longest, self.now);
        Ok("ok".into())
    }

    async fn revoke_key(&mut self) -> Said {
        let (kid, secret) = (self.key.verifying().kid().clone(), Sealed(Vec::new()));
        let key = KeyRecord {
            kid: kid.clone(),
            algorithm: Algorithm::EdDsa,
            state: KeyState::Current,
            secret: secret.clone(),
            created_at: self.now,
            source: KeySource::Made,
        };
        self.write(Change::AddKey { key, replaces: None, actor: Actor::Operator }).await?;
        let (sessions, actor) = (RevokedKeySessions::Continue, Actor::Operator);
        let change = revoke_keys(vec![(kid, secret)], None, sessions, actor, &self.scopes, self.now);
        self.write(change).await.map(|_| "revoked".into())
    }

    /// Checks a token as a verifier that has the whole log.
    async fn verify_token(&self, text: &str, purpose: TokenType) -> Said {
        let entries = self.store.entries_after(Seq::ZERO, 1000).await.expect("the log");
        let mut revoked = Revoked::empty(Seq::start_of(1), quash_core::watch::feed::EMPTY);
        entries.iter().try_for_each(|entry| revoked.follow(entry)).expect("a log without gaps");
        let (policy, purposes) = (&self.policy.tokens, &[purpose]);
        let Ok(token) = authenticate(text, &self.ring, &policy.names, &self.scopes) else {
            let refusal =
                refuse_unknown(text, &self.ring, &self.scopes, purposes, policy, &revoked, self.now);
            return Err(refused(refusal));
        };
        match admit(token.into(), purposes, policy, &revoked, self.now) {
            Ok(_) => Ok("live".into()),
            Err(Verdict::Refused(refusal)) => Err(refused(refusal)),
            Err(Verdict::Behind { .. }) => Err("behind".into()),
        }
    }

    /// Signs a token with the real key that no honest issuer would sign.
    fn forge(&mut self, token: &str, change: impl FnOnce(&mut quash_core::token::Claims)) -> Said {
        let mut claims = self.authentic(&self.refresh[token]).claims().clone();
        change(&mut claims);
        let forged = self.key.sign(&claims.to_json(&self.policy.tokens.names)).expect("a signature");
        let (name, _) = token.split_once('/').expect("session/generation");
        self.refresh.insert(format!("{name}/forged"), forged);
        Ok(format!("{name}/forged"))
    }

    fn compare(&self, words: &[&str]) -> Said {
        match words {
            [one, "and", other, "the", "same", "text"] => {
                Ok(if self.refresh[*one] == self.refresh[*other] { "yes" } else { "no" }.into())
            }
            _ => Err("unknown comparison".into()),
        }
    }

    /// Mints a grant. The previous token of the same generation is kept under a name of its own.
    fn give(&mut self, name: &str, grant: &Grant) -> String {
        self.granted.insert(name.into(), grant.clone());
        let minting = Minting {
            policy: &self.policy.tokens,
            key: &self.key,
            refresh_key: &self.refresh_key,
            secret: &self.secret,
        };
        match (mint(grant, minting, self.now, &self.entropy).expect("signatures"), grant.tokens) {
            (Issued::Access { access }, _) => {
                self.access.insert(name.into(), access);
                "access alone".into()
            }
            (Issued::Both { access, refresh }, Tokens::Both(stamp)) => {
                self.access.insert(name.into(), access);
                let token = format!("{name}/{}", stamp.generation);
                if let Some(before) = self.refresh.insert(token.clone(), refresh) {
                    self.refresh.insert(format!("{token}-before"), before);
                }
                format!("access and {token}")
            }
            (Issued::Sliding { token }, _) => {
                if let Some(before) = self.refresh.insert(name.into(), token) {
                    self.refresh.insert(format!("{name}-before"), before);
                }
                format!("sliding {name}")
            }
            (Issued::Both { .. }, _) => unreachable!("both come from a stamp"),
        }
    }

    fn presented(&self, token: &str) -> Result<PresentedRefresh, String> {
        match TokenRequest::new(
            &self.authentic(&self.refresh[token]),
            TokenType::Refresh,
            &self.policy.tokens,
            self.now,
        )
        .map_err(refused)?
        {
            TokenRequest::Refresh(presented) => Ok(presented),
            other => panic!("a refresh token of ours: {other:?}"),
        }
    }

    fn presented_sliding(&self, token: &str) -> Result<PresentedSliding, String> {
        match TokenRequest::new(
            &self.authentic(&self.refresh[token]),
            TokenType::Sliding,
            &self.policy.tokens,
            self.now,
        )
        .map_err(refused)?
        {
            TokenRequest::Sliding(presented) => Ok(presented),
            other => panic!("a sliding token of ours: {other:?}"),
        }
    }

    fn authentic(&self, text: &str) -> Authentic {
        authenticate(text, &self.ring, &self.policy.tokens.names, &self.scopes).expect("a token of ours")
    }

    async fn seed_of(&self, token: &str) -> [u8; 16] {
        let (name, _) = token.split_once('/').expect("session/generation");
        self.session(name).await.found.expect("a session").0.seed
    }

    async fn account(&self, name: &str) -> AccountLoaded {
        self.store.account(&AccountBy::Name(name.into()), self.now).await.expect("the store")
    }

    async fn session(&self, name: &str) -> SessionLoaded {
        self.store.session(self.sessions[name]).await.expect("the store")
    }

    async fn write(&self, change: Change) -> Result<Receipt, String> {
        self.store.commit(change).await.map_err(|error| match error {
            StoreError::Conflict => "conflict: load and decide again".into(),
            other => other.to_string(),
        })
    }
}

fn refused(refusal: Refusal) -> String {
    match refusal {
        Refusal::TokenRevoked(Some(reason)) => format!("refused: ended ({})", reason.as_str()),
        Refusal::TokenRevoked(None) => "refused: revoked".into(),
        Refusal::TokenInvalid(invalid) => format!("refused: {invalid}"),
        Refusal::TokenExpired => "refused: expired".into(),
        Refusal::NoActiveAccount => "refused: no active account".into(),
        Refusal::BadCredentials => "refused: bad credentials".into(),
        other => format!("refused: {other:?}"),
    }
}

fn parse_span(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("a number");
    Duration::from_secs(match unit {
        "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        "d" => number * 86_400,
        other => panic!("no unit: {other}"),
    })
}
