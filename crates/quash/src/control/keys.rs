//! Changes of signing keys by an operator.

use quash_core::decide::{KeyRefusal, RevokedKeySessions};
use quash_core::model::{Actor, KeyState, Kid};
use quash_service::{ChangedKey, Ended, KeyChangeFault, KeyRevoked, Service, Takeover};
use serde::{Deserialize, Serialize};

use super::lookup::shown_end;
use super::messages;
use super::replies::EndedShown;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// A key that was rotated or retired.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ChangedKeyShown {
    pub(crate) kid: String,
    /// `next`, `current`, or `null` if the key was removed.
    pub(crate) state: Option<String>,
    /// The time of publication of a next key.
    pub(crate) next_since: Option<Moment>,
}

/// A revoked key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RevokedKeyShown {
    #[serde(flatten)]
    pub(crate) ended: EndedShown,
    /// The key that signs now; `null` if none signs until the settings name another.
    pub(crate) signs: Option<String>,
    /// `true` if all existing sessions ended with it.
    pub(crate) sessions_ended: bool,
}

/// Rotates the signing key.
///
/// # Errors
/// The rotation is refused, or the store fails.
pub(super) async fn rotate(service: &Service, takeover: Takeover) -> Result<ChangedKeyShown, CommandError> {
    service.rotate_key(takeover, Actor::Operator).await.map(changed_key).map_err(|fault| not_changed(&fault))
}

/// Removes a key that is no longer needed.
///
/// # Errors
/// The key doesn't exist or is still needed, or the store fails.
pub(super) async fn retire(service: &Service, kid: &str) -> Result<ChangedKeyShown, CommandError> {
    service
        .retire_key(&parsed(kid)?, Actor::Operator)
        .await
        .map(changed_key)
        .map_err(|fault| not_changed(&fault))
}

/// Revokes a key.
///
/// # Errors
/// The key doesn't exist or is revoked already, or the store fails.
pub(super) async fn revoke(
    service: &Service,
    kid: &str,
    sessions: RevokedKeySessions,
) -> Result<RevokedKeyShown, CommandError> {
    let revoked = service.revoke_key(&parsed(kid)?, sessions, Actor::Operator).await;
    let KeyRevoked { seq, signs } = revoked.map_err(|fault| not_changed(&fault))?;
    let ended = shown_end(service, "key", Some(kid.to_owned()), Ended { seq });
    Ok(RevokedKeyShown {
        ended,
        signs: signs.map(|kid| kid.to_string()),
        sessions_ended: sessions == RevokedKeySessions::End,
    })
}

fn changed_key(changed: ChangedKey) -> ChangedKeyShown {
    let next_since = match changed.state {
        Some(KeyState::Next { since }) => Some(Moment(since)),
        _ => None,
    };
    ChangedKeyShown {
        kid: changed.kid.to_string(),
        state: changed.state.map(|state| state.as_str().to_owned()),
        next_since,
    }
}

fn parsed(kid: &str) -> Result<Kid, CommandError> {
    Kid::parse(kid).map_err(|_| unknown())
}

fn unknown() -> CommandError {
    CommandError::new(Exit::NotFound, "this server has no such key")
        .hint("`quash key list` shows its keys; remove another issuer's key under [foreign] in the settings")
}

/// Describes a refused change of a key.
fn not_changed(fault: &KeyChangeFault) -> CommandError {
    let conflict = |hint: &str| CommandError::new(Exit::Conflict, fault.to_string()).hint(hint);
    match fault {
        KeyChangeFault::Failed(quash_service::Failure::Unavailable(fault)) => messages::unavailable(fault),
        KeyChangeFault::Failed(quash_service::Failure::Refused(_)) => {
            CommandError::failure(fault.to_string())
        }
        KeyChangeFault::Refused(KeyRefusal::Unknown) => unknown(),
        KeyChangeFault::Refused(KeyRefusal::NamedBySettings) => conflict(
            "set another in tokens.signing_key or tokens.signing_key_file, and restart the server: the old one keeps verifying",
        ),
        KeyChangeFault::Refused(KeyRefusal::TooMany) => {
            conflict("wait until the last tokens of the oldest key have expired")
        }
        KeyChangeFault::Refused(KeyRefusal::Signs) => {
            conflict("run `quash key rotate` first, so that another key signs")
        }
        KeyChangeFault::Refused(KeyRefusal::StillVerifies { until }) => {
            let message = format!(
                "tokens that the key has signed may be valid until {}",
                Moment(*until).to_the_second()
            );
            CommandError::new(Exit::Conflict, message).hint(
                "the key is removed automatically after that; to end its tokens now, run `quash revoke key`",
            )
        }
        KeyChangeFault::Refused(KeyRefusal::Revoked { at }) => CommandError::new(
            Exit::Conflict,
            format!("the key was revoked at {}", Moment(*at).to_the_second()),
        ),
    }
}
