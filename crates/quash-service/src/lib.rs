//! The application layer: use cases. Each has four steps: load, decide, commit with a guard (a conflict
//! repeats the first two, a few times at most), announce.
//!
//! The rules are in `quash-core`, the queries in `quash-store`, HTTP in `quash-server`. This crate orders the
//! steps and handles their failures.

mod context;
mod credential;
mod embedded;
mod failure;
mod feed;
mod keys;
mod known;
mod lockout;
mod mail;
mod metrics;
mod network;
mod passwords;
mod quota;
mod retry;
mod sealer;
mod start;
mod use_cases;
mod vault;

pub use context::Service;
pub use credential::Credential;
pub use embedded::subscriber;
pub use failure::{Failure, StartError, Unavailable};
pub use feed::{Binding, Delivery, FeedReader, FeedRefused, InstanceId, SnapshotFeed};
pub use keys::{
    FetchFault, FetchKeys, FetchNothing, ForeignKeys, ForeignSetup, IssuerKeySeen, IssuerSeen, KeySeen,
    KeySetup, KeysFrom, KeysSeen, RefreshSigning, StruckAgain, strike_after_restore,
};
pub use known::{DeviceSaid, DeviceToken};
pub use lockout::Allowance;
pub use mail::{Letter, LetterProof, Post, PostFault, mailbox};
pub use passwords::{
    Arena, Argon2Hasher, Cap, CostClass, FormatFault, FormatName, HashSettings, PasswordHasher, Rehash,
};
pub use sealer::audit_seal_of;
pub use start::Setup;
pub use use_cases::account::add::{AddFault, ClaimsFault, NewAccount, NewPassword, NewState};
pub use use_cases::account::change::{Address, ChangeFault, Changed, OneTimePassword};
pub use use_cases::account::own::{Me, Reproof};
pub use use_cases::feed::barrier::{Effective, VerifierSeen, VerifierState};
pub use use_cases::feed::serve::{LeaseAsked, VerifierNow};
pub use use_cases::keys::turn::{KeyTurnFault, Struck, Takeover, TurnedKey};
pub use use_cases::mail::flows::{MailProof, Whom};
pub use use_cases::mail::registration::{NewRegistration, RegisterFault};
pub use use_cases::operation::audit::{AuditRefused, AuditVerified, NotAccepted};
pub use use_cases::operation::backup::{BackedUp, BackupFault};
pub use use_cases::operation::clients::{ClientFault, ClientSecret};
pub use use_cases::operation::epoch::{
    Beyond, WentBack, begin_after_restore, begin_if_gone_back, renew_store_id,
};
pub use use_cases::operation::upkeep::Upkept;
pub use use_cases::session::end::{Ended, RefusedAccess};
pub use use_cases::session::inspect::{Inspection, RevokedBy, Standing};
pub use use_cases::session::introspect::Introspected;
pub use use_cases::session::list::{Listed, SessionSeen, SessionsSeen};
pub use use_cases::session::revoke::TokenRevoked;
pub use use_cases::session::sign_in::{Attempt, SignedIn};
pub use vault::{MasterKey, MasterKeyFault};
