//! The log lines of a background task that fails again and again: one for the first failure with a cause, then one every
//! few seconds with the number of failures.

use std::time::Duration;

/// The time between two lines of a cause that lasts.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// The failures since the last success.
#[derive(Default)]
pub(crate) struct Failing {
    failed: u32,
    /// The cause that was logged last, and the uptime.
    logged: Option<(String, Duration)>,
}

impl Failing {
    /// Notes a failure, and returns the number of failures if it is to be logged.
    pub(crate) fn failed(&mut self, cause: &str, now: Duration) -> Option<u32> {
        self.failed = self.failed.saturating_add(1);
        let was_logged =
            |(logged, at): &(String, Duration)| logged == cause && now.saturating_sub(*at) < LOG_EVERY;
        if self.logged.as_ref().is_some_and(was_logged) {
            return None;
        }
        self.logged = Some((cause.to_owned(), now));
        Some(self.failed)
    }

    /// Notes a success, and returns the number of failures before it, if there were any.
    pub(crate) fn succeeded(&mut self) -> Option<u32> {
        self.logged = None;
        Some(std::mem::take(&mut self.failed)).filter(|failed| *failed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_and_then_counted() {
        let mut failing = Failing::default();
        let at = Duration::from_secs;
        assert_eq!(failing.succeeded(), None);
        assert_eq!(failing.failed("away", at(1)), Some(1));
        assert_eq!(failing.failed("away", at(2)), None);
        assert_eq!(failing.failed("full", at(3)), Some(3), "another cause");
        assert_eq!(failing.failed("full", at(7)), None);
        assert_eq!(failing.failed("full", at(8)), Some(5));
        assert_eq!(failing.succeeded(), Some(5));
        assert_eq!(failing.succeeded(), None);
        assert_eq!(failing.failed("full", at(9)), Some(1));
    }
}
