//! The rules. Each function gets what was loaded, what is asked, the policy, the time and chance, and answers with
//! what to write or with a refusal. Nothing here reads or writes.

mod cause;

mod sign_in;

mod refresh;

mod end;

mod recover;

pub use cause::Cause;
pub use end::{end_account, end_everything, end_presented, end_session, end_token_session};
pub use recover::{Survival, change_password, end_others, reset_password};
pub use refresh::{Presented, Refreshed, recheck_presented, refresh};
pub use sign_in::{Device, Opened, judge_sign_in, open_session};
