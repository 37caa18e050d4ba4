//! Fixed limits. Each has a test one past the edge.

use std::time::Duration;

/// The longest token, in bytes.
pub const TOKEN_BYTES: usize = 8192;
/// The maximum number of keys in another issuer's JWKS.
pub const JWK_SET_KEYS: usize = 100;
/// The deepest nesting of JSON, in tokens and in request bodies. The outermost value is at depth 1.
pub const JSON_DEPTH: usize = 16;
/// The longest password, in characters.
pub const PASSWORD_CHARS: usize = 1024;
/// The shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 8;
/// The longest user name, in characters.
pub const NAME_CHARS: usize = 150;
/// The longest e-mail address, in bytes (RFC 5321 4.5.3.1.3, less the angle brackets).
pub const EMAIL_BYTES: usize = 254;
/// The longest part before the `@` of a user's own address, in bytes (RFC 5321 4.5.3.1.1).
pub const LOCAL_PART_BYTES: usize = 64;
/// The longest custom claims of a session, in bytes of JSON. They must fit into a token with the other
/// claims.
pub const CLAIMS_BYTES: usize = 4096;
/// The stored length of a user agent, in bytes.
pub const DEVICE_BYTES: usize = 256;
/// The maximum number of known devices of an account.
pub const DEVICES: usize = 20;
/// The maximum number of failures that all known devices of an account may have within [`DEVICE_WINDOW`].
pub const DEVICE_FAILURES: u32 = 50;
/// The time for which a known device's failure counts.
pub const DEVICE_WINDOW: Duration = Duration::from_secs(3600);
/// The longest page of a list.
pub const PAGE: u32 = 200;
/// The longest reason that an operator may write, in characters.
pub const NOTE_CHARS: usize = 256;
/// The largest clock difference that a setting may allow.
pub const LEEWAY: Duration = Duration::from_secs(300);
/// The clock difference that is allowed between processes that sign quash's tokens, or sign and verify them.
pub const SIGNERS_AHEAD: Duration = Duration::from_secs(60);
/// The maximum time from a use case's first read to its signature. After it, the use case starts again.
pub const SIGN_WITHIN: Duration = Duration::from_secs(30);
/// The maximum number of published keys. At the limit, a new key is only made to replace a revoked one.
pub const KEYS: usize = 50;
/// The minimum time between a key's publication and its automatic promotion.
pub const KEY_PUBLISHED: Duration = Duration::from_secs(600);
/// The number of times that a use case loads and decides again after a conflict.
pub const CONFLICTS: u32 = 3;
/// The time for which the log remembers an entry after the longest token that it could cover has expired.
pub const REMEMBER_BEYOND: Duration = Duration::from_secs(600);
/// The longest name of a session, token or subject in a namespace, in bytes.
pub const REVOKED_NAME_BYTES: usize = 255;
/// The maximum number of revocations in one request.
pub const REVOCATIONS: usize = 1_000;
/// The time for which a repeated request with the same `Idempotency-Key` gets the first answer again.
pub const REPEATED_WITHIN: Duration = Duration::from_secs(600);
/// The maximum number of such keys. At the limit, the oldest is forgotten.
pub const REPEATED_KEYS: usize = 10_000;
/// The time for which a session's row is kept after its last refresh token has expired.
pub const SESSION_KEPT: Duration = Duration::from_secs(3600);
/// The validity of a link in a mail.
pub const LINK_LIFETIME: Duration = Duration::from_secs(3600);
/// The validity of a code in a mail.
pub const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// The number of codes that may be tried for one flow.
pub const CODE_TRIES: u32 = 5;
/// The maximum number of mails of a kind that requests can send to one recipient within [`MAIL_COUNTED`].
pub const MAILS: u32 = 5;
/// The maximum number of requests for a mail from one network within [`MAIL_COUNTED`], whether a mail is
/// sent or not.
pub const MAILS_PER_NETWORK: u32 = 50;
/// The maximum number of such requests from all clients whose network is unknown.
pub const MAILS_WITHOUT_NETWORK: u32 = 1000;
/// The maximum number of requests to change the address of one account within [`MAIL_COUNTED`].
pub const ADDRESS_CHANGES: u32 = 5;
/// The time for which a mail counts towards these limits.
pub const MAIL_COUNTED: Duration = Duration::from_secs(3600);
/// The minimum time between two notices to an account's owner that the account is locked.
pub const LOCK_NOTICE_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// The validity of a temporary password.
pub const ONE_TIME_PASSWORD: Duration = Duration::from_secs(24 * 3600);
/// The time for which a mail without a link is kept while it can't be sent.
pub const NOTICE_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The number of entries in the log and in the audit that an account's user may cause in a burst.
pub const OWN_ENTRIES: u32 = 600;
/// The interval at which the user may cause one more entry after the burst.
pub const OWN_ENTRY_EVERY: Duration = Duration::from_secs(1);
/// The maximum number of verifiers that hold a lease at a time.
pub const VERIFIERS: usize = 10_000;
/// The maximum number of leases for one credential, so that no credential takes all of them.
pub const VERIFIERS_PER_CREDENTIAL: usize = 1_000;
/// The maximum number of snapshots that are sent at a time.
pub const SNAPSHOTS: usize = 64;
/// The maximum number of concurrent snapshots for one credential.
pub const SNAPSHOTS_PER_CREDENTIAL: usize = 16;
/// The longest pause before the next attempt to send a mail.
pub const MAIL_LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The maximum number of attempts with an unknown outcome before a mail is given up.
pub const MAIL_UNCERTAIN_ATTEMPTS: u32 = 2;
/// The time after a mail with a link during which a sign-in sends no other one.
pub const REMIND_AFTER: Duration = Duration::from_secs(60);
