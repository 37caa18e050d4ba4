//! The desk: use cases. Each has four steps: load, decide, commit with a guard (on a conflict load and decide again,
//! a few times at most), announce.
//!
//! The rules are in `quash-core`, the queries in `quash-store`; here is only the order of things, and what is done
//! when a part of it fails. No HTTP and no SQL lives here.

mod desk;

mod start;

mod failure;

mod vault;

mod keys;

mod feed;

mod passwords;

mod embedded;

mod network;

mod lockout;

mod quota;

mod known;

mod prove;

mod sign_in;

mod ready;

mod refresh;

mod verify;

mod end;

mod accounts;

mod subjects;

mod audit;

mod sessions;

mod own;

mod changes;

mod mail;

mod clients;

mod inspect;

mod introspect;

mod revoke;

mod epoch;

mod backup;

mod upkeep;

mod metrics;

pub use accounts::{AddFault, ClaimsFault, NewAccount, NewPassword, NewState};
pub use audit::{AuditRefused, AuditVerified, NotAccepted, audit_seal_of};
pub use backup::{BackedUp, BackupFault};
pub use changes::{Address, ChangeFault, Changed, OneTimePassword};
pub use clients::{ClientFault, ClientSecret, Credential};
pub use desk::Service;
pub use embedded::subscriber;
pub use end::{Ended, RefusedAccess};
pub use epoch::{Beyond, WentBack, begin_after_restore, begin_if_gone_back, renew_store_id};
pub use failure::{Failure, StartError, Unavailable};
pub use feed::{
    Binding, Delivery, Effective, FeedReader, FeedRefused, InstanceId, LeaseAsked, SnapshotFeed, VerifierNow,
    VerifierSeen, VerifierState,
};
pub use inspect::{Inspection, RevokedBy, Standing};
pub use introspect::Introspected;
pub use keys::{
    FetchFault, FetchKeys, FetchNothing, ForeignKeys, ForeignSetup, IssuerKeySeen, IssuerSeen, KeySeen,
    KeySetup, KeyTurnFault, KeysFrom, KeysSeen, RefreshSigning, Struck, StruckAgain, Takeover, TurnedKey,
    strike_after_restore,
};
pub use known::{DeviceSaid, DeviceToken};
pub use lockout::Allowance;
pub use mail::{
    Letter, LetterProof, MailProof, NewRegistration, Post, PostFault, RegisterFault, Whom, mailbox,
};
pub use own::{Me, Reproof};
pub use passwords::{
    Arena, Argon2Hasher, Cap, CostClass, FormatFault, FormatName, HashSettings, PasswordHasher, Rehash,
};
pub use revoke::TokenRevoked;
pub use sessions::{Listed, SessionSeen, SessionsSeen};
pub use sign_in::{Attempt, SignedIn};
pub use start::Setup;
pub use upkeep::Upkept;
pub use vault::{MasterKey, MasterKeyFault};
