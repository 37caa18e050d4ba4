//! The results as a Markdown table.

use std::fmt::{self, Write};

use super::rounds::Compared;

/// The outcome of a row.
pub(super) enum Outcome {
    /// Both sides were measured.
    Compared { figures: Compared, unit: &'static str },
    /// Both sides were measured, but the machine can't meet the conditions of the target, for this reason.
    Unjudged { figures: Compared, unit: &'static str, reason: String },
    /// A figure without a comparison: for an absolute limit, or a baseline.
    Alone { figure: f64, unit: &'static str },
    /// A figure for an absolute limit, and a baseline that shows what the machine does.
    Beside { figure: f64, baseline: f64, unit: &'static str },
    /// The row couldn't be measured, for this reason.
    NotMeasured(String),
}

/// The target for the ratio measured / baseline, or for a single figure.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
    /// No target: the row only shows a baseline.
    None,
}

/// A line of the table.
pub(super) struct Line {
    pub(super) work: &'static str,
    pub(super) baseline: &'static str,
    pub(super) target: Target,
    pub(super) outcome: Outcome,
}

impl Target {
    fn met(self, figure: f64) -> &'static str {
        let is_met = match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
            Self::None => return "-",
        };
        if is_met { "yes" } else { "**no**" }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::None => f.write_str("-"),
        }
    }
}

/// Returns the table, followed by the reasons for rows that weren't measured.
pub(super) fn markdown(lines: &[Line]) -> String {
    let mut table =
        String::from("| work | measured | baseline | ratio | target | met |\n|---|---|---|---|---|---|\n");
    let mut notes = String::new();
    for Line { work, baseline, target, outcome } in lines {
        let cells = match outcome {
            Outcome::Compared { figures, unit } => {
                compared(figures, unit, baseline, target, target.met(figures.ratio))
            }
            Outcome::Unjudged { figures, unit, reason } => {
                let _ = write!(notes, "\nNot judged: {work}: {reason}.\n");
                compared(figures, unit, baseline, target, "-")
            }
            Outcome::Alone { figure, unit } => {
                let met = target.met(*figure);
                let target = if matches!(target, Target::None) {
                    target.to_string()
                } else {
                    format!("{target} {unit}")
                };
                format!("{} {unit} | {baseline} | - | {target} | {met}", number(*figure))
            }
            Outcome::Beside { figure, baseline: base, unit } => {
                let figures = Compared { measured: *figure, baseline: *base, ratio: figure / base };
                let limit = format!("{target} {unit}");
                compared(&figures, unit, baseline, &limit, target.met(*figure))
            }
            Outcome::NotMeasured(reason) => {
                // Writing to a `String` can't fail.
                let _ = write!(notes, "\nNot measured: {work}: {reason}\n");
                format!("not measured | {baseline} | - | {target} | -")
            }
        };
        let _ = writeln!(table, "| {work} | {cells} |");
    }
    table + &notes
}

fn compared(figures: &Compared, unit: &str, baseline: &str, target: &dyn fmt::Display, met: &str) -> String {
    let (measured, base) = (number(figures.measured), number(figures.baseline));
    format!("{measured} {unit} | {baseline}: {base} {unit} | {:.2} | {target} | {met}", figures.ratio)
}

/// Formats a number with three significant digits and separated thousands.
fn number(figure: f64) -> String {
    if figure < 10.0 {
        return format!("{figure:.2}");
    }
    if figure < 100.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    groups.extend(Some(&digits[..first]).filter(|group| !group.is_empty()));
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let shown = [1.234, 56.78, 999.4, 1_000.0, 23_456.7, 1_234_567.0].map(number);
        assert_eq!(shown, ["1.23", "56.8", "999", "1,000", "23,457", "1,234,567"]);
    }

    #[test]
    fn a_line_says_whether_its_target_is_met() {
        let line = |outcome| Line { work: "w", baseline: "b", target: Target::AtLeast(50.0), outcome };
        let figures = |ratio| Compared { measured: 100.0 * ratio, baseline: 100.0, ratio };
        let table = markdown(&[
            line(Outcome::Compared { figures: figures(60.0), unit: "/s" }),
            line(Outcome::Compared { figures: figures(40.0), unit: "/s" }),
            line(Outcome::Unjudged { figures: figures(40.0), unit: "/s", reason: "one core".into() }),
            line(Outcome::Alone { figure: 5.0, unit: "/s" }),
            line(Outcome::Beside { figure: 60.0, baseline: 50.0, unit: "/s" }),
            line(Outcome::NotMeasured("no python3".into())),
        ]);
        let expected = "\
| work | measured | baseline | ratio | target | met |
|---|---|---|---|---|---|
| w | 6,000 /s | b: 100 /s | 60.00 | >= 50 | yes |
| w | 4,000 /s | b: 100 /s | 40.00 | >= 50 | **no** |
| w | 4,000 /s | b: 100 /s | 40.00 | >= 50 | - |
| w | 5.00 /s | b | - | >= 50 /s | **no** |
| w | 60.0 /s | b: 50.0 /s | 1.20 | >= 50 /s | yes |
| w | not measured | b | - | >= 50 | - |

Not judged: w: one core.

Not measured: w: no python3
";
        assert_eq!(table, expected);
        assert_eq!(
            [Target::AtMost(1.15).met(1.15), Target::AtMost(1.15).met(1.2), Target::None.met(1.0)],
            ["yes", "**no**", "-"]
        );
    }
}
