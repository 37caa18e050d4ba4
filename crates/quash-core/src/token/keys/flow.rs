//! Derivation of the links and codes in mails, and of the hashes in flows. A flow (`model/accounts/flow.rs`) is an
//! action that a mail lets its reader do once. Links and codes aren't stored: a reader of the store can't
//! make a link without the key.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::model::{Account, Digest, Email, FlowId, MailKind, PasswordHash, Purpose, Subject, fold};

/// The key that links, codes and hashes are derived with.
#[derive(Clone)]
pub struct FlowKey(hmac::Key);

/// Base32 without letters that look like digits or like each other (I, L, O, U).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The length of a code: 10 characters, or 50 bits.
const CODE_CHARS: usize = 10;
/// A link is a flow's id, followed by 32 bytes derived with the key.
const LINK_BYTES: usize = 16 + 32;

// The labels below (`link`, `matter`, `whom` and so on) are inputs of links in mails and of stored hashes.
// They must never change.
impl FlowKey {
    /// Creates a key from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The token in a flow's link: 64 characters.
    pub fn link(&self, flow: FlowId, purpose: Purpose) -> Zeroizing<String> {
        let mut link = flow.as_bytes().to_vec();
        link.extend_from_slice(&self.derive("link", &[purpose.as_str().as_bytes(), flow.as_bytes()]));
        Zeroizing::new(URL_SAFE_NO_PAD.encode(link))
    }

    /// The flow of a link, if the link is valid and for this purpose.
    pub fn flow_of(&self, link: &str, purpose: Purpose) -> Option<FlowId> {
        let bytes = URL_SAFE_NO_PAD.decode(link).ok().filter(|bytes| bytes.len() == LINK_BYTES)?;
        let flow = FlowId::from_bytes(bytes[..16].try_into().ok()?);
        let right = self.derive("link", &[purpose.as_str().as_bytes(), flow.as_bytes()]);
        verify_slices_are_equal(&bytes[16..], &right).is_ok().then_some(flow)
    }

    /// The code of a flow as shown to the user: two groups of five characters.
    pub fn code(&self, flow: FlowId, purpose: Purpose) -> Zeroizing<String> {
        let code = self.plain_code(flow, purpose);
        Zeroizing::new(format!("{}-{}", &code[..CODE_CHARS / 2], &code[CODE_CHARS / 2..]))
    }

    /// Returns whether a user typed the code of this flow.
    pub fn is_code(&self, typed: &str, flow: FlowId, purpose: Purpose) -> bool {
        let typed = Zeroizing::new(normalized_code(typed));
        verify_slices_are_equal(typed.as_bytes(), self.plain_code(flow, purpose).as_bytes()).is_ok()
    }

    /// The subject hash of an account's flow: the same for all of the account's flows with this purpose.
    pub fn subject_hash(&self, purpose: Purpose, subject: &Subject) -> Digest {
        self.digest("matter", &[purpose.as_str().as_bytes(), b"account", subject.as_str().as_bytes()])
    }

    /// The subject hash for a request that matches no account: over the typed text, folded. No flow has it.
    pub fn subject_hash_of_unknown(&self, purpose: Purpose, typed: &str) -> Digest {
        self.digest("matter", &[purpose.as_str().as_bytes(), b"nobody", typed.as_bytes()])
    }

    /// The subject hash of a decoy: a flow that is deleted in the transaction that writes it.
    pub fn subject_hash_of_decoy(&self, flow: FlowId) -> Digest {
        self.digest("decoy", &[flow.as_bytes()])
    }

    /// The recipient hash of a mail: over the kind, too. So mails are counted for each recipient and kind, and
    /// those that strangers cause never use up the ones that the recipient needs.
    pub fn recipient_hash(&self, kind: MailKind, address: &str) -> Digest {
        self.digest("whom", &[kind.as_str().as_bytes(), fold(address).as_bytes()])
    }

    /// A hash over an account's password and address. A flow is only valid while both are unchanged.
    pub fn binding(&self, account: &Account) -> Digest {
        let password = account.password.as_ref().map_or("", PasswordHash::as_str);
        let address = account.email.as_ref().map(Email::folded).unwrap_or_default();
        self.digest(
            "binding",
            &[account.subject.as_str().as_bytes(), password.as_bytes(), address.as_bytes()],
        )
    }

    fn plain_code(&self, flow: FlowId, purpose: Purpose) -> Zeroizing<String> {
        let bytes = self.derive("code", &[purpose.as_str().as_bytes(), flow.as_bytes()]);
        Zeroizing::new(
            bytes[..CODE_CHARS].iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect(),
        )
    }

    fn digest(&self, what: &str, parts: &[&[u8]]) -> Digest {
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.derive(what, parts)[..16]);
        Digest(digest)
    }

    /// Prefixes each part with its length, so that no two lists of parts give the same input.
    fn derive(&self, what: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&what.as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut derived = [0; 32];
        derived.copy_from_slice(context.sign().as_ref());
        derived
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowKey(..)")
    }
}

/// Normalizes a typed code: upper case, without hyphens and spaces, and with digits for the letters that look
/// like them. Ignores all after four times a code's length.
fn normalized_code(typed: &str) -> String {
    let meant = |c: char| match c.to_ascii_uppercase() {
        '-' | ' ' => None,
        'O' => Some('0'),
        'I' | 'L' => Some('1'),
        other => Some(other),
    };
    typed.chars().take(4 * CODE_CHARS).filter_map(meant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FlowKey {
        FlowKey::new(&[7; 32])
    }

    const FLOW: FlowId = FlowId::from_bytes([1; 16]);

    #[test]
    fn a72_links_are_bound_to_their_flow() {
        let link = key().link(FLOW, Purpose::Reset);
        assert_eq!(link.len(), 64);
        assert_eq!(key().flow_of(&link, Purpose::Reset), Some(FLOW));
        for purpose in [Purpose::Verification, Purpose::EmailChange] {
            assert_eq!(key().flow_of(&link, purpose), None);
        }
        assert_eq!(FlowKey::new(&[8; 32]).flow_of(&link, Purpose::Reset), None);
        for at in 0..link.len() {
            let other = if link.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &link[..at], &link[at + 1..]);
            assert_eq!(key().flow_of(&changed, Purpose::Reset), None, "{changed}");
        }
        for text in ["", "A", &link[1..], &format!("{}=", *link), &format!("{} ", *link), &"A".repeat(64)] {
            assert_eq!(key().flow_of(text, Purpose::Reset), None, "{text}");
        }
    }

    #[test]
    fn typed_codes_are_normalized() {
        let code = key().code(FLOW, Purpose::Reset);
        assert!(
            code.len() == 11 && code.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)),
            "{}",
            *code
        );
        let typed = [
            code.to_string(),
            code.to_lowercase(),
            format!(" {} ", code.replace('-', " ")),
            code.replace('0', "o").replace('1', "l"),
            code.replace('0', "O").replace('1', "I"),
        ];
        for typed in typed {
            assert!(key().is_code(&typed, FLOW, Purpose::Reset), "{typed}");
        }
        assert!(!key().is_code(&code, FLOW, Purpose::Verification));
        assert!(!key().is_code(&code, FlowId::from_bytes([2; 16]), Purpose::Reset));
        for typed in ["", "-", &code[..10], &format!("{}0", *code), &"0".repeat(10_000)] {
            assert!(!key().is_code(typed, FLOW, Purpose::Reset), "{typed}");
        }
    }

    #[test]
    fn flow_hashes_differ_for_different_inputs() {
        let key = key();
        let subject = Subject::parse("dana").expect("a subject");
        let subject_hashes = [
            key.subject_hash(Purpose::Reset, &subject),
            key.subject_hash(Purpose::Verification, &subject),
            key.subject_hash_of_unknown(Purpose::Reset, "dana"),
            key.subject_hash_of_decoy(FLOW),
            key.recipient_hash(MailKind::Reset, "dana"),
            key.recipient_hash(MailKind::AddressTaken, "dana"),
        ];
        for (at, subject_hash) in subject_hashes.iter().enumerate() {
            assert!(!subject_hashes[..at].contains(subject_hash), "{at}");
        }
        let hash = |address| key.recipient_hash(MailKind::Reset, address);
        assert_eq!(hash("Dana@Example.org"), hash(" dana@example.ORG"));
    }
}
