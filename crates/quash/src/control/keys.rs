//! What is done with keys at an operator's word.

use quash_core::decide::{KeyRefusal, StruckSessions};
use quash_core::model::{Actor, KeyState, Kid};
use quash_service::{Ended, KeyTurnFault, Service, Struck, Takeover, TurnedKey};
use serde::{Deserialize, Serialize};

use super::found::shown_end;
use super::shown::{EndedShown, key_state};
use super::words;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// A key that was turned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct TurnedKeyShown {
    /// Its id.
    pub(crate) kid: String,
    /// How it stands now: `next`, `current` or, where it is gone, `null`.
    pub(crate) state: Option<String>,
    /// Since when it is next.
    pub(crate) next_since: Option<Moment>,
}

/// A key that was struck.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct StruckKeyShown {
    /// What was ended.
    #[serde(flatten)]
    pub(crate) ended: EndedShown,
    /// The key that signs now; `null`: none does until the settings name another.
    pub(crate) signs: Option<String>,
    /// Whether the sessions of before ended with it.
    pub(crate) sessions_ended: bool,
}

/// Lets another key sign.
///
/// # Errors
/// It can't be done.
pub(super) async fn rotate(service: &Service, takeover: Takeover) -> Result<TurnedKeyShown, CommandError> {
    service.rotate_key(takeover, Actor::Operator).await.map(shown).map_err(|fault| not_turned(&fault))
}

/// Drops a key.
///
/// # Errors
/// It can't be done.
pub(super) async fn retire(service: &Service, kid: &str) -> Result<TurnedKeyShown, CommandError> {
    service.retire_key(&parsed(kid)?, Actor::Operator).await.map(shown).map_err(|fault| not_turned(&fault))
}

/// Strikes a key.
///
/// # Errors
/// It can't be done.
pub(super) async fn strike(
    service: &Service,
    kid: &str,
    sessions: StruckSessions,
) -> Result<StruckKeyShown, CommandError> {
    let struck = service.strike_key(&parsed(kid)?, sessions, Actor::Operator).await;
    let Struck { seq, signs } = struck.map_err(|fault| not_turned(&fault))?;
    let ended = shown_end(service, "key", Some(kid.to_owned()), Ended { seq });
    Ok(StruckKeyShown {
        ended,
        signs: signs.map(|kid| kid.to_string()),
        sessions_ended: sessions == StruckSessions::End,
    })
}

fn shown(turned: TurnedKey) -> TurnedKeyShown {
    let next_since = match turned.state {
        Some(KeyState::Next { since }) => Some(Moment(since)),
        _ => None,
    };
    TurnedKeyShown {
        kid: turned.kid.to_string(),
        state: turned.state.map(|state| key_state(state).to_owned()),
        next_since,
    }
}

fn parsed(kid: &str) -> Result<Kid, CommandError> {
    Kid::parse(kid).map_err(|_| unknown())
}

fn unknown() -> CommandError {
    CommandError::new(Exit::NotFound, "there is no such key among those of this server")
        .hint("`quash key list` shows them; another issuer's is taken away under [foreign] in the settings")
}

/// Why no key was turned.
fn not_turned(fault: &KeyTurnFault) -> CommandError {
    let conflict = |hint: &str| CommandError::new(Exit::Conflict, fault.to_string()).hint(hint);
    match fault {
        KeyTurnFault::Failed(quash_service::Failure::Unavailable(fault)) => words::unavailable(fault),
        KeyTurnFault::Failed(quash_service::Failure::Refused(_)) => CommandError::failure(fault.to_string()),
        KeyTurnFault::Refused(KeyRefusal::Unknown) => unknown(),
        KeyTurnFault::Refused(KeyRefusal::NamedBySettings) => conflict(
            "name another in tokens.signing_key or tokens.signing_key_file, and start the server again: the old one goes on verifying",
        ),
        KeyTurnFault::Refused(KeyRefusal::TooMany) => {
            conflict("wait until the last tokens of the oldest have expired")
        }
        KeyTurnFault::Refused(KeyRefusal::Signs) => conflict("`quash key rotate` lets another one sign"),
        KeyTurnFault::Refused(KeyRefusal::StillVerifies { until }) => {
            let message =
                format!("tokens that the key has signed may hold until {}", Moment(*until).to_the_second());
            CommandError::new(Exit::Conflict, message)
                .hint("it goes by itself after that; if it must end now, `quash revoke key` ends what it has signed")
        }
        KeyTurnFault::Refused(KeyRefusal::Struck { at }) => CommandError::new(
            Exit::Conflict,
            format!("the key was revoked at {}", Moment(*at).to_the_second()),
        ),
    }
}
