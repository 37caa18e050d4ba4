//! The users' actions: they sign in, refresh, end sessions, and sometimes wait until that is in force
//! everywhere.

use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::{Device, RevokedKeySessions};
use quash_core::model::{Actor, Clock, EndCause, Kid, Reason, Seq, SessionId, Subject};
use quash_core::token::Issued;
use quash_service::{DeviceTokenInput, Service, Takeover};

use crate::chance::Chance;
use crate::journal::{Ended, Token};
use crate::other_issuer;
use crate::time::Issuers;
use crate::wait::pass;
use crate::world::{PEOPLE, World};

/// Sessions, each with a refresh token that may be its newest.
type Sessions = Vec<(SessionId, String)>;

impl World {
    /// Runs one user, who does one action after the other.
    pub(crate) async fn live(self: Arc<Self>, chance: Chance, until: Duration) {
        let (mut sessions, mut hunts) = (Sessions::new(), Vec::new());
        while self.time.now() < until {
            pass(chance.millis(u64::try_from(self.temper.between_deeds.as_millis()).expect("short"))).await;
            let (life, Some(service)) = self.service() else { continue };
            for (what, seq) in self.do_something(life, &service, &mut sessions, &chance).await {
                self.hunt_everywhere(what, seq, &chance, &mut hunts).await;
            }
        }
        for hunt in hunts {
            hunt.await.expect("nobody has found something");
        }
    }

    /// Runs one action, which may end something.
    async fn do_something(
        &self,
        life: u64,
        service: &Service,
        sessions: &mut Sessions,
        chance: &Chance,
    ) -> Vec<(Ended, Seq)> {
        let name = *chance.pick(&PEOPLE).expect("there are some");
        match chance.below(13) {
            0..=5 => {
                let refresh =
                    if chance.once_in(3) { sessions.pop().map(|(_, refresh)| refresh) } else { None };
                let refresh = refresh.unwrap_or_else(|| {
                    other_issuer::token(name, Issuers(Arc::clone(&self.time)).now(), &chance.jti())
                });
                let (device, input) = (Device::default(), DeviceTokenInput::Unsupported);
                let refreshed = self.while_alive(life, service.refresh(&refresh, &device, &input)).await;
                if let Some(Ok(Issued::Both { access, refresh })) = refreshed {
                    sessions.extend(self.gives(service, &access).map(|session| (session, refresh)));
                }
            }
            6..=8 => {
                let Some((session, refresh)) = sessions.pop() else { return Vec::new() };
                let ended = async { service.blacklist(&refresh).await.ok()?.seq };
                return self.while_ending(life, vec![Ended::Session(session)], ended).await;
            }
            9 | 10 => {
                let subject = Subject::parse(name).expect("a subject");
                let (cause, by) = (EndCause::AccountRevoked, Actor::Operator);
                let ended = async { service.end_account(&subject, cause, by).await.ok()?.seq };
                return self.while_ending(life, vec![Ended::Subject(name.into())], ended).await;
            }
            11 if chance.once_in(4) => {
                let ended =
                    async { service.end_everything(Reason::Revoked, Actor::Operator).await.ok()?.seq };
                return self.while_ending(life, vec![Ended::Everything], ended).await;
            }
            12 if chance.once_in(2) => {
                let takeover = if chance.once_in(2) { Takeover::Now } else { Takeover::Announced };
                // There may be too many keys.
                let _ = self.while_alive(life, service.rotate_key(takeover, Actor::Operator)).await;
            }
            12 => {
                let Some(kid) = self.newest_kid() else { return Vec::new() };
                self.journal.lock().expect("no panic").strikes(kid.clone());
                let (sessions, by) = (RevokedKeySessions::Continue, Actor::Operator);
                let struck = async { service.revoke_key(&kid, sessions, by).await.ok()?.seq };
                return self.while_ending(life, vec![Ended::Key(kid.clone())], struck).await;
            }
            _ => {}
        }
        Vec::new()
    }

    /// The key that signed the newest of quash's own tokens.
    fn newest_kid(&self) -> Option<Kid> {
        self.journal.lock().expect("no panic").given().iter().rev().find_map(|given| match &given.token {
            Token::Own { kid, .. } => Some(kid.clone()),
            Token::Shop { .. } => None,
        })
    }

    /// Records an issued token, unless its key has been revoked meanwhile.
    fn gives(&self, service: &Service, access: &str) -> Option<SessionId> {
        let token = service.guard().authenticate_now(access).ok()?;
        self.journal.lock().expect("no panic").gives(&token, access);
        token.session_and_rsq().ok().map(|(session, _)| session)
    }
}
