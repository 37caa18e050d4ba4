//! Device tokens: a client sends one to show that an account has signed in on this device before. `lockout`
//! defines a known device's privileges, `quash-core` the set of known devices.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use quash_core::hex;
use quash_core::model::{Account, DeviceId, Subject};
use zeroize::Zeroizing;

/// A device token: the device's id and its MAC. It authenticates no user; it only identifies the device of an
/// attempt.
#[derive(Clone)]
pub struct DeviceToken(Zeroizing<String>);

/// The client's part in device tokens.
#[derive(Clone, Debug, Default)]
pub enum DeviceTokenInput {
    /// The client doesn't keep device tokens.
    #[default]
    Unsupported,
    /// The client has no device token, and would keep one.
    Missing,
    /// The client sent this token.
    Presented(DeviceToken),
}

/// The key of device tokens' MACs.
pub(crate) struct DeviceKey(hmac::Key);

/// The length of the id, in characters. The rest is a MAC in hex.
const ID: usize = 32;

impl DeviceToken {
    /// Wraps any text as a token, unchecked.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(..)")
    }
}

impl DeviceKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, secret))
    }

    /// The token of an account's device.
    pub(crate) fn token(&self, device: DeviceId, subject: &Subject) -> DeviceToken {
        let mac = hmac::sign(&self.0, &message(device, subject));
        let mut text = Zeroizing::new(device.to_string());
        text.push_str(&Zeroizing::new(hex::encode(mac.as_ref())));
        DeviceToken(text)
    }

    /// The device whose token the client sent, if the account knows it. A device that the account has
    /// forgotten isn't known.
    pub(crate) fn presented(&self, device_token: &DeviceTokenInput, account: &Account) -> Option<DeviceId> {
        let DeviceTokenInput::Presented(token) = device_token else { return None };
        self.device(token, &account.subject).filter(|device| account.devices.contains(*device))
    }

    /// The account's device that a token authenticates. `None` if the token is another account's or invalid.
    pub(crate) fn device(&self, token: &DeviceToken, subject: &Subject) -> Option<DeviceId> {
        let (id, mac) = token.0.split_at_checked(ID)?;
        let device: DeviceId = id.parse().ok()?;
        hmac::verify(&self.0, &message(device, subject), &hex::decode::<32>(mac)?).ok().map(|()| device)
    }
}

/// The id has a fixed length, so different pairs give different messages.
fn message(device: DeviceId, subject: &Subject) -> Vec<u8> {
    [device.as_bytes().as_slice(), subject.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_tokens_are_bound_to_account_and_key() {
        let key = DeviceKey::new(&[1; 32]);
        let [dana, noor] = ["dana", "noor"].map(|name| Subject::parse(name).expect("a subject"));
        let device = DeviceId::from_bytes([0xab; 16]);
        let token = key.token(device, &dana);
        assert_eq!(token.as_str().len(), 96);
        assert_eq!(key.device(&token, &dana), Some(device));
        assert_eq!(key.device(&token, &noor), None);
        assert_eq!(DeviceKey::new(&[2; 32]).device(&token, &dana), None);
        let mut others: Vec<String> = (0..96).map(|n| flipped(token.as_str(), n)).collect();
        others.extend(
            ["", "x", &token.as_str()[..95], &token.as_str().to_uppercase(), &"\u{e4}".repeat(48)]
                .map(str::to_owned),
        );
        others.push(format!("{}0", token.as_str()));
        for other in others {
            assert_eq!(key.device(&DeviceToken::new(&other), &dana), None, "{other}");
        }
        assert_eq!(format!("{token:?}"), "DeviceToken(..)");
    }

    /// The text with a different digit at one position.
    fn flipped(text: &str, place: usize) -> String {
        let flip = |(n, c): (usize, char)| if n == place { if c == '0' { '1' } else { '0' } } else { c };
        text.chars().enumerate().map(flip).collect()
    }
}
