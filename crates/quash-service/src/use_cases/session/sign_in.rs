//! Sign-in.

use std::net::IpAddr;

use quash_core::decide::{Device, Kind, judge_sign_in, open_session};
use quash_core::model::{DeviceId, Refusal};
use quash_core::token::Issued;
use zeroize::Zeroizing;

use crate::context::Service;
use crate::failure::Failure;
use crate::known_device::{DeviceToken, DeviceTokenInput};
use crate::retry::retry;
use crate::use_cases::session::prove::{Authenticated, Proof};

/// An attempt to sign in.
pub struct Attempt {
    /// The kind of tokens to issue.
    pub kind: Kind,
    /// The name, as typed.
    pub name: String,
    /// The password, as received: never trimmed, never cut.
    pub password: Zeroizing<String>,
    /// The client's description of itself.
    pub device: Device,
    /// The client's network, if its waiting attempts are to be limited.
    pub network: Option<IpAddr>,
    /// The device token that the client sent, if any.
    pub device_token: DeviceTokenInput,
}

/// The result of a sign-in.
pub struct SignedIn {
    pub tokens: Issued,
    /// Identifies the device from now on, for clients that keep device tokens.
    pub device_token: Option<DeviceToken>,
}

impl Service {
    /// Opens a session. Every attempt, whatever is wrong with it, costs exactly one hash, and the answer
    /// doesn't reveal whether the name, the password or the account was at fault. A successful attempt costs
    /// a second hash if the account's hash is outdated. A client that keeps device tokens gets a new one, or
    /// its own back. If the attempt is refused because the address is unconfirmed, the owner is sent a mail
    /// to confirm it.
    ///
    /// # Errors
    /// The attempt is refused, or can't be judged now.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<SignedIn, Failure> {
        let signed_in = self.signed_in(attempt).await;
        self.context.metrics.attempted(&signed_in);
        signed_in
    }

    async fn signed_in(&self, attempt: Attempt) -> Result<SignedIn, Failure> {
        let context = &*self.context;
        context.can_sign().await?;
        let Attempt { kind, name, password, device, network, device_token } = attempt;
        let wants_one = !matches!(device_token, DeviceTokenInput::Unsupported);
        let (by, folded) = context.resolve_login(&name);
        let mut proof = Proof::new(by.clone(), folded, password, network, device_token);
        retry!({
            let proven = context.prove(&mut proof, judge_sign_in).await;
            if let Err(Failure::Refused(Refusal::EmailNotVerified)) = proven {
                context.send_confirmation_again(&by).await;
            }
            let Authenticated { started, loaded, account, rehash, known_device } = proven?;
            context.quotas.check(&account.subject, context.clock.uptime())?;
            let assigned = known_device.or_else(|| wants_one.then(|| DeviceId::random(&*context.entropy)));
            let scopes = context.guard.scopes();
            let opened = open_session(
                kind,
                &loaded,
                &account,
                rehash,
                &device,
                known_device,
                assigned,
                &context.policy,
                scopes,
                started,
                &*context.entropy,
            );
            if opened.is_err() {
                tracing::warn!(subject = %account.subject, "refused a sign-in: the account lacks the field that tokens identify it by (tokens.user_id_field)");
            }
            let opened = opened?;
            context.commit_and_announce(opened.change).await?;
            let tokens = context.issue(opened.grant, started).await?;
            let device_token = assigned.map(|device| context.device_key.token(device, &account.subject));
            Ok(SignedIn { tokens, device_token })
        })
    }
}
