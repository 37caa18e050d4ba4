//! Regular expressions for values, so that an editor marks invalid ones. They use only what every dialect of
//! regular expressions supports.

use std::time::Duration;

use super::span::{Span, UNITS, Zero};

/// An IP address and a port, or a unix socket. It also matches some invalid addresses.
pub(crate) const ADDRESS: &str = r"^(([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.%]+\]):[0-9]+|unix:/.*)$";

/// `accept`, `reject`, or `until` a date. It also matches some invalid dates.
pub(crate) const ACCEPTANCE: &str =
    "^(accept|reject|until [0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))$";

/// Returns a pattern that matches exactly the spans between the bounds.
pub(crate) fn span(span: Span) -> String {
    let zero = match span.zero {
        Zero::Allowed => Some(format!("0+({})", UNITS.map(|(unit, _)| unit).join("|"))),
        Zero::Refused => None,
    };
    let of_unit = |(unit, millis): (&str, u64)| {
        let least = whole(span.least).div_ceil(millis).max(1);
        numbers(least, whole(span.most) / millis).map(|numbers| format!("0*({numbers}){unit}"))
    };
    let all: Vec<String> = zero.into_iter().chain(UNITS.into_iter().filter_map(of_unit)).collect();
    format!("^({})$", all.join("|"))
}

fn whole(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a pattern for the numbers from `least`, which isn't zero, to `most`, without leading zeros;
/// `None`: there are none.
fn numbers(least: u64, most: u64) -> Option<String> {
    let (least, most) = (u128::from(least), u128::from(most));
    let mut parts = Vec::new();
    // Lengths of which all numbers match; only the first and the last length can match partly.
    let mut whole_lengths: Option<(u32, u32)> = None;
    for length in digits(least)..=digits(most) {
        let (first, last) = (10_u128.pow(length - 1), 10_u128.pow(length) - 1);
        if least <= first && last <= most {
            whole_lengths = Some((whole_lengths.map_or(length, |(from, _)| from), length));
        } else if least.max(first) <= most.min(last) {
            parts.push(of_one_length(
                least.max(first).to_string().as_bytes(),
                most.min(last).to_string().as_bytes(),
            ));
        }
    }
    parts.extend(whole_lengths.map(|(from, to)| match (from - 1, to - 1) {
        (0, 0) => "[1-9]".into(),
        (from, to) if from == to => format!("[1-9][0-9]{{{from}}}"),
        (from, to) => format!("[1-9][0-9]{{{from},{to}}}"),
    }));
    (!parts.is_empty()).then(|| parts.join("|"))
}

fn digits(number: u128) -> u32 {
    number.max(1).ilog10() + 1
}

/// Returns a pattern for the numbers between two numbers of the same length.
fn of_one_length(least: &[u8], most: &[u8]) -> String {
    let ([first, least_rest @ ..], [last, most_rest @ ..]) = (least, most) else { return String::new() };
    if first == last {
        return format!("{}{}", char::from(*first), group(of_one_length(least_rest, most_rest)));
    }
    // First digits between the two ends allow any further digits; at the ends, the further digits are
    // bounded.
    let whole_below = least_rest.iter().all(|digit| *digit == b'0');
    let whole_above = most_rest.iter().all(|digit| *digit == b'9');
    let (from, to) =
        (if whole_below { *first } else { first + 1 }, if whole_above { *last } else { last - 1 });
    let below = (!whole_below).then(|| {
        format!("{}{}", char::from(*first), group(of_one_length(least_rest, &vec![b'9'; least_rest.len()])))
    });
    let middle = (from <= to).then(|| format!("{}{}", digit(from, to), any(least_rest.len())));
    let above = (!whole_above).then(|| {
        format!("{}{}", char::from(*last), group(of_one_length(&vec![b'0'; most_rest.len()], most_rest)))
    });
    below.into_iter().chain(middle).chain(above).collect::<Vec<_>>().join("|")
}

fn digit(from: u8, to: u8) -> String {
    if from == to {
        char::from(from).to_string()
    } else {
        format!("[{}-{}]", char::from(from), char::from(to))
    }
}

fn any(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "[0-9]".into(),
        more => format!("[0-9]{{{more}}}"),
    }
}

fn group(pattern: String) -> String {
    if pattern.contains('|') { format!("({pattern})") } else { pattern }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::super::span::{LONGEST, parse};
    use super::*;

    fn regex(pattern: &str) -> Regex {
        Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
    }

    #[test]
    fn patterns_match_exactly_the_numbers_within_bounds() {
        for (least, most) in [
            (1, 1),
            (1, 9),
            (1, 7),
            (1, 1000),
            (17, 300),
            (99, 101),
            (250, 4321),
            (999, 1000),
            (1, 1010),
            (10, 99),
        ] {
            let pattern = regex(&format!("^({})$", numbers(least, most).expect("there are some")));
            for number in 0..=5000 {
                assert_eq!(
                    pattern.is_match(&number.to_string()),
                    (least..=most).contains(&number),
                    "{number} in {least} to {most}: {pattern}"
                );
            }
        }
        assert_eq!(numbers(5, 4), None);
        let pattern = regex(&format!("^({})$", numbers(1, u64::MAX).expect("there are some")));
        assert!(
            pattern.is_match("18446744073709551615")
                && !pattern.is_match("18446744073709551616")
                && !pattern.is_match("0")
        );
    }

    #[test]
    fn span_patterns_match_exactly_the_valid_spans() {
        let second = Duration::from_secs(1);
        for bounds in [
            Span { least: second, most: LONGEST, zero: Zero::Refused },
            Span { least: second, most: Duration::from_secs(300), zero: Zero::Allowed },
            Span { least: Duration::from_millis(1), most: Duration::from_secs(300), zero: Zero::Allowed },
            Span {
                least: Duration::from_millis(1500),
                most: Duration::from_secs(90_000),
                zero: Zero::Refused,
            },
        ] {
            let pattern = regex(&span(bounds));
            let most = whole(bounds.most);
            let texts = UNITS.iter().flat_map(|(unit, millis)| {
                let edges = [most / millis, whole(bounds.least) / millis]
                    .into_iter()
                    .flat_map(|edge| edge.saturating_sub(2)..=edge + 2);
                let numbers = edges.chain(0..=12).chain([100, 999, 1000, 1001, u64::MAX]);
                numbers.flat_map(move |number| {
                    [format!("{number}{unit}"), format!("00{number}{unit}"), format!("{number} {unit}")]
                })
            });
            for text in texts.chain(
                ["", "m", "5", "-1s", "1.5h", "1h30m", "5M", "5min", " 5m", "5m ", "P1D"].map(str::to_owned),
            ) {
                assert_eq!(
                    pattern.is_match(&text),
                    parse(&text, bounds).is_ok(),
                    "{text:?} in {bounds}: {pattern}"
                );
            }
        }
    }

    #[test]
    fn the_address_pattern_matches_every_address() {
        let pattern = regex(ADDRESS);
        for address in
            ["127.0.0.1:7827", "0.0.0.0:0", "[::1]:8000", "[::ffff:1.2.3.4]:65535", "[fe80::1%3]:80"]
        {
            assert!(
                address.parse::<std::net::SocketAddr>().is_ok() && pattern.is_match(address),
                "{address}"
            );
        }
        assert!(pattern.is_match("unix:/run/quash.sock"));
        for text in [
            "localhost",
            "unix:",
            "unix:quash.sock",
            "8000",
            "localhost:8000",
            "127.0.0.1",
            "::1",
            ":8000",
            "127.0.0.1:http",
        ] {
            assert!(!pattern.is_match(text), "{text}");
        }
    }
}
