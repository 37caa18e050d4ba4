//! Signing in.

use std::net::IpAddr;

use quash_core::decide::{Device, Kind, judge_sign_in, open_session};
use quash_core::model::Refusal;
use quash_core::token::Issued;
use zeroize::Zeroizing;

use crate::desk::Service;
use crate::failure::{Conflicts, Failure};
use crate::prove::{Proof, Proven};

/// An attempt to sign in.
pub struct Attempt {
    /// What kind of tokens it is to give.
    pub kind: Kind,
    /// The name, as typed.
    pub name: String,
    /// The password, as received: never trimmed, never cut.
    pub password: Zeroizing<String>,
    /// What the client tells about itself.
    pub device: Device,
    /// The network it comes from, if its places in the queue are to be counted.
    pub network: Option<IpAddr>,
}

impl Service {
    /// Opens a session. Whatever is wrong with the attempt, exactly one hash is spent on it, and the answer doesn't
    /// tell which of name, password and account it was. One that succeeds spends a second where the account's hash is
    /// outdated. Whoever is refused for an address that nobody has confirmed is mailed what to confirm it with.
    ///
    /// # Errors
    /// The attempt is refused, or can't be judged now.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<Issued, Failure> {
        let desk = &*self.desk;
        let Attempt { kind, name, password, device, network } = attempt;
        let (by, folded) = desk.called(&name);
        let mut proof = Proof::new(by.clone(), folded, password, network);
        let mut conflicts = Conflicts::default();
        loop {
            let proven = desk.prove(&mut proof, judge_sign_in).await;
            if let Err(Failure::Refused(Refusal::EmailNotVerified)) = proven {
                desk.remind(&by).await;
            }
            let Proven { started, loaded, account, rehash } = proven?;
            let scopes = desk.guard.scopes();
            let opened = open_session(kind, &loaded, &account, rehash, &device, &desk.policy, scopes, started, &*desk.entropy);
            let opened = opened.inspect_err(|_| {
                tracing::warn!(subject = %account.subject, "an account lacks the field that tokens call it by, and can't sign in");
            })?;
            match desk.commit_and_announce(opened.change).await {
                Ok(_) => return desk.issue(opened.grant, started).await,
                Err(error) => conflicts.again(error)?,
            }
        }
    }
}
