//! The operating system's clocks. No other module reads a clock; all others take one as an argument.

use std::time::Duration;

use quash_core::model::{Clock, Timestamp};

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the only place that reads the clock")]
        let now = std::time::SystemTime::now();
        let millis = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }

    fn uptime(&self) -> Duration {
        uptime()
    }
}

/// Includes suspended time (`CLOCK_BOOTTIME`): a lease may expire while the machine sleeps.
#[cfg(target_os = "linux")]
fn uptime() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads the clock")]
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}

/// Falls back to a clock without suspended time on systems that have no better one.
#[cfg(not(target_os = "linux"))]
fn uptime() -> Duration {
    static STARTED: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads the clock")]
    let now = std::time::Instant::now();
    now.saturating_duration_since(*STARTED.get_or_init(|| now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run() {
        assert!(SystemClock.now() > Timestamp::from_secs(1_700_000_000), "after 2023");
        let before = SystemClock.uptime();
        assert!(SystemClock.uptime() >= before);
    }
}
