//! The rules. Each function takes the loaded state, the request, the policy, the time and entropy, and
//! returns a change to write or a refusal. Nothing here does I/O.

mod account;

mod lock;

mod cause;

mod sign_in;

mod names;

mod provision;

mod presented;

mod refresh;

mod sliding;

mod foreign;

mod end;

mod epoch;
mod fail_over;

mod recover;

mod key;

mod seal;

mod flow;

pub use account::{
    ChangeAuthor, change_account, delete_account, edit_account, edit_if_different, set_claims, set_email,
    set_password_hash, unlocked,
};
pub use cause::Cause;
pub use end::{
    AccountEnd, ForeignEnd, apply_settings, end_account, end_everything, end_foreign, end_presented,
    end_session, end_token_session, log_out_entry,
};
pub use epoch::{NoEpochLeft, NotedEntry, begin_epoch, compare_end, went_back};
pub use fail_over::{AfterFailOver, AtFailOver, FailOverFacts, Grounds, at_fail_over};
pub use flow::{
    FlowOwner, MailRequest, MailTarget, change_email_by_mail, empty_transaction, judge_flow, notice,
    register_by_mail, reset_by_mail, start_flow, verify_by_mail,
};
pub use foreign::{is_of_another_password, recheck_foreign, refresh_foreign, refresh_foreign_sliding};
pub use key::{
    KeyDue, KeyRefusal, RevokedKeySessions, Rotation, Successor, key_due, promote_key, repeat_revocations,
    replace_key, retire_key, revoke_keys, rotate_keys, start_successor, successor,
};
pub use lock::{end_unbound, lock_account, lock_span};
pub use names::{NameRevocation, RevokedName, revoke_names};
pub use presented::{PresentedForeign, PresentedRefresh, PresentedSliding, TokenRequest, recheck_access};
pub use provision::{MarkDiffers, Provisioning, SiteMark, provision, provisioned};
pub use recover::{
    SessionSurvival, SurvivorTokens, change_password, counted_from, end_others, reset_password,
};
pub use refresh::{Refreshed, bind_exchanged, recheck_presented, refresh, renew_grant};
pub use seal::{AuditFault, AuditWalk, accept_audit, check_seal, is_ours, seal_audit};
pub use sign_in::{
    Device, Kind, Opened, PasswordCheck, judge_one_time_password, judge_reauthentication, judge_sign_in,
    open_session,
};
pub use sliding::{recheck_sliding, refresh_sliding};
