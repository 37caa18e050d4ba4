//! The world of the stories: the law, the memory store, a clock that only `wait` moves, and requests that can be
//! stopped between their load and their commit.

use std::collections::BTreeMap;
use std::time::Duration;

use quash_core::decide::{
    Cause, Device, Presented, Refreshed, Survival, change_password, end_account, end_everything, end_others, end_presented, judge_sign_in,
    open_session, refresh, reset_password,
};
use quash_core::model::{
    Account, AccountLoaded, AccountState, Actor, Change, Generation, Head, Name, PasswordHash, Policy, Reason, Receipt, Refusal,
    ScopeHasher, Seeded, Seq, SessionId, SessionLoaded, Subject, Timestamp,
};
use quash_core::token::{Algorithm, Authentic, Grant, KeyRing, RefreshKey, SigningKey, TokenType, authenticate, mint_access, mint_refresh};
use quash_core::watch::{Revoked, Verdict, admit};
use quash_store::{MemoryStore, Store, StoreError};

/// Everything a story can touch.
pub(crate) struct World {
    store: MemoryStore,
    policy: Policy,
    now: Timestamp,
    entropy: Seeded,
    key: SigningKey,
    ring: KeyRing,
    secret: RefreshKey,
    scopes: ScopeHasher,
    sessions: BTreeMap<String, SessionId>,
    access: BTreeMap<String, String>,
    refresh: BTreeMap<String, String>,
    under_way: BTreeMap<String, Request>,
}

/// A request that has loaded and not yet committed.
enum Request {
    SignIn { name: String, loaded: AccountLoaded },
    Refresh { name: String, token: String, loaded: SessionLoaded },
    ChangePassword { name: String, loaded: SessionLoaded },
    Others { name: String, loaded: SessionLoaded },
    Reset { loaded: AccountLoaded },
}

type Said = Result<String, String>;

impl World {
    pub(crate) fn new() -> Self {
        let key = SigningKey::new(Algorithm::EdDsa, &[1; 32], None).expect("a key");
        Self {
            store: MemoryStore::new(),
            policy: Policy::default(),
            now: Timestamp::from_secs(1_800_000_000),
            entropy: Seeded::new(7),
            ring: KeyRing::new(1, vec![key.verifying().clone()]),
            key,
            secret: RefreshKey::new(&[2; 32]),
            scopes: ScopeHasher::ours([3; 16]),
            sessions: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// Does what a command says, and tells what came of it.
    pub(crate) async fn act(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let said = match words.as_slice() {
            ["grace", span] => self.set(|policy, span| policy.rotation.grace = span, span),
            ["rotation", word] => self.set_word(|policy, on| policy.rotation.rotate = on, word),
            ["blacklist", word] => self.set_word(|policy, on| policy.rotation.blacklist = on, word),
            ["sessions", "last", span] => self.set(|policy, span| policy.sessions.absolute_lifetime = Some(span), span),
            ["at", "most", count, "sessions"] => {
                self.policy.sessions.max_per_account = count.parse().expect("a number");
                Ok("ok".into())
            }
            ["wait", span] => {
                self.now = self.now + parse_span(span);
                Ok("ok".into())
            }
            ["account", name] => self.add_account(name).await,
            ["sign", "in", account, "as", name] => self.whole(&["sign", "in", account, "as", name]).await,
            ["refresh", token] => self.whole(&["refresh", token]).await,
            ["change", "password", "at", name] => self.whole(&["change", "password", "at", name]).await,
            ["log", "out", "everywhere", "else", "at", name] => self.whole(&["log", "out", "everywhere", "else", "at", name]).await,
            ["reset", account] => self.whole(&["reset", account]).await,
            [request, "loads:", what @ ..] => self.load(request, what).await,
            [request, "commits"] => self.commit(request).await,
            [request, "reads", "the", "head", "again"] => self.reread_head(request).await,
            ["log", "out", token] => self.log_out(token).await,
            ["deactivate", account] => self.deactivate(account).await,
            ["end", "everything"] => self.end_everything().await,
            ["forge", "a", "wrong", "id", "into", token] => self.forge(token, |claims| claims.jti = Some("0".repeat(32))),
            ["forge", "generation", generation, "into", token] => {
                let generation = Generation(generation.parse().expect("a number"));
                let secret = self.secret.clone();
                let seed = self.seed_of(token).await;
                self.forge(token, move |claims| {
                    claims.generation = Some(generation);
                    claims.jti = claims.sid.map(|sid| secret.jti(sid, &seed, generation).to_string());
                })
            }
            ["use", "access", "of", name] => self.use_access(name).await,
            ["are", rest @ ..] => self.compare(rest),
            _ => Err(format!("nobody knows what this means: {command}")),
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

    async fn add_account(&mut self, name: &str) -> Said {
        let account = Account {
            subject: Subject::parse(name).expect("a subject"),
            username: Name::parse(name).expect("a name"),
            email: None,
            password: Some(PasswordHash::new("old".into())),
            state: AccountState::Active,
            sessions_before: Seq::ZERO,
            version: 1,
            created_at: self.now,
        };
        self.store.commit(Change::AddAccount(account)).await.map_err(|error| error.to_string())?;
        Ok("ok".into())
    }

    async fn load(&mut self, request: &str, what: &[&str]) -> Said {
        let loaded = match what {
            ["sign", "in", account, "as", name] => Request::SignIn { name: (*name).into(), loaded: self.account(account).await },
            ["refresh", token] => {
                let (name, _) = token.split_once('/').expect("session/generation");
                Request::Refresh { name: name.into(), token: (*token).into(), loaded: self.session(name).await }
            }
            ["change", "password", "at", name] => Request::ChangePassword { name: (*name).into(), loaded: self.session(name).await },
            ["log", "out", "everywhere", "else", "at", name] => Request::Others { name: (*name).into(), loaded: self.session(name).await },
            ["reset", account] => Request::Reset { loaded: self.account(account).await },
            other => return Err(format!("nobody knows how to load: {}", other.join(" "))),
        };
        self.under_way.insert(request.into(), loaded);
        Ok("ok".into())
    }

    /// What a careless program would do: take the newest head for one that was read first.
    async fn reread_head(&mut self, request: &str) -> Said {
        let newest = self.store.head().await.expect("a head");
        let head: &mut Head = match self.under_way.get_mut(request).expect("a request under way") {
            Request::SignIn { loaded, .. } | Request::Reset { loaded } => &mut loaded.head,
            Request::Refresh { loaded, .. } | Request::ChangePassword { loaded, .. } | Request::Others { loaded, .. } => &mut loaded.head,
        };
        head.seq = newest.seq;
        Ok("ok".into())
    }

    async fn commit(&mut self, request: &str) -> Said {
        match self.under_way.remove(request).expect("a request under way") {
            Request::SignIn { name, loaded } => {
                let account = judge_sign_in(&loaded, true, self.now).map_err(refused)?;
                let opened = open_session(&loaded, account, None, &Device::default(), &self.policy, &self.scopes, self.now, &self.entropy);
                self.write(opened.change).await?;
                self.sessions.insert(name.clone(), opened.grant.session);
                Ok(format!("opened: {}", self.give(&name, &opened.grant)))
            }
            Request::Refresh { name, token, loaded } => self.commit_refresh(&name, &token, &loaded).await,
            Request::ChangePassword { name, loaded } => {
                let new = PasswordHash::new("new".into());
                let survival = change_password(&loaded, new, &self.policy, &self.scopes, self.now).map_err(refused)?;
                self.survive(&name, survival).await
            }
            Request::Others { name, loaded } => {
                let survival = end_others(&loaded, &self.policy, &self.scopes, self.now).map_err(refused)?;
                self.survive(&name, survival).await
            }
            Request::Reset { loaded } => {
                let new = PasswordHash::new("reset".into());
                let change = reset_password(&loaded, new, Actor::Owner, &self.scopes, self.now).map_err(refused)?;
                self.write(change).await.map(|_| "reset".into())
            }
        }
    }

    async fn commit_refresh(&mut self, name: &str, token: &str, loaded: &SessionLoaded) -> Said {
        let presented = self.presented(token)?;
        match refresh(&presented, loaded, &self.policy, &self.secret, &self.scopes, self.now).map_err(refused)? {
            Refreshed::Rotate { change, grant } => {
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

    async fn survive(&mut self, name: &str, survival: Survival) -> Said {
        let receipt = self.write(survival.change.clone()).await?;
        let grant = survival.grant(receipt.seq.expect("an entry"));
        Ok(format!("all others ended: {}", self.give(name, &grant)))
    }

    async fn log_out(&mut self, token: &str) -> Said {
        let presented = self.presented(token)?;
        let (name, _) = token.split_once('/').expect("session/generation");
        let loaded = self.session(name).await;
        let end = end_presented(&presented, &loaded, &self.secret, &self.scopes, self.now).map_err(refused)?;
        self.write(Change::EndSessions { sessions: vec![end] }).await.map(|_| "ended".into())
    }

    async fn deactivate(&mut self, account: &str) -> Said {
        let loaded = self.account(account).await;
        let cause = Cause { reason: Reason::Deactivated, actor: Actor::Operator };
        let state = Some(AccountState::Deactivated { at: self.now });
        let change = end_account(&loaded, state, &cause, &self.scopes, self.now).map_err(refused)?;
        self.write(change).await.map(|_| "deactivated".into())
    }

    async fn end_everything(&mut self) -> Said {
        let cause = Cause { reason: Reason::Revoked, actor: Actor::Operator };
        self.write(end_everything(&cause, &self.scopes, self.now)).await.map(|_| "ended".into())
    }

    /// A verifier that knows the whole log meets the newest access token of a session.
    async fn use_access(&mut self, name: &str) -> Said {
        let entries = self.store.entries_after(Seq::ZERO, 1000).await.expect("the log");
        let mut revoked = Revoked::empty(Seq::start_of(1), quash_core::watch::feed::EMPTY);
        entries.iter().try_for_each(|entry| revoked.follow(entry)).expect("a log without gaps");
        let token = self.authentic(&self.access[name]);
        match admit(token.into(), TokenType::Access, &self.policy.tokens, &revoked, self.now) {
            Ok(_) => Ok("live".into()),
            Err(Verdict::Refused(refusal)) => Err(refused(refusal)),
            Err(Verdict::Behind { .. }) => Err("behind".into()),
        }
    }

    /// Signs a token that no honest signer would, with the real key.
    fn forge(&mut self, token: &str, change: impl FnOnce(&mut quash_core::token::Claims)) -> Said {
        let mut claims = self.authentic(&self.refresh[token]).claims().clone();
        change(&mut claims);
        let forged = self.key.sign(&claims.to_json(&self.policy.tokens.names));
        let (name, _) = token.split_once('/').expect("session/generation");
        self.refresh.insert(format!("{name}/forged"), forged);
        Ok(format!("{name}/forged"))
    }

    fn compare(&self, words: &[&str]) -> Said {
        match words {
            [one, "and", other, "the", "same", "text"] => Ok(if self.refresh[*one] == self.refresh[*other] { "yes" } else { "no" }.into()),
            _ => Err("nobody knows how to compare these".into()),
        }
    }

    /// Mints what was granted. The token before the newest of its generation is kept under a name of its own.
    fn give(&mut self, name: &str, grant: &Grant) -> String {
        self.access.insert(name.into(), mint_access(grant, &self.policy.tokens, &self.key, self.now, &self.entropy));
        let Some(text) = mint_refresh(grant, &self.policy.tokens, &self.key, &self.secret) else {
            return "access alone".into();
        };
        let generation = grant.refresh.expect("a stamp").generation;
        let token = format!("{name}/{generation}");
        if let Some(before) = self.refresh.insert(token.clone(), text) {
            self.refresh.insert(format!("{token}-before"), before);
        }
        format!("access and {token}")
    }

    fn presented(&self, token: &str) -> Result<Presented, String> {
        Presented::new(&self.authentic(&self.refresh[token]), &self.policy.tokens, self.now).map_err(refused)
    }

    fn authentic(&self, text: &str) -> Authentic {
        authenticate(text, &self.ring, &self.policy.tokens.names, &self.scopes).expect("a token of ours")
    }

    async fn seed_of(&self, token: &str) -> [u8; 16] {
        let (name, _) = token.split_once('/').expect("session/generation");
        self.session(name).await.found.expect("a session").0.seed
    }

    async fn account(&self, name: &str) -> AccountLoaded {
        self.store.account_by_name(name, self.now).await.expect("the store")
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
