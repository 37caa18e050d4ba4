//! Verifying: whether a token would be taken, without consequences.

use quash_core::decide::{Presented, recheck_presented};
use quash_core::model::Refusal;
use quash_core::token::TokenType;

use crate::desk::Service;
use crate::failure::Failure;

impl Service {
    /// Whether a token of either type holds now. A spent refresh token doesn't, and nothing ends because of it.
    ///
    /// # Errors
    /// The token is refused, or can't be judged now.
    pub async fn verify(&self, text: &str) -> Result<(), Failure> {
        let desk = &*self.desk;
        let token = desk.guard.authenticate(text)?;
        let now = desk.clock.now();
        match token.claims().token_type {
            Some(TokenType::Refresh) => {
                let presented = Presented::new(&token, &desk.policy.tokens, now)?;
                let loaded = desk.store.session(presented.session).await?;
                match recheck_presented(&presented, &loaded, &desk.policy, &desk.keys.refresh) {
                    Ok(()) => Ok(()),
                    Err(refusal) => Err(desk.explain(refusal, &loaded).await),
                }
            }
            Some(TokenType::Access) => {
                let refusal = match desk.guard.check(text, TokenType::Access).await {
                    Ok(_) => return Ok(()),
                    Err(quash_verify::Denied::Refused(refusal @ Refusal::TokenRevoked(_))) => refusal,
                    Err(denied) => return Err(denied.into()),
                };
                let (session, _) = token.place()?;
                let loaded = desk.store.session(session).await?;
                Err(desk.explain(refusal, &loaded).await)
            }
            None => {
                token.check_for_any_purpose(&desk.policy.tokens, now)?;
                Err(Failure::Refused(Refusal::TokenOfWrongType))
            }
        }
    }
}
