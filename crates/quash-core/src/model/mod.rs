//! The domain's types. They only check that a value is well-formed; the rules are in `decide/`.

mod accounts;
mod audit;
mod change;
mod client;
mod entropy;
mod id;
mod instance;
mod key;
pub mod limits;
mod log;
mod note;
mod policy;
mod refusal;
mod session;
mod time;

pub use accounts::account::{
    Account, AccountBy, AccountState, AccountStatus, Email, Name, NameFault, NewState, PasswordHash,
};
pub use accounts::custom::{AccountClaims, CustomClaims, CustomClaimsFault};
pub use accounts::device::Devices;
pub use accounts::flow::{
    Digest, EarlierRequests, Flow, FlowLoaded, PendingRegistration, Purpose, RegistrationBy,
};
pub use accounts::fold::{fold, fold_unbounded};
pub use accounts::mail::{Mail, MailKind, MailOutcome, MailPriority};
pub use audit::{
    Audit, AuditFilter, AuditHead, AuditPlace, AuditSeal, Event, NewAudit, PersonalData, SealedEntry, Sealing,
};
pub use change::{
    AccountEdit, AccountFields, Adoption, Change, ClientEdit, Ends, NamesRevocation, Receipt, SessionEnd,
    SessionOpening, Survivor,
};
pub use client::{Client, ClientName, ClientNameFault, Right, Rights, SecretDigest, StoredClient};
pub use entropy::{Entropy, Seeded, draw};
pub use id::{DeviceId, FlowId, Generation, IdFault, Jti, Kid, MailId, SessionId, Subject};
pub use instance::{Binding, InstanceId, LabelFault, ProcessLabel};
pub use key::{KeyRecord, KeySource, KeyState, Sealed};
pub use log::end_cause::{EndCause, EndCauseRow, EndScope};
pub use log::epoch::{Epoch, NotedEnd, OldSessions};
pub use log::loaded::{AccountLoaded, Followed, ForeignLoaded, Forgotten, Head, HeadVersions, SessionLoaded};
pub use log::namespace::{Namespace, NamespaceClaims};
pub use log::revocation::{
    Actor, Chain, Entry, Keep, NewEntry, Reason, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq,
};
pub use note::{Note, NoteFault};
pub use policy::{
    AccountPolicy, AuditPolicy, ClaimNames, ClaimsChange, FollowPolicy, ForeignTokens, InactiveAccounts,
    LastLogin, LocalParts, LockEnds, LockoutPolicy, LoginFields, NameChanges, NumericNames, Policy,
    RegistrationPolicy, RotationPolicy, SessionPolicy, Subjects, TokenPolicy, UserIdField, UserIdType,
};
pub use refusal::{Invalid, PasswordFault, Refusal};
pub use session::{Adopted, Ending, Session, SessionState};
pub use time::{Clock, Timestamp};
