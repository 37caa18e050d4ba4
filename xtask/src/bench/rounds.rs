//! Alternating rounds, so that a machine that grows warm or busy slows both sides.

use crate::failure::Result;

/// The medians of all rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Compared {
    /// quash's figure.
    pub(super) measured: f64,
    /// The baseline's figure.
    pub(super) baseline: f64,
    /// The median of the rounds' ratios, measured / baseline.
    pub(super) ratio: f64,
}

/// Measures both sides in each round, and alternates which side begins.
///
/// # Errors
/// Returns the first failure of a side.
pub(super) fn compare(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut baseline: impl FnMut() -> Result<f64>,
) -> Result<Compared> {
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let pair = if round % 2 == 0 {
            let measured = ours()?;
            (measured, baseline()?)
        } else {
            let base = baseline()?;
            (ours()?, base)
        };
        println!("  round {}/{rounds}: {:.1} against {:.1}", round + 1, pair.0, pair.1);
        pairs.push(pair);
    }
    Ok(Compared {
        measured: median(pairs.iter().map(|pair| pair.0)),
        baseline: median(pairs.iter().map(|pair| pair.1)),
        ratio: median(pairs.iter().map(|pair| pair.0 / pair.1)),
    })
}

/// Returns the median; for an even number of figures, the lower of the middle two.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn rounds_alternate_which_side_begins() {
        let order = RefCell::new(String::new());
        let side = |name: char, figure: f64| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok(figure)
            }
        };
        let compared = compare(3, side('a', 6.0), side('b', 2.0)).unwrap();
        assert_eq!(compared, Compared { measured: 6.0, baseline: 2.0, ratio: 3.0 });
        assert_eq!(order.into_inner(), "abbaab");
    }

    #[test]
    fn the_median_is_a_figure_that_was_measured() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.0);
        assert!(median(std::iter::empty()).is_nan());
    }
}
