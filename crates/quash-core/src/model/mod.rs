//! The domain's types. They only check that a value is well-formed; the rules are in `decide/`.

mod account;
mod audit;
mod change;
mod client;
mod custom;
mod device;
mod end_cause;
mod entropy;
mod epoch;
mod flow;
mod fold;
mod id;
mod instance;
mod key;
mod loaded;
mod mail;
mod namespace;
mod new_name;
mod policy;
mod refusal;
mod revocation;
mod session;
mod time;

pub use account::{
    Account, AccountBy, AccountState, AccountStatus, Email, Name, NameFault, NewState, PasswordHash,
};
pub use audit::{
    Audit, AuditHead, AuditPlace, AuditSeal, Event, NewAudit, PersonalData, SealedEntry, Sealing,
};
pub use change::{
    AccountEdit, AccountFields, Adoption, Change, Ends, NamesRevocation, Note, Receipt, SessionEnd,
    SessionOpening, Survivor,
};
pub use client::{Client, ClientName, ClientNameFault, Right, Rights, SecretDigest};
pub use custom::{AccountClaims, CustomClaims, CustomClaimsFault};
pub use device::Devices;
pub use end_cause::{EndCause, EndCauseRow, EndScope};
pub use entropy::{Entropy, Seeded, draw};
pub use epoch::{Epoch, NotedEnd, OldSessions};
pub use flow::{Digest, EarlierRequests, Flow, FlowLoaded, PendingRegistration, Purpose, RegistrationBy};
pub use fold::{fold, fold_unbounded};
pub use id::{DeviceId, FlowId, Generation, IdFault, Jti, Kid, MailId, SessionId, Subject};
pub use instance::{Binding, InstanceId, LabelFault, ProcessLabel};
pub use key::{KeyRecord, KeySource, KeyState, Sealed};
pub use loaded::{AccountLoaded, Followed, ForeignLoaded, Forgotten, Head, HeadVersions, SessionLoaded};
pub use mail::{Mail, MailKind, MailOutcome, MailPriority};
pub use namespace::{Namespace, NamespaceClaims};
pub use policy::{
    AccountPolicy, AuditPolicy, ClaimNames, ClaimsChange, FollowPolicy, ForeignTokens, InactiveAccounts,
    LastLogin, LocalParts, LockEnds, LockoutPolicy, LoginFields, NameChanges, NumericNames, Policy,
    RegistrationPolicy, RotationPolicy, SessionPolicy, Subjects, TokenPolicy, UserIdField, UserIdType,
    limits,
};
pub use refusal::{Invalid, PasswordFault, Refusal};
pub use revocation::{
    Actor, Chain, Entry, Keep, NewEntry, Reason, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq,
};
pub use session::{Adopted, Ending, Session, SessionState};
pub use time::{Clock, Timestamp};
