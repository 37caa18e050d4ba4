//! Signing in.

use std::net::IpAddr;

use quash_core::decide::{Device, Kind, judge_sign_in, open_session};
use quash_core::model::{DeviceId, Refusal};
use quash_core::token::Issued;
use zeroize::Zeroizing;

use crate::context::Service;
use crate::failure::Failure;
use crate::known::{DeviceSaid, DeviceToken};
use crate::retry::retry;
use crate::use_cases::session::prove::{Proof, Proven};

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
    /// What the client says of its device token.
    pub device_token: DeviceSaid,
}

/// What a sign-in gives.
pub struct SignedIn {
    /// The session's tokens.
    pub tokens: Issued,
    /// What its device is known by from then on, where the client keeps that.
    pub device_token: Option<DeviceToken>,
}

impl Service {
    /// Opens a session. Whatever is wrong with the attempt, exactly one hash is spent on it, and the answer doesn't
    /// tell which of name, password and account it was. One that succeeds spends a second where the account's hash is
    /// outdated. A client that keeps device tokens gets one, or the one back that it has. Whoever is refused for an address that nobody has confirmed is mailed what to confirm it with.
    ///
    /// # Errors
    /// The attempt is refused, or can't be judged now.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<SignedIn, Failure> {
        let signed_in = self.signed_in(attempt).await;
        self.desk.metrics.attempted(&signed_in);
        signed_in
    }

    async fn signed_in(&self, attempt: Attempt) -> Result<SignedIn, Failure> {
        let desk = &*self.desk;
        desk.can_sign().await?;
        let Attempt { kind, name, password, device, network, device_token } = attempt;
        let wants_one = !matches!(device_token, DeviceSaid::Nothing);
        let (by, folded) = desk.called(&name);
        let mut proof = Proof::new(by.clone(), folded, password, network, device_token);
        retry!({
            let proven = desk.prove(&mut proof, judge_sign_in).await;
            if let Err(Failure::Refused(Refusal::EmailNotVerified)) = proven {
                desk.remind(&by).await;
            }
            let Proven { started, loaded, account, rehash, known_device } = proven?;
            desk.quotas.check(&account.subject, desk.clock.uptime())?;
            let knows = known_device.or_else(|| wants_one.then(|| DeviceId::random(&*desk.entropy)));
            let scopes = desk.guard.scopes();
            let opened = open_session(
                kind,
                &loaded,
                &account,
                rehash,
                &device,
                known_device,
                knows,
                &desk.policy,
                scopes,
                started,
                &*desk.entropy,
            );
            let opened = opened.inspect_err(|_| {
                tracing::warn!(subject = %account.subject, "an account lacks the field that tokens call it by, and can't sign in");
            })?;
            desk.commit_and_announce(opened.change).await?;
            let tokens = desk.issue(opened.grant, started).await?;
            let device_token = knows.map(|device| desk.device_key.token(device, &account.subject));
            Ok(SignedIn { tokens, device_token })
        })
    }
}
