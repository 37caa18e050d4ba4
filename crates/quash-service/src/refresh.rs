//! Refreshing.

use quash_core::decide::{Presented, Refreshed, refresh};

use crate::desk::Service;
use crate::failure::{Conflicts, Failure};

/// What a sign-in or a refresh gives. It isn't shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The access token.
    pub access: String,
    /// The refresh token; none where refreshing doesn't rotate.
    pub refresh: Option<String>,
}

impl Service {
    /// Spends a refresh token, or gives its successor again; one used out of place ends its session.
    ///
    /// # Errors
    /// The token is refused, or can't be judged now.
    pub async fn refresh(&self, token: &str) -> Result<Pair, Failure> {
        let desk = &*self.desk;
        let token = desk.guard.authenticate(token)?;
        let mut conflicts = Conflicts::default();
        loop {
            let now = desk.clock.now();
            let presented = Presented::new(&token, &desk.policy.tokens, now)?;
            let loaded = desk.store.session(presented.session).await?;
            let decided = refresh(&presented, &loaded, &desk.policy, &desk.keys.refresh, desk.guard.scopes(), now);
            let committed = match decided {
                Err(refusal) => return Err(desk.explain(refusal, &loaded).await),
                Ok(Refreshed::Answer { grant }) => return Ok(desk.mint(&grant, now)),
                Ok(Refreshed::Rotate { change, grant }) => desk.store.commit(change).await.map(|_| Ok(grant)),
                Ok(Refreshed::End { change, refusal }) => desk.commit_and_announce(change).await.map(|_| Err(refusal)),
            };
            match committed {
                Ok(Ok(grant)) => return Ok(desk.mint(&grant, now)),
                Ok(Err(refusal)) => {
                    tracing::warn!(session = %presented.session, ?refusal, "a session was ended");
                    return Err(Failure::Refused(refusal));
                }
                Err(error) => conflicts.again(error)?,
            }
        }
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(..)")
    }
}
