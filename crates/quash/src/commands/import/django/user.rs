//! Makes an account of a source's user, or says why it can't be one.

use jiff::Timestamp as Civil;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use quash_core::model::PasswordHash;
use serde_json::Value;
use zeroize::Zeroizing;

use super::claims::ClaimMapping;
use super::source::SourceUser;
use crate::control::{ProvisionAccount, Secret};

/// The most bytes of an account's values: more than an account whose values all have the greatest length.
const ACCOUNT_BYTES: usize = 16 * 1024;

/// Which addresses count as confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum EmailVerified {
    All,
    None,
    Column(String),
}

/// The values that identify a user.
pub(super) struct Identity {
    pub(super) subject: String,
    pub(super) username: String,
    pub(super) email: Option<String>,
}

impl SourceUser {
    /// Reads the values that identify the user.
    ///
    /// # Errors
    /// One is missing, or of another type.
    pub(super) fn identity(&self) -> Result<Identity, String> {
        let subject = match &self.subject {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            other => return Err(format!("the subject is {}, and must be a number or a text", kind(other))),
        };
        let email = optional_text(&self.email, "e-mail address")?.map(|email| email.trim().to_owned());
        Ok(Identity {
            subject,
            username: text(&self.username, "name")?,
            email: email.filter(|email| !email.is_empty()),
        })
    }

    /// The name, for a report.
    pub(super) fn shown_name(&self) -> Option<&str> {
        self.username.as_str()
    }

    /// Returns the user's account.
    ///
    /// # Errors
    /// A value is missing, or of another type.
    pub(super) fn account(
        &self,
        identity: Identity,
        verified: &EmailVerified,
        mapping: &ClaimMapping,
    ) -> Result<ProvisionAccount, String> {
        let Identity { subject, username, email } = identity;
        let is_active = match &self.active {
            None => true,
            Some(value) => switch(value, "field that says whether the user is active")?,
        };
        let is_verified = match verified {
            EmailVerified::All => true,
            EmailVerified::None => false,
            EmailVerified::Column(name) => {
                !self.verified.is_null() && switch(&self.verified, &format!("column {name}"))?
            }
        };
        let password = optional_text(&self.password, "password hash")?.filter(|hash| !hash.is_empty());
        if let Some((name, _)) = self.columns.iter().find(|(_, value)| value.is_array()) {
            return Err(format!("the column {name} has a list or bytes, which can't be a claim"));
        }
        let claims = mapping.of(&self.columns, &self.groups, &self.permissions);
        let account = ProvisionAccount {
            subject,
            username,
            verified: is_verified && email.is_some(),
            email,
            password: password.map(|hash| Secret::new(Zeroizing::new(hash))),
            deactivated: !is_active,
            claims: claims.map(|claims| Value::Object(claims).to_string()),
            last_login_ms: parse_time(&self.last_login)
                .map_err(|reason| format!("the last sign-in {reason}"))?,
        };
        match size(&account) {
            bytes if bytes > ACCOUNT_BYTES => {
                Err(format!("its values have {bytes} bytes: an account has at most {ACCOUNT_BYTES}"))
            }
            _ => Ok(account),
        }
    }
}

/// The bytes of an account in a request.
pub(super) fn size(account: &ProvisionAccount) -> usize {
    serde_json::to_vec(account).map_or(usize::MAX, |bytes| Zeroizing::new(bytes).len())
}

/// Replaces a hash that quash doesn't support by its mark, which Django services with `CHECK_REVOKE_TOKEN` compare
/// tokens with. No password matches it.
pub(super) fn with_mark_alone(account: ProvisionAccount) -> ProvisionAccount {
    let mark = account.password.as_ref().map(|hash| {
        let mark = PasswordHash::new(hash.expose().to_owned()).mark();
        Secret::new(Zeroizing::new(format!("!mark${mark}")))
    });
    ProvisionAccount { password: mark, ..account }
}

/// Reads a time as SQLite, PostgreSQL or `dumpdata` has it, in milliseconds since 1970. Without an offset it is in UTC.
pub(super) fn parse_time(value: &Value) -> Result<Option<i64>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        other => return Err(format!("is {}, and must be a time", kind(other))),
    };
    let utc = || text.parse::<DateTime>().ok().and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
    match text.parse::<Civil>().ok().or_else(utc) {
        Some(time) => Ok(Some(time.as_millisecond())),
        None => Err("isn't a time".into()),
    }
}

fn text(value: &Value, of: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("the {of} is {}, and must be a text", kind(other))),
    }
}

fn optional_text(value: &Value, of: &str) -> Result<Option<String>, String> {
    if value.is_null() { Ok(None) } else { text(value, of).map(Some) }
}

fn switch(value: &Value, of: &str) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Number(number) if number.as_i64() == Some(0) => Ok(false),
        Value::Number(number) if number.as_i64() == Some(1) => Ok(true),
        other => Err(format!("the {of} is {}, and must be true or false", kind(other))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "missing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list or bytes",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_all_sources_are_read() {
        for text in [
            "2026-01-02 03:04:05.678901",
            "2026-01-02 03:04:05.678901+00",
            "2026-01-02T03:04:05.678Z",
            "2026-01-02T05:04:05.678+02:00",
        ] {
            assert_eq!(parse_time(&json!(text)), Ok(Some(1_767_323_045_678)), "{text}");
        }
        assert_eq!(parse_time(&Value::Null), Ok(None));
        for wrong in [json!("yesterday"), json!(17), json!("")] {
            assert!(parse_time(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_another_type_are_refused() {
        let user = |active: Value, username: Value| SourceUser {
            subject: json!(17),
            username,
            email: json!("  "),
            active: Some(active),
            ..SourceUser::default()
        };
        let account = |user: SourceUser| {
            let identity = user.identity()?;
            user.account(identity, &EmailVerified::All, &ClaimMapping::default())
        };
        let made = account(user(json!(0), json!("dana"))).expect("an account");
        assert_eq!((made.subject.as_str(), made.email, made.verified), ("17", None, false));
        assert!(made.deactivated && made.claims.is_none() && made.password.is_none());
        for (active, username, says) in [
            (json!("yes"), json!("dana"), "must be true or false"),
            (json!(true), json!(5), "must be a text"),
            (json!(true), Value::Null, "missing"),
            (json!(true), json!("x".repeat(17_000)), "at most"),
        ] {
            let reason = account(user(active, username)).err().expect("it is refused");
            assert!(reason.contains(says), "{reason}");
        }
    }
}
