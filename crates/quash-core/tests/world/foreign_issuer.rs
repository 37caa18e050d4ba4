//! Another issuer, whose tokens the stories present: its signing, and the treatment of its tokens here.

use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::{
    Device, ForeignEnd, PresentedForeign, TokenRequest, end_foreign, refresh_foreign, refresh_foreign_sliding,
};
use quash_core::model::{Change, ForeignLoaded, ForeignTokens, ScopeHasher, Timestamp};
use quash_core::token::{Algorithm, Claims, Expected, ForeignKey, Issuer, SigningKey, TokenType};
use quash_store::Store;
use serde_json::json;

use super::{Said, World, refused};

pub(crate) struct ForeignIssuer {
    key: SigningKey,
    issuer: Arc<Issuer>,
}

impl ForeignIssuer {
    pub(super) fn new(scopes: &ScopeHasher) -> Self {
        let issuer = Issuer {
            name: "elsewhere".into(),
            scopes: scopes.clone(),
            max_lifetime: Duration::from_secs(7 * 86_400),
            iss: Expected::Anything,
            aud: Expected::Anything,
            namespace: None,
            dropped: Vec::new(),
        };
        let key = SigningKey::new(Algorithm::Es256, &pkcs8(), None).expect("a key");
        Self { key, issuer: Arc::new(issuer) }
    }

    /// The issuer's key, which its tokens name.
    pub(super) fn key(&self) -> ForeignKey {
        let key = self.key.verifying().clone();
        ForeignKey { token_kid: Some(key.kid().clone()), key, issuer: Arc::clone(&self.issuer) }
    }

    /// Returns whether this issuer has signed a token.
    pub(super) fn signed(&self, text: &str) -> bool {
        let header = self.key.sign(b"{}").expect("a signature");
        text.split('.').next() == header.split('.').next()
    }
}

impl World {
    pub(super) fn take_foreign(&mut self, word: &str) -> Said {
        self.policy.tokens.foreign = match word {
            "accepted" => ForeignTokens::Accept,
            "rejected" => ForeignTokens::Reject,
            span => ForeignTokens::Until(self.now + super::parse_span(span)),
        };
        Ok("ok".into())
    }

    /// Signs a token of the other issuer, valid for a day.
    pub(super) fn sign_foreign(&mut self, token_type: TokenType, account: &str, token: &str) -> Said {
        let until = |span: Duration| Some((self.now + span).as_secs());
        let claims = Claims {
            token_type: Some(token_type),
            exp: until(Duration::from_secs(if token_type == TokenType::Sliding { 300 } else { 86_400 })),
            refresh_exp: (token_type == TokenType::Sliding)
                .then(|| until(Duration::from_secs(86_400)))
                .flatten(),
            iat: Some(self.now.as_secs()),
            jti: Some(format!("jti of {token}")),
            user_id: Some(account.into()),
            custom: vec![("plan".into(), json!("gold"))],
            ..Claims::default()
        };
        let text =
            self.foreign_issuer.key.sign(&claims.to_json(&self.policy.tokens.names)).expect("a signature");
        self.refresh.insert(token.into(), text);
        Ok("ok".into())
    }

    pub(super) async fn foreign(&self, text: &str) -> Result<ForeignLoaded, String> {
        let presented = self.presented_foreign(text)?;
        let loaded = self
            .store
            .foreign(presented.key, &presented.scopes, presented.user, presented.account.as_ref(), self.now)
            .await;
        Ok(loaded.expect("the store"))
    }

    pub(super) async fn commit_adoption(&mut self, name: &str, token: &str, loaded: &ForeignLoaded) -> Said {
        let text = self.refresh[token].clone();
        let presented = self.presented_foreign(&text)?;
        let exchange = if self.authentic(&text).claims().token_type == Some(TokenType::Sliding) {
            refresh_foreign_sliding
        } else {
            refresh_foreign
        };
        let refreshed = exchange(
            &presented,
            loaded,
            &Device::default(),
            &self.policy,
            &self.scopes,
            self.now,
            &self.entropy,
        );
        self.apply_refresh(name, refreshed).await
    }

    pub(super) async fn log_out_foreign(&mut self, token: &str) -> Said {
        let text = self.refresh[token].clone();
        let presented = self.presented_foreign(&text)?;
        let loaded = self.foreign(&text).await?;
        let (sessions, tokens) =
            match end_foreign(&presented, &loaded, &self.policy, &self.scopes, self.now).map_err(refused)? {
                ForeignEnd::Session(end) => (vec![end], Vec::new()),
                ForeignEnd::Token(entry) => (Vec::new(), vec![entry]),
            };
        self.write(Change::EndSessions { sessions, tokens }).await.map(|_| "ended".into())
    }

    fn presented_foreign(&self, text: &str) -> Result<PresentedForeign, String> {
        let token = self.authentic(text);
        let purpose = token.claims().token_type.expect("a type");
        match TokenRequest::new(&token, purpose, &self.policy.tokens, self.now).map_err(refused)? {
            TokenRequest::Foreign(presented) => Ok(presented),
            other => panic!("a token of the other issuer: {other:?}"),
        }
    }
}

/// A P-256 key, the same for every story: PKCS #8 around a scalar of ones and its point.
fn pkcs8() -> Vec<u8> {
    let scalar = [1; 32];
    let mut sec1 = vec![0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20];
    sec1.extend(scalar);
    let mut der = vec![0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13];
    der.extend([
        0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
        0x01, 0x07,
    ]);
    der.extend([0x04, 0x27]);
    der.extend(sec1);
    der
}

/// The time at which every story begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
