//! Writes times for clients and for the log, and reads those of clients.

use quash_core::model::Timestamp;

/// Parses a time with its offset from UTC (RFC 3339).
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// Formats a time in UTC, to the millisecond (RFC 3339).
pub fn rfc3339(at: Timestamp) -> String {
    // No clock returns a time outside jiff's range.
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |rfc3339| format!("{rfc3339:.3}"))
}
