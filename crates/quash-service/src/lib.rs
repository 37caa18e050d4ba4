//! The application layer: use cases. Each has four steps: load, decide, commit with a guard (a conflict
//! repeats the first two, a few times at most), announce.
//!
//! The rules are in `quash-core`, the queries in `quash-store`, HTTP in `quash-server`. This crate orders the
//! steps and handles their failures.

mod client_uses;
mod context;
mod counted;
mod credential;
pub mod doctor;
mod embedded;
mod failing;
mod failure;
mod feed;
mod keys;
mod known_device;
mod lockout;
mod mail;
mod metrics;
mod network;
mod node;
mod passwords;
mod quota;
mod repeated;
mod retry;
mod rfc3339;
mod sealer;
mod start;
mod traced;
mod use_cases;
mod vault;

pub use context::{PublishedKeys, Service};
pub use counted::Counts;
pub use credential::Credential;
pub use embedded::subscriber;
pub use failure::{Failure, StartError, Unavailable};
pub use feed::{FeedEvent, FeedReader, FeedRefused, SnapshotFeed, compare};
pub use keys::{
    FetchFault, FetchKeys, FetchNothing, ForeignKeys, ForeignSetup, IssuerInfo, IssuerKeyInfo,
    IssuerKeySource, KeyInfo, KeyList, KeySetup, KeysRevokedAgain, RefreshSigning, revoke_after_restore,
};
pub use known_device::{DeviceToken, DeviceTokenInput};
pub use mail::{AddressWarning, EmailProof, Mailer, MailerError, OutgoingEmail, mailbox};
pub use metrics::{Load, SignIns};
pub use node::{FailOverSetup, NodeSetup, NodeStatus};
pub use passwords::{
    Arena, Argon2Hasher, Cap, CostClass, FormatFault, FormatName, HashSettings, PasswordHasher, Rehash,
};
pub use quash_core::model::NewState;
pub use quash_store::{
    AccountSearch, Allowance, BackupError, ListedNode, LiveSessions, SessionSearch, StoreConnections,
};
pub use repeated::{NamesRevoked, Repeated};
pub use rfc3339::{parse_rfc3339, rfc3339};
pub use sealer::audit_seal_of;
pub use start::Setup;
pub use traced::TRACED;
pub use use_cases::account::add::{AddFault, ClaimsFault, NewAccount, NewPassword, ValueFault};
pub use use_cases::account::change::{AccountToChange, Address, ChangeFault, Changed, OneTimePassword};
pub use use_cases::account::own::{Me, Reauthentication};
pub use use_cases::account::provision::{Accepted, AccountRecord, Outcome, ProvisionFault, Run, UniqueField};
pub use use_cases::account::search::AccountPage;
pub use use_cases::feed::barrier::{BarrierResult, VerifierResult, VerifierState};
pub use use_cases::feed::serve::{LeaseRequest, VerifierInfo};
pub use use_cases::keys::rotation::{ChangedKey, KeyChangeFault, KeyRevoked, Takeover};
pub use use_cases::mail::flows::{MailProof, MailRecipient};
pub use use_cases::mail::registration::{NewRegistration, RegisterFault};
pub use use_cases::operation::audit::{AuditRefused, AuditVerified, NotAccepted, verify_audit_of};
pub use use_cases::operation::backup::{BackedUp, BackupFault};
pub use use_cases::operation::client_changes::{ClientAuthor, ClientFault, ClientUpdate, NewClient};
pub use use_cases::operation::client_secret::ClientSecret;
pub use use_cases::operation::epoch::{
    KnownLogEnd, RollbackReport, begin_after_restore, begin_if_gone_back, check_master_key_of, renew_store_id,
};
pub use use_cases::operation::fail_over::take_over_at_start;
pub use use_cases::operation::ready::NotReady;
pub use use_cases::operation::upkeep::UpkeepReport;
pub use use_cases::session::end::{Ended, RefusedAccess};
pub use use_cases::session::end_named::NamedEnd;
pub use use_cases::session::inspect::{Inspection, RevokedBy, TokenStatus};
pub use use_cases::session::introspect::Introspected;
pub use use_cases::session::list::{SessionFilter, SessionInfo, SessionPage};
pub use use_cases::session::revoke::TokenRevoked;
pub use use_cases::session::sign_in::{Attempt, SignedIn};
pub use use_cases::session::target::{RevocationExtent, RevocationFault, RevocationTarget, TargetRevoked};
pub use vault::{MasterKey, MasterKeyFault};
