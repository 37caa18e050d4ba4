//! Spans of time in settings: one whole number and a unit, such as `5m`. Other forms are refused: a misread
//! span would make tokens that live too long.

use std::fmt;
use std::time::Duration;

/// The kind of a key that holds a span of time, with its bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    /// `0` in any unit is also allowed.
    pub(crate) zero: Zero,
}

/// The handling of zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Zero {
    Allowed,
    Refused,
}

/// The remedy for an invalid span.
pub(crate) const REMEDY: &str =
    "write one whole number and a unit (ms, s, m, h, d or w) without a blank, such as \"5m\"";

/// About ten years: a longer span is a mistake.
pub(crate) const LONGEST: Duration = Duration::from_secs(3653 * 24 * 3600);

/// Each unit and its milliseconds.
pub(crate) const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Span {
    /// Parses the span of a command's flag.
    ///
    /// # Errors
    /// The text isn't a span, or is out of bounds; the error has the fault and the remedy.
    pub(crate) fn of_flag(self, text: &str) -> Result<Duration, String> {
        parse(text, self).map_err(|fault| format!("it {fault}; {REMEDY}"))
    }
}

/// Parses a span, or returns the fault of the text.
pub(crate) fn parse(text: &str, bounds: Span) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Some((_, millis_per_unit)) =
        UNITS.iter().find(|(known, _)| *known == unit).filter(|_| !number.is_empty())
    else {
        return Err(fault_of_form(text, number, unit));
    };
    let too_long = || format!("is longer than {}", format_span(bounds.most));
    let number: u64 = number.parse().map_err(|_| too_long())?;
    let span = Duration::from_millis(number.checked_mul(*millis_per_unit).ok_or_else(too_long)?);
    match (span.is_zero(), bounds.zero) {
        (true, Zero::Allowed) => Ok(span),
        (true, Zero::Refused) => Err("is zero, which isn't allowed here".into()),
        _ if span < bounds.least => Err(format!("is shorter than {}", format_span(bounds.least))),
        _ if span > bounds.most => Err(too_long()),
        _ => Ok(span),
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = match self.zero {
            Zero::Allowed => "0 or ",
            Zero::Refused => "",
        };
        write!(f, "span, {zero}{} to {}", format_span(self.least), format_span(self.most))
    }
}

/// Formats a span as in the settings, in the largest unit that divides it.
pub(crate) fn format_span(span: Duration) -> String {
    let millis = span.as_millis();
    if millis == 0 {
        return "0s".into();
    }
    // At most days, because weeks are uncommon for long spans.
    let days_at_most = UNITS.iter().rev().filter(|(unit, _)| *unit != "w");
    let fitting = days_at_most
        .map(|(unit, size)| (unit, u128::from(*size)))
        .find(|(_, size)| millis.is_multiple_of(*size));
    fitting.map_or_else(|| format!("{millis}ms"), |(unit, size)| format!("{}{unit}", millis / size))
}

fn fault_of_form(text: &str, number: &str, unit: &str) -> String {
    if text.is_empty() {
        "is empty".into()
    } else if text.contains(char::is_whitespace) {
        "has a blank in it".into()
    } else if text.starts_with(['-', '\u{2212}']) {
        "is negative".into()
    } else if text.starts_with(['P', 'p']) {
        "is an ISO 8601 duration, which isn't supported".into()
    } else if number.is_empty() {
        "doesn't begin with a whole number".into()
    } else if unit.is_empty() {
        "has no unit".into()
    } else if unit.starts_with(['.', ',']) {
        "isn't a whole number and a unit".into()
    } else if unit.contains(|c: char| c.is_ascii_digit()) {
        "has more than one number in it".into()
    } else {
        format!("has the unknown unit \"{unit}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Span = Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused };

    #[test]
    fn spans_are_one_number_and_one_unit() {
        for (text, millis) in [
            ("1500ms", 1500),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("90d", 7_776_000_000),
            ("2w", 1_209_600_000),
        ] {
            assert_eq!(parse(text, ANY), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(
                parse(&format_span(Duration::from_millis(millis)), ANY),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn other_forms_of_spans_are_refused() {
        for (text, fault) in [
            ("", "empty"),
            ("15 min", "blank"),
            (" 5m", "blank"),
            ("5m ", "blank"),
            ("5m\n", "blank"),
            ("1,5h", "whole number"),
            ("1.5h", "whole number"),
            ("P1D", "ISO 8601"),
            ("PT5M", "ISO 8601"),
            ("-5m", "negative"),
            ("−5m", "negative"),
            ("300", "no unit"),
            ("0", "no unit"),
            ("0s", "zero"),
            ("0d", "zero"),
            ("500ms", "shorter than 1s"),
            ("m", "whole number"),
            ("+5m", "whole number"),
            ("٥m", "whole number"),
            ("5min", "unit \"min\""),
            ("5M", "unit \"M\""),
            ("1h30m", "more than one number"),
            ("0x5m", "more than one number"),
            ("99999w", "longer than 3653d"),
            ("18446744073709551615w", "longer than"),
            ("99999999999999999999999s", "longer than"),
        ] {
            let answer = parse(text, ANY);
            assert!(answer.as_ref().is_err_and(|found| found.contains(fault)), "{text:?}: {answer:?}");
        }
        assert_eq!(parse("0s", Span { zero: Zero::Allowed, ..ANY }), Ok(Duration::ZERO));
    }
}
