//! Times as commands print them: RFC 3339 in UTC for programs, with the distance from now for people.

use jiff::Timestamp as Civil;
use quash_core::model::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time that is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Moment {
    /// Formats the time in UTC, to the second.
    pub(crate) fn to_the_second(self) -> String {
        match Civil::from_second(self.0.as_secs()) {
            Ok(civil) => format!("{civil:.0}").replace('T', " "),
            Err(_) => format!("{} seconds after 1970", self.0.as_secs()),
        }
    }

    /// Formats the time in UTC, to the millisecond, as part of a file name.
    pub(crate) fn to_label(self) -> String {
        match Civil::from_millisecond(self.0.as_millis()) {
            Ok(civil) => format!("{civil:.3}").replace(['-', ':'], ""),
            Err(_) => self.0.as_millis().to_string(),
        }
    }

    /// Formats the time in UTC, to the second, with its distance from `now`.
    pub(crate) fn seen_from(self, now: Timestamp) -> String {
        let (ahead, behind) = (self.0.since(now).as_secs(), now.since(self.0).as_secs());
        let far = match (ahead, behind) {
            (0, 0) => "now".to_owned(),
            (0, secs) => format!("{} ago", in_words(secs)),
            (secs, _) => format!("in {}", in_words(secs)),
        };
        format!("{} ({far})", self.to_the_second())
    }
}

/// Formats a span by its two largest units.
fn in_words(secs: u64) -> String {
    let units = [("y", 31_556_952), ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let mut rest = secs;
    let counted = units.map(|(unit, size)| {
        let count = rest / size;
        rest %= size;
        (count, unit)
    });
    let first = counted.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    let words = counted
        .iter()
        .skip(first)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"));
    words.collect::<Vec<_>>().join(" ")
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Civil::from_millisecond(self.0.as_millis()) {
            Ok(civil) => serializer.collect_str(&format_args!("{civil:.3}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let civil: Civil = text.parse().map_err(de::Error::custom)?;
        Ok(Self(Timestamp::from_millis(civil.as_millisecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        let moment = Moment(Timestamp::from_millis(1_800_000_000_123));
        assert_eq!(moment.to_the_second(), "2027-01-15 08:00:00Z");
        assert_eq!(serde_json::to_string(&moment).ok().as_deref(), Some("\"2027-01-15T08:00:00.123Z\""));
        assert_eq!(serde_json::from_str::<Moment>("\"2027-01-15T08:00:00.123Z\"").ok(), Some(moment));
    }

    #[test]
    fn times_show_their_distance_from_now() {
        let now = Timestamp::from_secs(1_800_000_000);
        let seen = |secs: i64| Moment(Timestamp::from_secs(1_800_000_000 + secs)).seen_from(now);
        assert_eq!(seen(0), "2027-01-15 08:00:00Z (now)");
        assert_eq!(seen(299), "2027-01-15 08:04:59Z (in 4 min 59 s)");
        assert_eq!(seen(-86_400), "2027-01-14 08:00:00Z (1 d ago)");
        assert!(
            Moment(Timestamp::from_secs((1 << 53) - 1))
                .seen_from(now)
                .starts_with("9007199254740991 seconds after 1970 (in 28")
        );
    }
}
