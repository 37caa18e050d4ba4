//! Writes times for clients and for the log.

use quash_core::model::Timestamp;

/// Formats a time in UTC, to the millisecond (RFC 3339).
pub fn rfc3339(at: Timestamp) -> String {
    // No clock returns a time outside jiff's range.
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |rfc3339| format!("{rfc3339:.3}"))
}
